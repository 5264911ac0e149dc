package fetch_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
		{"a little less than connections are kept", 29 * time.Second, 1},
		{"as long as connections are kept", 31 * time.Second, 2},
		{"a day", 24 * time.Hour, 2},
		{"the clock was put back", -time.Hour, 1},
	} {
		for _, overTLS := range []bool{false, true} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				t.Run(fmt.Sprintf("%s, %s, TLS %v", row.name, method, overTLS), func(t *testing.T) {
					t.Parallel()
					var connections, requests atomic.Int64
					srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						requests.Add(1)
						_, _ = io.Copy(w, r.Body)
					}))
					srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
						if s == http.StateNew {
							connections.Add(1)
						}
					}
					var asleep atomic.Int64
					transport := fetch.TransportAt(func() time.Time { return time.Now().Add(time.Duration(asleep.Load())) })
					client := fetch.ClientOf(transport)
					if overTLS {
						srv.StartTLS()
						file := filepath.Join(t.TempDir(), "roots.pem")
						if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
							t.Fatal(err)
						}
						client = fetch.ClientBy([]string{file}, transport.DialContext)
					} else {
						srv.Start()
					}
					t.Cleanup(srv.Close)
					ask := func() {
						t.Helper()
						req, err := http.NewRequestWithContext(t.Context(), method, srv.URL, strings.NewReader("x=1"))
						if err != nil {
							t.Fatal(err)
						}
						resp, err := client.Do(req)
						if err != nil {
							t.Fatal(err)
						}
						defer resp.Body.Close()
						if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "x=1" {
							t.Fatalf("got %q, %v", body, err)
						}
					}
					ask()
					asleep.Store(int64(row.slept))
					ask()
					if connections.Load() != row.connections || requests.Load() != 2 {
						t.Errorf("got %d connections, %d requests; want %d, 2", connections.Load(), requests.Load(), row.connections)
					}
					ask() // right after, on the same
					if connections.Load() != row.connections {
						t.Errorf("the next: got %d connections, want %d", connections.Load(), row.connections)
					}
				})
			}
		}
	}
}
