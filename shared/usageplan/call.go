package usageplan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Limits of requests. API Gateway takes 10 a second of an account, 5 that make
// or delete keys, and in a burst 40 altogether.
const (
	answerTimeout = 3 * time.Second // of one request
	attempts      = 3               // of a request that API Gateway is too busy for
	defaultPause  = 200 * time.Millisecond
	longestPause  = 2 * time.Second // if API Gateway asks for a longer one, it is for another time
	pageSize      = 500             // the most there is
)

// call does a request, again when API Gateway has said that it is too busy for
// it, and that nothing was done. What is uncertain is repeated by nobody here:
// the first request could take effect after the repetition was answered.
func (g *Gateway) call(ctx context.Context, do func(context.Context) error) error {
	pause := g.Pause
	if pause == 0 {
		pause = defaultPause
	}
	for n := 1; ; n++ {
		err := bounded(ctx, do)
		after, busy := busyFor(err)
		if !busy || n == attempts || after > longestPause {
			return err
		}
		timer := time.NewTimer(max(after, pause/2+rand.N(pause/2+1))) //nolint:gosec // G404: jitter
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		pause *= 2
	}
}

func bounded(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return do(ctx)
}

// change is call for a request that changes something. Only a refusal tells that
// it did not: whatever else is no success leaves that open.
func (g *Gateway) change(ctx context.Context, do func(context.Context) error) error {
	err := g.call(ctx, do)
	if err == nil || refused(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUncertain, err)
}

func refused(err error) bool {
	response, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && response.HTTPStatusCode() >= http.StatusBadRequest && response.HTTPStatusCode() < http.StatusInternalServerError
}

// busyFor reports whether API Gateway was too busy for a request, and what it
// says about when to come back. Changes that meet another one of the account are
// such, too: https://github.com/serverless/serverless/issues/12065
func busyFor(err error) (time.Duration, bool) {
	if many, ok := errors.AsType[*types.TooManyRequestsException](err); ok {
		return seconds(many.RetryAfterSeconds), true
	}
	if many, ok := errors.AsType[*types.LimitExceededException](err); ok {
		return seconds(many.RetryAfterSeconds), true
	}
	if conflict, ok := errors.AsType[*types.ConflictException](err); ok {
		return 0, strings.Contains(strings.ToLower(conflict.ErrorMessage()), "concurrent modification")
	}
	answer, ok := errors.AsType[smithy.APIError](err)
	return 0, ok && (answer.ErrorCode() == "ThrottlingException" || answer.ErrorCode() == "Throttling")
}

func seconds(text *string) time.Duration {
	d, err := time.ParseDuration(aws.ToString(text) + "s")
	if err != nil || d < 0 {
		return 0
	}
	return d
}

// is reports whether an error is one of API Gateway's.
func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// failed returns the error of a request about a key. Of API Gateway's answers
// only the code is kept: their texts may have anything in them.
func failed(what string, k Key, err error) error {
	if err == nil {
		return nil
	}
	cause, code := err, ""
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		code = answer.ErrorCode()
		cause = fmt.Errorf("API Gateway says %s", code)
	}
	_, busy := busyFor(err)
	switch {
	case code == "AccessDeniedException" || code == "UnauthorizedException":
		return fmt.Errorf("%w: %s %q: %w", ErrDenied, what, k.Name, cause)
	case errors.Is(err, ErrUncertain):
		return fmt.Errorf("%w: %s %q: %w", ErrUncertain, what, k.Name, cause)
	case busy:
		return fmt.Errorf("%w: %s %q: %w", ErrBusy, what, k.Name, cause)
	default:
		return fmt.Errorf("usageplan: %s %q: %w", what, k.Name, cause)
	}
}
