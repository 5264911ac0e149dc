package token_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/token"
)

// gzipped compresses a body that says nothing for very long.
func gzipped(tb testing.TB, size int) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(`{"keys":[],"x":"`)); err != nil {
		tb.Fatal(err)
	}
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range size >> 20 {
		if _, err := w.Write(chunk); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// secretText stands for what a provider says when something is wrong with it.
const secretText = "internal-host-and-stack-trace"

// badAnswers are answers from which no key set must be taken.
func badAnswers(tb testing.TB) map[string]http.HandlerFunc {
	tb.Helper()
	ec := ecSigner(tb, "ES256")
	set := jwksOf(tb, ec)
	bomb := gzipped(tb, 64<<20)
	many := strings.TrimSuffix(strings.Repeat(`{"kty":"x"},`, 10_000), ",")
	return map[string]http.HandlerFunc{
		"empty body":                    serveAs("application/json", ""),
		"a set and white space, 600 KB": serveAs("application/json", string(set)+strings.Repeat(" ", 600<<10)),
		"empty set":                     serveAs("application/json", `{"keys":[]}`),
		"no usable key":                 serveAs("application/json", `{"keys":[{"kty":"x"}]}`),
		"garbage":                       serveAs("application/json", "{{{{"+secretText),
		"cut short":                     serveAs("application/json", string(set[:len(set)-2])),
		"HTML called JSON":              serveAs("application/json", "<html>"+secretText+"</html>"),
		"HTML":                          serveAs("text/html", "<html></html>"),
		"a set called HTML":             serveAs("text/html", string(set)),
		"a set called text":             serveAs("text/plain; charset=utf-8", string(set)),
		"content type broken":           serveAs("application/", string(set)),
		"10,000 keys":                   serveAs("application/json", `{"keys":[`+many+`]}`),
		"a private key":                 serveAs("application/json", string(jwks(extra(ec.jwk(tb), `"d":"`+secretText+`"`)))),
		"500 with a set": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(set)
		},
		"204": status(http.StatusNoContent),
		"no HTTP": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(secretText + "\r\n\r\n"))
			_ = conn.Close()
		},
		"a redirect to nonsense": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://"+secretText+":port")
			w.WriteHeader(http.StatusFound)
		},
		"100 MB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 100 << 20 / 4096 {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 4096)); err != nil {
					return
				}
			}
		},
		"a gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		},
	}
}

func TestF3_F4_badKeySets(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	for name, answer := range badAnswers(t) {
		for _, compression := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, compression %t", name, compression), func(t *testing.T) {
				t.Parallel()
				p, c := newProvider(t, nil), newClock()
				p.become(answer)
				source := p.source(c)
				source.Client.Transport = &http.Transport{DisableCompression: !compression, DisableKeepAlives: true}
				keys := newKeySet(t, source)
				wantKey(t, keys, ec, token.ErrKeysUnavailable)
				e := p.lastEvent()
				if e.Err == nil || strings.Contains(e.Err.Error(), secretText) {
					t.Errorf("event: got %v; want an error without the answer's text", e.Err)
				}
				// A good set stays, and comes back.
				p.become(serve(jwksOf(t, ec)))
				c.advance(token.KeysCooldown)
				wantKey(t, keys, ec, nil)
				p.become(answer)
				c.advance(token.KeysTTL)
				wantKey(t, keys, ec, nil)
				if e := p.lastEvent(); !e.Stale {
					t.Errorf("event: got %+v; want a stale one", e)
				}
				wantFetches(t, p, 3)
			})
		}
	}
}

// What is too long is not even read.
func TestF4_hugeAnswerIsCut(t *testing.T) {
	t.Parallel()
	p, c := newProvider(t, nil), newClock()
	sent := make(chan int, 1)
	p.become(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		total := 0
		for total < 100<<20 {
			n, err := w.Write(bytes.Repeat([]byte(" "), 64<<10))
			total += n
			if err != nil {
				break
			}
		}
		sent <- total
	})
	wantKey(t, p.keys(t, c), ecSigner(t, "ES256"), token.ErrKeysUnavailable)
	// The kernel buffers some megabytes.
	if n := <-sent; n > 50<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

func TestF4_slowAnswers(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	for name, answer := range map[string]http.HandlerFunc{
		"header that never comes": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"body that drips": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				if _, err := w.Write([]byte(" ")); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c := newProvider(t, nil), newClock()
			p.become(answer)
			source := p.source(c)
			source.Timeout = 100 * time.Millisecond
			keys := newKeySet(t, source)
			start := time.Now()
			wantKey(t, keys, ec, token.ErrKeysUnavailable)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v; want about %v", took, source.Timeout)
			}
			for range 100 {
				wantKey(t, keys, ec, token.ErrKeysUnavailable)
			}
			wantFetches(t, p, 1)
		})
	}
}

func TestF9_redirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	target := newProvider(t, jwksOf(t, ec))
	for _, code := range []int{301, 302, 303, 307, 308} {
		p, c := newProvider(t, nil), newClock()
		p.become(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.server.URL, code) })
		wantKey(t, p.keys(t, c), ec, token.ErrKeysUnavailable)
		wantFetches(t, p, 1)
	}
	wantFetches(t, target, 0)
}

func TestContentTypesOfKeySets(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "ES256")
	for _, contentType := range []string{"application/json", "application/jwk-set+json", "Application/JSON; charset=UTF-8"} {
		p := newProvider(t, nil)
		p.become(serveAs(contentType, string(jwksOf(t, ec))))
		if _, err := p.keys(t, newClock()).Key(t.Context(), ec.kid, ec.alg); err != nil {
			t.Errorf("%s: got %v", contentType, err)
		}
	}
}

func TestKeyURLThatIsNone(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "http://[::1", "gopher://idp.example/", "\x00"} {
		p, c := newProvider(t, nil), newClock()
		source := p.source(c)
		source.URL = func(context.Context) (string, error) { return url, nil }
		if _, err := newKeySet(t, source).Key(t.Context(), "k", "ES256"); !errors.Is(err, token.ErrKeysUnavailable) {
			t.Errorf("%q: got %v; want %v", url, err, token.ErrKeysUnavailable)
		}
	}
}
