package fetch_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"gatehouse/shared/fetch"
)

// hosts answers what a name resolves to, the nth time that it is asked, from 0.
type hosts func(name string, n int) []string

// nameservers is a resolver that asks a name server of this test, over UDP.
func nameservers(t *testing.T, answer hosts) *net.Resolver {
	t.Helper()
	server, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = server.Close(); <-done })
	go func() {
		defer close(done)
		asked := map[string]int{}
		query := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(respond(query[:n], asked, answer), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// respond answers a DNS query (RFC 1035 section 4) for the addresses of a name.
func respond(query []byte, asked map[string]int, answer hosts) []byte {
	const typeA, typeAAAA = 1, 28
	end, name := 12, ""
	for query[end] != 0 {
		name += string(query[end+1:end+1+int(query[end])]) + "."
		end += 1 + int(query[end])
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	question := query[12 : end+5]
	var records []byte
	count := byte(0)
	for _, text := range answer(strings.TrimSuffix(name, "."), asked[name]) {
		a := netip.MustParseAddr(text)
		if a.Is4() != (kind == typeA) || a.Is6() != (kind == typeAAAA) {
			continue
		}
		count++
		records = append(records, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(a.BitLen()/8))
		records = append(records, a.AsSlice()...)
	}
	if kind == typeA { // a client asks for both kinds at once
		asked[name]++
	}
	status := byte(0)
	if count == 0 && !slices.ContainsFunc(answer(strings.TrimSuffix(name, "."), 0), func(string) bool { return true }) {
		status = 3 // NXDOMAIN
	}
	head := []byte{query[0], query[1], 0x81, 0x80 | status, 0, 1, 0, count, 0, 0, 0, 0}
	return slices.Concat(head, question, records)
}

// website is a TLS server, and the roots that trust its certificate, which is
// of example.com, *.example.com and 127.0.0.1.
type website struct {
	roots    *x509.CertPool
	port     string
	requests atomic.Int32
	conns    atomic.Int32
}

func newWebsite(t *testing.T, h http.HandlerFunc) *website {
	t.Helper()
	w := &website{roots: x509.NewCertPool()}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		h(rw, r)
	}))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // handshakes that clients end
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			w.conns.Add(1)
		}
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	w.roots.AddCert(srv.Certificate())
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	w.port = port
	return w
}

func document(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"MARK":1}`)
}

// theserver admits the loopback address of the servers of these tests, and
// nothing else that is not public.
func theserver(a netip.Addr) bool {
	return a == netip.MustParseAddr("127.0.0.1") || fetch.PublicAddress(a)
}

const page = "https://client.example.com/client.json"

func TestGuardedClientFetches(t *testing.T) {
	t.Parallel()
	site := newWebsite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "client.example.com" || r.TLS.ServerName != "client.example.com" || r.TLS.Version < tls.VersionTLS12 {
			t.Errorf("got host %q, server name %q, TLS %x", r.Host, r.TLS.ServerName, r.TLS.Version)
		}
		if r.Header.Get("Accept-Encoding") != "" || !r.Close || r.Header.Get("Referer") != "" {
			t.Errorf("got the headers %v", r.Header)
		}
		w.Header().Set("Cache-Control", "max-age=60")
		document(w, r)
	})
	resolver := nameservers(t, func(string, int) []string { return []string{"127.0.0.1"} })
	client := fetch.GuardedClientFor(site.roots, resolver, site.port, theserver)
	for range 2 {
		body, header, err := fetch.GetWithHeader(t.Context(), client, page, limit)
		if err != nil || string(body) != `{"MARK":1}` || header.Get("Cache-Control") != "max-age=60" {
			t.Fatalf("got %q, %v, %v", body, header, err)
		}
	}
	if got := site.conns.Load(); got != 2 {
		t.Errorf("got %d connections for two requests, want 2: none is kept", got)
	}
}

func TestCI2ANameOfAPrivateAddressIsRefusedAtDial(t *testing.T) {
	t.Parallel()
	site := newWebsite(t, document)
	for _, row := range []struct {
		name      string
		addresses []string
		want      error
	}{
		{"loopback", []string{"127.0.0.1"}, fetch.ErrForbidden},
		{"loopback of IPv6", []string{"::1"}, fetch.ErrForbidden},
		{"loopback as an IPv4-mapped address", []string{"::ffff:127.0.0.1"}, fetch.ErrForbidden},
		{"the metadata service of EC2", []string{"169.254.169.254"}, fetch.ErrForbidden},
		{"the metadata service of EC2 in IPv6", []string{"fd00:ec2::254"}, fetch.ErrForbidden},
		{"loopback behind NAT64", []string{"64:ff9b::7f00:1"}, fetch.ErrForbidden},
		{"several addresses, none of them public", []string{"10.0.0.1", "192.168.0.1", "fe80::1"}, fetch.ErrForbidden},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			resolver := nameservers(t, func(string, int) []string { return row.addresses })
			client := fetch.GuardedClientFor(site.roots, resolver, site.port, fetch.PublicAddress)
			_, err := fetch.Get(t.Context(), client, page, limit)
			if !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			checkFaceless(t, err, row.addresses...)
		})
	}
	t.Cleanup(func() {
		if n := site.conns.Load(); n != 0 {
			t.Errorf("the server got %d connections", n)
		}
	})
}

// checkFaceless fails when an error tells an address.
func checkFaceless(t *testing.T, err error, addresses ...string) {
	t.Helper()
	for _, text := range append(addresses, "127.0.0.1", "[::1]", "MARK") {
		if err != nil && strings.Contains(err.Error(), text) {
			t.Errorf("the error tells %s: %v", text, err)
		}
	}
}

// TestCI2RebindingIsRefused has a name that is public for whoever checks it
// first, and this machine when it is dialed.
func TestCI2RebindingIsRefused(t *testing.T) {
	t.Parallel()
	site := newWebsite(t, document)
	resolver := nameservers(t, func(_ string, n int) []string {
		if n == 0 {
			return []string{"93.184.215.14"}
		}
		return []string{"127.0.0.1"}
	})
	checked, err := resolver.LookupNetIP(t.Context(), "ip4", "client.example.com.")
	if err != nil || len(checked) != 1 || !fetch.PublicAddress(checked[0]) {
		t.Fatalf("got %v, %v; want a public address the first time", checked, err)
	}
	client := fetch.GuardedClientFor(site.roots, resolver, site.port, fetch.PublicAddress)
	_, err = fetch.Get(t.Context(), client, page, limit)
	if !errors.Is(err, fetch.ErrForbidden) || site.conns.Load() != 0 {
		t.Errorf("got %v and %d connections, want %v and none", err, site.conns.Load(), fetch.ErrForbidden)
	}
}

// TestEveryAddressIsChecked has a name with several addresses: those that are
// not admitted are passed over, and never connected to.
func TestEveryAddressIsChecked(t *testing.T) {
	t.Parallel()
	site := newWebsite(t, document)
	var mu sync.Mutex
	var seen []string
	resolver := nameservers(t, func(string, int) []string { return []string{"10.0.0.1", "127.0.0.1", "172.16.0.1"} })
	client := fetch.GuardedClientFor(site.roots, resolver, site.port, func(a netip.Addr) bool {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, a.String())
		return theserver(a)
	})
	if _, err := fetch.Get(t.Context(), client, page, limit); err != nil {
		t.Errorf("got %v, want the address that is admitted to be tried", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(seen, "127.0.0.1") {
		t.Errorf("checked %v", seen)
	}
}

func TestTheSearchListIsNotUsed(t *testing.T) {
	t.Parallel()
	site := newWebsite(t, document)
	var mu sync.Mutex
	var asked []string
	resolver := nameservers(t, func(name string, _ int) []string {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, name)
		return nil
	})
	_, err := fetch.Get(t.Context(), fetch.GuardedClientFor(site.roots, resolver, site.port, theserver), page, limit)
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound || dns.Server != "" || dns.Name != "client.example.com." {
		t.Errorf("got %v, want one that says the host, from the root, does not exist, and not who said so", err)
	}
	checkFaceless(t, err)
	mu.Lock()
	defer mu.Unlock()
	if slices.ContainsFunc(asked, func(name string) bool { return name != "client.example.com" }) {
		t.Errorf("asked for %v", asked)
	}
}

func TestCI2RedirectsOfStrangersAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, to := range []string{
		"http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/", "https://127.0.0.1/", "https://client.example.com/other", "//metadata.google.internal/",
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			site := newWebsite(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) })
			resolver := nameservers(t, func(string, int) []string { return []string{"127.0.0.1"} })
			client := fetch.GuardedClientFor(site.roots, resolver, site.port, theserver)
			_, err := fetch.Get(t.Context(), client, page, limit)
			if got, ok := errors.AsType[*fetch.StatusError](err); !ok || got.Status != status {
				t.Errorf("to %s: got %v, want status %d", to, err, status)
			}
			if got := site.requests.Load(); got != 1 {
				t.Errorf("to %s: got %d requests, want 1", to, got)
			}
		}
	}
}

func TestCI2LimitsOfStrangers(t *testing.T) {
	t.Parallel()
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(time.Millisecond):
			}
		}
		panic(http.ErrAbortHandler) // a body that ended here would be whole
	}
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		timeout time.Duration // of the client, in which the answer must not come; 0: that of every guarded client
		limit   int64
		want    string
	}{
		{"a body that does not end is cut", drip, 0, 20, "longer than 20 bytes"},
		{"a body that comes a byte at a time runs out of time", drip, 50 * time.Millisecond, 1 << 20, ""},
		{"headers that do not come run out of time", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 50 * time.Millisecond, limit, ""},
		{"headers that do not end are cut", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("MARK", 16<<10))
			document(w, r)
		}, 0, limit, "does not answer in HTTP"},
		{"compressed content is not decompressed", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			document(w, r)
		}, 0, limit, ""},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>MARK")
		}, 0, limit, "is not JSON"},
		{"a connection that ends in the middle", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			document(w, r)
			_ = http.NewResponseController(w).Flush()
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
		}, 0, limit, "unexpected EOF"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			site := newWebsite(t, row.handler)
			resolver := nameservers(t, func(string, int) []string { return []string{"127.0.0.1"} })
			client := fetch.GuardedClientFor(site.roots, resolver, site.port, theserver)
			if row.timeout != 0 {
				client.Timeout = row.timeout
			}
			_, err := fetch.Get(t.Context(), client, page, row.limit)
			late, isNet := errors.AsType[net.Error](err)
			switch {
			case row.timeout != 0:
				if !isNet || !late.Timeout() {
					t.Errorf("got %v, want a timeout", err)
				}
			case row.want == "" && err != nil, row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want %q in it", err, row.want)
			}
			checkFaceless(t, err)
		})
	}
}

func TestGuardedTLS(t *testing.T) {
	t.Parallel()
	site := newWebsite(t, document)
	resolver := nameservers(t, func(string, int) []string { return []string{"127.0.0.1"} })
	for name, row := range map[string]struct {
		roots *x509.CertPool
		page  string
	}{
		"a certificate of nobody we know":   {x509.NewCertPool(), page},
		"a certificate of another host":     {site.roots, "https://client.example.org/client.json"},
		"the name of the address, not ours": {site.roots, "https://a.b.example.com/client.json"},
	} {
		_, err := fetch.Get(t.Context(), fetch.GuardedClientFor(row.roots, resolver, site.port, theserver), row.page, limit)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
			t.Errorf("%s: got %v, want an error of the certificate", name, err)
		}
	}
	old := httptest.NewUnstartedServer(http.HandlerFunc(document))
	old.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)
	roots := x509.NewCertPool()
	roots.AddCert(old.Certificate())
	_, port, _ := net.SplitHostPort(old.Listener.Addr().String())
	if _, err := fetch.Get(t.Context(), fetch.GuardedClientFor(roots, resolver, port, theserver), page, limit); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

// TestErrorsTellNoAddresses breaks connections to an address that is admitted.
func TestErrorsTellNoAddresses(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // a reset
			}
			_ = conn.Close()
		}
	}()
	resolver := nameservers(t, func(string, int) []string { return []string{"127.0.0.1"} })
	client := fetch.GuardedClientFor(nil, resolver, port, theserver)
	_, err = fetch.Get(t.Context(), client, page, limit)
	if err == nil {
		t.Error("a reset is no error")
	}
	checkFaceless(t, err, port)
	_ = l.Close()
	_, err = fetch.Get(t.Context(), client, page, limit)
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("got %v, want one of the network", err)
	}
	checkFaceless(t, err, port)

	deaf := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no way to 10.0.0.2:53")
	}}
	_, err = fetch.Get(t.Context(), fetch.GuardedClientFor(nil, deaf, port, theserver), page, limit)
	if _, ok := errors.AsType[*net.DNSError](err); !ok {
		t.Errorf("got %v, want one of the DNS", err)
	}
	checkFaceless(t, err, "10.0.0.2")
}

// TestNoProxyIsAsked sets the environment that NewClient obeys.
func TestNoProxyIsAsked(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	site := newWebsite(t, document)
	resolver := nameservers(t, func(string, int) []string { return []string{"127.0.0.1"} })
	if _, err := fetch.Get(t.Context(), fetch.GuardedClientFor(site.roots, resolver, site.port, theserver), page, limit); err != nil {
		t.Error(err)
	}
}

// urls are URLs and what of the errors of a guarded client names their fault.
var urls = []struct{ name, url, want string }{
	{"http", "http://client.example.com/", "not https"},
	{"another scheme", "ftp://client.example.com/", "not https"},
	{"a file", "file:///etc/passwd", "not https"},
	{"a username", "https://user@client.example.com/", "credentials"},
	{"a username and password", "https://user:pass@client.example.com/", "credentials"},
	{"a host that is really a username", "https://client.example.com@127.0.0.1/", "credentials"},
	{"an empty username", "https://@client.example.com/", "credentials"},
	{"port 80", "https://client.example.com:80/", "port"},
	{"port 8443", "https://client.example.com:8443/", "port"},
	{"port 22", "https://client.example.com:22/", "port"},
	{"an address", "https://127.0.0.1/", "not a name"},
	{"a public address", "https://93.184.215.14/", "not a name"},
	{"the address of the metadata service", "https://169.254.169.254/latest/", "not a name"},
	{"an address in decimal", "https://2130706433/", "not a name"},
	{"an address in hexadecimal", "https://0x7f000001/", "not a name"},
	{"an address in octal", "https://017700000001/", "not a name"},
	{"an address in mixed numbers", "https://0x7f.1/", "not a name"},
	{"an address in octal parts", "https://0177.0.0.1/", "not a name"},
	{"an address cut short", "https://127.1/", "not a name"},
	{"an address with a dot behind it", "https://127.0.0.1./", "not a name"},
	{"a name that ends in a number", "https://client.example.1/", "not a name"},
	{"a name that ends in a hexadecimal number", "https://client.example.0x1/", "not a name"},
	{"an IPv6 address", "https://[::1]/", "not a name"},
	{"an IPv6 address with a zone", "https://[fe80::1%25eth0]/", "not a name"},
	{"an IPv4-mapped address", "https://[::ffff:127.0.0.1]/", "not a name"},
	{"localhost", "https://localhost/", "not a name"},
	{"localhost in upper case", "https://LOCALHOST/", "not a name"},
	{"a name under localhost", "https://client.localhost/", "not a name"},
	{"a name under localhost in mixed case", "https://client.LocalHost/", "not a name"},
	{"a name under internal", "https://metadata.google.internal/", "not a name"},
	{"the name of an EC2 instance", "https://ip-10-0-0-1.eu-central-1.compute.internal/", "not a name"},
	{"a name of mDNS", "https://printer.local/", "not a name"},
	{"a name of a home network", "https://router.home.arpa/", "not a name"},
	{"a hidden service", "https://client.onion/", "not a name"},
	{"a name without a dot", "https://intranet/", "not a name"},
	{"a name with a dot behind it", "https://client.example.com./", "not a name"},
	{"localhost with a dot behind it", "https://localhost./", "not a name"},
	{"two dots", "https://client..example.com/", "not a name"},
	{"a dot before it", "https://.example.com/", "not a name"},
	{"no host", "https:///client.json", "not a name"},
	{"no authority", "https:client.json", "not a name"},
	{"letters beyond ASCII", "https://clïent.example.com/", "not a name"},
	{"letters beyond ASCII, percent-encoded", "https://cl%C3%AFent.example.com/", "not a name"},
	{"full-width digits", "https://１２７.０.０.１/", "not a name"},
	{"circled digits", "https://①②⑦.⓪.⓪.①/", "not a name"},
	{"an ideographic full stop", "https://127。0。0。1/", "not a name"},
	{"localhost in full-width letters", "https://ｌｏｃａｌｈｏｓｔ/", "not a name"},
	{"a soft hyphen in localhost", "https://local\u00adhost/", "not a name"},
	{"an underscore", "https://_client.example.com/", "not a name"},
	{"a hyphen at the start of a label", "https://-client.example.com/", "not a name"},
	{"a label of 64 letters", "https://" + strings.Repeat("a", 64) + ".example.com/", "not a name"},
	{"a name of 254 letters", "https://" + strings.Repeat("a.", 121) + "aexample.com/", "not a name"},
}

// TestCI2URLsAreRefusedUnseen has no name servers: nothing is looked up.
func TestCI2URLsAreRefusedUnseen(t *testing.T) {
	t.Parallel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a name is looked up")
		return nil, errors.New("no name servers")
	}}
	client := fetch.GuardedClientFor(nil, resolver, "443", func(netip.Addr) bool {
		t.Error("an address is dialed")
		return false
	})
	for _, row := range urls {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := fetch.Get(t.Context(), client, row.url, limit)
			if !errors.Is(err, fetch.ErrForbidden) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s: got %v, want %v because of its %q", row.url, err, fetch.ErrForbidden, row.want)
			}
		})
	}
}

// TestTheRealGuard is the one client that production has. It goes nowhere in
// this test.
func TestTheRealGuard(t *testing.T) {
	t.Parallel()
	client := fetch.NewGuardedClient()
	for _, address := range []string{"https://localhost/", "https://127.0.0.1/", "http://client.example.com/", "https://client.example.com:8443/"} {
		if _, err := fetch.Get(t.Context(), client, address, limit); !errors.Is(err, fetch.ErrForbidden) {
			t.Errorf("%s: got %v, want %v", address, err, fetch.ErrForbidden)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost/", io.NopCloser(strings.NewReader("x")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fetch.Do(client, req, limit); !errors.Is(err, fetch.ErrForbidden) {
		t.Errorf("POST: got %v, want %v", err, fetch.ErrForbidden)
	}
	if _, err := fetch.Get(t.Context(), client, "https://%zz/", limit); err == nil {
		t.Error("what is no URL is asked for")
	}
	if client.Timeout <= 0 || client.Timeout > 5*time.Second || client.Jar != nil {
		t.Errorf("got timeout %v and jar %v", client.Timeout, client.Jar)
	}
}

func TestCI2PublicNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"example.com", "client.example.com", "EXAMPLE.com", "xn--mnchen-3ya.de", "example.xn--p1ai", "1.example.com", "127.0.0.1.example.com",
		"3com.com", "a.io", "my-client.example.co.uk", "internal.example.com", "localhost.example.com", "notlocalhost.com", "mylocal.dev",
		strings.Repeat("a", 63) + ".example.com", strings.Repeat("a.", 121) + "example.com",
	} {
		if !fetch.PublicName(name) {
			t.Errorf("%s is refused", name)
		}
	}
}

func TestCI2PublicAddresses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, address string
		public        bool
	}{
		{"unspecified", "0.0.0.0", false},
		{"the end of this network", "0.255.255.255", false},
		{"after this network", "1.0.0.0", true},
		{"before 10/8", "9.255.255.255", true},
		{"the start of 10/8", "10.0.0.0", false},
		{"the end of 10/8", "10.255.255.255", false},
		{"after 10/8", "11.0.0.0", true},
		{"before CGNAT", "100.63.255.255", true},
		{"the start of CGNAT", "100.64.0.0", false},
		{"the end of CGNAT", "100.127.255.255", false},
		{"after CGNAT", "100.128.0.0", true},
		{"before loopback", "126.255.255.255", true},
		{"the start of loopback", "127.0.0.0", false},
		{"loopback", "127.0.0.1", false},
		{"the end of loopback", "127.255.255.255", false},
		{"after loopback", "128.0.0.0", true},
		{"before link-local", "169.253.255.255", true},
		{"the start of link-local", "169.254.0.0", false},
		{"the metadata service of EC2", "169.254.169.254", false},
		{"the credentials of ECS", "169.254.170.2", false},
		{"the end of link-local", "169.254.255.255", false},
		{"after link-local", "169.255.0.0", true},
		{"before 172.16/12", "172.15.255.255", true},
		{"the start of 172.16/12", "172.16.0.0", false},
		{"the end of 172.16/12", "172.31.255.255", false},
		{"after 172.16/12", "172.32.0.0", true},
		{"before the protocol assignments", "191.255.255.255", true},
		{"the start of the protocol assignments", "192.0.0.0", false},
		{"the end of the protocol assignments", "192.0.0.255", false},
		{"between the protocol assignments and TEST-NET-1", "192.0.1.0", true},
		{"the start of TEST-NET-1", "192.0.2.0", false},
		{"the end of TEST-NET-1", "192.0.2.255", false},
		{"after TEST-NET-1", "192.0.3.0", true},
		{"before AS112", "192.31.195.255", true},
		{"AS112", "192.31.196.0", false},
		{"after AS112", "192.31.197.0", true},
		{"before AMT", "192.52.192.255", true},
		{"AMT", "192.52.193.0", false},
		{"after AMT", "192.52.194.0", true},
		{"before the relays of 6to4", "192.88.98.255", true},
		{"the relays of 6to4", "192.88.99.1", false},
		{"after the relays of 6to4", "192.88.100.0", true},
		{"before 192.168/16", "192.167.255.255", true},
		{"the start of 192.168/16", "192.168.0.0", false},
		{"the end of 192.168/16", "192.168.255.255", false},
		{"after 192.168/16", "192.169.0.0", true},
		{"before AS112, delegated", "192.175.47.255", true},
		{"AS112, delegated", "192.175.48.1", false},
		{"after AS112, delegated", "192.175.49.0", true},
		{"before benchmarking", "198.17.255.255", true},
		{"the start of benchmarking", "198.18.0.0", false},
		{"the end of benchmarking", "198.19.255.255", false},
		{"after benchmarking", "198.20.0.0", true},
		{"before TEST-NET-2", "198.51.99.255", true},
		{"the start of TEST-NET-2", "198.51.100.0", false},
		{"the end of TEST-NET-2", "198.51.100.255", false},
		{"after TEST-NET-2", "198.51.101.0", true},
		{"before TEST-NET-3", "203.0.112.255", true},
		{"the start of TEST-NET-3", "203.0.113.0", false},
		{"the end of TEST-NET-3", "203.0.113.255", false},
		{"after TEST-NET-3", "203.0.114.0", true},
		{"before multicast", "223.255.255.255", true},
		{"the start of multicast", "224.0.0.0", false},
		{"the end of multicast", "239.255.255.255", false},
		{"the start of the reserved addresses", "240.0.0.0", false},
		{"the end of the reserved addresses", "255.255.255.254", false},
		{"broadcast", "255.255.255.255", false},

		{"unspecified in IPv6", "::", false},
		{"loopback in IPv6", "::1", false},
		{"an IPv4-compatible address, private", "::10.0.0.1", false},
		{"an IPv4-compatible address, public", "::8.8.8.8", false},
		{"an IPv4-mapped address, private", "::ffff:10.0.0.1", false},
		{"an IPv4-mapped address, link-local", "::ffff:169.254.169.254", false},
		{"an IPv4-mapped address, public", "::ffff:8.8.8.8", true},
		{"an IPv4-translated address", "::ffff:0:8.8.8.8", false},
		{"NAT64, private", "64:ff9b::10.0.0.1", false},
		{"NAT64, public", "64:ff9b::8.8.8.8", false},
		{"NAT64, local use", "64:ff9b:1::1", false},
		{"discard-only", "100::1", false},
		{"the dummy prefix", "100:0:0:1::1", false},
		{"before what is allocated", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
		{"the start of what is allocated", "2000::", true},
		{"before the protocol assignments of IPv6", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
		{"the start of Teredo", "2001::", false},
		{"the end of Teredo", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", false},
		{"anycast of PCP", "2001:1::1", false},
		{"benchmarking in IPv6", "2001:2::1", false},
		{"AMT in IPv6", "2001:3::1", false},
		{"AS112 in IPv6", "2001:4:112::1", false},
		{"ORCHID", "2001:10::1", false},
		{"ORCHIDv2", "2001:20::1", false},
		{"drones", "2001:30::1", false},
		{"the end of the protocol assignments of IPv6", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false},
		{"after the protocol assignments of IPv6", "2001:200::", true},
		{"before the documentation of IPv6", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", true},
		{"the start of the documentation of IPv6", "2001:db8::", false},
		{"the end of the documentation of IPv6", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false},
		{"after the documentation of IPv6", "2001:db9::", true},
		{"before 6to4", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
		{"6to4, private", "2002:a00:1::1", false},
		{"the end of 6to4", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
		{"after 6to4", "2003::", true},
		{"before AS112, delegated, in IPv6", "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", true},
		{"AS112, delegated, in IPv6", "2620:4f:8000::1", false},
		{"after AS112, delegated, in IPv6", "2620:4f:8001::", true},
		{"before the new documentation of IPv6", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
		{"the start of the new documentation of IPv6", "3fff::", false},
		{"the end of the new documentation of IPv6", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", false},
		{"the end of what is allocated", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
		{"after what is allocated", "4000::", false},
		{"segment routing", "5f00::1", false},
		{"unique local", "fc00::", false},
		{"the metadata service of EC2 in IPv6", "fd00:ec2::254", false},
		{"the end of unique local", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
		{"link-local in IPv6", "fe80::1", false},
		{"link-local in IPv6 with a zone", "fe80::1%eth0", false},
		{"a public address with a zone", "2606:2800:21f:cb07:6820:80da:af6b:8b2c%eth0", false},
		{"site-local", "fec0::1", false},
		{"multicast in IPv6", "ff02::1", false},
		{"global multicast in IPv6", "ff0e::1", false},
		{"the last address", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
		{"a web site", "93.184.215.14", true},
		{"a web site in IPv6", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", true},
	} {
		if got := fetch.PublicAddress(netip.MustParseAddr(row.address)); got != row.public {
			t.Errorf("%s: %s: got public %v, want %v", row.name, row.address, got, row.public)
		}
	}
	if fetch.PublicAddress(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// TestSpecialBlocks has the first and the last address of every block.
func TestSpecialBlocks(t *testing.T) {
	t.Parallel()
	for _, block := range fetch.Special {
		if block != block.Masked() {
			t.Errorf("%v has bits behind its length", block)
		}
		last := block.Addr().AsSlice()
		for bit := block.Bits(); bit < len(last)*8; bit++ {
			last[bit/8] |= 1 << (7 - bit%8)
		}
		end, _ := netip.AddrFromSlice(last)
		for _, a := range []netip.Addr{block.Addr(), end} {
			if fetch.PublicAddress(a) {
				t.Errorf("%v of %v is public", a, block)
			}
		}
	}
}

// FuzzPublicAddress compares with what the standard library knows of addresses.
func FuzzPublicAddress(f *testing.F) {
	for _, block := range fetch.Special {
		f.Add(block.Addr().AsSlice())
	}
	f.Add([]byte{93, 184, 215, 14})
	f.Fuzz(func(t *testing.T, bytes []byte) {
		a, ok := netip.AddrFromSlice(bytes)
		if !ok {
			return
		}
		public := fetch.PublicAddress(a)
		if a.Is4() {
			if mapped := netip.AddrFrom16(a.As16()); fetch.PublicAddress(mapped) != public {
				t.Fatalf("%v and %v differ", a, mapped)
			}
		}
		a = a.Unmap()
		if public && (!a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()) {
			t.Fatalf("%v is public", a)
		}
		if listed := slices.ContainsFunc(fetch.Special, func(p netip.Prefix) bool { return p.Contains(a) }); public && listed {
			t.Fatalf("%v is public and special", a)
		}
	})
}

// FuzzPublicName holds names to what makes them names: nothing reads an address
// in them, and net/http goes to no other host than the one that was checked.
func FuzzPublicName(f *testing.F) {
	for _, row := range urls {
		if u, err := url.Parse(row.url); err == nil {
			f.Add(u.Hostname())
		}
	}
	f.Add("client.example.com")
	f.Add("0x7f.0.0.0x1")
	f.Add("example.com\x00.localhost")
	f.Fuzz(func(t *testing.T, host string) {
		if !fetch.PublicName(host) {
			return
		}
		u, err := url.Parse("https://" + host + "/")
		if err != nil || u.Hostname() != host || u.Host != host || u.Port() != "" {
			t.Fatalf("%q is read as %q: %v", host, u, err)
		}
		if _, err := netip.ParseAddr(host); err == nil || strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Fatalf("%q is taken for a name", host)
		}
		// The URL standard of browsers: a host whose last label is a number is an address.
		last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
		digits, hex := strings.CutPrefix(last, "0x")
		if strings.Trim(last, "0123456789") == "" || hex && strings.Trim(digits, "0123456789abcdef") == "" {
			t.Fatalf("%q ends in a number", host)
		}
		for _, top := range []string{"localhost", "internal", "local"} {
			if strings.HasSuffix(strings.ToLower("."+host), "."+top) {
				t.Fatalf("%q is inside", host)
			}
		}
	})
}
