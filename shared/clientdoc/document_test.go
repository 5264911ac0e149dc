package clientdoc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/clientdoc"
	"gatehouse/shared/oauth"
	"gatehouse/shared/strictjson"
)

const (
	app = "https://client.example.com/client.json"

	// postman is what Postman publishes at its address.
	postmanID = "https://www.postman.com/.well-known/oauth/client-metadata.json"
	postman   = `{
  "client_id": "https://www.postman.com/.well-known/oauth/client-metadata.json",
  "client_name": "Postman",
  "client_uri": "https://www.postman.com",
  "redirect_uris": [
    "https://oauth.pstmn.io/v1/callback",
    "https://oauth.pstmn.io/v1/browser-callback",
    "https://oauth-beta.pstmn.io/v1/callback",
    "https://oauth-beta.pstmn.io/v1/browser-callback"
  ],
  "grant_types": ["authorization_code", "refresh_token"],
  "response_types": ["code"],
  "token_endpoint_auth_method": "none"
}`

	// vsCode is what VS Code publishes: a grant that is not known here, members
	// that are not, and a loopback address with a port.
	vsCodeID = "https://vscode.dev/oauth/client-metadata.json"
	vsCode   = `{
  "client_name": "Visual Studio Code",
  "logo_uri": "https://code.visualstudio.com/assets/branding/code-stable.png",
  "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
  "response_types": ["code"],
  "token_endpoint_auth_method": "none",
  "application_type": "native",
  "client_id": "https://vscode.dev/oauth/client-metadata.json",
  "client_uri": "https://vscode.dev/product",
  "redirect_uris": ["http://127.0.0.1:33418/", "https://vscode.dev/redirect"]
}`
)

// with is a document of app with these members, and a redirect URI unless they
// have one.
func with(members string) string {
	if !strings.Contains(members, "redirect_uris") {
		members = strings.TrimPrefix(members+`,"redirect_uris":["https://client.example.com/cb"]`, ",")
	}
	return `{"client_id":"` + app + `",` + members + `}`
}

// documents are documents of app, and why they are not taken.
var documents = []struct {
	name, text string
	want       error
}{
	{"the least there can be", with(``), nil},
	{"everything that is known", with(`"client_name":"App","client_uri":"https://client.example.com/","grant_types":["authorization_code"],` +
		`"response_types":["code"],"scope":"a b","token_endpoint_auth_method":"none"`), nil},
	{"members that are not known", with(`"logo_uri":"http://169.254.169.254/","contacts":[{"a":1}],"x":null,"software_statement":"eyJ"`), nil},
	{"members that are null", with(`"client_name":null,"client_uri":null,"scope":null,"grant_types":null,"response_types":null,` +
		`"token_endpoint_auth_method":null,"jwks":null,"client_secret":null,"client_secret_expires_at":null`), nil},
	{"a loopback address", with(`"redirect_uris":["http://127.0.0.1/cb","http://localhost/cb","http://[::1]/cb"]`), nil},
	{"a private scheme", with(`"redirect_uris":["com.example.app:/cb"]`), nil},
	{"grants that are not known", with(`"grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:device_code"]`), nil},
	{"public keys for something else", with(`"jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"f83","y":"x_F","kid":"1"}],"x":1}`), nil},
	{"keys elsewhere", with(`"jwks_uri":"https://127.0.0.1/keys"`), nil},
	{"no keys in the set", with(`"jwks":{"keys":[]}`), nil},

	{"nothing", ``, clientdoc.ErrMalformed},
	{"an array", `[` + with(``) + `]`, clientdoc.ErrMalformed},
	{"null", `null`, clientdoc.ErrMalformed},
	{"HTML", `<html>MARK</html>`, clientdoc.ErrMalformed},
	{"cut short", strings.TrimSuffix(with(``), "}"), clientdoc.ErrMalformed},
	{"two documents", with(``) + with(``), clientdoc.ErrMalformed},
	{"something behind it", with(``) + "MARK", clientdoc.ErrMalformed},
	{"a byte order mark", "\ufeff" + with(``), clientdoc.ErrMalformed},
	{"a comment", with(``) + "// MARK", clientdoc.ErrMalformed},
	{"bytes that are no UTF-8", with("\"client_name\":\"\xff\""), clientdoc.ErrMalformed},
	{"half a surrogate pair", with(`"client_name":"\ud800"`), clientdoc.ErrMalformed},
	{"a NUL", with(`"client_name":"a\u0000b"`), clientdoc.ErrMalformed},
	{"a member twice", with(`"client_name":"a","client_name":"b"`), strictjson.ErrDuplicate},
	{"a member twice, once escaped", with(`"client_name":"a","client\u005fname":"b"`), strictjson.ErrDuplicate},
	{"a member twice, once in upper case", with(`"client_name":"a","CLIENT_NAME":"b"`), strictjson.ErrFolded},
	{"a client_id twice", with(`"client_id":"https://evil.example/client.json"`), strictjson.ErrDuplicate},
	{"an unknown member twice, deep down", with(`"x":{"y":1,"y":2}`), strictjson.ErrDuplicate},
	{"nested too deeply", with(`"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20)), strictjson.ErrDepth},
	{"a name that is a number", with(`"client_name":1`), strictjson.ErrType},
	{"a name that is an object", with(`"client_name":{"en":"App"}`), strictjson.ErrType},
	{"redirect URIs that are a string", with(`"redirect_uris":"https://client.example.com/cb"`), strictjson.ErrType},
	{"redirect URIs that are numbers", with(`"redirect_uris":[1]`), strictjson.ErrType},
	{"a redirect URI that is null", with(`"redirect_uris":[null]`), strictjson.ErrType},
	{"a method that is an array", with(`"token_endpoint_auth_method":["none"]`), strictjson.ErrType},
	{"keys that are an array", with(`"jwks":[]`), strictjson.ErrType},
	{"keys that are a string", with(`"jwks":"{\"keys\":[]}"`), strictjson.ErrType},
	{"a key that is a string", with(`"jwks":{"keys":["x"]}`), strictjson.ErrType},

	{"no client_id", `{"redirect_uris":["https://client.example.com/cb"]}`, clientdoc.ErrClientID},
	{"a client_id of null", `{"client_id":null,"redirect_uris":["https://client.example.com/cb"]}`, clientdoc.ErrClientID},
	{"the client_id of another", `{"client_id":"https://evil.example/client.json","redirect_uris":["https://a.example/cb"]}`, clientdoc.ErrClientID},
	{"a client_id with a slash behind it", `{"client_id":"` + app + `/","redirect_uris":["https://a.example/cb"]}`, clientdoc.ErrClientID},
	{"a client_id in another case", `{"client_id":"https://client.example.com/Client.json","redirect_uris":["https://a.example/cb"]}`, clientdoc.ErrClientID},
	{"a client_id with the default port", `{"client_id":"https://client.example.com:443/client.json","redirect_uris":["https://a.example/cb"]}`, clientdoc.ErrClientID},
	{"a client_id that is encoded", `{"client_id":"https://client.example.com/%63lient.json","redirect_uris":["https://a.example/cb"]}`, clientdoc.ErrClientID},

	{"a secret", with(`"client_secret":"MARK"`), clientdoc.ErrSecret},
	{"a secret of a public client", with(`"client_secret":"","token_endpoint_auth_method":"none"`), clientdoc.ErrSecret},
	{"the end of a secret", with(`"client_secret_expires_at":0`), clientdoc.ErrSecret},
	{"client_secret_basic", with(`"token_endpoint_auth_method":"client_secret_basic"`), clientdoc.ErrSymmetricMethod},
	{"client_secret_post", with(`"token_endpoint_auth_method":"client_secret_post"`), clientdoc.ErrSymmetricMethod},
	{"client_secret_jwt", with(`"token_endpoint_auth_method":"client_secret_jwt"`), clientdoc.ErrSymmetricMethod},
	{"private_key_jwt", with(`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://client.example.com/jwks"`), clientdoc.ErrUnsupportedMethod},
	{"a method of TLS", with(`"token_endpoint_auth_method":"tls_client_auth"`), clientdoc.ErrUnsupportedMethod},
	{"a method that is not known", with(`"token_endpoint_auth_method":"MARK"`), clientdoc.ErrUnsupportedMethod},
	{"a method that is empty", with(`"token_endpoint_auth_method":""`), clientdoc.ErrUnsupportedMethod},
	{"none in upper case", with(`"token_endpoint_auth_method":"NONE"`), clientdoc.ErrUnsupportedMethod},
	{"a private EC key", with(`"jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"f83","y":"x_F","d":"MARK"}]}`), clientdoc.ErrPrivateKey},
	{"a private RSA key behind a public one", with(`"jwks":{"keys":[{"kty":"RSA","n":"0vx","e":"AQAB"},{"kty":"RSA","p":"MARK"}]}`), clientdoc.ErrPrivateKey},
	{"a symmetric key", with(`"jwks":{"keys":[{"kty":"oct","k":"MARK"}]}`), clientdoc.ErrPrivateKey},
	{"a private post-quantum key", with(`"jwks":{"keys":[{"kty":"AKP","pub":"x","priv":"MARK"}]}`), clientdoc.ErrPrivateKey},
	{"a private key, its member escaped", with(`"jwks":{"keys":[{"kty":"EC","\u0064":"MARK"}]}`), clientdoc.ErrPrivateKey},

	{"no redirect URIs", `{"client_id":"` + app + `"}`, clientdoc.ErrRedirectURIs},
	{"an empty array of redirect URIs", with(`"redirect_uris":[]`), clientdoc.ErrRedirectURIs},
	{"20 redirect URIs", with(`"redirect_uris":["https://client.example.com/cb"` + strings.Repeat(`,"https://client.example.com/cb"`, 19) + `]`), nil},
	{"21 redirect URIs", with(`"redirect_uris":["https://client.example.com/cb"` + strings.Repeat(`,"https://client.example.com/cb"`, 20) + `]`), clientdoc.ErrRedirectURIs},
	{"redirect URIs of null", with(`"redirect_uris":null`), clientdoc.ErrRedirectURIs},
	{"an empty redirect URI", with(`"redirect_uris":[""]`), clientdoc.ErrRedirectURIs},
	{"an http redirect URI", with(`"redirect_uris":["http://client.example.com/MARK"]`), oauth.ErrRedirectCleartext},
	{"a good redirect URI before a bad one", with(`"redirect_uris":["https://client.example.com/cb","javascript:MARK"]`), oauth.ErrRedirectScheme},
	{"data", with(`"redirect_uris":["data:text/html,MARK"]`), oauth.ErrRedirectScheme},
	{"a wildcard", with(`"redirect_uris":["https://*.example.com/cb"]`), oauth.ErrRedirectWildcard},
	{"a fragment", with(`"redirect_uris":["https://client.example.com/cb#MARK"]`), oauth.ErrRedirectFragment},
	{"a host in letters of another alphabet, percent-encoded", with(`"redirect_uris":["https://M%D0%90RK.example.com/cb"]`), oauth.ErrRedirectEncoding},
	{"a username", with(`"redirect_uris":["https://MARK@client.example.com/cb"]`), oauth.ErrRedirectUserinfo},
	{"a backslash", with(`"redirect_uris":["https://client.example.com\\cb"]`), oauth.ErrRedirectCharacters},
	{"a line break", with(`"redirect_uris":["https://client.example.com/\r\nMARK: x"]`), oauth.ErrRedirectCharacters},
	{"a host that is not ASCII", with(`"redirect_uris":["https://clïent.example.com/cb"]`), oauth.ErrRedirectCharacters},
	{"a private scheme without a dot", with(`"redirect_uris":["myapp:/cb"]`), oauth.ErrRedirectScheme},

	{"no grants", with(`"grant_types":[]`), clientdoc.ErrGrantTypes},
	{"another grant alone", with(`"grant_types":["client_credentials"]`), clientdoc.ErrGrantTypes},
	{"refresh_token alone", with(`"grant_types":["refresh_token"]`), clientdoc.ErrGrantTypes},
	{"no response types", with(`"response_types":[]`), clientdoc.ErrResponseTypes},
	{"the implicit flow alone", with(`"response_types":["token"]`), clientdoc.ErrResponseTypes},
	{"a scope in quotes", with(`"scope":"a \"MARK\""`), clientdoc.ErrScope},
	{"a scope that is not ASCII", with(`"scope":"ä"`), clientdoc.ErrScope},
	{"scopes with a tab between", with(`"scope":"a\tb"`), clientdoc.ErrScope},
}

func TestCI3Documents(t *testing.T) {
	t.Parallel()
	for _, row := range documents {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			docs := serve(t, asJSON(row.text))
			doc, err := docs.Get(t.Context(), app)
			if !errors.Is(err, row.want) {
				t.Fatalf("got %v, want %v", err, row.want)
			}
			if row.want == nil {
				if doc.ClientID != app || len(doc.RedirectURIs) == 0 {
					t.Errorf("got %+v", doc)
				}
				return
			}
			if !cmp.Equal(doc, clientdoc.Document{}) {
				t.Errorf("got a document beside the error: %+v", doc)
			}
			if invalid, ok := errors.AsType[*clientdoc.InvalidError](err); !ok || !errors.Is(invalid.Reason, row.want) {
				t.Errorf("got %v, want it to be about the document", err)
			}
			if errors.Is(err, clientdoc.ErrUnavailable) {
				t.Errorf("got %v, want it not to be about the fetch", err)
			}
			if strings.Contains(err.Error(), "MARK") || !strings.Contains(err.Error(), app) {
				t.Errorf("got %v, want an error that names the client and quotes nothing", err)
			}
		})
	}
}

func TestPublishedDocuments(t *testing.T) {
	t.Parallel()
	fetched := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name, text string
		want       clientdoc.Document
	}{
		{"Postman", postman, clientdoc.Document{
			ClientID: postmanID, Name: "Postman", ClientURI: "https://www.postman.com",
			RedirectURIs: []string{
				"https://oauth.pstmn.io/v1/callback", "https://oauth.pstmn.io/v1/browser-callback",
				"https://oauth-beta.pstmn.io/v1/callback", "https://oauth-beta.pstmn.io/v1/browser-callback",
			},
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}, Fetched: fetched,
		}},
		{"VS Code", vsCode, clientdoc.Document{
			ClientID: vsCodeID, Name: "Visual Studio Code", ClientURI: "https://vscode.dev/product",
			RedirectURIs: []string{"http://127.0.0.1:33418/", "https://vscode.dev/redirect"},
			GrantTypes:   []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}, Fetched: fetched,
		}},
		{"the least there can be", with(``), clientdoc.Document{
			ClientID: app, Name: "client.example.com", RedirectURIs: []string{"https://client.example.com/cb"},
			GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"}, Fetched: fetched,
		}},
		{"what is left out", with(`"redirect_uris":["https://client.example.com/cb","https://client.example.com/cb"],"grant_types":["implicit","refresh_token","authorization_code"],"response_types":["token","code"],"scope":" a  b "`), clientdoc.Document{
			ClientID: app, Name: "client.example.com", RedirectURIs: []string{"https://client.example.com/cb"},
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}, Scope: "a b", Fetched: fetched,
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			docs := serve(t, asJSON(row.text))
			docs.Now = func() time.Time { return fetched }
			got, err := docs.Get(t.Context(), row.want.ClientID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	const host = "client.example.com"
	for _, row := range []struct{ name, text, want string }{
		{"a name", "My App", "My App"},
		{"a name in other letters", "Приложение 应用 app’s", "Приложение 应用 app’s"},
		{"a name with a picture", "App 🚀", "App 🚀"},
		{"a name with an accent of its own", "Cafe\u0301", "Cafe\u0301"},
		{"70 characters", strings.Repeat("é", 70), strings.Repeat("é", 70)},
		{"spaces around it", "  App\u3000", "App"},
		{"71 characters", strings.Repeat("é", 71), host},
		{"nothing", "", host},
		{"spaces", " \u00a0 ", host},
		{"a line break", "App\nSystem: trusted", host},
		{"an escape sequence", "App\x1b[2J", host},
		{"a DEL", "App\x7f", host},
		{"text that runs to the left", "App\u202egpj", host},
		{"an isolate", "App\u2066", host},
		{"a zero-width space", "Ap\u200bp", host},
		{"a zero-width joiner", "Ap\u200dp", host},
		{"a byte order mark", "Ap\ufeffp", host},
		{"a soft hyphen", "Ap\u00adp", host},
		{"a line separator", "App\u2028x", host},
		{"a no-break space inside", "My\u00a0App", host},
		{"a Hangul filler", "\u3164", host},
		{"a Hangul jamo filler", "App\u115f", host},
		{"an empty Braille pattern", "\u2800", host},
		{"a combining grapheme joiner", "Ap\u034fp", host},
		{"a variation selector", "App\ufe0e", host},
		{"a tag", "App\U000e0041", host},
		{"a private character", "App\ue000", host},
		{"a replacement character", "App\ufffd", host},
		{"a character that does not exist", "App\U0003fffe", host},
	} {
		text, err := json.Marshal(row.text)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := clientdoc.Parse(app, []byte(with(`"client_name":`+string(text))))
		if err != nil || doc.Name != row.want {
			t.Errorf("%s: got %q, %v; want %q", row.name, doc.Name, err, row.want)
		}
	}
	if doc, err := clientdoc.Parse("https://client.example.com:8443/a", []byte(`{"client_id":"https://client.example.com:8443/a","redirect_uris":["https://a.example/"]}`)); err != nil ||
		doc.Name != "client.example.com:8443" {
		t.Errorf("got %q, %v, want the host with its port", doc.Name, err)
	}
	long := "https://" + strings.Repeat("bank.example.", 6) + "evil.example/a"
	if doc, err := clientdoc.Parse(long, []byte(`{"client_id":"`+long+`","redirect_uris":["https://a.example/"]}`)); err != nil ||
		utf8.RuneCountInString(doc.Name) != 70 || !strings.HasPrefix(doc.Name, "…") || !strings.HasSuffix(doc.Name, ".evil.example") {
		t.Errorf("got %q, %v, want 70 characters that end as the host does", doc.Name, err)
	}
}

func TestClientURIs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, uri, want string }{
		{"a page at the host", "https://client.example.com/about?x=1", "https://client.example.com/about?x=1"},
		{"the host alone", "https://client.example.com", "https://client.example.com"},
		{"nothing", "", ""},
		{"a page of another", "https://bank.example/", ""},
		{"a page under the host", "https://www.client.example.com/", ""},
		{"a page above the host", "https://example.com/", ""},
		{"another port", "https://client.example.com:8443/", ""},
		{"http", "http://client.example.com/", ""},
		{"https in mixed case", "hTtps://client.example.com/", ""},
		{"javascript", "javascript://client.example.com/%0Aalert(1)", ""},
		{"a username", "https://bank.example@client.example.com/", ""},
		{"a host that is really a username", "https://client.example.com@evil.example/", ""},
		{"a backslash", `https://client.example.com\@evil.example/`, ""},
		{"letters beyond ASCII", "https://client.example.com/ä", ""},
		{"a line break", "https://client.example.com/\n", ""},
		{"no URL", "%zz", ""},
		{"too long a page", "https://client.example.com/" + strings.Repeat("a", 2048), ""},
	} {
		text, err := json.Marshal(row.uri)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := clientdoc.Parse(app, []byte(with(`"client_uri":`+string(text))))
		if err != nil || doc.ClientURI != row.want {
			t.Errorf("%s: got %q, %v; want %q", row.name, doc.ClientURI, err, row.want)
		}
	}
}

// FuzzDocument holds what is taken to what encoding/json reads, and to what a
// public client may be.
func FuzzDocument(f *testing.F) {
	for _, row := range documents {
		f.Add(row.text)
	}
	f.Add(strings.ReplaceAll(postman, postmanID, app))
	f.Add(strings.ReplaceAll(vsCode, vsCodeID, app))
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := clientdoc.Parse(app, []byte(text))
		if err != nil {
			if _, ok := errors.AsType[*clientdoc.InvalidError](err); !ok || !cmp.Equal(doc, clientdoc.Document{}) {
				t.Fatalf("%q: got %+v, %v", text, doc, err)
			}
			return
		}
		other := members(t, text)
		if other.text("client_id") != app || doc.ClientID != app || other.text("client_secret") != "" || other.text("client_secret_expires_at") != "" {
			t.Fatalf("%q is taken", text)
		}
		if method := other.text("token_endpoint_auth_method"); method != "" && method != "none" {
			t.Fatalf("%q is taken", text)
		}
		if n := len(doc.RedirectURIs); n == 0 || n > 20 {
			t.Fatalf("%q: got the redirect URIs %q", text, doc.RedirectURIs)
		}
		for _, uri := range doc.RedirectURIs {
			if oauth.CheckRedirectURI(uri, true) != nil || !slices.Contains(other.texts("redirect_uris"), uri) {
				t.Fatalf("%q: takes %q", text, uri)
			}
		}
		for _, uri := range other.texts("redirect_uris") {
			if !slices.Contains(doc.RedirectURIs, uri) {
				t.Fatalf("%q: loses %q", text, uri)
			}
		}
		for _, grant := range doc.GrantTypes {
			if grant != "authorization_code" && !slices.Contains(other.texts("grant_types"), grant) || grant != "authorization_code" && grant != "refresh_token" {
				t.Fatalf("%q: got the grant %q", text, grant)
			}
		}
		if !slices.Equal(oauth.SplitScope(doc.Scope), oauth.SplitScope(other.text("scope"))) {
			t.Fatalf("%q: got the scope %q", text, doc.Scope)
		}
		if doc.Name == "" || utf8.RuneCountInString(doc.Name) > 70 || strings.ContainsFunc(doc.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q: got the name %q", text, doc.Name)
		}
		if doc.ClientURI != "" && !strings.HasPrefix(doc.ClientURI, "https://client.example.com") {
			t.Fatalf("%q: got the page %q", text, doc.ClientURI)
		}
	})
}

// object is a document as encoding/json reads it, by the exact names of its
// members: into a struct, it would not mind their case.
type object map[string]any

func members(t *testing.T, text string) object {
	t.Helper()
	var o object
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%q is taken; encoding/json says %v", text, err)
	}
	return o
}

// text is a member in words; "" for one that is null or not there.
func (o object) text(name string) string {
	if o[name] == nil {
		return ""
	}
	return fmt.Sprint(o[name])
}

func (o object) texts(name string) []string {
	var all []string
	list, _ := o[name].([]any)
	for _, one := range list {
		all = append(all, fmt.Sprint(one))
	}
	return all
}
