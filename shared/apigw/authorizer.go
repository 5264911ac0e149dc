package apigw

import (
	"context"
	"errors"
	"log/slog"
	"sync"
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
	limited := budget{Context: ctx, end: endOf(ctx, a.Budget, defaultBudget)}
	defer limited.stop()
	l.decision, err = a.Decide(&limited, l.request)
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
	return context.WithDeadline(ctx, endOf(ctx, budget, otherwise))
}

func endOf(ctx context.Context, budget, otherwise time.Duration) time.Time {
	if budget <= 0 {
		budget = otherwise
	}
	now := time.Now()
	if end, ok := ctx.Deadline(); ok {
		budget = min(budget, end.Sub(now)-reserve)
	}
	return now.Add(budget)
}

// budget is context.WithDeadline that makes its timer when somebody looks whether
// it is done: a decision from what is at hand never does.
type budget struct {
	context.Context // the invocation's

	end    time.Time
	once   sync.Once // makes the two below
	timed  context.Context
	cancel context.CancelFunc
}

// ended is what a budget becomes that nobody has looked at.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Deadline implements [context.Context].
func (b *budget) Deadline() (time.Time, bool) { return b.end, true }

// Done implements [context.Context].
func (b *budget) Done() <-chan struct{} {
	b.start()
	return b.timed.Done()
}

// Err implements [context.Context].
func (b *budget) Err() error {
	b.start()
	return b.timed.Err()
}

func (b *budget) start() {
	b.once.Do(func() { b.timed, b.cancel = context.WithDeadline(b.Context, b.end) })
}

func (b *budget) stop() {
	b.once.Do(func() { b.timed, b.cancel = ended, func() {} })
	b.cancel()
}

func now(clock func() time.Time) time.Time {
	if clock == nil {
		return time.Now()
	}
	return clock()
}
