package apigw

import (
	"errors"
	"fmt"
	"log/slog"

	"gatehouse/shared/strictjson"
)

// Errors that [Authorizer.Invoke] returns. API Gateway shows their text to
// nobody, but tells them apart by it; the cause is in the log.
var (
	// ErrUnauthorized makes a REST or WebSocket API answer 401. Its text must
	// be exactly this, so it is never wrapped.
	ErrUnauthorized = errors.New("Unauthorized")
	// ErrUnavailable makes API Gateway answer 500: there is no decision.
	ErrUnavailable = errors.New("gatehouse: unavailable")
	// ErrEvent makes API Gateway answer 500: the event cannot be read.
	ErrEvent = errors.New("gatehouse: malformed event")
)

// Outcome is what was decided about a request. The zero Outcome refuses it.
type Outcome uint8

// The outcomes.
const (
	Unauthenticated Outcome = iota // no token, or one that cannot be used
	Forbidden                      // a good token that does not open this route
	Allowed
)

// String returns the outcome's name as it stands in the log and the metrics.
func (o Outcome) String() string {
	switch o {
	case Allowed:
		return "allowed"
	case Forbidden:
		return "forbidden"
	case Unauthenticated:
		return "unauthenticated"
	default:
		return "unknown"
	}
}

// Decision is an authorizer's answer to a [Request]. The zero Decision refuses.
type Decision struct {
	Outcome Outcome

	// Principal names the caller; "" becomes "unknown".
	Principal string

	// Document is the rendered IAM policy document. It is sent when the outcome
	// is Allowed or Forbidden; nil refuses every route of the stage.
	Document []byte

	// Context is a rendered JSON object of strings for the backend; nil is none.
	Context []byte

	// UsageKey is the value of the API key whose usage plan limits the request. A
	// REST API that takes its keys from the authorizer is told it, also with a
	// refusal, whose document API Gateway may cache for routes that are allowed.
	// HTTP APIs have no usage plans. "" is none.
	UsageKey string

	// Simple answers payload format 2.0 with {"isAuthorized":…} instead of a
	// policy. The event does not say which of them the API is set to.
	Simple bool

	// Error, Description and Scope (RFC 6750 §3.1) become the context members
	// error, error_description and scope of a refusal, in place of any that
	// Context has. Leave them empty where API Gateway caches the answer and
	// would repeat them on other routes.
	Error       string
	Description string
	Scope       string

	// Log holds facts for the log line. An attribute "api" becomes a dimension
	// of the metrics. Attributes that the line has anyway are dropped.
	Log []slog.Attr

	// Reason is a stable word for the log and the metrics, such as "allowed",
	// "no_token" or "expired".
	Reason string
}

// maxPrincipal is the most bytes of a principal that are sent.
const maxPrincipal = 256

// answer renders what API Gateway expects for d. The only error is one that
// API Gateway must see as it is.
func (d *Decision) answer(r *Request) ([]byte, error) {
	if d.unauthenticated() && r.Shape != HTTP1 && r.Shape != HTTP2 {
		return nil, ErrUnauthorized
	}
	simple := d.Simple && r.Shape == HTTP2
	if d.Outcome == Allowed && d.Document == nil && !simple {
		d.Outcome = Forbidden // also in the log
	}
	b := make([]byte, 0, 192+len(d.Principal)+len(d.Document)+len(d.Context)+len(d.Error)+len(d.Description)+len(d.Scope)+len(d.UsageKey))
	switch {
	case !simple:
		b = append(b, `{"principalId":`...)
		b = strictjson.AppendString(b, d.principal())
		b = append(b, `,"policyDocument":`...)
		b = d.appendDocument(b, r)
	case d.Outcome == Allowed:
		b = append(b, `{"isAuthorized":true`...)
	default:
		b = append(b, `{"isAuthorized":false`...)
	}
	b, err := d.appendContext(b)
	if err != nil {
		return nil, err
	}
	if d.UsageKey != "" && (r.Shape == RESTToken || r.Shape == RESTRequest) {
		b = append(b, `,"usageIdentifierKey":`...)
		b = strictjson.AppendString(b, d.UsageKey)
	}
	return append(b, '}'), nil
}

// unauthenticated is true for outcomes that do not exist, too.
func (d *Decision) unauthenticated() bool { return d.Outcome != Allowed && d.Outcome != Forbidden }

func (d *Decision) principal() string {
	if p := clean(d.Principal, maxPrincipal); p != "" {
		return p
	}
	return "unknown"
}

func (d *Decision) appendDocument(b []byte, r *Request) []byte {
	if d.Document != nil && !d.unauthenticated() {
		return append(b, d.Document...)
	}
	b = append(b, `{"Version":"2012-10-17","Statement":[{"Action":["execute-api:Invoke"],"Effect":"Deny","Resource":[`...)
	b = strictjson.AppendString(b, r.ARN.Prefix()+"/*")
	return append(b, `]}]}`...)
}

func (d *Decision) appendContext(b []byte) ([]byte, error) {
	if d.Outcome == Allowed || d.Error+d.Description+d.Scope == "" {
		if d.Context == nil {
			return b, nil
		}
		b = append(b, `,"context":`...)
		return append(b, d.Context...), nil
	}
	b = append(b, `,"context":{`...)
	start := len(b)
	members := [...]struct{ name, value string }{
		{"error", d.Error}, {"error_description", d.Description}, {"scope", d.Scope},
	}
	for _, m := range members {
		if m.value != "" {
			b = appendName(b, start, m.name)
			b = strictjson.AppendString(b, m.value)
		}
	}
	if d.Context != nil {
		dec := strictjson.NewDecoder(d.Context, strictjson.Event)
		err := dec.Object(func(name []byte) error {
			value, err := dec.Raw()
			for _, m := range members {
				if m.value != "" && m.name == string(name) {
					return err
				}
			}
			b = append(appendName(b, start, string(name)), value...)
			return err
		})
		if err == nil {
			err = dec.End()
		}
		if err != nil {
			return nil, fmt.Errorf("apigw: decision context: %w", err)
		}
	}
	return append(b, '}'), nil
}

// appendName appends a member's name and colon to the object that began at start.
func appendName(b []byte, start int, name string) []byte {
	if len(b) > start {
		b = append(b, ',')
	}
	return append(strictjson.AppendString(b, name), ':')
}
