package webtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func rules() Rules {
	return Rules{
		NotMet:    map[string]string{},
		Rest:      []string{"/things/{path}"},
		Refusal:   func(string) (schema, media string) { return "Error", "application/json" },
		ForPeople: []string{"/things"},
	}
}

var things = Describe("testdata/openapi.yaml", rules())

func TestADocumentAndItsExamples(t *testing.T) {
	t.Parallel()
	d := things.Open(t)
	d.IsOpenAPI(t)
	d.Examples(t, func(r *http.Request) *http.Request { return r })
	if diff := cmp.Diff([]string{"GET /things/{path...}", "POST /things"}, d.Answering("400")); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsPromisedIsMet(t *testing.T) {
	t.Parallel()
	with := rules()
	with.NotMet["GET /things/{path...} 400"] = "it cannot be"
	with.NotMet["POST /things 400"] = "so I thought"
	d := Describe("testdata/openapi.yaml", with).Open(t)
	d.Meet(Exchange{Request: httptest.NewRequest(http.MethodHead, "/things/a/b", nil), Status: 200})
	d.Meet(Exchange{Request: httptest.NewRequest(http.MethodPost, "/things", nil), Status: 400})
	d.Meet(Exchange{Request: httptest.NewRequest(http.MethodPost, "/things/../things", nil), Status: 303})
	want := []string{
		"POST /things 303 is in the document, and no test has met it",
		"POST /things 400 was met, and is in NotMet: so I thought",
	}
	if diff := cmp.Diff(want, d.unmet()); diff != "" {
		t.Error(diff)
	}
}

// judge is a test that says what it was told.
type judge struct {
	testing.TB

	told string
}

// Errorf implements [testing.TB].
func (j *judge) Errorf(format string, args ...any) { j.told += fmt.Sprintf(format, args...) }

// Helper implements [testing.TB].
func (*judge) Helper() {}

func TestAHandlerIsHeldToTheDocument(t *testing.T) {
	t.Parallel()
	const refused = `{"error":"no"}`
	for name, test := range map[string]struct {
		method, at, form string
		status           int
		headers          map[string]string // more than those of all answers
		body             string
		want             string // "": it is right
	}{
		"a thing is made":                      {"POST", "/things", "name=a%3Ab&part=one&part=two&x=y", 303, location("https://things.test/a?x=y"), "", ""},
		"one part is a list, too":              {"POST", "/things", "name=a&part=one", 303, location("https://things.test/a"), "", ""},
		"a part that is too long":              {"POST", "/things", "name=a&part=three", 303, location("https://things.test/a"), "", "maxLength"},
		"a name without a value is none":       {"POST", "/things", "name=", 303, location("https://things.test/a"), "", "missing property 'name'"},
		"a name that is sent twice":            {"POST", "/things", "name=a&name=b", 303, location("https://things.test/a"), "", "want string"},
		"a redirect that tells of an error":    {"POST", "/things", "", 303, location("https://things.test/?error=no"), "", ""},
		"a refusal of a bad request":           {"POST", "/things", "part=three", 400, nil, refused, ""},
		"another refusal":                      {"POST", "/things", "", 400, nil, `{"error":"maybe"}`, "error"},
		"a body that is not described":         {"POST", "/things", "name=a", 303, location("https://things.test/a"), "made", "knows no body"},
		"a cookie that is not described":       {"POST", "/things", "", 400, map[string]string{"Set-Cookie": "a=b"}, refused, "knows no header Set-Cookie"},
		"a status that is not described":       {"POST", "/things", "", 418, nil, refused, "knows no 418"},
		"what scripts must not read":           {"POST", "/things", "", 400, map[string]string{"Access-Control-Allow-Origin": "*"}, refused, `want ""`},
		"a page is shown":                      {"GET", "/things/a/b?as=page&as=&x=y", "", 200, page200, "<p>A thing.", ""},
		"as HEAD has it":                       {"HEAD", "/things/a/b", "", 200, page200, "<p>A thing.", ""},
		"a page that is none":                  {"GET", "/things/a/b", "", 200, page200, "A thing.", "pattern"},
		"a path that is too long":              {"GET", "/things/a/b/c/d/e", "", 200, page200, "<p>A thing.", "maxLength"},
		"a parameter that is wrong":            {"GET", "/things/a?as=text", "", 200, page200, "<p>A thing.", "as"},
		"a body where none is described":       {"GET", "/things/a", "x", 200, page200, "<p>A thing.", "body"},
		"a page that scripts cannot read":      {"GET", "/things/a", "", 200, map[string]string{"Content-Type": "text/html"}, "<p>A thing.", `want "*"`},
		"an answer that caches keep":           {"GET", "/things/a", "", 400, map[string]string{"Access-Control-Allow-Origin": "*", "Cache-Control": "public"}, refused, "want no-store"},
		"a path that there is not":             {"GET", "/thing", "", 404, map[string]string{"Access-Control-Allow-Origin": "*"}, refused, ""},
		"which is refused in another way":      {"GET", "/thing", "", 404, map[string]string{"Access-Control-Allow-Origin": "*", "Content-Type": "text/plain"}, "no", "Content-Type"},
		"which is refused with something else": {"GET", "/thing", "", 404, map[string]string{"Access-Control-Allow-Origin": "*"}, `{}`, "error"},
		"which is not refused":                 {"GET", "/thing", "", 200, map[string]string{"Access-Control-Allow-Origin": "*"}, `{}`, "want 404"},
		"a method that there is not":           {"PUT", "/things", "", 405, map[string]string{"Allow": "POST"}, refused, ""},
		"which is not told the others":         {"PUT", "/things/a", "", 405, map[string]string{"Access-Control-Allow-Origin": "*", "Allow": "GET"}, refused, "GET, HEAD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &judge{}
			h := things.Open(t).Handler(j, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if sent, err := io.ReadAll(r.Body); err != nil || string(sent) != test.form {
					t.Errorf("the handler reads %q and %v", sent, err)
				}
				w.Header().Set("Cache-Control", "no-store")
				w.Header().Set("X-Content-Type-Options", "nosniff")
				w.Header().Set("Content-Type", "application/json")
				for name, value := range test.headers {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			r := httptest.NewRequest(test.method, test.at, strings.NewReader(test.form))
			if test.form != "" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if (j.told == "") != (test.want == "") || !strings.Contains(j.told, test.want) {
				t.Errorf("got %s, want %q", j.told, test.want)
			}
			if w.Code != test.status || w.Body.String() != test.body || w.Header().Get("Cache-Control") == "" {
				t.Errorf("got %d %v %s, want what the handler answered", w.Code, w.Header(), w.Body)
			}
		})
	}
}

var page200 = map[string]string{"Content-Type": "text/html; charset=utf-8", "Access-Control-Allow-Origin": "*"}

func location(to string) map[string]string { return map[string]string{"Location": to} }

// TestABodyThatBreaks breaks for the handler, too.
func TestABodyThatBreaks(t *testing.T) {
	t.Parallel()
	reset := errors.New("reset")
	j := &judge{}
	h := things.Open(t).Handler(j, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent, err := io.ReadAll(r.Body); !errors.Is(err, reset) || string(sent) != "name=" {
			t.Errorf("the handler reads %q and %v", sent, err)
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/things", io.MultiReader(strings.NewReader("name="), broken{reset})))
	if !strings.Contains(j.told, "knows no 418") {
		t.Errorf("got %q", j.told)
	}
}
