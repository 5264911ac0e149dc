package webtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi-validator/content"
	invalid "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	openapi "github.com/pb33f/libopenapi/datamodel/high/v3"
	"github.com/pb33f/libopenapi/orderedmap"
)

// Exchange is a request and what was answered.
type Exchange struct {
	Request *http.Request // its body is not read
	Sent    string        // the body of the request

	Status int
	Header http.Header
	Body   string

	// Lenient is set when the request may succeed though the document does not
	// allow it.
	Lenient bool
}

// announced are the headers that an answer has only if the document says so.
var announced = []string{"Allow", "Location", "Retry-After", "Set-Cookie", "WWW-Authenticate"}

// Handler returns h as the document has it: tb fails at each answer that is not
// described.
func (d *Document) Handler(tb testing.TB, h http.Handler) http.Handler {
	tb.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err != nil {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{err}))
		}
		x := Exchange{Request: r.Clone(r.Context()), Sent: string(body)}
		got := httptest.NewRecorder()
		h.ServeHTTP(got, r)
		x.Status, x.Header, x.Body = got.Code, got.Result().Header, got.Body.String()
		d.Meet(x)
		if err := d.Check(x); err != nil {
			tb.Errorf("%s %s %.200s: the answer %d %v %.200s is not as the document has it: %v", r.Method, r.URL, body, x.Status, x.Header, x.Body, err)
		}
		maps.Copy(w.Header(), x.Header)
		w.WriteHeader(x.Status)
		_, _ = io.WriteString(w, x.Body)
	})
}

// broken is a body that ends with an error.
type broken struct{ err error }

// Read returns the error.
func (b broken) Read([]byte) (int, error) { return 0, b.err }

// Meet notes that an answer was given.
func (d *Document) Meet(x Exchange) {
	d.met.Store(d.pattern(asGet(x.Request))+" "+strconv.Itoa(x.Status), true)
}

// asGet takes HEAD for GET, as the mux does.
func asGet(r *http.Request) *http.Request {
	if r.Method == http.MethodHead {
		r = r.Clone(r.Context())
		r.Method = http.MethodGet
	}
	return r
}

// Check returns an error if an answer, or the request if it succeeded, is not as
// the document says.
func (d *Document) Check(x Exchange) error {
	x.Request = asGet(x.Request)
	open := !slices.Contains(d.rules.ForPeople, x.Request.URL.Path)
	if open && x.Request.Method == http.MethodOptions && x.Request.Header.Get("Access-Control-Request-Method") != "" {
		return x.checkPreflight()
	}
	pattern := d.pattern(x.Request)
	operation, ok := d.Operations[pattern]
	if !ok {
		return errors.Join(d.checkElsewhere(x, pattern), x.checkAll(open, nil))
	}
	status := strconv.Itoa(x.Status)
	promised := operation.Responses.Codes.GetOrZero(status)
	if promised == nil {
		return fmt.Errorf("%s: the document knows no %s", pattern, status)
	}
	wrong := []error{d.CheckAnswer(x), x.checkAll(open, promised)}
	if orderedmap.Len(promised.Content) == 0 && x.Body != "" {
		wrong = append(wrong, fmt.Errorf("%s %s: the document knows no body", pattern, status))
	}
	for _, name := range announced {
		if x.Header.Get(name) != "" && !has(promised, name) {
			wrong = append(wrong, fmt.Errorf("%s %s: the document knows no header %s", pattern, status, name))
		}
	}
	if x.succeeded() && !x.Lenient {
		wrong = append(wrong, d.CheckRequest(x))
	}
	if d.rules.Also != nil {
		wrong = append(wrong, d.rules.Also(d, x))
	}
	return errors.Join(wrong...)
}

func has(r *openapi.Response, header string) bool {
	return r != nil && r.Headers != nil && r.Headers.GetOrZero(header) != nil
}

// succeeded reports whether an answer says that the request was a good one. A
// redirect can tell of an error, too (RFC 6749 §4.1.2.1).
func (x Exchange) succeeded() bool {
	to, err := url.Parse(x.Header.Get("Location"))
	return x.Status < http.StatusBadRequest && err == nil && !to.Query().Has("error")
}

// checkAll checks what all answers have in common.
func (x Exchange) checkAll(open bool, promised *openapi.Response) error {
	var wrong []error
	if is := x.Header.Get("Cache-Control"); is != "no-store" && !has(promised, "Cache-Control") {
		wrong = append(wrong, fmt.Errorf("got Cache-Control %q, want no-store", is))
	}
	if is := x.Header.Get("Content-Type"); is == "application/problem+json" {
		var problem struct{ Status int }
		if err := json.Unmarshal([]byte(x.Body), &problem); err != nil || problem.Status != x.Status {
			wrong = append(wrong, fmt.Errorf("the problem's status is %d, the answer's %d", problem.Status, x.Status))
		}
	}
	if x.Status == http.StatusInternalServerError {
		return errors.Join(wrong...) // it may be given in the handler's place, without what that has set
	}
	if is := x.Header.Get("X-Content-Type-Options"); is != "nosniff" {
		wrong = append(wrong, fmt.Errorf("got X-Content-Type-Options %q, want nosniff", is))
	}
	want := map[bool]string{true: "*", false: ""}[open]
	if is := x.Header.Get("Access-Control-Allow-Origin"); is != want {
		wrong = append(wrong, fmt.Errorf("got Access-Control-Allow-Origin %q, want %q", is, want))
	}
	return errors.Join(wrong...)
}

// checkPreflight checks the answer to a browser that asks whether a script may
// do something, which the document describes in words.
func (x Exchange) checkPreflight() error {
	for _, name := range []string{"Origin", "Methods", "Headers"} {
		if x.Header.Get("Access-Control-Allow-"+name) == "" {
			return fmt.Errorf("a preflight is not told Access-Control-Allow-%s", name)
		}
	}
	if x.Status != http.StatusNoContent || x.Body != "" {
		return fmt.Errorf("got %d %q for a preflight, want 204 and no body", x.Status, x.Body)
	}
	return nil
}

// CheckAnswer checks status, headers, media type and body alone.
func (d *Document) CheckAnswer(x Exchange) error {
	response := &http.Response{StatusCode: x.Status, Header: x.Header, Body: io.NopCloser(strings.NewReader(x.Body))}
	defer response.Body.Close()
	_, errs := d.validator.ValidateHttpResponse(d.sent(x), response)
	return said("the answer", errs)
}

// CheckRequest checks everything of a request: who may send it, parameters and
// body.
func (d *Document) CheckRequest(x Exchange) error {
	_, errs := d.validator.ValidateHttpRequestSync(d.sent(x))
	return said("the request", errs)
}

// CheckValue checks a JSON text against one of the document's schemas.
func (d *Document) CheckValue(schema, text string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, errs := d.schemas.ValidateSchemaString(d.values.GetOrZero(schema).Schema(), text)
	return said(schema, errs)
}

// sent is the request as the validator reads it: parameters without a value are
// as if they were not there, and what is left of the path is one segment.
func (d *Document) sent(x Exchange) *http.Request {
	r := x.Request.Clone(x.Request.Context())
	r.Body, r.ContentLength = http.NoBody, int64(len(x.Sent))
	if x.Sent != "" {
		r.Body = io.NopCloser(strings.NewReader(x.Sent))
	}
	if query, err := url.ParseQuery(r.URL.RawQuery); err == nil {
		r.URL.RawQuery = withValue(query).Encode()
	}
	for _, at := range d.rules.Rest {
		at, _, _ = strings.Cut(at, "{")
		if rest, ok := strings.CutPrefix(r.URL.Path, at); ok {
			r.URL.RawPath = at + url.PathEscape(rest)
		}
	}
	return r
}

// withValue leaves out the parameters without a value, which count as left out
// (RFC 6749 §3.1).
func withValue(all url.Values) url.Values {
	for name, values := range all {
		if all[name] = slices.DeleteFunc(values, func(v string) bool { return v == "" }); len(all[name]) == 0 {
			delete(all, name)
		}
	}
	return all
}

// checkElsewhere checks the answer to what is not described.
func (d *Document) checkElsewhere(x Exchange, pattern string) error {
	want, allow := http.StatusNotFound, ""
	if methods := slices.Clone(d.Methods[pattern]); len(methods) > 0 {
		if slices.Contains(methods, http.MethodGet) {
			methods = append(methods, http.MethodHead)
		}
		slices.Sort(methods)
		want, allow = http.StatusMethodNotAllowed, strings.Join(methods, ", ")
	}
	if x.Status != want || x.Header.Get("Allow") != allow {
		return fmt.Errorf("got %d and Allow %q, want %d and %q", x.Status, x.Header.Get("Allow"), want, allow)
	}
	schema, media := d.rules.Refusal(x.Request.URL.Path)
	if is := x.Header.Get("Content-Type"); is != media {
		return fmt.Errorf("got Content-Type %q, want %q", is, media)
	}
	return d.CheckValue(schema, x.Body)
}

func said(what string, errs []*invalid.ValidationError) error {
	all := make([]error, len(errs))
	for n, err := range errs {
		all[n] = fmt.Errorf("%s: %w", what, err)
	}
	return errors.Join(all...)
}

// form reads a form as an object, in which what the schema knows as a list is
// one. The validator's own reader refuses values with a colon, even encoded.
var form = content.DecoderFunc(func(in *content.DecodeInput) (any, error) {
	text, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	all, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, err
	}
	isList := lists(in.Schema)
	object := map[string]any{}
	for name, values := range withValue(all) {
		if object[name] = values[0]; isList[name] || len(values) > 1 {
			list := make([]any, len(values))
			for n, value := range values {
				list[n] = value
			}
			object[name] = list
		}
	}
	return object, nil
})

// lists returns the members that are lists wherever a schema has them.
func lists(schema *base.Schema) map[string]bool {
	all := map[string]bool{}
	var walk func(*base.Schema)
	walk = func(s *base.Schema) {
		if s == nil {
			return
		}
		if s.Properties != nil {
			for name, member := range s.Properties.FromOldest() {
				if is := member.Schema(); is != nil && slices.Contains(is.Type, "array") {
					all[name] = true
				}
			}
		}
		for _, part := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf) {
			walk(part.Schema())
		}
	}
	walk(schema)
	return all
}

// page reads a page as text.
var page = content.DecoderFunc(func(in *content.DecodeInput) (any, error) {
	text, err := io.ReadAll(in.Body)
	return string(text), err
})
