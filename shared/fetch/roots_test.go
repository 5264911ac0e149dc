package fetch_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/shared/fetch"
)

// authority is a certificate and its key.
type authority struct {
	*x509.Certificate

	key *ecdsa.PrivateKey
}

// root makes a root certificate.
func root(t *testing.T, name string) authority {
	t.Helper()
	return issue(t, authority{}, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
}

// issue makes a certificate of c, which a issues, or which issues itself.
func issue(t *testing.T, a authority, c *x509.Certificate) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.BasicConstraintsValid = big.NewInt(time.Now().UnixNano()), true
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	if a.Certificate == nil {
		a = authority{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.Certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{made, key}
}

func intermediate(t *testing.T, a authority) authority {
	t.Helper()
	return issue(t, a, &x509.Certificate{Subject: pkix.Name{CommonName: "between"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
}

func server(names ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// chain is what a server shows.
func chain(leaf authority, more ...authority) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leaf.key}
	for _, m := range more {
		c.Certificate = append(c.Certificate, m.Raw)
	}
	return c
}

// Whom our roots let in is whom crypto/tls lets in with the same roots.
func TestRootsVerifyAsCryptoTLSDoes(t *testing.T) {
	t.Parallel()
	const host = "idp.example"
	trusted, other, impostor := root(t, "the root"), root(t, "another root"), root(t, "the root")
	between := intermediate(t, trusted)
	old := server(host)
	old.NotBefore, old.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	early := server(host)
	early.NotBefore, early.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
	client := server(host)
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	byAddress := server()
	byAddress.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	confined := issue(t, authority{}, &x509.Certificate{
		Subject: pkix.Name{CommonName: "a confined root"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"other.example"},
	})
	itself := issue(t, authority{}, server(host))
	crossed := issue(t, other, &x509.Certificate{Subject: pkix.Name{CommonName: "crossed"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})

	for name, test := range map[string]struct {
		roots []authority
		shown tls.Certificate
		host  string
		want  bool
	}{
		"a chain to a root":                            {[]authority{other, trusted}, chain(issue(t, trusted, server(host))), host, true},
		"a chain over an intermediate":                 {[]authority{other, trusted}, chain(issue(t, between, server(host)), between), host, true},
		"the same with the root":                       {[]authority{other, trusted}, chain(issue(t, between, server(host)), between, trusted), host, true},
		"an intermediate among the roots":              {[]authority{between}, chain(issue(t, between, server(host))), host, true},
		"the server's own certificate among the roots": {[]authority{itself}, chain(itself), host, true},
		"two roots of one name":                        {[]authority{impostor, trusted}, chain(issue(t, trusted, server(host))), host, true},
		"an address that the certificate names":        {[]authority{trusted}, chain(issue(t, trusted, byAddress)), "127.0.0.1", true},
		"an IPv6 address that it does not name":        {[]authority{trusted}, chain(issue(t, trusted, byAddress)), "::1", false},
		"an address, and a certificate for a name":     {[]authority{trusted}, chain(issue(t, trusted, server(host))), "127.0.0.1", false},
		"a name, and a certificate for an address":     {[]authority{trusted}, chain(issue(t, trusted, byAddress)), host, false},
		"a wildcard":                             {[]authority{trusted}, chain(issue(t, trusted, server("*.example"))), host, true},
		"another name":                           {[]authority{trusted}, chain(issue(t, trusted, server("other.example"))), host, false},
		"no name":                                {[]authority{trusted}, chain(issue(t, trusted, server())), host, false},
		"another root":                           {[]authority{other}, chain(issue(t, trusted, server(host))), host, false},
		"another root of the same name":          {[]authority{impostor}, chain(issue(t, trusted, server(host))), host, false},
		"a root that only the server shows":      {[]authority{other}, chain(issue(t, trusted, server(host)), trusted), host, false},
		"a certificate that issued itself":       {[]authority{trusted}, chain(itself), host, false},
		"no intermediate":                        {[]authority{trusted}, chain(issue(t, between, server(host))), host, false},
		"a server that issues":                   {[]authority{trusted}, chain(issue(t, itself, server(host)), itself), host, false},
		"a chain that two roots end":             {[]authority{other, trusted}, chain(issue(t, crossed, server(host)), crossed, other), host, true},
		"a certificate that has run out":         {[]authority{trusted}, chain(issue(t, trusted, old)), host, false},
		"a certificate that is not valid yet":    {[]authority{trusted}, chain(issue(t, trusted, early)), host, false},
		"a certificate for clients":              {[]authority{trusted}, chain(issue(t, trusted, client)), host, false},
		"a root that may not speak for the name": {[]authority{confined}, chain(issue(t, confined, server(host))), host, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, bundle := x509.NewCertPool(), ""
			for _, r := range test.roots {
				pool.AddCert(r.Certificate)
				bundle += pemOf(r.Raw)
			}
			address := serving(t, test.shown)
			_, standard := (&tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: test.host, MinVersion: tls.VersionTLS12}}).DialContext(t.Context(), "tcp", address)
			ours := dialWith(t, bundle, test.host, address)
			if (standard == nil) != test.want {
				t.Fatalf("crypto/tls says %v", standard)
			}
			if (ours == nil) != test.want {
				t.Errorf("got %v; crypto/tls says %v", ours, standard)
			}
			if !test.want {
				wantCertificateError(t, ours, standard)
			}
		})
	}
}

func wantCertificateError(t *testing.T, got, standard error) {
	t.Helper()
	for _, err := range []error{got, standard} {
		if c, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || len(c.UnverifiedCertificates) == 0 {
			t.Errorf("got %v, which does not say that it is the certificate", err)
		}
	}
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// serving is a TLS server that shows a chain, and its address.
func serving(t *testing.T, shown tls.Certificate) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{shown}, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // handshakes that clients end
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// trusting is a client that verifies by the roots in bundle and connects by dial.
func trusting(t *testing.T, bundle string, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(file, []byte(bundle), 0o600); err != nil {
		t.Fatal(err)
	}
	return fetch.ClientBy([]string{file}, dial)
}

// dialWith sends a request to what should be host by the roots in bundle.
func dialWith(t *testing.T, bundle, host, address string) error {
	t.Helper()
	client := trusting(t, bundle, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+net.JoinHostPort(host, "443")+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return err
}

// A bundle is text that people edit: what is broken in it does not hide the rest.
func TestBundles(t *testing.T) {
	t.Parallel()
	trusted := root(t, "the root")
	address := serving(t, chain(issue(t, trusted, server("idp.example"))))
	good := pemOf(trusted.Raw)
	for name, test := range map[string]struct {
		bundle string
		want   bool
	}{
		"with a title, as Amazon Linux writes it":     {"# The root\n" + good, true},
		"with Windows line ends":                      {strings.ReplaceAll(good, "\n", "\r\n"), true},
		"behind another key of another kind":          {"-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n" + good, true},
		"behind broken base64":                        {"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n" + good, true},
		"behind what is no certificate":               {"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n" + good, true},
		"behind an empty certificate":                 {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" + good, true},
		"before a certificate without an end":         {good + "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n", true},
		"behind one that was cut off":                 {good[:len(good)/2] + "\n" + good, true},
		"with spaces in it":                           {strings.ReplaceAll(good, "MII", "M I\tI"), true},
		"twice":                                       {good + good, true},
		"cut off":                                     {good[:len(good)/2], false},
		"empty":                                       {"", false},
		"with a certificate that ends before it does": {pemOf(trusted.Raw[:len(trusted.Raw)-1]), false},
	} {
		err := dialWith(t, test.bundle, "idp.example", address)
		if (err == nil) != test.want {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "no root certificates") && !strings.Contains(err.Error(), "signed by unknown authority") {
			t.Errorf("%s: %v does not say what is missing", name, err)
		}
	}
}

// Where the roots come from is what crypto/x509 says, but no root comes twice.
func TestSourcesOfRoots(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{"a.pem", "b.pem"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(folder, "a.pem")
	bundle := fetch.SystemBundle()
	for name, test := range map[string]struct {
		file, folders string
		want          []string
	}{
		"nothing is said":                  {"", "", []string{bundle}},
		"a file, and the system's folders": {own, "", []string{own, bundle}},
		"the system's own file":            {bundle, "", []string{bundle}},
		"a file and no folders":            {own, os.DevNull, []string{own}},
		"folders":                          {"", folder + ":" + filepath.Join(folder, "none"), []string{bundle, own, filepath.Join(folder, "b.pem")}},
	} {
		env := map[string]string{"SSL_CERT_FILE": test.file, "SSL_CERT_DIR": test.folders}
		got := fetch.RootFiles(func(name string) string { return env[name] })
		want := slices.DeleteFunc(test.want, func(s string) bool { return s == "" })
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if !fetch.ReadOnce(func(name string) string { return env[name] }) {
			t.Errorf("%s: each client reads them", name)
		}
	}
}

// systemBundle is the bundle of this machine, which CI has.
func systemBundle(t *testing.T) string {
	t.Helper()
	name := fetch.SystemBundle()
	if name == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("this machine has no bundle of root certificates")
		}
		t.Skip("this machine has no bundle of root certificates")
	}
	return name
}

// The bundle of this machine holds roots that our reader and crypto/x509 both know.
func TestTheSystemsBundle(t *testing.T) {
	t.Parallel()
	name := systemBundle(t)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		count++
		pool, err := fetch.PoolFor([]string{name}, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: c.NotBefore.Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: %v", c.Subject, err)
		}
	}
	if count < 50 {
		t.Errorf("the bundle has %d certificates", count)
	}
}

// Behind a proxy net/http does not dial by itself; crypto/tls verifies then.
func TestBehindAProxyServersAreVerified(t *testing.T) {
	t.Parallel()
	trusted := root(t, "the root")
	address := serving(t, chain(issue(t, trusted, server("idp.example"))))
	var tunnels atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy is asked for %s", r.Method)
		}
		far, err := new(net.Dialer).DialContext(r.Context(), "tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		near, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		tunnels.Add(1)
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(far, buffered)
			_ = far.Close()
		}()
		_, _ = io.Copy(near, far)
		_ = near.Close()
	}))
	t.Cleanup(proxy.Close)
	there, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(trusted.Certificate)
	for name, test := range map[string]struct {
		roots *x509.CertPool
		host  string
		want  bool
	}{
		"the system's roots":        {nil, "idp.example", false},
		"the root":                  {pool, "idp.example", true},
		"the root and another name": {pool, "other.example", false},
	} {
		transport := fetch.NewTransport()
		transport.Proxy = http.ProxyURL(there)
		transport.TLSClientConfig.RootCAs = test.roots
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+test.host+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := fetch.ClientOf(transport).Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		transport.CloseIdleConnections()
		if _, certificate := errors.AsType[*tls.CertificateVerificationError](err); (err == nil) != test.want || err != nil && !certificate {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if tunnels.Load() != 3 {
		t.Errorf("%d connections went through the proxy, want 3", tunnels.Load())
	}
}

// FuzzRoots: whatever a bundle holds, what crypto/x509 takes of it is found by
// its subject, and nothing else is.
func FuzzRoots(f *testing.F) {
	trusted, _ := pem.Decode([]byte(someRoot))
	good := pemOf(trusted.Bytes)
	for _, text := range []string{
		good, "# A root\r\n" + strings.ReplaceAll(good, "\n", "\r\n"), good[:len(good)/2], good + good, pemOf(trusted.Bytes[:40]) + good,
		"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
				continue
			}
			if !slices.Contains(fetch.RootsOf(text, c.RawSubject), string(c.Raw)) {
				t.Errorf("%q: crypto/x509 finds %s, we do not", text, c.Subject)
			}
			for _, der := range fetch.RootsOf(text, c.RawSubject) {
				if other, err := x509.ParseCertificate([]byte(der)); err == nil && !bytes.Equal(other.RawSubject, c.RawSubject) {
					t.Errorf("%q: %s stands where %s should", text, other.Subject, c.Subject)
				}
			}
		}
	})
}

// someRoot is a root certificate of nobody's.
const someRoot = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMTBkEgcm9vdDAg
Fw0yNjAxMDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAwMFowETEPMA0GA1UEAxMGQSBy
b290MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEmaFLPirKeQoJekS/NPPSP5eh
YgMsSL4yf9d0hVDHHlgXBDwxvCC4gG0JC7Z2IRjIQ4rrVlOD2pV5VmlzPUs89KMy
MDAwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUMcIHkNdP+TJYTlJCYZLSUlD6
HngwCgYIKoZIzj0EAwIDRwAwRAIgTvOuUqZPoqLj9WhI4MGaB7q5NCzbnKqBU+Hi
gs06nTkCIBcP7KvCehJisIRSCM9W2y6mZJkYmkYtiX0Fj1f9Sh+G
-----END CERTIFICATE-----`
