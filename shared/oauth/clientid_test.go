package oauth_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"

	"gatehouse/shared/oauth"
)

// clientIDs are client identifiers and what is wrong with them.
var clientIDs = []struct {
	name, id string
	want     error
}{
	{"Postman's", "https://www.postman.com/.well-known/oauth/client-metadata.json", nil},
	{"that of VS Code", "https://vscode.dev/oauth/client-metadata.json", nil},
	{"that of Claude Code, which has no suffix", "https://claude.ai/oauth/claude-code-client-metadata", nil},
	{"a port", "https://client.example.com:8443/client.json", nil},
	{"a slash at the end", "https://client.example.com/client/", nil},
	{"every character of a path", "https://client.example.com/aZ09-._~!$&'()*+,;=:@/x", nil},
	{"what must be percent-encoded", "https://client.example.com/%20%E2%82%AC%2F", nil},
	{"a name of three dots", "https://client.example.com/...", nil},
	{"a dot before a name", "https://client.example.com/.well-known", nil},
	{"an internationalized name in its ASCII form", "https://xn--mnchen-3ya.example/client.json", nil},
	{"the longest", "https://client.example.com/" + strings.Repeat("a", 2048-27), nil},

	{"one byte more", "https://client.example.com/" + strings.Repeat("a", 2048-26), oauth.ErrClientIDLength},
	{"nothing", "", oauth.ErrClientIDScheme},
	{"an identifier that is no URL", "8b9c1d", oauth.ErrClientIDScheme},
	{"http", "http://client.example.com/client.json", oauth.ErrClientIDScheme},
	{"http on loopback", "http://127.0.0.1/client.json", oauth.ErrClientIDScheme},
	{"https in upper case", "HTTPS://client.example.com/client.json", oauth.ErrClientIDScheme},
	{"no slashes", "https:client.example.com/client.json", oauth.ErrClientIDScheme},
	{"one slash", "https:/client.example.com/client.json", oauth.ErrClientIDScheme},
	{"a space before it", " https://client.example.com/client.json", oauth.ErrClientIDScheme},
	{"a space behind it", "https://client.example.com/client.json ", oauth.ErrClientIDCharacters},
	{"a line break", "https://client.example.com/client.json\n", oauth.ErrClientIDCharacters},
	{"a tab in the host", "https://client\t.example.com/client.json", oauth.ErrClientIDCharacters},
	{"a NUL", "https://client.example.com/\x00", oauth.ErrClientIDCharacters},
	{"a DEL", "https://client.example.com/\x7f", oauth.ErrClientIDCharacters},
	{"a backslash", `https://client.example.com\client.json`, oauth.ErrClientIDCharacters},
	{"a backslash before another host", `https://evil.example\@client.example.com/client.json`, oauth.ErrClientIDCharacters},
	{"letters beyond ASCII in the path", "https://client.example.com/clïent", oauth.ErrClientIDCharacters},
	{"letters beyond ASCII in the host", "https://clïent.example.com/client.json", oauth.ErrClientIDCharacters},
	{"bytes that are no UTF-8", "https://client.example.com/\xff", oauth.ErrClientIDCharacters},
	{"angle brackets", "https://client.example.com/<script>", oauth.ErrClientIDCharacters},
	{"quotes", `https://client.example.com/"`, oauth.ErrClientIDCharacters},
	{"square brackets in the path", "https://client.example.com/[1]", oauth.ErrClientIDCharacters},
	{"a username", "https://user@client.example.com/client.json", oauth.ErrClientIDUserinfo},
	{"a username and password", "https://user:pass@client.example.com/client.json", oauth.ErrClientIDUserinfo},
	{"an empty username", "https://@client.example.com/client.json", oauth.ErrClientIDUserinfo},
	{"no host", "https:///client.json", oauth.ErrClientIDHost},
	{"no host but a port", "https://:8443/client.json", oauth.ErrClientIDHost},
	{"a host in upper case", "https://Client.example.com/client.json", oauth.ErrClientIDHost},
	{"a percent-encoded host", "https://cl%69ent.example.com/client.json", oauth.ErrClientIDHost},
	{"an underscore in the host", "https://my_client.example.com/client.json", oauth.ErrClientIDHost},
	{"a host with a dot behind it", "https://client.example.com./client.json", oauth.ErrClientIDHost},
	{"a host with a dot before it", "https://.example.com/client.json", oauth.ErrClientIDHost},
	{"an IPv6 address", "https://[2001:db8::1]/client.json", oauth.ErrClientIDHost},
	{"the default port", "https://client.example.com:443/client.json", oauth.ErrClientIDPort},
	{"a colon without a port", "https://client.example.com:/client.json", oauth.ErrClientIDPort},
	{"port 0", "https://client.example.com:0/client.json", oauth.ErrClientIDPort},
	{"a zero before the port", "https://client.example.com:0443/client.json", oauth.ErrClientIDPort},
	{"a port that is too large", "https://client.example.com:65536/client.json", oauth.ErrClientIDPort},
	{"a port that is none", "https://client.example.com:https/client.json", oauth.ErrClientIDPort},
	{"two ports", "https://client.example.com:1:2/client.json", oauth.ErrClientIDPort},
	{"no path", "https://client.example.com", oauth.ErrClientIDPath},
	{"an empty path", "https://client.example.com/", oauth.ErrClientIDPath},
	{"no path but a port", "https://client.example.com:8443", oauth.ErrClientIDPath},
	{"a query", "https://client.example.com/client.json?v=1", oauth.ErrClientIDQuery},
	{"an empty query", "https://client.example.com/client.json?", oauth.ErrClientIDQuery},
	{"a query without a path", "https://client.example.com?v=1", oauth.ErrClientIDQuery},
	{"a fragment", "https://client.example.com/client.json#a", oauth.ErrClientIDFragment},
	{"an empty fragment", "https://client.example.com/client.json#", oauth.ErrClientIDFragment},
	{"a fragment that hides a host", "https://client.example.com#@evil.example/", oauth.ErrClientIDFragment},
	{"a segment of one dot", "https://client.example.com/./client.json", oauth.ErrClientIDSegments},
	{"a segment of two dots", "https://client.example.com/a/../client.json", oauth.ErrClientIDSegments},
	{"two dots at the end", "https://client.example.com/a/..", oauth.ErrClientIDSegments},
	{"a segment of two dots, encoded", "https://client.example.com/a/%2e%2e/client.json", oauth.ErrClientIDSegments},
	{"a segment of two dots, one encoded", "https://client.example.com/a/.%2E/client.json", oauth.ErrClientIDSegments},
	{"a segment of two dots, encoded twice", "https://client.example.com/a/%252E%252E/client.json", oauth.ErrClientIDSegments},
	{"two dots between encoded slashes", "https://client.example.com/a%2F..%2Fclient.json", oauth.ErrClientIDSegments},
	{"two dots between encoded backslashes", "https://client.example.com/a%5C..%5Cclient.json", oauth.ErrClientIDSegments},
	{"a letter that is encoded", "https://client.example.com/%63lient.json", oauth.ErrClientIDEncoding},
	{"a tilde that is encoded", "https://client.example.com/%7Ea", oauth.ErrClientIDEncoding},
	{"encoding in lower case", "https://client.example.com/%e2%82%ac", oauth.ErrClientIDEncoding},
	{"encoding cut short", "https://client.example.com/client%2", oauth.ErrClientIDEncoding},
	{"encoding that is none", "https://client.example.com/client%ZZ", oauth.ErrClientIDEncoding},
	{"a NUL that is encoded", "https://client.example.com/client.json%00", oauth.ErrClientIDEncoding},
	{"a line break that is encoded", "https://client.example.com/%0D%0A", oauth.ErrClientIDEncoding},
}

func TestCI1CheckClientIDURL(t *testing.T) {
	t.Parallel()
	for _, row := range clientIDs {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := oauth.CheckClientIDURL(row.id); !errors.Is(err, row.want) {
				t.Errorf("%q: got %v, want %v", row.id, err, row.want)
			}
		})
	}
}

// FuzzCheckClientIDURL holds what is accepted to mean the same for everybody:
// net/url reads it without repairing anything, and its path is clean.
func FuzzCheckClientIDURL(f *testing.F) {
	for _, row := range clientIDs {
		f.Add(row.id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if oauth.CheckClientIDURL(id) != nil {
			return
		}
		u, err := url.Parse(id)
		if err != nil || u.String() != id {
			t.Fatalf("%q is read as %q: %v", id, u, err)
		}
		if u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" || u.Port() == "443" {
			t.Fatalf("%q has parts that it must not have", id)
		}
		if u.Host == "" || u.Host != strings.ToLower(u.Host) || strings.HasSuffix(u.Hostname(), ".") || strings.Trim(u.Path, "/") == "" && u.Path == "/" {
			t.Fatalf("%q has no host, or no path", id)
		}
		if again := u.JoinPath(); strings.Contains(id, "/../") || strings.HasSuffix(id, "/..") || path.Base(again.Path) == ".." {
			t.Fatalf("%q climbs", id)
		}
		if len(id) > oauth.MaxClientIDURL || strings.ContainsAny(id, "\\ <>\"\r\n\t\x00") {
			t.Fatalf("%q has characters that it must not have", id)
		}
	})
}
