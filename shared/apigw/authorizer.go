package apigw

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

const (
	// reserve is what a deadline leaves for rendering and sending the answer.
	reserve = 200 * time.Millisecond

	// defaultBudget keeps well under the 10 s that API Gateway gives an authorizer.
	defaultBudget = 4 * time.Second
)

// Authorizer is a Lambda authorizer: a lambda.Handler that is safe for
// concurrent invocations. The zero Authorizer answers every event with
// [ErrUnavailable].
type Authorizer struct {
	// Decide judges a request. An error means that no decision was possible
	// (a provider or store cannot be reached); the caller is then refused with
	// 500, not 401. Decide must stop when its context does.
	Decide func(context.Context, *Request) (Decision, error)

	// Log gets one line per invocation; nil discards it.
	Log *slog.Logger

	// Metrics is the namespace of metrics that are added to the line in the
	// embedded metric format; "" adds none. CloudWatch finds them only if Log
	// writes JSON and its level lets INFO through.
	Metrics string

	// Budget bounds Decide; 0 means 4 s. Decide gets less when the invocation's
	// own deadline, less 200 ms, is nearer.
	Budget time.Duration

	// Now is the clock of the log line; nil means time.Now.
	Now func() time.Time
}

// Invoke answers one authorizer event. Beyond an answer it returns only
// [ErrUnauthorized], [ErrUnavailable] and [ErrEvent], unwrapped.
func (a *Authorizer) Invoke(ctx context.Context, event []byte) (answer []byte, err error) {
	l := authorizerLine{start: now(a.Now)}
	defer func() {
		if v := recover(); v != nil {
			answer, err = nil, l.fail(ErrUnavailable, "panic", Panicked(v))
		}
		l.took = now(a.Now).Sub(l.start)
		l.write(ctx, a)
	}()

	l.request, err = ParseRequest(event)
	if err != nil {
		return nil, l.fail(ErrEvent, "malformed_event", err)
	}
	if a.Decide == nil {
		return nil, l.fail(ErrUnavailable, "unavailable", errors.New("apigw: Authorizer has no Decide"))
	}
	decideCtx, cancel := withBudget(ctx, a.Budget, defaultBudget)
	defer cancel()
	l.decision, err = a.Decide(decideCtx, l.request)
	if err != nil {
		return nil, l.fail(ErrUnavailable, "unavailable", err)
	}
	answer, err = l.decision.answer(l.request)
	if err != nil && err != ErrUnauthorized { //nolint:errorlint // identity is what API Gateway needs: the text, unwrapped
		return nil, l.fail(ErrUnavailable, "unavailable", err)
	}
	return answer, err
}

// withBudget limits ctx to budget, and to its own deadline less the reserve.
func withBudget(ctx context.Context, budget, otherwise time.Duration) (context.Context, context.CancelFunc) {
	if budget <= 0 {
		budget = otherwise
	}
	if end, ok := ctx.Deadline(); ok {
		budget = min(budget, time.Until(end)-reserve)
	}
	return context.WithTimeout(ctx, budget)
}

func now(clock func() time.Time) time.Time {
	if clock == nil {
		return time.Now()
	}
	return clock()
}
