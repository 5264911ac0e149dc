package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatehouse/infra/local/samtemplate"
)

// authorize asks the authorizer of q's route, or the cache, and returns why q
// does not pass; nil when it does.
func (g *Gateway) authorize(ctx context.Context, q *request) *refusal {
	a := q.route.authorizer
	ttl := g.ttl(a)
	if !g.identify(q, a, ttl) {
		return &unauthorized
	}
	if n := len(g.methodARN(q)); n > maxARNBytes {
		g.trace.step(q, "the method ARN has %d bytes, more than %d", n, maxARNBytes)
		return &arnTooLong
	}
	key := cacheKey(a.name, q.identity)
	ans := g.cache.get(key, q.at)
	if ans != nil {
		g.trace.step(q, "authorizer %s: an answer is cached", a.name)
	} else {
		var refused *refusal
		if ans, refused = g.ask(ctx, q, a); refused != nil {
			return refused
		}
		if ttl > 0 {
			g.cache.put(key, ans, q.at.Add(ttl))
		}
	}
	q.grant = &ans.grant
	return g.judge(q, ans)
}

// identify collects the values of the identity sources and reports whether the
// authorizer may be asked.
func (g *Gateway) identify(q *request, a *authorizer, ttl time.Duration) bool {
	optional := g.cfg.Unsettled.UncachedIdentityOptional && ttl == 0 && g.api.Kind == samtemplate.REST && a.Kind == samtemplate.Request
	q.identity = make([]string, len(a.IdentitySources))
	for i, s := range a.IdentitySources {
		q.identity[i] = g.source(q, s)
		if q.identity[i] == "" && !optional {
			g.trace.step(q, "identity source %s %s is missing; the authorizer is not asked", s.In, s.Name)
			return false
		}
		g.trace.step(q, "identity source %s %s is there", s.In, s.Name)
	}
	if a.token != nil && !a.token.MatchString(q.identity[0]) {
		g.trace.step(q, "the token does not match the validation expression; the authorizer is not asked")
		return false
	}
	return true
}

// ask invokes the authorizer.
func (g *Gateway) ask(ctx context.Context, q *request, a *authorizer) (*answer, *refusal) {
	if a.Unpermitted {
		g.trace.step(q, "authorizer %s: nothing permits API Gateway to invoke %s", a.name, a.Function)
		return nil, &authorizerMisconfigured
	}
	g.trace.step(q, "authorizer %s: nothing is cached; asking %s", a.name, a.Function)
	data, err := g.invoke(ctx, a.Function, g.authorizerEvent(q), g.cfg.Unsettled.AuthorizerTimeout)
	q.latency = max(g.cfg.Now().Sub(q.at), 0)
	if err != nil {
		return nil, g.failed(q, a, err)
	}
	ans, err := g.parseAnswer(data, a)
	if err != nil {
		g.trace.step(q, "authorizer %s: the answer is no use: %v", a.name, err)
		return nil, &authorizerMisconfigured
	}
	return ans, nil
}

// failed says what a failed invocation means. The error's text is not traced:
// it is the function's, which may be careless.
func (g *Gateway) failed(q *request, a *authorizer, err error) *refusal {
	if own := (*functionError)(nil); errors.As(err, &own) && own.message == "Unauthorized" {
		g.trace.step(q, "authorizer %s: failed with Unauthorized", a.name)
		if g.api.Kind != samtemplate.HTTP || g.cfg.Unsettled.UnauthorizedErrorIs401 {
			return &unauthorized
		}
		return &authorizerFailed
	}
	g.trace.step(q, "authorizer %s: failed: %s", a.name, reason(err))
	if g.cfg.Unsettled.FailureIsConfigurationError {
		return &authorizerMisconfigured
	}
	return &authorizerFailed
}

// Reasons an invocation gives no answer, beside a [functionError].
var (
	errTimeout        = errors.New("the function timed out")
	errEventTooLarge  = errors.New("the event is larger than Lambda takes")
	errAnswerTooLarge = errors.New("the answer is larger than Lambda gives")
)

// functionError is the error of a function, as Lambda reports it.
type functionError struct{ message string }

func (e *functionError) Error() string { return "the function failed: " + e.message }

// reason is err without the text of a function.
func reason(err error) string {
	if own := (*functionError)(nil); errors.As(err, &own) {
		return "the function returned an error"
	}
	return err.Error()
}

// invoke runs a function on event with a deadline. A function that panics has
// crashed, which Lambda reports like an error. Functions are expected to heed
// their context: one that does not is waited for, then counts as timed out.
func (g *Gateway) invoke(ctx context.Context, function string, event any, limit time.Duration) (answer []byte, err error) {
	data, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("gateway: event for %s: %w", function, err)
	}
	if len(data) > maxLambdaBytes {
		return nil, errEventTooLarge
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if crash := recover(); crash != nil {
			answer, err = nil, &functionError{"the function crashed"}
		}
	}()
	answer, err = g.cfg.Invoke(ctx, function, data)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, errTimeout
	case err != nil:
		return nil, &functionError{err.Error()}
	case len(answer) > maxLambdaBytes:
		return nil, errAnswerTooLarge
	}
	return answer, nil
}
