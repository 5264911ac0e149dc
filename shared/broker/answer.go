package broker

import (
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
	"gatehouse/shared/web"
)

// This file reads what clients send, and sends them refusals (RFC 6749 §5.2).

// retry is when to come back where nobody says it.
const retry = 5 * time.Second

// endpoint answers one request or says why not.
type endpoint func(http.ResponseWriter, *http.Request) error

// answered sends what serve returns: a refusal as it is, anything else as a bare
// 500 whose cause is logged.
func answered(serve endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			refuse(w, r, refusalOf(r, err))
		}
	})
}

// refusalOf returns the refusal that err is, and logs what it does not say.
func refusalOf(r *http.Request, err error) *oauth.Error {
	apigw.Log(r.Context(), slog.String("cause", err.Error()))
	if refusal, ok := errors.AsType[*oauth.Error](err); ok {
		return refusal
	}
	return &oauth.Error{
		Code: oauth.ServerError, Status: http.StatusInternalServerError, Description: "something broke on our side; try again",
	}
}

// refuse sends a refusal to a client.
func refuse(w http.ResponseWriter, r *http.Request, e *oauth.Error) {
	sayWhen(w, e)
	if e.StatusCode() == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="gatehouse"`)
	}
	web.JSON(w, e.StatusCode(), struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

// sayWhen says when to come back, if that helps.
func sayWhen(w http.ResponseWriter, e *oauth.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
}

// readForm reads the form of a request.
func readForm(r *http.Request) (oauth.Parameters, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return oauth.Parameters{}, oauth.Refuse(oauth.InvalidRequest, "the body must be of type application/x-www-form-urlencoded")
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, oauth.MaxParameters+1))
	switch {
	case err != nil:
		return oauth.Parameters{}, &oauth.Error{Code: oauth.InvalidRequest, Description: "the body could not be read; send it again", Cause: err}
	case len(text) > oauth.MaxParameters:
		return oauth.Parameters{}, &oauth.Error{
			Code: oauth.InvalidRequest, Status: http.StatusRequestEntityTooLarge, Description: "the body has more than 32 KiB; send less",
		}
	}
	return oauth.ParseParameters(string(text), "resource")
}

// later is the refusal when trying again helps.
func later(after time.Duration, description string, cause error) error {
	return &oauth.Error{
		Code: oauth.TemporarilyUnavailable, Status: http.StatusServiceUnavailable, RetryAfter: max(after, time.Second),
		Description: description, Cause: cause,
	}
}

// fromStore returns the refusal for an error of the registry.
func fromStore(err error) error {
	if errors.Is(err, registry.ErrUnavailable) || errors.Is(err, registry.ErrInProgress) {
		return later(retry, "the store does not answer at the moment; try again", err)
	}
	return err
}

// fromKeys returns the refusal for keys that cannot be read.
func fromKeys(err error) error {
	if errors.Is(err, seal.ErrKeys) {
		return later(retry, "our keys cannot be read at the moment; try again", err)
	}
	return err
}

// fromProvider returns the refusal for an error of the provider.
func fromProvider(err error) error {
	if refused, ok := errors.AsType[*provider.GrantError](err); ok {
		return fromGrant(refused, err)
	}
	if limit, ok := errors.AsType[*provider.RateLimitError](err); ok {
		return later(limit.After, "the provider has too many requests; try again", err)
	}
	switch {
	case errors.Is(err, provider.ErrUnsupported):
		return &oauth.Error{Code: oauth.UnauthorizedClient, Description: "the provider cannot do this for the client", Cause: err}
	case errors.Is(err, provider.ErrUncertain):
		return later(retry, "the provider did not answer; if trying again does not help, sign in again", err)
	case errors.Is(err, provider.ErrUnavailable):
		return later(retry, "the provider cannot be reached at the moment; try again", err)
	}
	return err
}

// fromGrant says in our words what the provider has refused.
func fromGrant(refused *provider.GrantError, err error) error {
	e := &oauth.Error{Code: refused.Code, Cause: err}
	switch refused.Code {
	case oauth.InvalidClient:
		// Its secret is right here: the two have fallen apart.
		e.Status = http.StatusUnauthorized
		e.Description = "the provider does not accept the client's credentials; get a new secret where the application is registered"
	case oauth.InvalidGrant:
		e.Description = "the provider does not accept the grant, which may have ended there; sign in again"
	case oauth.InvalidScope:
		e.Description = "the provider does not give these scopes to the client; ask for less"
	case oauth.InvalidTarget:
		e.Description = "the provider does not know this resource; an administrator finds the reason in the log"
	case oauth.AccessDenied:
		e.Description = "the provider's policy does not give the client a token; its administrator can"
	case oauth.TemporarilyUnavailable:
		return later(retry, "the provider cannot be reached at the moment; try again", err)
	default: // what it thinks of our request is not the client's fault
		e.Code = oauth.UnauthorizedClient
		e.Description = "the provider does not allow this to the client; its administrator can"
	}
	return e
}
