package tooltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Toxiproxy is a program of its own and no module of ours: it would bring
// Prometheus, Protocol Buffers and a dozen more into go.mod, for a few requests.
const (
	toxiproxyModule  = "github.com/Shopify/toxiproxy/v2/cmd/server"
	toxiproxyVersion = "v2.12.0"
)

// Toxiproxy is a proxy that spoils TCP connections as it is told.
type Toxiproxy struct {
	api   string // base URL
	wires atomic.Int64
}

// StartToxiproxy runs one until the test ends. Go builds it once, and it stays in
// the user's cache.
func StartToxiproxy(t *testing.T) *Toxiproxy {
	t.Helper()
	dir, err := Cached(t.Context(), "toxiproxy-"+toxiproxyVersion, func(ctx context.Context, dir string) error {
		install := exec.CommandContext(ctx, "go", "install", toxiproxyModule+"@"+toxiproxyVersion)
		install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0") //nolint:forbidigo // go needs PATH and the like
		return Run(install)
	})
	if err != nil {
		Missing(t, err)
	}
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	server := exec.Command(filepath.Join(dir, "server"), "-host", host, "-port", port) //nolint:gosec,noctx // our own path; it lives as long as the test, and is ended below
	server.Env = []string{"LOG_LEVEL=error"}
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Wait() // says only that it was killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = server.Process.Kill() // by its pid; it has nothing to save
		<-ended
		if t.Failed() {
			t.Logf("toxiproxy says\n%s", said.Bytes())
		}
	})
	p := &Toxiproxy{api: "http://" + address}
	for deadline := time.Now().Add(time.Minute); ; {
		err := p.ask(t.Context(), http.MethodGet, "/version", nil, nil)
		if err == nil {
			return p
		}
		select {
		case <-ended:
			t.Fatal("toxiproxy ended")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// freeAddress is an address of this machine that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Wire is an address that leads to another.
type Wire struct {
	Address net.TCPAddr

	proxy   *Toxiproxy
	name    string
	to      string
	answers answers
}

// Wire makes an address that leads to another, which is a host and a port.
func (p *Toxiproxy) Wire(t *testing.T, to string) *Wire {
	t.Helper()
	w := &Wire{proxy: p, name: "wire" + strconv.FormatInt(p.wires.Add(1), 10), to: to}
	at, err := net.ResolveTCPAddr("tcp", w.lay(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	w.Address = *at
	return w
}

// Toxic is what one direction of a wire does to what goes through it:
// https://github.com/Shopify/toxiproxy#toxics has the kinds and their attributes.
type Toxic struct {
	Kind       string
	Upstream   bool // to requests; false: to answers
	Attributes map[string]any
	Dormant    bool // it is there, and touches nothing
}

// Spoil cuts the connections there are and has new ones suffer from the toxics.
func (w *Wire) Spoil(t *testing.T, toxics ...Toxic) {
	t.Helper()
	w.Down(t)
	w.lay(t, w.Address.String(), toxics...)
}

// Down cuts the connections there are and refuses new ones. It takes the proxy
// away: of toxics that are removed while connections end, toxiproxy dies.
func (w *Wire) Down(t *testing.T) {
	t.Helper()
	if err := w.proxy.ask(t.Context(), http.MethodDelete, "/proxies/"+w.name, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// Mend is Spoil without a toxic, and the end of Down.
func (w *Wire) Mend(t *testing.T) {
	t.Helper()
	w.answers.padded.Store(false)
	_ = w.proxy.ask(t.Context(), http.MethodDelete, "/proxies/"+w.name, nil, nil) // it may be down
	w.lay(t, w.Address.String())
}

// lay makes the proxy, and returns where it listens.
func (w *Wire) lay(t *testing.T, at string, toxics ...Toxic) string {
	t.Helper()
	tell := func(method, path string, what map[string]any) (listen string) {
		t.Helper()
		var now struct {
			Listen string `json:"listen"`
		}
		if err := w.proxy.ask(t.Context(), method, "/proxies"+path, what, &now); err != nil {
			t.Fatal(err)
		}
		return now.Listen
	}
	tell(http.MethodPost, "", map[string]any{"name": w.name, "listen": at, "upstream": w.to, "enabled": false})
	for n, toxic := range toxics {
		settings := map[string]any{
			"name": strconv.Itoa(n), "type": toxic.Kind, "stream": "downstream", "toxicity": 1, "attributes": toxic.Attributes,
		}
		if toxic.Upstream {
			settings["stream"] = "upstream"
		}
		if toxic.Dormant {
			settings["toxicity"] = 0
		}
		tell(http.MethodPost, "/"+w.name+"/toxics", settings)
	}
	return tell(http.MethodPatch, "/"+w.name, map[string]any{"enabled": true})
}

// ask sends a request to toxiproxy's API and reads the answer into out, if that
// is not nil.
func (p *Toxiproxy) ask(ctx context.Context, method, path string, what, out any) error {
	var body io.Reader = http.NoBody
	if what != nil {
		text, err := json.Marshal(what)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.api+path, body)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("toxiproxy: %s %s: %s", method, path, strings.TrimSpace(string(text)))
	case out == nil:
		return nil
	case len(text) == 0:
		return errors.New("toxiproxy: no answer")
	}
	return json.Unmarshal(text, out)
}
