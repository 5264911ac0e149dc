package webtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	openapi "github.com/pb33f/libopenapi/datamodel/high/v3"
	"go.yaml.in/yaml/v3"
)

// IsOpenAPI fails unless the document is one of OpenAPI 3.1 for wherever it is
// served, in which each operation has a name, a summary and a tag.
func (d *Document) IsOpenAPI(t *testing.T) {
	t.Helper()
	if _, errs := d.validator.ValidateDocument(); len(errs) > 0 {
		t.Error(said("the document", errs))
	}
	if d.Version != "3.1.0" || len(d.Servers) > 0 {
		t.Errorf("got version %s and servers %v, want 3.1.0 and none", d.Version, d.Servers)
	}
	var tags []string
	for _, tag := range d.Tags {
		tags = append(tags, tag.Name)
	}
	ids := map[string]string{}
	for pattern, operation := range d.Operations {
		if operation.OperationId == "" || ids[operation.OperationId] != "" || operation.Summary == "" {
			t.Errorf("%s: got the operationId %q and the summary %q, want an operationId of its own and a summary",
				pattern, operation.OperationId, operation.Summary)
		}
		ids[operation.OperationId] = pattern
		if len(operation.Tags) != 1 || !slices.Contains(tags, operation.Tags[0]) {
			t.Errorf("%s: got the tags %v, want one of %v", pattern, operation.Tags, tags)
		}
	}
}

// IsServed fails unless body is the document as JSON, with base for its server.
func (d *Document) IsServed(t *testing.T, body, base string) {
	t.Helper()
	var members, file, served map[string]any
	if err := yaml.Unmarshal(d.text, &members); err != nil {
		t.Fatal(err)
	}
	members["servers"] = []any{map[string]any{"url": base}}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), &served); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(file, served); diff != "" {
		t.Errorf("what is served is not the file (-file +served):\n%s", diff)
	}
}

// Examples fails unless each example of the document is valid, and with a member
// more, wherever that is, it is not. Sign makes a request one of somebody who may
// send it. Open are the members that may have others.
func (d *Document) Examples(t *testing.T, sign func(*http.Request) *http.Request, open ...string) {
	t.Helper()
	for pattern, operation := range d.Operations {
		sample := d.sample(t, pattern, operation)
		for _, sent := range bodies(t, operation.RequestBody) {
			x := sample
			x.Request = sign(sample.Request.Clone(t.Context()))
			if x.Sent = sent.text; sent.media != "" {
				x.Request.Header.Set("Content-Type", sent.media)
			}
			if err := d.CheckRequest(x); err != nil {
				t.Errorf("the example of %s: %v", pattern, err)
			}
		}
		for status, response := range operation.Responses.Codes.FromOldest() {
			x := sample
			if _, err := fmt.Sscan(status, &x.Status); err != nil {
				t.Fatal(err)
			}
			d.examplesOf(t, pattern, x, response, open)
		}
	}
}

// examplesOf checks the examples of one answer.
func (d *Document) examplesOf(t *testing.T, pattern string, x Exchange, response *openapi.Response, open []string) {
	t.Helper()
	x.Header = http.Header{}
	if response.Headers != nil {
		for name, header := range response.Headers.FromOldest() {
			if header.Example == nil {
				t.Fatalf("the header %s of %s %d has no example", name, pattern, x.Status)
			}
			x.Header.Set(name, header.Example.Value)
		}
	}
	all := []body{{}}
	if response.Content != nil && response.Content.Len() > 0 {
		all = nil
		for media, content := range response.Content.FromOldest() {
			if content.Schema.GetReference() != "#/components/schemas/Document" { // it would be the document in itself
				all = append(all, examples(t, media, content)...)
			}
		}
	}
	for _, one := range all {
		x.Body = one.text
		if x.Header.Del("Content-Type"); one.media != "" {
			x.Header.Set("Content-Type", one.media)
		}
		if err := d.CheckAnswer(x); err != nil {
			t.Errorf("the example of %s %d: %v", pattern, x.Status, err)
		}
		if !strings.HasSuffix(one.media, "json") {
			continue
		}
		for _, more := range withOneMore(t, one.text, open) {
			x.Body = more
			if d.CheckAnswer(x) == nil {
				t.Errorf("%s %d: %s passes", pattern, x.Status, more)
			}
		}
	}
}

// sample is a request of an operation without a body, with the example of each
// parameter that has one.
func (d *Document) sample(t *testing.T, pattern string, operation *openapi.Operation) Exchange {
	t.Helper()
	method, at, _ := strings.Cut(pattern, " ")
	item := d.Paths.PathItems.GetOrZero(strings.Replace(at, "...}", "}", 1))
	query := url.Values{}
	for _, p := range slices.Concat(item.Parameters, operation.Parameters) {
		if p.Example == nil {
			continue
		}
		values := texts(decode(t, p.Example.Decode))
		switch p.In {
		case "path":
			at = strings.NewReplacer("{"+p.Name+"}", values[0], "{"+p.Name+"...}", values[0]).Replace(at)
		case "query":
			query[p.Name] = values
		}
	}
	at = strings.NewReplacer("{", "", "}", "").Replace(at)
	return Exchange{Request: &http.Request{
		Method: method, Header: http.Header{}, URL: &url.URL{Scheme: "https", Host: "gatehouse.example.com", Path: at, RawQuery: query.Encode()},
	}}
}

// body is one that is sent or answered.
type body struct{ media, text string }

// bodies returns the examples of what is sent with an operation; nothing at all
// is one, where nothing is.
func bodies(t *testing.T, sent *openapi.RequestBody) []body {
	t.Helper()
	if sent == nil {
		return []body{{}}
	}
	var all []body
	for media, content := range sent.Content.FromOldest() {
		all = append(all, examples(t, media, content)...)
	}
	return all
}

// examples are those of a body, as they travel.
func examples(t *testing.T, media string, content *openapi.MediaType) []body {
	t.Helper()
	var values []any
	if content.Example != nil {
		values = append(values, decode(t, content.Example.Decode))
	}
	if content.Examples != nil {
		for _, one := range content.Examples.FromOldest() {
			values = append(values, decode(t, one.Value.Decode))
		}
	}
	if len(values) == 0 {
		t.Fatal("a body has no example")
	}
	all := make([]body, 0, len(values))
	for _, value := range values {
		all = append(all, body{media, encode(t, media, value)})
	}
	return all
}

func encode(t *testing.T, media string, value any) string {
	t.Helper()
	switch media {
	case "text/html":
		return texts(value)[0]
	case "application/x-www-form-urlencoded":
		fields := url.Values{}
		members, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("got %T for the example of a form, want an object", value)
		}
		for name, member := range members {
			fields[name] = texts(member)
		}
		return fields.Encode()
	default:
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func decode(t *testing.T, into func(any) error) any {
	t.Helper()
	var value any
	if err := into(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// texts is a value, or the values of a list, as a parameter has them.
func texts(value any) []string {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	all := make([]string, 0, len(list))
	for _, one := range list {
		all = append(all, fmt.Sprint(one))
	}
	return all
}

// withOneMore returns an answer with a member more in each of its objects but
// the open ones.
func withOneMore(t *testing.T, text string, open []string) []string {
	t.Helper()
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	var all []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			v["undocumented"] = "x"
			more, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(more))
			delete(v, "undocumented")
			for name, one := range v {
				if !slices.Contains(open, name) {
					walk(one)
				}
			}
		}
	}
	walk(root)
	return all
}
