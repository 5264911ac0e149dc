package registration

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
)

// Error codes of RFC 7591 section 3.2.2, beside those of RFC 6749 where it has
// none that fits; and what to say with them.
const (
	invalidRedirectURI      = "invalid_redirect_uri"
	invalidClientMetadata   = "invalid_client_metadata"
	unapprovedSoftware      = "unapproved_software_statement"
	defaultRetry            = 5 * time.Second
	uncertainRetry          = lease
	unavailableAtTheMoment  = "the provider cannot be reached at the moment; nothing was changed; try again"
	unknownOutcome          = "the provider did not say whether it did it; what it did is found and put right; ask again later"
	administratorMustRepair = "the provider refuses our administrator's credentials; nothing was changed; an administrator must renew them"
)

// RefusalError is an answer other than success: what is wrong, then what to do.
type RefusalError struct {
	Status     int           // of HTTP
	Code       string        // of RFC 7591 section 3.2.2, if one fits
	Field      string        // the member that is wrong; "": none is
	Detail     string        // for the caller
	RetryAfter time.Duration // 0: trying again does not help
	Cause      error         // for the operator; may be nil
}

// Error returns the detail, and for the operator the cause.
func (e *RefusalError) Error() string {
	text := "registration: " + e.Detail
	if e.Field != "" {
		text = "registration: " + e.Field + " " + e.Detail
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *RefusalError) Unwrap() error { return e.Cause }

func invalid(field, detail string, values ...any) error {
	code := invalidClientMetadata
	if field == "redirect_uris" {
		code = invalidRedirectURI
	}
	return &RefusalError{Status: http.StatusBadRequest, Code: code, Field: field, Detail: fmt.Sprintf(detail, values...)}
}

func forbidden(detail string) error {
	return &RefusalError{Status: http.StatusForbidden, Code: oauth.AccessDenied, Detail: detail}
}

func conflict(detail string) error {
	return &RefusalError{Status: http.StatusConflict, Code: invalidClientMetadata, Detail: detail}
}

// noApplication is the answer for one that is not there and for another's.
func noApplication() error {
	return &RefusalError{Status: http.StatusNotFound, Detail: "there is no such application among yours; GET /applications lists them"}
}

// later is the answer when trying again helps, even if the provider says that it
// does at once.
func later(after time.Duration, detail string, cause error) error {
	return &RefusalError{
		Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable, Detail: detail, RetryAfter: max(after, time.Second), Cause: cause,
	}
}

// fromStore returns the refusal for an error of the store.
func fromStore(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, registry.ErrNotFound):
		return noApplication()
	case errors.Is(err, registry.ErrMismatch):
		return &RefusalError{
			Status: http.StatusUnprocessableEntity, Code: invalidClientMetadata, Field: "Idempotency-Key",
			Detail: "was sent before with another body; use a new one", Cause: err,
		}
	case errors.Is(err, registry.ErrInProgress):
		return &RefusalError{
			Status: http.StatusConflict, Code: oauth.TemporarilyUnavailable, RetryAfter: defaultRetry,
			Detail: "the same is being worked on; ask again in a moment", Cause: err,
		}
	case errors.Is(err, registry.ErrStale), errors.Is(err, registry.ErrConflict):
		return &RefusalError{
			Status: http.StatusConflict, Code: oauth.TemporarilyUnavailable, RetryAfter: time.Second,
			Detail: "it was changed at the same time; read it and try again", Cause: err,
		}
	case errors.Is(err, registry.ErrTransition):
		return &RefusalError{
			Status: http.StatusConflict, Code: invalidClientMetadata,
			Detail: "its state does not allow this; read it to see its state", Cause: err,
		}
	case errors.Is(err, registry.ErrCursor):
		return &RefusalError{Status: http.StatusBadRequest, Field: "cursor", Detail: "is not one of this list; start without one", Cause: err}
	case errors.Is(err, registry.ErrInvalid):
		return &RefusalError{
			Status: http.StatusBadRequest, Code: invalidClientMetadata,
			Detail: "cannot be stored; send shorter values", Cause: err,
		}
	case errors.Is(err, registry.ErrUnavailable):
		return later(defaultRetry, "the store does not answer at the moment; try again", err)
	}
	return err
}

// fromKeys returns the refusal for keys that cannot be read.
func fromKeys(err error) error {
	if errors.Is(err, seal.ErrKeys) {
		return later(defaultRetry, "our keys cannot be read at the moment; try again", err)
	}
	return err
}

// fromProvider returns the refusal for an error of a provider.
func fromProvider(err error) error {
	if metadata, ok := errors.AsType[*provider.MetadataError](err); ok {
		if metadata.Field == "" {
			return &RefusalError{
				Status: http.StatusBadRequest, Code: invalidClientMetadata, Cause: err,
				Detail: "the provider does not accept this client metadata; compare grant_types, redirect_uris and token_endpoint_auth_method with what it offers",
			}
		}
		return invalid(metadata.Field, "is not accepted by the provider for this kind of client; change it")
	}
	if limit, ok := errors.AsType[*provider.RateLimitError](err); ok {
		return later(limit.After, "the provider has too many requests; nothing was changed; try again", err)
	}
	if _, ok := errors.AsType[*provider.MismatchError](err); ok {
		return &RefusalError{
			Status: http.StatusBadGateway, Code: invalidClientMetadata, Cause: err,
			Detail: "the provider registered something else than asked, which was undone; an administrator finds the reason in the log",
		}
	}
	switch {
	case errors.Is(err, provider.ErrUnsupported):
		return &RefusalError{Status: http.StatusNotImplemented, Detail: "this provider cannot do that; GET /providers shows what it can do", Cause: err}
	case errors.Is(err, provider.ErrNameTaken):
		return conflict("the provider has a client of this name; choose another client_name")
	case errors.Is(err, provider.ErrGone):
		return &RefusalError{
			Status: http.StatusConflict, Cause: err,
			Detail: "the provider has no such client any more; delete the application and register it anew",
		}
	case errors.Is(err, provider.ErrAdminCredentials):
		return later(uncertainRetry, administratorMustRepair, err)
	case errors.Is(err, provider.ErrAccessPolicy):
		return later(uncertainRetry, "the provider would give such a client no tokens; nothing was changed; an administrator finds what to do in the log", err)
	case uncertain(err):
		return later(uncertainRetry, unknownOutcome, err)
	default:
		return later(defaultRetry, unavailableAtTheMoment, err)
	}
}
