package fetch_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/shared/fetch"
)

// TestF25AConnectionThatSleptIsNotUsed sends a second request some time after the
// first, which the wall clock knows of and no timer.
func TestF25AConnectionThatSleptIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		slept       time.Duration
		connections int64
	}{
		{"no time", 0, 1},
		{"not as long as connections are kept", 25 * time.Second, 1},
		{"as long as connections are kept", 30 * time.Second, 2},
		{"a day", 24 * time.Hour, 2},
		{"the clock was put back", -time.Hour, 1},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, scheme := range []string{"http", "https"} {
				t.Run(fmt.Sprintf("%s, %s by %s", row.name, method, scheme), func(t *testing.T) {
					t.Parallel()
					s := newSleeper(t, scheme)
					s.ask(t, method)
					s.slept.Store(int64(row.slept))
					s.ask(t, method)
					s.ask(t, method) // right after, on the same connection
					if s.connections.Load() != row.connections || s.requests.Load() != 3 {
						t.Errorf("got %d connections, %d requests; want %d, 3", s.connections.Load(), s.requests.Load(), row.connections)
					}
				})
			}
		}
	}
}

// sleeper is a client whose wall clock goes on while nothing else does, and its
// server, which says what it is sent.
type sleeper struct {
	url                          string
	client                       *http.Client
	slept, connections, requests atomic.Int64
}

func newSleeper(t *testing.T, scheme string) *sleeper {
	t.Helper()
	s := new(sleeper)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		_, _ = io.Copy(w, r.Body)
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	transport := fetch.TransportAt(func() time.Time { return time.Now().Add(time.Duration(s.slept.Load())) })
	s.client = fetch.ClientOf(transport)
	if scheme == "https" {
		srv.StartTLS()
		s.client = trusting(t, pemOf(srv.Certificate().Raw), transport.DialContext)
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *sleeper) ask(t *testing.T, method string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url, strings.NewReader("x=1"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "x=1" {
		t.Fatalf("got %q, %v", body, err)
	}
}
