package web_test

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"gatehouse/shared/web"
)

const document = `# A comment.
openapi: 3.1.0
info: {title: T, version: 0.1.0}
servers: [{url: https://elsewhere.test}]
paths: {/a: {get: &get {summary: 'a: b'}}, /b: {get: *get}}
`

func TestADescriptionNamesTheServerThatItComesFrom(t *testing.T) {
	t.Parallel()
	d := web.NewDescription([]byte(document))
	for _, base := range []string{"https://one.test", `https://two.test/"prod"`, ""} {
		w := httptest.NewRecorder()
		if err := d.Write(w, base); err != nil {
			t.Fatal(err)
		}
		want := `{"info":{"title":"T","version":"0.1.0"},"openapi":"3.1.0","paths":{"/a":{"get":{"summary":"a: b"}},"/b":{"get":{"summary":"a: b"}}},` +
			`"servers":[{"url":"` + strings.ReplaceAll(base, `"`, `\"`) + `"}]}` + "\n"
		if got := w.Body.String(); got != want {
			t.Errorf("got %s want %s", got, want)
		}
		if h := w.Header(); w.Code != 200 || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("got %d %v", w.Code, h)
		}
	}
}

// TestADescriptionIsReadByManyAtOnce is for the race detector.
func TestADescriptionIsReadByManyAtOnce(t *testing.T) {
	t.Parallel()
	d := web.NewDescription([]byte(document))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := d.Write(httptest.NewRecorder(), "https://one.test"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestADescriptionThatIsNone has nothing answered, so that the caller can
// refuse.
func TestADescriptionThatIsNone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"no YAML":                 {"a: [", "web: description: "},
		"no members":              {"[]", "web: description: "},
		"what JSON does not have": {"info: {1.5: x}", "web: description: info: "},
	} {
		w := httptest.NewRecorder()
		err := web.NewDescription([]byte(test.text)).Write(w, "https://one.test")
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%s: got the error %v and the answer %v %s, want %q and none", name, err, w.Header(), w.Body, test.want)
		}
	}
}
