package oauth_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"gatehouse/shared/oauth"
)

// redirectURIs are redirect URIs, and what is wrong with them for a public
// client.
var redirectURIs = []struct {
	name, uri string
	want      error
}{
	{"https", "https://client.example.com/callback", nil},
	{"https with a port", "https://client.example.com:8443/callback", nil},
	{"https with a query", "https://client.example.com/callback?tenant=1", nil},
	{"https without a path", "https://client.example.com", nil},
	{"https on loopback", "https://127.0.0.1:8443/callback", nil},
	{"loopback", "http://127.0.0.1/callback", nil},
	{"loopback with a port", "http://127.0.0.1:33418/", nil},
	{"loopback without a path", "http://127.0.0.1", nil},
	{"loopback in IPv6", "http://[::1]:33418/callback", nil},
	{"localhost", "http://localhost/callback", nil},
	{"a private scheme", "com.example.app:/oauth2redirect", nil},
	{"a private scheme with a host", "com.example.app://oauth/redirect", nil},
	{"a private scheme without a slash", "com.example.app:redirect", nil},
	{"the longest", "https://client.example.com/" + strings.Repeat("a", 2048-27), nil},

	{"one byte more", "https://client.example.com/" + strings.Repeat("a", 2048-26), oauth.ErrRedirectLength},
	{"nothing", "", oauth.ErrRedirectScheme},
	{"a path", "/callback", oauth.ErrRedirectScheme},
	{"a network path", "//client.example.com/callback", oauth.ErrRedirectScheme},
	{"http", "http://client.example.com/callback", oauth.ErrRedirectCleartext},
	{"http to a private address", "http://192.168.0.1/callback", oauth.ErrRedirectCleartext},
	{"http to another address of loopback", "http://127.0.0.2/callback", oauth.ErrRedirectCleartext},
	{"http to a name that starts like loopback", "http://127.0.0.1.evil.example/callback", oauth.ErrRedirectCleartext},
	{"http to a name that starts like localhost", "http://localhost.evil.example/callback", oauth.ErrRedirectCleartext},
	{"http to a name under localhost", "http://evil.localhost/callback", oauth.ErrRedirectCleartext},
	{"localhost in upper case", "http://LOCALHOST/callback", oauth.ErrRedirectCleartext},
	{"localhost with a dot behind it", "http://localhost./callback", oauth.ErrRedirectCleartext},
	{"loopback in decimal", "http://2130706433/callback", oauth.ErrRedirectCleartext},
	{"loopback in hexadecimal", "http://0x7f000001/callback", oauth.ErrRedirectCleartext},
	{"loopback cut short", "http://127.1/callback", oauth.ErrRedirectCleartext},
	{"loopback in IPv6, written out", "http://[0:0:0:0:0:0:0:1]/callback", oauth.ErrRedirectCleartext},
	{"loopback as an IPv4-mapped address", "http://[::ffff:127.0.0.1]/callback", oauth.ErrRedirectCleartext},
	{"loopback in IPv6 with a zone", "http://[::1%25lo]/callback", oauth.ErrRedirectEncoding},
	{"no host", "https:///callback", oauth.ErrRedirectHost},
	{"no host but a port", "https://:443/callback", oauth.ErrRedirectHost},
	{"no authority", "https:callback", oauth.ErrRedirectHost},
	{"a fragment", "https://client.example.com/callback#a", oauth.ErrRedirectFragment},
	{"an empty fragment", "https://client.example.com/callback#", oauth.ErrRedirectFragment},
	{"a fragment of a private scheme", "com.example.app:/cb#a", oauth.ErrRedirectFragment},
	{"a username", "https://user@client.example.com/callback", oauth.ErrRedirectUserinfo},
	{"a host that is really a username", "https://client.example.com@evil.example/callback", oauth.ErrRedirectUserinfo},
	{"loopback that is really a username", "http://127.0.0.1:80@evil.example/callback", oauth.ErrRedirectUserinfo},
	{"a wildcard in the host", "https://*.example.com/callback", oauth.ErrRedirectWildcard},
	{"a wildcard in the port", "http://localhost:*/callback", oauth.ErrRedirectWildcard},
	{"a wildcard in the path", "https://client.example.com/*", oauth.ErrRedirectWildcard},
	{"a backslash", `https://client.example.com\callback`, oauth.ErrRedirectCharacters},
	{"a backslash before another host", `https://evil.example\@client.example.com/callback`, oauth.ErrRedirectCharacters},
	{"letters beyond ASCII in the host", "https://clïent.example.com/callback", oauth.ErrRedirectCharacters},
	{"a Cyrillic letter in the host", "https://clіent.example.com/callback", oauth.ErrRedirectCharacters},
	{"a zero-width space", "https://client.example.com/call\u200bback", oauth.ErrRedirectCharacters},
	{"a zero-width space in a scheme", "java\u200bscript:alert(1)", oauth.ErrRedirectCharacters},
	{"a C1 control character", "https://client.example.com/\u009f", oauth.ErrRedirectCharacters},
	{"a byte that is no UTF-8", "https://exam\x80ple.com/", oauth.ErrRedirectCharacters},
	{"a DEL in the host", "https://client.example.com\x7f/callback", oauth.ErrRedirectCharacters},
	{"a NUL in the path", "https://client.example.com/call\x00back", oauth.ErrRedirectCharacters},
	{"a tab in the path", "https://client.example.com/call\tback", oauth.ErrRedirectCharacters},
	{"a line break behind the scheme", "https:\n//client.example.com/callback", oauth.ErrRedirectCharacters},
	{"a header in the query", "https://client.example.com/callback?a=\r\nSet-Cookie:x", oauth.ErrRedirectCharacters},
	{"a port that is none", "https://client.example.com:port/callback", oauth.ErrRedirectSyntax},
	{"an open bracket", "http://[::1/callback", oauth.ErrRedirectSyntax},
	{"percent-encoding that is none", "https://client.example.com/%zz", oauth.ErrRedirectSyntax},
	{"a percent-encoded host", "http://%31%32%37.0.0.1/callback", oauth.ErrRedirectSyntax},
	{"a Cyrillic letter in the host, encoded", "https://%D0%B0pple.com/callback", oauth.ErrRedirectEncoding},
	{"what turns the host around, encoded", "https://moc.elpmaxe%E2%80%AE.evil.example/callback", oauth.ErrRedirectEncoding},
	{"the same in the host of a private scheme", "com.example.app://%E2%80%AEx/callback", oauth.ErrRedirectEncoding},
	{"quotes in the host", `https://client"example.com/callback`, oauth.ErrRedirectEncoding},
	{"a zone, which is of one machine", "https://[fe80::1%25lo]/callback", oauth.ErrRedirectEncoding},
	{"javascript", "javascript:alert(1)", oauth.ErrRedirectScheme},
	{"javascript in mixed case", "JaVaScRiPt:alert(1)", oauth.ErrRedirectScheme},
	{"javascript with a host", "javascript://client.example.com/%0Aalert(1)", oauth.ErrRedirectScheme},
	{"data", "data:text/html,<script>alert(1)</script>", oauth.ErrRedirectScheme},
	{"data in upper case", "DATA:text/html,<script>alert(1)</script>", oauth.ErrRedirectScheme},
	{"vbscript", "vbscript:msgbox(1)", oauth.ErrRedirectScheme},
	{"file", "file:///etc/passwd", oauth.ErrRedirectScheme},
	{"file in mixed case", "FiLe:///etc/passwd", oauth.ErrRedirectScheme},
	{"mailto", "mailto:attacker@evil.example", oauth.ErrRedirectScheme},
	{"blob", "blob:https://client.example.com/uuid", oauth.ErrRedirectScheme},
	{"about", "about:blank", oauth.ErrRedirectScheme},
	{"intent", "intent://evil.example/", oauth.ErrRedirectScheme},
	{"view-source", "view-source:https://client.example.com/", oauth.ErrRedirectScheme},
	{"a private scheme without a dot", "cursor://anysphere.cursor-mcp/oauth/callback", oauth.ErrRedirectScheme},
	{"the out-of-band URN", "urn:ietf:wg:oauth:2.0:oob", oauth.ErrRedirectScheme},
	{"a space before javascript", " javascript:alert(1)", oauth.ErrRedirectCharacters},
	{"a tab before javascript", "\tjavascript:alert(1)", oauth.ErrRedirectCharacters},
	{"a NUL before javascript", "\x00javascript:alert(1)", oauth.ErrRedirectCharacters},
	{"a tab in javascript", "jav\tascript:alert(1)", oauth.ErrRedirectCharacters},
	{"a line break in javascript", "java\nscript:alert(1)", oauth.ErrRedirectCharacters},
	{"a form feed in javascript", "java\x0cscript:alert(1)", oauth.ErrRedirectCharacters},
}

func TestO3CheckRedirectURI(t *testing.T) {
	t.Parallel()
	for _, row := range redirectURIs {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := oauth.CheckRedirectURI(row.uri, true); !errors.Is(err, row.want) {
				t.Errorf("%q: got %v, want %v", row.uri, err, row.want)
			}
			want := row.want
			if want == nil && strings.HasPrefix(row.uri, "com.") {
				want = oauth.ErrRedirectPrivate
			}
			if err := oauth.CheckRedirectURI(row.uri, false); !errors.Is(err, want) {
				t.Errorf("%q of a confidential client: got %v, want %v", row.uri, err, want)
			}
		})
	}
}

// matches are redirect URIs of requests beside registered ones. The first block
// goes through RFC 8252 as the tests of workers-oauth-provider do, and differs
// where they let 127.0.0.0/8 pass; the second is what must never match.
var matches = []struct {
	name, registered, requested string
	want                        bool
}{
	{"the same", "http://127.0.0.1:8080/callback", "http://127.0.0.1:8080/callback", true},
	{"another port", "http://127.0.0.1:8080/callback", "http://127.0.0.1:52431/callback", true},
	{"no port where one is registered", "http://127.0.0.1:8080/callback", "http://127.0.0.1/callback", true},
	{"a port where none is registered", "http://127.0.0.1/callback", "http://127.0.0.1:52431/callback", true},
	{"another port in IPv6", "http://[::1]:8080/callback", "http://[::1]:52431/callback", true},
	{"another port of localhost", "http://localhost:8080/callback", "http://localhost:52431/callback", true},
	{"no port of localhost where one is registered", "http://localhost:8080/callback", "http://localhost/callback", true},
	{"a port of localhost where none is registered", "http://localhost/callback", "http://localhost:52431/callback", true},
	{"another port of another address of loopback", "http://127.0.0.2:8080/callback", "http://127.0.0.2:52431/callback", false},
	{"another path", "http://127.0.0.1:8080/callback", "http://127.0.0.1:8080/other", false},
	{"another path of localhost", "http://localhost:8080/callback", "http://localhost:8080/other", false},
	{"another scheme", "http://127.0.0.1:8080/callback", "https://127.0.0.1:8080/callback", false},
	{"another address of loopback", "http://127.0.0.1:8080/callback", "http://127.0.0.2:8080/callback", false},
	{"IPv6 where IPv4 is registered", "http://127.0.0.1:8080/callback", "http://[::1]:8080/callback", false},
	{"localhost where IPv4 is registered", "http://127.0.0.1:8080/callback", "http://localhost:8080/callback", false},
	{"IPv4 where localhost is registered", "http://localhost:8080/callback", "http://127.0.0.1:8080/callback", false},
	{"another port of a web site", "https://client.example.com:8080/callback", "https://client.example.com:9090/callback", false},
	{"the same of a web site", "https://client.example.com/callback", "https://client.example.com/callback", true},

	{"VS Code on a free port", "http://127.0.0.1:33418/", "http://127.0.0.1:50123/", true},
	{"Claude Code on a free port", "http://localhost/callback", "http://localhost:50123/callback", true},
	{"the same query", "http://127.0.0.1/cb?a=1", "http://127.0.0.1:5/cb?a=1", true},
	{"the same query and no path", "http://127.0.0.1?a=1", "http://127.0.0.1:5?a=1", true},
	{"no path, another port", "http://127.0.0.1", "http://127.0.0.1:5", true},
	{"the same of a private scheme", "com.example.app:/cb", "com.example.app:/cb", true},
	{"the largest port", "http://127.0.0.1/cb", "http://127.0.0.1:65535/cb", true},

	{"another query", "http://127.0.0.1/cb?a=1", "http://127.0.0.1:5/cb?a=2", false},
	{"an extra query", "http://127.0.0.1/cb", "http://127.0.0.1:5/cb?a=1", false},
	{"an empty query", "http://127.0.0.1/cb", "http://127.0.0.1:5/cb?", false},
	{"an extra fragment", "http://127.0.0.1/cb", "http://127.0.0.1:5/cb#a", false},
	{"a slash at the end", "http://127.0.0.1/cb", "http://127.0.0.1:5/cb/", false},
	{"a slash where there is no path", "http://127.0.0.1", "http://127.0.0.1:5/", false},
	{"a path in another case", "http://127.0.0.1/cb", "http://127.0.0.1:5/CB", false},
	{"a path that climbs", "http://127.0.0.1/cb", "http://127.0.0.1:5/x/../cb", false},
	{"a path that is encoded", "http://127.0.0.1/cb", "http://127.0.0.1:5/%63b", false},
	{"two slashes", "http://127.0.0.1/cb", "http://127.0.0.1:5//cb", false},
	{"a NUL behind it", "http://127.0.0.1/cb", "http://127.0.0.1:5/cb\x00", false},
	{"an encoded NUL behind it", "http://127.0.0.1/cb", "http://127.0.0.1:5/cb%00", false},
	{"a backslash", "http://127.0.0.1/cb", `http://127.0.0.1:5\cb`, false},
	{"a space before it", "http://127.0.0.1/cb", " http://127.0.0.1:5/cb", false},
	{"a scheme in upper case", "http://127.0.0.1/cb", "HTTP://127.0.0.1:5/cb", false},
	{"localhost in upper case", "http://localhost/cb", "http://LOCALHOST:5/cb", false},
	{"localhost with a dot behind it", "http://localhost/cb", "http://localhost.:5/cb", false},
	{"a name that starts like localhost", "http://localhost/cb", "http://localhost.evil.example:5/cb", false},
	{"a name that starts like loopback", "http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", false},
	{"an address that starts like loopback", "http://127.0.0.1/cb", "http://127.0.0.10/cb", false},
	{"loopback as a username", "http://127.0.0.1/cb", "http://127.0.0.1@evil.example/cb", false},
	{"loopback and a port as credentials", "http://127.0.0.1/cb", "http://127.0.0.1:5@evil.example/cb", false},
	{"a username before loopback", "http://127.0.0.1/cb", "http://user@127.0.0.1:5/cb", false},
	{"an empty port", "http://127.0.0.1/cb", "http://127.0.0.1:/cb", false},
	{"port 0", "http://127.0.0.1/cb", "http://127.0.0.1:0/cb", false},
	{"a zero before the port", "http://127.0.0.1/cb", "http://127.0.0.1:080/cb", false},
	{"a port that is too large", "http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", false},
	{"a port that is far too large", "http://127.0.0.1/cb", "http://127.0.0.1:99999999999999999999/cb", false},
	{"a negative port", "http://127.0.0.1/cb", "http://127.0.0.1:-5/cb", false},
	{"a port with a sign", "http://127.0.0.1/cb", "http://127.0.0.1:+5/cb", false},
	{"a port in other digits", "http://127.0.0.1/cb", "http://127.0.0.1:５/cb", false},
	{"loopback in decimal", "http://127.0.0.1/cb", "http://2130706433/cb", false},
	{"loopback cut short", "http://127.0.0.1/cb", "http://127.1/cb", false},
	{"loopback in IPv6, written out", "http://[::1]/cb", "http://[0:0:0:0:0:0:0:1]/cb", false},
	{"https on loopback on another port", "https://127.0.0.1:1/cb", "https://127.0.0.1:2/cb", false},
	{"nothing where something is registered", "http://127.0.0.1/cb", "", false},
	{"a prefix of a web site", "https://client.example.com/callback", "https://client.example.com/call", false},
	{"more than a web site", "https://client.example.com/callback", "https://client.example.com/callback/../evil", false},
	{"a web site in upper case", "https://client.example.com/cb", "https://CLIENT.example.com/cb", false},
	{"a web site with its default port", "https://client.example.com/cb", "https://client.example.com:443/cb", false},
	{"a private scheme in another case", "com.example.app:/cb", "COM.example.app:/cb", false},
}

func TestO1RedirectMatches(t *testing.T) {
	t.Parallel()
	for _, row := range matches {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := oauth.RedirectMatches(row.registered, row.requested); got != row.want {
				t.Errorf("%q for %q: got %v, want %v", row.requested, row.registered, got, row.want)
			}
		})
	}
}

// FuzzRedirectMatches holds a request that matches to what may differ: two URIs
// of one loopback address, and nothing but their ports. What may be registered
// is never a URI that net/url reads as something dangerous.
func FuzzRedirectMatches(f *testing.F) {
	for _, row := range matches {
		f.Add(row.registered, row.requested)
	}
	for _, row := range redirectURIs {
		f.Add(row.uri, row.uri)
	}
	f.Fuzz(func(t *testing.T, registered, requested string) {
		if oauth.CheckRedirectURI(registered, true) != nil {
			return
		}
		was, err := url.Parse(registered)
		if err != nil || was.User != nil || was.Fragment != "" || was.Scheme != "https" && was.Scheme != "http" && !strings.Contains(was.Scheme, ".") {
			t.Fatalf("%q may be registered: %v", registered, err)
		}
		if strings.ContainsFunc(was.Host, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q may be registered, and is shown as %q", registered, was.Host)
		}
		if was.Scheme == "http" && was.Hostname() != "localhost" {
			if a, err := netip.ParseAddr(was.Hostname()); err != nil || !a.IsLoopback() {
				t.Fatalf("%q may be registered: %v", registered, err)
			}
		}
		if registered == requested {
			if !oauth.RedirectMatches(registered, requested) {
				t.Fatalf("%q does not match itself", registered)
			}
			return
		}
		if !oauth.RedirectMatches(registered, requested) {
			return
		}
		is, err := url.Parse(requested)
		if err != nil || oauth.CheckRedirectURI(requested, true) != nil {
			t.Fatalf("%q matches, and is none", requested)
		}
		if is.Scheme != "http" || is.Scheme != was.Scheme || is.Hostname() != was.Hostname() || is.User != nil {
			t.Fatalf("%q matches %q", requested, registered)
		}
		was.Host, is.Host = "", ""
		if *was != *is {
			t.Fatalf("%q matches %q", requested, registered)
		}
		if !oauth.RedirectMatches(requested, registered) {
			t.Fatalf("%q matches %q, but not the other way around", requested, registered)
		}
	})
}
