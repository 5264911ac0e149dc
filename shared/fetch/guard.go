package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrForbidden is wrapped by the error of a request that a guarded client does
// not send, or whose connection it does not open. The error says by which rule,
// never what a name resolved to. Even so it is for the log: whoever may choose
// addresses and can tell this error from others learns which names exist inside.
var ErrForbidden = errors.New("a guarded client does not go there")

// The rules of a guarded client.
var (
	errNotHTTPS    = forbidden("the URL is not https")
	errCredentials = forbidden("the URL has credentials")
	errPort        = forbidden("the URL has a port that is not 443")
	errHost        = forbidden("the host is not a name of the public DNS")
	errAddress     = forbidden("the host has an address that is not of the public internet")
)

func forbidden(rule string) error { return fmt.Errorf("%w: %s", ErrForbidden, rule) }

// Times of a guarded client. The whole is a backstop for callers whose context
// ends later.
const (
	guardedDial  = 2 * time.Second
	guardedTotal = 5 * time.Second
)

// NewGuardedClient returns a client for addresses that a stranger chose, such
// as those of client metadata documents: requests that Gatehouse sends because
// it was told to (server-side request forgery; OWASP API7:2023,
// draft-ietf-oauth-client-id-metadata-document-02 section 8.6).
//
// It asks https alone, on port 443, hosts that have a name in the public DNS.
// What the name resolves to is checked by the dialer, on the very address that
// it connects to: there is no time between check and use in which the name
// could come to mean something else (DNS rebinding). Redirects are not followed
// and compression is not taken, as by [NewClient].
//
// There is no proxy, whatever the environment says: a proxy would resolve the
// name itself, where nobody checks, and often stands inside. Connections are
// not kept: a server that is asked once an hour has no claim to one, and one
// connection for one request has no use for HTTP/2, either.
//
// It cannot know which public addresses are one's own. A function in a subnet
// whose IPv6 addresses reach neighbours, or with a NAT64 prefix of its own (RFC
// 6052 section 2.2), needs a security group, too.
func NewGuardedClient() *http.Client {
	return newGuardedClient(nil, net.DefaultResolver, "443", publicAddress)
}

// newGuardedClient has what tests have to replace as arguments, so that no
// field of a client can.
func newGuardedClient(roots *x509.CertPool, resolver *net.Resolver, port string, admits func(netip.Addr) bool) *http.Client {
	dialer := &net.Dialer{
		Timeout:  guardedDial,
		Resolver: resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !admits(to.Addr()) {
				return errAddress
			}
			return nil
		},
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return dialName(ctx, dialer, address, port)
		},
		TLSHandshakeTimeout:    guardedDial,
		ResponseHeaderTimeout:  guardedTotal,
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	return &http.Client{
		Transport:     guard{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       guardedTotal,
	}
}

// guard refuses a URL before anything about it is looked up.
type guard struct{ next http.RoundTripper }

// RoundTrip sends a request whose URL obeys the rules.
func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := checkURL(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	return g.next.RoundTrip(req)
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https":
		return errNotHTTPS
	case u.User != nil:
		return errCredentials
	case !PublicName(u.Hostname()):
		return errHost
	case u.Port() != "" && u.Port() != "443":
		return errPort
	}
	return nil
}

// dialName connects to the host of address. The name is looked up from the root,
// with a dot at its end: with the search list of /etc/resolv.conf,
// "vault.example" could mean "vault.example.corp.internal".
func dialName(ctx context.Context, dialer *net.Dialer, address, port string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errHost
	}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host+".", port))
	if errors.Is(err, ErrForbidden) {
		return nil, errAddress // bare: net wraps it with the address
	}
	if err != nil {
		return nil, faceless(err)
	}
	return facelessConn{conn}, nil
}

// facelessConn is a connection whose errors do not tell its addresses.
type facelessConn struct{ net.Conn }

// Read reads from the connection.
func (c facelessConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, faceless(err)
}

// Write writes to the connection.
func (c facelessConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, faceless(err)
}

// faceless takes out of a network error what net puts in: this machine's
// address, the name server's, and what the name resolved to.
func faceless(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return err
	}
	cause := op.Err
	if dns, ok := errors.AsType[*net.DNSError](op.Err); ok {
		why := "the name servers do not answer" // dns.Err may name them
		if dns.IsNotFound {
			why = "no such host"
		}
		cause = &net.DNSError{Err: why, Name: dns.Name, IsTimeout: dns.IsTimeout, IsTemporary: dns.IsTemporary, IsNotFound: dns.IsNotFound}
	}
	return &net.OpError{Op: op.Op, Net: "tcp", Err: cause}
}

// inside are the top levels, and home.arpa, under which names are not of the
// public DNS, but may mean something to a resolver inside.
var inside = []string{
	"localhost", "test", "invalid", // RFC 6761 sections 6.2 to 6.4
	"local", "intranet", "private", "corp", "home", "lan", // RFC 6762 section 3 and appendix G
	"internal",  // reserved by ICANN for private use, 2024-07-29; AWS: ec2.internal, compute.internal
	"onion",     // RFC 7686
	"home.arpa", // RFC 8375
	"alt",       // RFC 9476
}

// PublicName reports whether host can be a name of the public DNS: at least two
// labels of letters, digits and hyphens (RFC 1123 section 2.1), the last of
// which starts with a letter. That leaves out every way to write an address
// (127.0.0.1, 127.1, 2130706433, 0x7f.1, 0177.0.0.1, ::1, with or without a
// zone), names that end in a dot, and what IDNA would turn into something else:
// a name in other letters has to come in its xn-- form.
func PublicName(host string) bool {
	labels := strings.Split(host, ".")
	if len(host) > 253 || len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if !isLabel(label) {
			return false
		}
	}
	if last := labels[len(labels)-1]; '0' <= last[0] && last[0] <= '9' {
		return false
	}
	lower := strings.ToLower(host)
	return !slices.ContainsFunc(inside, func(top string) bool { return lower == top || strings.HasSuffix(lower, "."+top) })
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return true
}

// publicAddress reports whether a is an address of the public internet: global
// unicast, and in none of the blocks that have a special purpose. The draft
// (section 8.6) and RFC 6890 make no exception for blocks that can be reached
// from everywhere; no one serves a web site from them.
func publicAddress(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap() // ::ffff:10.0.0.1 is dialed as 10.0.0.1
	if !a.Is4() && !allocated.Contains(a) {
		return false
	}
	return !slices.ContainsFunc(special, func(block netip.Prefix) bool { return block.Contains(a) })
}

// allocated is the one block from which IANA gives out IPv6 unicast addresses
// (RFC 4291 section 2.4). Whatever else there will be one day is refused until
// someone has looked at it.
var allocated = netip.MustParsePrefix("2000::/3")

// special are the blocks of IANA's IPv4 and IPv6 Special-Purpose Address
// Registries (RFC 6890, RFC 8190; https://www.iana.org/assignments/iana-ipv4-special-registry
// and /iana-ipv6-special-registry, up to RFC 9780 of 2025), and multicast,
// site-local and IPv4-compatible addresses, which have no place there. Of the
// IPv6 blocks those outside of 2000::/3 are refused already: they stand here for
// the reader.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),          // RFC 791 section 3.2, RFC 1122 section 3.2.1.3: this network, this host
	netip.MustParsePrefix("10.0.0.0/8"),         // RFC 1918: private use
	netip.MustParsePrefix("100.64.0.0/10"),      // RFC 6598: shared by carriers (CGNAT)
	netip.MustParsePrefix("127.0.0.0/8"),        // RFC 1122 section 3.2.1.3: loopback
	netip.MustParsePrefix("169.254.0.0/16"),     // RFC 3927: link-local; 169.254.169.254 gives out the credentials of EC2, 169.254.170.2 those of ECS
	netip.MustParsePrefix("172.16.0.0/12"),      // RFC 1918: private use
	netip.MustParsePrefix("192.0.0.0/24"),       // RFC 6890 section 2.1: IETF protocol assignments, with RFC 7335, 7600, 7723, 8155, 8880
	netip.MustParsePrefix("192.0.2.0/24"),       // RFC 5737: documentation (TEST-NET-1)
	netip.MustParsePrefix("192.31.196.0/24"),    // RFC 7535: AS112
	netip.MustParsePrefix("192.52.193.0/24"),    // RFC 7450: automatic multicast tunneling
	netip.MustParsePrefix("192.88.99.0/24"),     // RFC 7526: 6to4 relays, deprecated
	netip.MustParsePrefix("192.168.0.0/16"),     // RFC 1918: private use
	netip.MustParsePrefix("192.175.48.0/24"),    // RFC 7534: AS112
	netip.MustParsePrefix("198.18.0.0/15"),      // RFC 2544: benchmarking
	netip.MustParsePrefix("198.51.100.0/24"),    // RFC 5737: documentation (TEST-NET-2)
	netip.MustParsePrefix("203.0.113.0/24"),     // RFC 5737: documentation (TEST-NET-3)
	netip.MustParsePrefix("224.0.0.0/4"),        // RFC 5771: multicast
	netip.MustParsePrefix("240.0.0.0/4"),        // RFC 1112 section 4: reserved
	netip.MustParsePrefix("255.255.255.255/32"), // RFC 919 section 7: limited broadcast

	netip.MustParsePrefix("::/128"),            // RFC 4291 section 2.5.2: unspecified
	netip.MustParsePrefix("::1/128"),           // RFC 4291 section 2.5.3: loopback
	netip.MustParsePrefix("::/96"),             // RFC 4291 section 2.5.5.1: IPv4-compatible, deprecated
	netip.MustParsePrefix("::ffff:0:0/96"),     // RFC 4291 section 2.5.5.2: IPv4-mapped; publicAddress unwraps them
	netip.MustParsePrefix("64:ff9b::/96"),      // RFC 6052: NAT64, with any IPv4 address in it
	netip.MustParsePrefix("64:ff9b:1::/48"),    // RFC 8215: NAT64, local use
	netip.MustParsePrefix("100::/64"),          // RFC 6666: discard-only
	netip.MustParsePrefix("100:0:0:1::/64"),    // RFC 9780: dummy prefix
	netip.MustParsePrefix("2001::/23"),         // RFC 2928: IETF protocol assignments, among them the next eight
	netip.MustParsePrefix("2001::/32"),         // RFC 4380: Teredo, with any IPv4 address in it
	netip.MustParsePrefix("2001:1::/126"),      // RFC 7723, RFC 8155, RFC 9665: anycast of PCP, TURN and DNS-SD
	netip.MustParsePrefix("2001:2::/48"),       // RFC 5180: benchmarking
	netip.MustParsePrefix("2001:3::/32"),       // RFC 7450: automatic multicast tunneling
	netip.MustParsePrefix("2001:4:112::/48"),   // RFC 7535: AS112
	netip.MustParsePrefix("2001:10::/28"),      // RFC 4843: ORCHID, deprecated
	netip.MustParsePrefix("2001:20::/28"),      // RFC 7343: ORCHIDv2
	netip.MustParsePrefix("2001:30::/28"),      // RFC 9374: drones
	netip.MustParsePrefix("2001:db8::/32"),     // RFC 3849: documentation
	netip.MustParsePrefix("2002::/16"),         // RFC 3056: 6to4, with any IPv4 address in it
	netip.MustParsePrefix("2620:4f:8000::/48"), // RFC 7534: AS112
	netip.MustParsePrefix("3fff::/20"),         // RFC 9637: documentation
	netip.MustParsePrefix("5f00::/16"),         // RFC 9602: segment routing (SRv6) SIDs
	netip.MustParsePrefix("fc00::/7"),          // RFC 4193: unique local; fd00:ec2::254 is the metadata service of EC2
	netip.MustParsePrefix("fe80::/10"),         // RFC 4291 section 2.5.6: link-local
	netip.MustParsePrefix("fec0::/10"),         // RFC 3879: site-local, deprecated
	netip.MustParsePrefix("ff00::/8"),          // RFC 4291 section 2.7: multicast
}
