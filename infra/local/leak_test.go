package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/infra/tooltest"
)

// wire records what goes over it: all that clients send and get.
type wire struct {
	mu        sync.Mutex // guards exchanges
	exchanges []onWire
}

// onWire is one request and its answer.
type onWire struct {
	url      string
	sent     string // body
	header   http.Header
	answered http.Header
	body     string
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close() // it was read to its end
	resp.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.exchanges = append(w.exchanges, onWire{r.URL.String(), string(sent), r.Header.Clone(), resp.Header.Clone(), string(body)})
	return resp, nil
}

// Members and parameters whose values are secrets.
var secretNames = []string{
	"access_token", "refresh_token", "client_secret", "registration_access_token", "initial_access_token", "token",
	"code", "code_verifier", "password",
}

// secrets are all that were sent or got, with what they are.
func (w *wire) secrets() map[string]string {
	found := map[string]string{apiToken: "the administrator's token"}
	add := func(name, value string) {
		if len(value) >= 12 && slices.Contains(secretNames, name) {
			found[value] = name
		}
	}
	fromQuery := func(text string) {
		q, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		for name := range q {
			add(name, q.Get(name))
		}
	}
	for _, x := range w.exchanges {
		fromQuery(x.sent)
		if u, err := url.Parse(x.answered.Get("Location")); err == nil {
			fromQuery(u.RawQuery)
		}
		var members map[string]any
		if json.Unmarshal([]byte(x.body), &members) == nil {
			for name, v := range members {
				if s, ok := v.(string); ok {
					add(name, s)
				}
			}
		}
		for _, c := range (&http.Response{Header: x.answered}).Cookies() {
			if len(c.Value) >= 12 {
				found[c.Value] = "a cookie"
			}
		}
		if _, secret, ok := (&http.Request{Header: x.header}).BasicAuth(); ok && len(secret) >= 12 {
			found[secret] = "a secret in Basic"
		}
	}
	return found
}

// forms are the ways a secret may stand somewhere: as it is, in part, encoded.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), base64.RawURLEncoding.EncodeToString([]byte(secret)), base64.RawStdEncoding.EncodeToString([]byte(secret))}
	if strings.HasPrefix(secret, "eyJ") {
		return append(all, secret[len(secret)-24:]) // JWTs begin alike
	}
	if len(secret) >= 24 {
		all = append(all, secret[:16])
	}
	return all
}

// leaked returns what of secrets is in a text.
func leaked(secrets map[string]string, text string) []string {
	var found []string
	for secret, what := range secrets {
		if slices.ContainsFunc(forms(secret), func(form string) bool { return strings.Contains(text, form) }) {
			found = append(found, what)
		}
	}
	slices.Sort(found)
	return found
}

// TestNothingLeaks tells the whole story, and then all that may go wrong with
// its secrets, and looks for them wherever they have no business: log lines with
// the metrics in them, the trace, what is printed, the registry's file, addresses,
// and answers to others than who asked.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	var log, trace, told journal
	clock := new(demoClock)
	store := filepath.Join(t.TempDir(), "registry.json")
	sys := serving(t, options{
		files: repositoryFiles(), now: clock.now, trace: &trace, log: slog.New(slog.NewJSONHandler(&log, nil)), data: store, metrics: "Gatehouse",
	})

	w := new(wire)
	s := &story{system: sys, out: &told, clock: clock, client: &http.Client{Transport: w}}
	if err := s.tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	delivered := len(w.exchanges)
	secrets := w.secrets()
	kinds := slices.Sorted(maps.Values(secrets))
	for _, want := range []string{"access_token", "refresh_token", "code", "code_verifier", "a cookie", "a secret in Basic", "the administrator's token"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("the story has no secret of the kind %q: %v", want, slices.Compact(kinds))
		}
	}
	w.misuse(t.Context(), t, sys, secrets)

	leaks := 0
	if !strings.Contains(log.String(), "CloudWatchMetrics") {
		t.Error("the log has no metrics")
	}
	for name, text := range map[string]string{
		"the log": log.String(), "the trace": trace.String(), "what is printed": told.String(), "the registry's file": string(contents(t, store)),
	} {
		if text == "" {
			t.Errorf("%s is empty", name)
		}
		for line := range strings.Lines(text) {
			if name == "the trace" && strings.Contains(line, " GET /register/") {
				continue // which has the path that somebody chose
			}
			if found := leaked(secrets, line); found != nil {
				leaks++
				t.Errorf("%s has %v: %s", name, found, line)
			}
		}
	}
	for n, x := range w.exchanges {
		// Codes travel in addresses (RFC 6749 §4.1.2), and nothing else of this.
		at := regexp.MustCompile(`([?&]code=)[^&]*`).ReplaceAllString(x.url, "$1")
		if found := leaked(secrets, at); found != nil && n < delivered {
			leaks++
			t.Errorf("the address of exchange %d has %v", n, found)
		}
		if n >= delivered {
			if found := leaked(secrets, x.body+header(x.answered)); found != nil {
				leaks++
				t.Errorf("%s: an answer to misuse repeats %v: %s", place(x.url), found, x.body)
			}
		}
	}
	tooltest.Count(t, "leaks: exchanges in which secrets were looked for", int64(len(w.exchanges)))
	tooltest.Count(t, "leaks: lines of log in which secrets were looked for", int64(strings.Count(log.String()+trace.String(), "\n")))
	tooltest.Count(t, "leaks: found", int64(leaks))
}

func header(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b) // a Builder takes everything
	return b.String()
}

// misuse sends every secret to where it does not belong.
func (w *wire) misuse(ctx context.Context, t *testing.T, sys *system, secrets map[string]string) {
	t.Helper()
	client := &http.Client{Transport: w, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for secret := range secrets {
		one := url.QueryEscape(secret)
		for _, r := range []struct{ method, at, kind, body, authorization string }{
			{"GET", sys.REST + "/orders?access_token=" + one, "", "", ""},
			{"GET", sys.HTTP + "/orders?access_token=" + one, "", "", ""},
			{"GET", sys.REST + "/orders", "", "", "Bearer x" + secret},
			{"GET", sys.REST + "/orders", "", "", "Basic " + secret},
			{"GET", sys.Own + "/applications", "", "", "Bearer " + secret[1:]},
			{"POST", sys.Own + "/register", "application/json", `{"client_name":"` + secret + `","redirect_uris":["` + secret + `"],"jwks":"` + secret + `"`, "Bearer " + secret},
			{"GET", sys.Own + "/register/" + url.PathEscape(secret), "", "", "Bearer " + secret},
			{"POST", sys.Own + "/token", "application/x-www-form-urlencoded", "grant_type=authorization_code&client_id=x&code=" + one + "&code_verifier=" + one + "&client_secret=" + one, ""},
			{"POST", sys.Own + "/token", "application/x-www-form-urlencoded", "grant_type=refresh_token&refresh_token=" + one, "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+secret))},
			{"POST", sys.Own + "/introspect", "application/x-www-form-urlencoded", "token=" + one, ""},
			{"POST", sys.Own + "/revoke", "application/x-www-form-urlencoded", "token=" + one + "&client_id=" + one, ""},
			{"GET", sys.Own + "/authorize?client_id=" + one + "&redirect_uri=" + one + "&state=" + one, "", "", ""},
			{"GET", sys.Own + "/callback?code=" + one + "&state=" + one, "", "", ""},
			{"POST", sys.Own + "/authorize/consent", "application/x-www-form-urlencoded", "request=" + one, ""},
		} {
			req, err := http.NewRequestWithContext(ctx, r.method, r.at, strings.NewReader(r.body))
			if err != nil {
				t.Fatal(err)
			}
			if r.kind != "" {
				req.Header.Set("Content-Type", r.kind)
			}
			if r.authorization != "" {
				req.Header.Set("Authorization", r.authorization)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close() // wire has read it
			if resp.StatusCode < 300 || resp.StatusCode >= 500 {
				t.Errorf("%s %s answered %d", r.method, place(r.at), resp.StatusCode)
			}
		}
	}
}
