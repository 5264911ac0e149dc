package fetch

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
)

// What tests of the guard look at.
var (
	PublicName    = publicName
	PublicAddress = publicAddress
	Special       = special
)

// GuardedClientFor is a guarded client with other name servers, which connects
// to port where it should to 443, and to addresses that admits admits. It is of
// this file, so that nothing but a test can have one.
func GuardedClientFor(roots *x509.CertPool, resolver *net.Resolver, port string, admits func(netip.Addr) bool) *http.Client {
	return newGuardedClient(roots, resolver, port, admits)
}
