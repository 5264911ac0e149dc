package functions_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/registry/registrytest"
	"gatehouse/shared/standin"
)

// Lambda freezes a function between two requests. Meanwhile whoever is at the
// other end of its connections may end them, and the function is not told, or
// what stands between may forget them.
const (
	// frozenShort is longer than the authorizer waits before it looks for a key
	// again, and shorter than connections are kept (IdleConnTimeout).
	frozenShort = 12 * time.Second

	// frozenLong is longer than connections are kept.
	frozenLong = 32 * time.Second

	// authorizerTimeout is that of template.yaml.
	authorizerTimeout = 5 * time.Second
)

// fate is what becomes of a connection while its user is frozen.
type fate int32

const (
	alive      fate = iota
	closed          // the other end has closed it
	reset           // it was reset
	resetOnUse      // nobody knows it any more, and says so when something comes
	dropped         // nobody knows it any more, and says nothing
)

// relay is a line between a function and a server, with a fate.
type relay struct {
	net.Listener

	to string

	mu    sync.Mutex // guards links
	links []*link
	used  atomic.Int64 // connections on which something came after their end
}

type link struct {
	client, server net.Conn
	fate           atomic.Int32
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: to}
	go r.serve()
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, k := range r.links {
			k.client.Close()
			k.server.Close()
		}
	})
	return r
}

func (r *relay) serve() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.to)
		if err != nil {
			client.Close()
			continue
		}
		k := &link{client: client, server: server}
		r.mu.Lock()
		r.links = append(r.links, k)
		r.mu.Unlock()
		go r.pump(k, client, server)
		go r.pump(k, server, client)
	}
}

// pump takes what comes from one end to the other, as long as the link lives.
func (r *relay) pump(k *link, from, to net.Conn) {
	part := make([]byte, 16<<10)
	for {
		n, err := from.Read(part)
		switch {
		case err != nil:
			if fate(k.fate.Load()) != dropped {
				to.Close()
			}
			return
		case fate(k.fate.Load()) == alive:
			if _, err := to.Write(part[:n]); err != nil {
				return
			}
		case from == k.client:
			r.used.Add(1)
			if fate(k.fate.Load()) == resetOnUse {
				abort(k.client)
			}
		}
	}
}

// abort ends a connection by a reset.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // else it is closed
	}
	c.Close()
}

// doom has the connections there are meet a fate, and returns how many there are.
func (r *relay) doom(f fate) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.links {
		k.fate.Store(int32(f))
		switch f {
		case closed:
			k.client.Close()
		case reset:
			abort(k.client)
		case alive, resetOnUse, dropped:
		}
	}
	return len(r.links)
}

// sleeper is an authorizer that gets frozen.
type sleeper struct {
	*process

	okta           *standin.Server
	provider, data *relay // to the provider, to DynamoDB
	frozen         time.Time
}

// sleeping says how an authorizer is set up.
type sleeping struct {
	dir     string // where it is packed
	table   registrytest.Table
	asks    bool // it asks the provider about tokens; false: for keys
	overTLS bool // and from a server that speaks HTTP/2, too, by which net/http would not ask again
}

// newSleeper starts an authorizer that has used its connections.
func newSleeper(t *testing.T, s sleeping) *sleeper {
	t.Helper()
	z := &sleeper{data: newRelay(t, strings.TrimPrefix(s.table.Endpoint, "http://"))}
	hs := httptest.NewUnstartedServer(nil)
	z.provider = newRelay(t, hs.Listener.Addr().String())
	org, home := "http://"+z.provider.Addr().String(), t.TempDir()
	if s.overTLS {
		org = strings.Replace(org, "http", "https", 1)
	}
	var err error
	z.okta, err = standin.New(standin.Okta{Org: org, Clients: []standin.Client{{ID: "gate", Secret: "gate-secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	hs.Config.Handler = z.okta
	variables := slices.Concat(environment(t, "AuthorizerFunction"), s.table.Environment(), []string{
		"AWS_ENDPOINT_URL_DYNAMODB=http://" + z.data.Addr().String(), "OIDC_ISSUER=" + org + "/oauth2/default", "GATEHOUSE_CONFIG=" + filepath.Join(home, "gatehouse.yaml"),
	})
	if s.overTLS {
		hs.EnableHTTP2 = true
		hs.StartTLS()
		roots := filepath.Join(home, "roots.pem")
		write(t, roots, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hs.Certificate().Raw})))
		variables = append(variables, "SSL_CERT_FILE="+roots)
	} else {
		hs.Start()
	}
	t.Cleanup(hs.Close)

	text, err := os.ReadFile("../infra/gatehouse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if s.asks {
		secret := filepath.Join(home, "secret.json")
		write(t, secret, `{"client_id":"gate","client_secret":"gate-secret"}`)
		text = bytes.Replace(text, []byte("    secret: ${PROVIDER_SECRET}"), []byte("    secret: file:"+secret+"\n    tokens: introspect"), 1)
	}
	write(t, filepath.Join(home, "gatehouse.yaml"), string(text))
	z.process = start(t, s.dir, variables)
	if got := z.decision(t, z.token(t, "early")); got != "refused no_contract" {
		t.Fatalf("got %s", got)
	}
	return z
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// token is one of a client that has no contract, which has to be looked up.
func (z *sleeper) token(t *testing.T, client string) string {
	t.Helper()
	raw, err := z.okta.Mint(z.okta.Claims(client, "orders:read"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// freeze stops the process, and has its connections meet a fate.
func (z *sleeper) freeze(t *testing.T, f fate) {
	t.Helper()
	z.signal(t, syscall.SIGSTOP)
	stat := filepath.Join("/proc", strconv.Itoa(z.cmd.Process.Pid), "stat")
	for deadline := time.Now().Add(5 * time.Second); ; {
		text, err := os.ReadFile(stat)
		if err != nil {
			t.Fatal(err)
		}
		if _, state, _ := strings.Cut(string(text), ") "); strings.HasPrefix(state, "T") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it goes on: %s", text)
		}
		time.Sleep(time.Millisecond)
	}
	z.frozen = time.Now()
	if z.provider.doom(f) == 0 || z.data.doom(f) == 0 {
		t.Fatal("it has no connections")
	}
	if err := z.okta.RotateKeys(); err != nil {
		t.Fatal(err)
	}
}

func (z *sleeper) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := z.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// thaw lets the process go on, with a request.
func (z *sleeper) thaw(t *testing.T, f fate) {
	t.Helper()
	raw := z.token(t, "late")
	z.signal(t, syscall.SIGCONT)
	begin := time.Now()
	got := z.decision(t, raw)
	if took := time.Since(begin); got != "refused no_contract" || took > authorizerTimeout {
		t.Errorf("got %q after %v", got, took)
	}
	if f == resetOnUse && (z.provider.used.Load() == 0 || z.data.used.Load() == 0) {
		t.Error("the old connections were not used: that is no trial")
	}
	if got := z.decision(t, z.token(t, "later")); got != "refused no_contract" {
		t.Errorf("the next: got %q", got)
	}
}

// TestF25AFrozenAuthorizer stops authorizers between two requests, as they are
// deployed. What becomes of their connections to the provider and to DynamoDB
// meanwhile costs no request: the first one after it succeeds, within the
// function's time.
func TestF25AFrozenAuthorizer(t *testing.T) { //nolint:tparallel // they are frozen at the same time, and waited for one after another
	t.Parallel()
	at := sleeping{table: registrytest.NewTable(t, registrytest.DynamoDBLocal(t)), dir: pack(t, "AuthorizerFunction")}
	type row struct {
		name string
		fate fate
		long time.Duration
		z    *sleeper
	}
	var rows []*row
	for _, how := range []row{
		{name: "were closed", fate: closed, long: frozenShort},
		{name: "were reset", fate: reset, long: frozenShort},
		{name: "are reset when they are used", fate: resetOnUse, long: frozenShort},
		{name: "lead nowhere any more", fate: dropped, long: frozenLong},
	} {
		for _, at.asks = range []bool{false, true} {
			for _, at.overTLS = range []bool{false, true} {
				what, from := "it fetches keys", "a server of HTTP/1.1"
				if at.asks {
					what = "it introspects"
				}
				if at.overTLS {
					from = "one that speaks HTTP/2, too"
				}
				r := how
				r.name = fmt.Sprintf("%s, at %s, and its connections %s", what, from, how.name)
				r.z = newSleeper(t, at)
				r.z.freeze(t, r.fate)
				rows = append(rows, &r)
			}
		}
	}
	survived := 0
	for _, r := range rows { // the short ones first
		time.Sleep(time.Until(r.z.frozen.Add(r.long)))
		if t.Run(r.name, func(t *testing.T) { r.z.thaw(t, r.fate) }) {
			survived++
		}
	}
	tooltest.Count(t, "faults survived: freezes of authorizers as they are deployed", int64(survived))
}
