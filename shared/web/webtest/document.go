// Package webtest holds the handlers of an API to its OpenAPI document: what
// they answer is described, and what is described is answered. It is test
// support: nothing that is deployed imports it, nor the libraries that read the
// document.
package webtest

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	validation "github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	openapi "github.com/pb33f/libopenapi/datamodel/high/v3"
	"github.com/pb33f/libopenapi/orderedmap"
)

// Rules are what an API's document does not say.
type Rules struct {
	// NotMet is what the document promises and no test can meet, as
	// "GET /apis 200", and why.
	NotMet map[string]string

	// Rest are the paths whose last parameter takes what is left of the path,
	// slashes included, which OpenAPI has no word for.
	Rest []string

	// Authenticated says what is wrong with a request for a security scheme; nil: it
	// is looked whether there is such a header.
	Authenticated validation.AuthenticationFunc

	// Refusal returns the form of the answers 404 and 405 to what the document does
	// not describe: the name of a schema in its components, and the media type.
	Refusal func(path string) (schema, media string)

	// ForPeople are the paths that scripts of other pages may not use. They may use
	// all others, described or not.
	ForPeople []string

	// Also returns what else is wrong with an answer to what is described; nil:
	// nothing is.
	Also func(d *Document, x Exchange) error
}

// Document is the description of an API, and what checks against it. Tests share
// it, see [Describe].
type Document struct {
	openapi.Document

	// Operations are by pattern of [http.ServeMux], and Methods by the path of it.
	Operations map[string]*openapi.Operation
	Methods    map[string][]string

	rules     Rules
	text      []byte
	mux       *http.ServeMux // finds the pattern of a request
	validator validator.Validator
	met       sync.Map // which answers of which operations were seen, as "GET /apis 200"

	mu      sync.Mutex // guards what follows, which is changed by being read
	schemas schema_validation.SchemaValidator
	values  *orderedmap.Map[string, *base.SchemaProxy] // the document's schemas once more, by name
}

// Source returns the document of all tests.
type Source func() (*Document, error)

// Describe returns the document in file as all tests share it, for building it
// takes longer than most of them.
func Describe(file string, rules Rules) Source {
	return sync.OnceValues(func() (*Document, error) { return read(file, rules) })
}

// Open returns the document.
func (s Source) Open(t *testing.T) *Document {
	t.Helper()
	d, err := s()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func read(file string, rules Rules) (*Document, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the test names its own
	if err != nil {
		return nil, err
	}
	parsed, model, err := parse(text)
	if err != nil {
		return nil, err
	}
	_, again, err := parse(text)
	if err != nil {
		return nil, err
	}
	options := []validation.Option{
		validation.WithFormatAssertions(), validation.WithRejectUndeclaredRequestBody(), validation.WithRejectUnsupportedBodyContent(),
		validation.WithBodyDecoder("application/x-www-form-urlencoded", form), validation.WithBodyDecoder("text/html", page),
	}
	if rules.Authenticated != nil {
		options = append(options, validation.WithAuthenticationFunc(rules.Authenticated))
	}
	v, errs := validator.NewValidator(parsed, options...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	d := &Document{
		Document: *model, rules: rules, text: text, validator: v, mux: http.NewServeMux(),
		Operations: map[string]*openapi.Operation{}, Methods: map[string][]string{},
		schemas: schema_validation.NewSchemaValidator(validation.WithFormatAssertions()), values: again.Components.Schemas,
	}
	for at, item := range d.Paths.PathItems.FromOldest() {
		if slices.Contains(rules.Rest, at) {
			at = strings.TrimSuffix(at, "}") + "...}"
		}
		d.mux.Handle(at, http.NotFoundHandler()) // for methods that are not described
		for method, operation := range item.GetOperations().FromOldest() {
			method = strings.ToUpper(method)
			pattern := method + " " + at
			d.Operations[pattern] = operation
			d.Methods[at] = append(d.Methods[at], method)
			d.mux.Handle(pattern, http.NotFoundHandler())
		}
	}
	return d, nil
}

func parse(text []byte) (libopenapi.Document, *openapi.Document, error) {
	d, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, nil, err
	}
	model, err := d.BuildV3Model()
	if err != nil {
		return nil, nil, err
	}
	return d, &model.Model, nil
}

// Answering returns the operations of which the document promises a status that
// tests can meet.
func (d *Document) Answering(status string) []string {
	var all []string
	for pattern, operation := range d.Operations {
		if _, listed := d.rules.NotMet[pattern+" "+status]; operation.Responses.Codes.GetOrZero(status) != nil && !listed {
			all = append(all, pattern)
		}
	}
	slices.Sort(all)
	return all
}

// pattern is the one of [http.ServeMux] that a request meets: that of an
// operation, that of a path whose method is not described, or "".
func (d *Document) pattern(sent *http.Request) string {
	if at := sent.URL.EscapedPath(); path.Clean(at) != at {
		return "" // the mux would know the clean one
	}
	_, pattern := d.mux.Handler(sent)
	return pattern
}

// Main runs the tests of a package, and fails if the document promises what none
// of them has met. It returns the exit code.
func (s Source) Main(m *testing.M) int {
	code := m.Run()
	if code != 0 || !everythingRan() {
		return code
	}
	d, err := s()
	wrong := []string{fmt.Sprint(err)}
	if err == nil {
		wrong = d.unmet()
	}
	if len(wrong) == 0 {
		return 0
	}
	_, _ = fmt.Fprintf(os.Stderr, "the document and the tests of this package:\n\t%s\n", strings.Join(wrong, "\n\t"))
	return 1
}

// everythingRan reports whether no test was left out by a flag.
func everythingRan() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

func (d *Document) unmet() []string {
	var wrong []string
	for pattern, operation := range d.Operations {
		for status := range operation.Responses.Codes.FromOldest() {
			one := pattern + " " + status
			_, seen := d.met.Load(one)
			switch reason, listed := d.rules.NotMet[one]; {
			case !seen && !listed:
				wrong = append(wrong, one+" is in the document, and no test has met it")
			case seen && listed:
				wrong = append(wrong, one+" was met, and is in NotMet: "+reason)
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}
