package fetch

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
)

// What tests of the guard look at.
var (
	PublicAddress = publicAddress
	Special       = special
)

// GuardedClientFor is a guarded client with other name servers, which connects
// to port where it should to 443, and to addresses that admits admits. It is of
// this file, so that nothing but a test can have one.
func GuardedClientFor(roots *x509.CertPool, resolver *net.Resolver, port string, admits func(netip.Addr) bool) *http.Client {
	return newGuardedClient(roots, resolver, port, admits)
}

// What tests of the roots look at.
var SystemBundle = systemBundle

// RootFiles are the files that roots come from, for an environment.
func RootFiles(getenv func(string) string) []string {
	if r := systemRoots(getenv); r != nil {
		return r.files
	}
	return nil
}

// ReadOnce reports whether two clients of an environment have one set of roots.
func ReadOnce(getenv func(string) string) bool {
	one, other := systemRoots(getenv), systemRoots(getenv)
	return one == other
}

// PoolFor is the pool for a chain of c alone.
func PoolFor(files []string, c *x509.Certificate) (*x509.CertPool, error) {
	return (&roots{files: files}).pool([]*x509.Certificate{c})
}

// TransportAt is a transport with a wall clock of its own.
var TransportAt = newTransport

// ClientBy is a client that verifies by the roots in files and connects by d.
func ClientBy(files []string, d func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	t := NewTransport()
	t.DialTLSContext = (&roots{files: files}).dialTLS(d, handshakeTimeout)
	return ClientOf(t)
}

// RootsOf are the certificates in a bundle that have a subject.
func RootsOf(text string, subject []byte) []string {
	r := &roots{bySubject: map[string][][]byte{}}
	r.add([]byte(text))
	var all []string
	for _, der := range r.bySubject[string(subject)] {
		all = append(all, string(der))
	}
	return all
}
