package clientdoc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/shared/clientdoc"
	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
)

// serve returns a Fetcher whose client takes every host for a TLS server with
// this handler.
func serve(t *testing.T, h http.HandlerFunc) *clientdoc.Fetcher {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
		},
		TLSClientConfig:    &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS13}, // the name in its certificate
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &clientdoc.Fetcher{HTTP: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func asJSON(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
}

// clock is a clock that moves when it is told to.
type clock struct{ nano atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nano.Store(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nano.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nano.Add(int64(d)) }

func TestCI1WhatIsNoURLIsNotAskedFor(t *testing.T) {
	t.Parallel()
	docs := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	for id, want := range map[string]error{
		"":                                      oauth.ErrClientIDScheme,
		"8b9c1d":                                oauth.ErrClientIDScheme,
		"http://client.example.com/client.json": oauth.ErrClientIDScheme,
		"https://client.example.com/":           oauth.ErrClientIDPath,
		"https://client.example.com/a/../client.json": oauth.ErrClientIDSegments,
		app + "?x=1": oauth.ErrClientIDQuery,
		app + "#x":   oauth.ErrClientIDFragment,
		"https://user@client.example.com/client.json": oauth.ErrClientIDUserinfo,
	} {
		if _, err := docs.Get(t.Context(), id); !errors.Is(err, want) || errors.Is(err, clientdoc.ErrUnavailable) {
			t.Errorf("%q: got %v, want %v", id, err, want)
		}
	}
}

func TestCI2WhatIsFetched(t *testing.T) {
	t.Parallel()
	padded := func(n int) string { return with(``) + strings.Repeat(" ", n-len(with(``))) }
	for _, row := range []struct {
		name, contentType, text string
		status                  int
		want                    string // part of the error; "" for none
	}{
		{"JSON", "application/json", with(``), 200, ""},
		{"JSON with a charset", "application/json; charset=utf-8", with(``), 200, ""},
		{"a more specific type", "application/oauth-client+json", with(``), 200, ""},
		{"exactly 5 KiB", "application/json", padded(5 << 10), 200, ""},
		{"one byte more", "application/json", padded(5<<10 + 1), 200, "longer than 5120 bytes"},
		{"100 KB", "application/json", padded(100 << 10), 200, "longer than 5120 bytes"},
		{"HTML", "text/html", with(``), 200, "is not JSON"},
		{"text", "text/plain", with(``), 200, "is not JSON"},
		{"no type", "", with(``), 200, "is not JSON"},
		{"a type of another family", "text/json", with(``), 200, "is not JSON"},
		{"a type that is an image", "image/svg+json", with(``), 200, "is not JSON"},
		{"201", "application/json", with(``), 201, "answers 201"},
		{"203", "application/json", with(``), 203, "answers 203"},
		{"304", "application/json", "", 304, "answers 304"},
		{"404", "application/json", with(``), 404, "answers 404"},
		{"500", "application/json", with(``), 500, "answers 500"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			docs := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.Host != "client.example.com" || r.URL.Path != "/client.json" || r.Header.Get("Accept") != "application/json" {
					t.Errorf("got %s %s%s", r.Method, r.Host, r.URL)
				}
				if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || r.Header.Get("Referer") != "" {
					t.Errorf("got %v", r.Header)
				}
				w.Header()["Content-Type"] = []string{row.contentType}
				w.WriteHeader(row.status)
				_, _ = io.WriteString(w, row.text)
			})
			_, err := docs.Get(t.Context(), app)
			switch {
			case row.want == "" && err != nil:
				t.Errorf("got %v", err)
			case row.want != "" && (!errors.Is(err, clientdoc.ErrUnavailable) || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want %v because it %q", err, clientdoc.ErrUnavailable, row.want)
			}
		})
	}
}

func TestCI2RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	docs := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/client.json" {
			t.Errorf("followed to %s", r.URL)
		}
		http.Redirect(w, r, "/other.json", http.StatusFound)
	})
	_, err := docs.Get(t.Context(), app)
	if status, ok := errors.AsType[*fetch.StatusError](err); !ok || status.Status != http.StatusFound || status.Header != nil {
		t.Errorf("got %v, want status 302 and nothing of its header", err)
	}
}

// roundTrip is a client of one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestCI2TheTimeoutFires has a server that never answers, and time that passes
// as soon as everybody waits for it.
func TestCI2TheTimeoutFires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		docs := &clientdoc.Fetcher{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}}
		start := time.Now()
		_, err := docs.Get(t.Context(), app)
		if took := time.Since(start); took != 3*time.Second || !errors.Is(err, clientdoc.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v after %v, want %v after 3s", err, took, clientdoc.ErrUnavailable)
		}
	})
}

func TestCI2TheGuardIsHeldApart(t *testing.T) {
	t.Parallel()
	docs := &clientdoc.Fetcher{HTTP: fetch.NewGuardedClient()}
	for _, id := range []string{"https://localhost/client.json", "https://127.0.0.1/client.json", "https://2130706433/client.json", "https://client.example.com:8443/client.json"} {
		if _, err := docs.Get(t.Context(), id); !errors.Is(err, clientdoc.ErrUnavailable) || !errors.Is(err, fetch.ErrForbidden) {
			t.Errorf("%s: got %v, want %v and %v", id, err, clientdoc.ErrUnavailable, fetch.ErrForbidden)
		}
	}
}

func TestTheZeroFetcher(t *testing.T) {
	t.Parallel()
	if _, err := new(clientdoc.Fetcher).Get(t.Context(), app); !errors.Is(err, clientdoc.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, clientdoc.ErrUnavailable)
	}
}

func TestCI4Lifetime(t *testing.T) {
	t.Parallel()
	now := newClock().now()
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, row := range []struct {
		name   string
		header http.Header
		want   time.Duration
	}{
		{"nothing", http.Header{}, time.Minute},
		{"ten minutes", http.Header{"Cache-Control": {"max-age=600"}}, 10 * time.Minute},
		{"ten minutes among others", http.Header{"Cache-Control": {"public, Max-Age=600, immutable"}}, 10 * time.Minute},
		{"ten minutes in a second field", http.Header{"Cache-Control": {"public", "max-age=600"}}, 10 * time.Minute},
		{"ten minutes in quotes", http.Header{"Cache-Control": {`max-age="600"`}}, 10 * time.Minute},
		{"twice, of which the first counts", http.Header{"Cache-Control": {"max-age=600, max-age=1200"}}, 10 * time.Minute},
		{"shared caches longer", http.Header{"Cache-Control": {"max-age=60, s-maxage=600"}}, 10 * time.Minute},
		{"ten minutes, of which five have passed", http.Header{"Cache-Control": {"max-age=600"}, "Age": {"300"}}, 5 * time.Minute},
		{"ten minutes that have passed", http.Header{"Cache-Control": {"max-age=600"}, "Age": {"900"}}, time.Minute},
		{"an age that is none", http.Header{"Cache-Control": {"max-age=600"}, "Age": {"-1"}}, 10 * time.Minute},
		{"a second", http.Header{"Cache-Control": {"max-age=1"}}, time.Minute},
		{"not at all", http.Header{"Cache-Control": {"max-age=0"}}, time.Minute},
		{"59 minutes", http.Header{"Cache-Control": {"max-age=3540"}}, 59 * time.Minute},
		{"a year", http.Header{"Cache-Control": {"max-age=31536000"}}, time.Hour},
		{"more seconds than a number holds", http.Header{"Cache-Control": {"max-age=99999999999999999999999"}}, time.Hour},
		{"seconds that are none", http.Header{"Cache-Control": {"max-age=forever"}}, time.Minute},
		{"negative seconds", http.Header{"Cache-Control": {"max-age=-600"}}, time.Minute},
		{"no seconds", http.Header{"Cache-Control": {"max-age"}}, time.Minute},
		{"no-store", http.Header{"Cache-Control": {"no-store, max-age=600"}}, time.Minute},
		{"no-cache", http.Header{"Cache-Control": {"no-cache"}}, time.Minute},
		{"private", http.Header{"Cache-Control": {"private, max-age=600"}}, time.Minute},
		{"until ten minutes later", http.Header{"Expires": {at(10 * time.Minute)}}, 10 * time.Minute},
		{"until ten minutes later by another clock", http.Header{"Expires": {at(70 * time.Minute)}, "Date": {at(time.Hour)}}, 10 * time.Minute},
		{"until next year", http.Header{"Expires": {at(365 * 24 * time.Hour)}}, time.Hour},
		{"until an hour ago", http.Header{"Expires": {at(-time.Hour)}}, time.Minute},
		{"until 0", http.Header{"Expires": {"0"}}, time.Minute},
		{"max-age beside Expires", http.Header{"Cache-Control": {"max-age=600"}, "Expires": {at(30 * time.Minute)}}, 10 * time.Minute},
	} {
		if got := clientdoc.Lifetime(row.header, now); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestCI4Caching(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	c := newClock()
	docs := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		asJSON(with(fmt.Sprintf(`"client_name":"Version %d"`, asked.Add(1))))(w, r)
	})
	docs.Now = c.now
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "Version 1"},
		{0, "Version 1"},
		{10*time.Minute - 1, "Version 1"},
		{1, "Version 2"},
		{5 * time.Minute, "Version 2"},
		{-6 * time.Minute, "Version 3"}, // a clock that was set back
		{10 * time.Minute, "Version 4"},
	} {
		c.advance(step.after)
		doc, err := docs.Get(t.Context(), app)
		if err != nil || doc.Name != step.want {
			t.Fatalf("after %v: got %q, %v; want %q", step.after, doc.Name, err, step.want)
		}
		doc.RedirectURIs[0], doc.GrantTypes[0], doc.ResponseTypes[0] = "javascript:alert(1)", "x", "x" // what is kept stays as it is
		if again, err := docs.Get(t.Context(), app); err != nil || again.RedirectURIs[0] != "https://client.example.com/cb" || again.GrantTypes[0] != "authorization_code" {
			t.Fatalf("got %+v, %v", again, err)
		}
	}
}

// TestCI4FailuresAreNotKept has a client that fails for a moment.
func TestCI4FailuresAreNotKept(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		failing http.HandlerFunc
		want    error
	}{
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, clientdoc.ErrUnavailable},
		{"an error that wants to be kept", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=3600")
			w.WriteHeader(http.StatusNotFound)
		}, clientdoc.ErrUnavailable},
		{"an invalid document that wants to be kept", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=3600")
			asJSON(`{}`)(w, r)
		}, clientdoc.ErrClientID},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			var broken atomic.Bool
			broken.Store(true)
			c := newClock()
			docs := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if broken.Load() {
					row.failing(w, r)
					return
				}
				asJSON(with(``))(w, r)
			})
			docs.Now = c.now
			for range 100 {
				if _, err := docs.Get(t.Context(), app); !errors.Is(err, row.want) {
					t.Fatalf("got %v, want %v", err, row.want)
				}
			}
			c.advance(10*time.Second - 1)
			_, err := docs.Get(t.Context(), app)
			if !errors.Is(err, row.want) || asked.Load() != 1 || !strings.Contains(err.Error(), "not asked again within 10s") {
				t.Errorf("got %v after %d requests, want %v, one request and the reason", err, asked.Load(), row.want)
			}
			if _, err := docs.Get(t.Context(), strings.Replace(app, "client.json", "other.json", 1)); err == nil || asked.Load() != 2 {
				t.Errorf("got %v after %d requests, want another address not to have to wait", err, asked.Load())
			}
			broken.Store(false)
			c.advance(1)
			if _, err := docs.Get(t.Context(), app); err != nil || asked.Load() != 3 {
				t.Errorf("got %v after %d requests, want the document", err, asked.Load())
			}
		})
	}
}

// TestCI4NothingIsUsedThatIsDue has a client that was withdrawn.
func TestCI4NothingIsUsedThatIsDue(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	c := newClock()
	docs := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusGone)
			return
		}
		asJSON(with(``))(w, r)
	})
	docs.Now = c.now
	if _, err := docs.Get(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	gone.Store(true)
	c.advance(time.Minute)
	if _, err := docs.Get(t.Context(), app); !errors.Is(err, clientdoc.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, clientdoc.ErrUnavailable)
	}
}

// TestCI4RoomIsBounded asks for more documents than are kept, and for more
// failures, which do not drive out a document.
func TestCI4RoomIsBounded(t *testing.T) {
	t.Parallel()
	asked := map[string]int{}
	docs := &clientdoc.Fetcher{Now: newClock().now, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked[r.URL.Path]++
		status, body := http.StatusOK, `{"client_id":"`+r.URL.String()+`","redirect_uris":["https://client.example.com/cb"]}`
		if strings.HasPrefix(r.URL.Path, "/bad") {
			status = http.StatusNotFound
		}
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	})}}
	get := func(path string) {
		t.Helper()
		_, err := docs.Get(t.Context(), "https://client.example.com"+path)
		if bad := strings.HasPrefix(path, "/bad"); bad != (err != nil) {
			t.Fatalf("%s: got %v", path, err)
		}
	}
	get("/good")
	for n := range 2 * clientdoc.Kept {
		get(fmt.Sprintf("/bad%d", n))
	}
	get("/good")
	if asked["/good"] != 1 {
		t.Error("failures drive out documents")
	}
	for n := range clientdoc.Kept {
		get(fmt.Sprintf("/good%d", n))
	}
	get("/good")
	get("/bad0")
	if asked["/good"] != 2 || asked["/bad0"] != 2 {
		t.Error("more is kept than there is room for")
	}
}

func TestOneFetchAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		docs := &clientdoc.Fetcher{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			time.Sleep(time.Second) // of the bubble: nobody waits for it
			return &http.Response{
				StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(strings.NewReader(`{"client_id":"` + r.URL.String() + `","redirect_uris":["https://client.example.com/cb"]}`)),
			}, nil
		})}}
		var all sync.WaitGroup
		start := time.Now()
		for n := range 200 {
			id := app
			if n%2 == 1 {
				id += "/other"
			}
			all.Go(func() {
				if doc, err := docs.Get(t.Context(), id); err != nil || doc.ClientID != id {
					t.Errorf("got %+v, %v", doc, err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); asked.Load() != 2 || took != time.Second {
			t.Errorf("got %d requests in %v, want one for each address, side by side", asked.Load(), took)
		}
		if n := docs.Flights(); n != 0 {
			t.Errorf("%d fetches are still under way", n)
		}
	})
}

// TestWhoGivesUpTakesNobodyAlong has callers of different patience behind a
// server that takes two seconds.
func TestWhoGivesUpTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		docs := &clientdoc.Fetcher{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			select {
			case <-time.After(2 * time.Second):
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
					Body: io.NopCloser(strings.NewReader(with(``))),
				}, nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})}}
		get := func(patience time.Duration) (time.Duration, error) {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := docs.Get(ctx, app)
			return time.Since(start), err
		}
		var all sync.WaitGroup
		all.Go(func() { // fetches first, and gives up
			if took, err := get(time.Second); took != time.Second || !errors.Is(err, clientdoc.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the first got %v after %v", err, took)
			}
		})
		synctest.Wait()
		all.Go(func() { // gives up while it waits
			if took, err := get(time.Second / 2); took != time.Second/2 || !errors.Is(err, clientdoc.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the second got %v after %v", err, took)
			}
		})
		for range 10 { // one of them fetches after the first, and for all
			all.Go(func() {
				if took, err := get(time.Minute); took != 3*time.Second || err != nil {
					t.Errorf("a patient one got %v after %v", err, took)
				}
			})
		}
		all.Wait()
		if asked.Load() != 2 || docs.Flights() != 0 {
			t.Errorf("got %d requests, and %d fetches under way; want 2 and none", asked.Load(), docs.Flights())
		}
	})
}

// TestCI6FailuresAreHeldApart is what a caller logs by.
func TestCI6FailuresAreHeldApart(t *testing.T) {
	t.Parallel()
	kind := func(err error) string {
		_, invalid := errors.AsType[*clientdoc.InvalidError](err)
		switch {
		case errors.Is(err, fetch.ErrForbidden):
			return "forbidden"
		case errors.Is(err, clientdoc.ErrUnavailable):
			return "unavailable"
		case invalid:
			return "invalid"
		}
		return "no address"
	}
	for _, row := range []struct {
		name, id, want string
		docs           *clientdoc.Fetcher
	}{
		{"an unknown client", "8b9c1d", "no address", serve(t, asJSON(with(``)))},
		{"a document that is not there", app, "unavailable", serve(t, http.NotFound)},
		{"a server that ends the connection", app, "unavailable", serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })},
		{"a document of another", app, "invalid", serve(t, asJSON(postman))},
		{"an address inside", "https://localhost/client.json", "forbidden", &clientdoc.Fetcher{HTTP: fetch.NewGuardedClient()}},
	} {
		for range 2 { // the second time out of the pause
			_, err := row.docs.Get(t.Context(), row.id)
			if err == nil || kind(err) != row.want {
				t.Errorf("%s: got %v, want %q", row.name, err, row.want)
			}
		}
	}
}
