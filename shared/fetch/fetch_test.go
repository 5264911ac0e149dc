package fetch_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/fetch"
)

const limit = 1 << 10

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestGet(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, contentType, body string
		status                  int
		want                    string // part of the error; "" for none
	}{
		{"JSON", "application/json", `{"a":1}`, 200, ""},
		{"JSON with a charset", "application/json; charset=utf-8", `{}`, 200, ""},
		{"a key set", "application/jwk-set+json", `{}`, 200, ""},
		{"exactly the limit", "application/json", strings.Repeat(" ", limit), 200, ""},
		{"one byte more", "application/json", strings.Repeat(" ", limit+1), 200, "longer than 1024 bytes"},
		{"HTML", "text/html", `MARK`, 200, "is not JSON"},
		{"JSON said to be text", "text/plain", `{}`, 200, "is not JSON"},
		{"no content type", "", ``, 200, "is not JSON"},
		{"another status", "application/json", `MARK`, 201, "answers 201"},
		{"an error", "application/json", `MARK`, 500, "answers 500"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{row.contentType}
				w.WriteHeader(row.status)
				_, _ = io.WriteString(w, row.body)
			})
			body, err := fetch.Get(t.Context(), fetch.NewClient(), url, limit)
			switch {
			case row.want == "" && (err != nil || string(body) != row.body):
				t.Errorf("got %q, %v", body, err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want %q in it", err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "MARK") {
				t.Errorf("the error quotes the answer: %v", err)
			}
		})
	}
}

func TestF9RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	_, err := fetch.Get(t.Context(), fetch.NewClient(), url, limit)
	if status, ok := errors.AsType[*fetch.StatusError](err); !ok || status.Status != http.StatusFound {
		t.Errorf("got %v, want status 302", err)
	}
}

func TestF4CompressionIsNotAskedFor(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("Accept-Encoding: %s", got)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	})
	if _, err := fetch.Get(t.Context(), fetch.NewClient(), url, limit); err != nil {
		t.Error(err)
	}
}

func TestTheContextEndsIt(t *testing.T) {
	t.Parallel()
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := fetch.Get(ctx, fetch.NewClient(), url, limit); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
}

// TestWhatIsNotHTTPIsNotQuoted speaks something else at the client.
func TestWhatIsNotHTTPIsNotQuoted(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "MARK MARK MARK\r\n\r\n")
			_ = c.Close()
		}
	}()
	_, err = fetch.Get(t.Context(), fetch.NewClient(), "http://"+l.Addr().String(), limit)
	if err == nil || strings.Contains(err.Error(), "MARK") {
		t.Errorf("got %v", err)
	}
}

func TestOneSourceLeavesTheChoiceToTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		getenv := func(asked string) string {
			if asked == name {
				return "/some/where"
			}
			return ""
		}
		err := fetch.OneSource(getenv, func(name, value string) error { return fmt.Errorf("%s becomes %s", name, value) })
		if err != nil {
			t.Error(err)
		}
	}
}

// crypto/x509 reads what the two variables name, and finds roots there.
func TestOneSourceIsOneFile(t *testing.T) {
	t.Parallel()
	set := map[string]string{}
	err := fetch.OneSource(func(string) string { return "" }, func(name, value string) error { set[name] = value; return nil })
	if err != nil {
		t.Fatal(err)
	}
	bundle := systemBundle(t)
	pem, err := os.ReadFile(set["SSL_CERT_FILE"])
	if err != nil || set["SSL_CERT_FILE"] != bundle || !x509.NewCertPool().AppendCertsFromPEM(pem) {
		t.Errorf("SSL_CERT_FILE is %s: %v, or it has no roots", set["SSL_CERT_FILE"], err)
	}
	if entries, err := os.ReadDir(set["SSL_CERT_DIR"]); err == nil {
		t.Errorf("SSL_CERT_DIR is a folder with %d entries", len(entries))
	}
}
