package main

import (
	"bytes"
	"compress/flate"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/infra/tooltest"
)

// forger makes tokens that some verifier somewhere has taken for genuine.
type forger struct {
	t *testing.T
	r *running
}

// signed is a token with a genuine signature and other members: whoever refuses
// it does so for what it says.
func (f forger) signed(header, claims map[string]any) string {
	f.t.Helper()
	all := f.r.standin.Claims(f.r.app.ClientID, "orders:read", "orders:write", "orders:admin")
	for name, v := range claims {
		if all[name] = v; v == nil {
			delete(all, name)
		}
	}
	raw, err := f.r.standin.Mint(all, header)
	if err != nil {
		f.t.Fatal(err)
	}
	return raw
}

// of puts parts together: a header and claims as JSON text, a signature.
func of(header, claims string, signature []byte) string {
	e := base64.RawURLEncoding
	return e.EncodeToString([]byte(header)) + "." + e.EncodeToString([]byte(claims)) + "." + e.EncodeToString(signature)
}

// genuine is a good token, and its claims as JSON text.
func (f forger) genuine() (parts []string, claims string) {
	f.t.Helper()
	parts = strings.Split(f.signed(nil, nil), ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		f.t.Fatal(err)
	}
	return parts, string(text)
}

// publicKey is what everybody can read of the key that signs, in the forms in
// which verifiers have taken it for a shared secret.
func (f forger) publicKey() map[string][]byte {
	f.t.Helper()
	got := send(f.t, http.MethodGet, f.r.issuer()+"/v1/keys")
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal([]byte(got.body), &set); err != nil || len(set.Keys) == 0 {
		f.t.Fatalf("no keys: %d %s", got.status, got.body)
	}
	var key struct{ N, Kid string }
	if err := json.Unmarshal(set.Keys[0], &key); err != nil {
		f.t.Fatal(err)
	}
	n, err := base64.RawURLEncoding.DecodeString(key.N)
	if err != nil {
		f.t.Fatal(err)
	}
	return map[string][]byte{"the JWK": set.Keys[0], "the JWK set": []byte(got.body), "the modulus": n, "the modulus in base64": []byte(key.N), "nothing": {}, "the client's secret": []byte(f.r.app.Secret)}
}

// tokens are forged tokens by what is wrong with them. elsewhere is an address
// that nobody may call.
func (f forger) tokens(elsewhere string) map[string]string {
	f.t.Helper()
	parts, claims := f.genuine()
	head, body, signature := parts[0], parts[1], parts[2]
	all := map[string]string{
		"no signature":                  head + "." + body + ".",
		"two parts":                     head + "." + body,
		"a dot more":                    head + "." + body + "." + signature + ".",
		"five parts":                    head + ".." + body + "." + signature + "." + signature,
		"a signature of zeros":          head + "." + body + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256)),
		"a signature of another token":  head + "." + body + "." + strings.Split(f.signed(nil, map[string]any{"jti": "x"}), ".")[2],
		"padding":                       head + "." + body + "." + signature + "==",
		"a line break in it":            head + "." + body[:10] + "\t" + body[10:] + "." + signature,
		"the claims of somebody else":   head + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(claims, f.r.app.ClientID, ownerID, 1))) + "." + signature,
		"JSON serialisation":            `{"payload":"` + body + `","protected":"` + head + `","signature":"` + signature + `"}`,
		"seven thousand dots":           strings.Repeat(".", 7000),
		"an ES256 signature of 64 ones": of(`{"alg":"ES256","kid":"x"}`, claims, bytes.Repeat([]byte{1}, 64)),
		"an ES256 signature of zeros":   of(`{"alg":"ES256","kid":"x"}`, claims, make([]byte, 64)),
		"an ES256 signature of 63":      of(`{"alg":"ES256","kid":"x"}`, claims, make([]byte, 63)),
		"expired, and badly signed":     f.signed(nil, map[string]any{"exp": 1})[:40] + "." + body + "." + signature,
		"names in other letters":        of(`{"ALG":"RS256"}`, strings.ReplaceAll(claims, `"exp"`, `"EXP"`), make([]byte, 256)),
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", " none"} {
		all["alg "+alg] = of(`{"alg":"`+alg+`"}`, claims, nil)
		all["signed, alg "+alg] = f.signed(map[string]any{"alg": alg}, nil)
	}
	for name, key := range f.publicKey() {
		signing := of(`{"alg":"HS256","typ":"at+jwt"}`, claims, nil)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(strings.TrimSuffix(signing, ".")))
		all["HS256 with "+name] = signing + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	var bomb bytes.Buffer
	w, _ := flate.NewWriter(&bomb, flate.BestCompression) // the level is one
	_, _ = w.Write(bytes.Repeat([]byte("a"), 4<<20))      // a buffer takes everything
	_ = w.Close()                                         // the same
	all["a compressed JWE"] = of(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`, bomb.String(), nil) + "..AAAA"
	all["a JWE with PBES2"] = of(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA"}`, "", nil) + "..AAAA"
	maps.Copy(all, f.headers(elsewhere))
	maps.Copy(all, f.claims())
	return all
}

// headers are tokens that are signed, with members in the header that no access
// token has.
func (f forger) headers(elsewhere string) map[string]string {
	f.t.Helper()
	all := map[string]string{}
	for name, header := range map[string]map[string]any{
		"its own key":             {"jwk": map[string]any{"kty": "oct", "k": "AAAA"}},
		"the address of its key":  {"jku": elsewhere},
		"the address of a chain":  {"x5u": elsewhere},
		"its own chain":           {"x5c": []string{"MIIB"}},
		"an unknown extension":    {"crit": []string{"exp"}},
		"no base64":               {"b64": false, "crit": []string{"b64"}},
		"compression":             {"zip": "DEF"},
		"a token within":          {"cty": "JWT"},
		"the type of an id token": {"typ": "id+jwt"},
		"the type of a logout":    {"typ": "logout+jwt"},
		"a path as kid":           {"kid": "../../../../dev/null"},
		"SQL as kid":              {"kid": "x' UNION SELECT 'key"},
		"a command as kid":        {"kid": "|sleep 10"},
		"a number as kid":         {"kid": 7},
		"a long kid":              {"kid": strings.Repeat("k", 2000)},
		"an algorithm it is not":  {"alg": "PS256"},
	} {
		all[name] = f.signed(header, nil)
	}
	return all
}

// claims are tokens that are signed, with claims that do not do.
func (f forger) claims() map[string]string {
	f.t.Helper()
	all := map[string]string{}
	for name, claims := range map[string]map[string]any{
		"no audience":                      {"aud": nil},
		"an empty audience":                {"aud": ""},
		"no audience in a list":            {"aud": []string{}},
		"a number among the audiences":     {"aud": []any{"api://default", 1}},
		"an audience that begins alike":    {"aud": "api://default.evil"},
		"an object as audience":            {"aud": map[string]any{"api://default": true}},
		"another issuer":                   {"iss": "https://evil.example"},
		"an issuer with a slash":           {"iss": f.r.issuer() + "/"},
		"no issuer":                        {"iss": nil},
		"an end that has come":             {"exp": time.Now().Add(-time.Hour).Unix()},
		"no end":                           {"exp": nil},
		"an end in words":                  {"exp": "never"},
		"an end beyond all time":           {"exp": 1e300},
		"an end in two years":              {"exp": time.Now().Add(2 * 365 * 24 * time.Hour).Unix()},
		"a beginning that has not come":    {"nbf": time.Now().Add(time.Hour).Unix()},
		"a time of issue in words":         {"iat": "now"},
		"a key that it is bound to":        {"cnf": map[string]any{"jkt": "x"}},
		"the nonce of an id token":         {"nonce": "n", "at_hash": "h"},
		"a client that is a list":          {"cid": []string{f.r.app.ClientID}},
		"scopes that are an object":        {"scp": map[string]any{"orders:read": true}},
		"names that only look the same":    {"exp": nil, "Exp": time.Now().Add(time.Hour).Unix(), "eхp": 1},
		"a name that ends in a null":       {"aud": nil, "aud\x00": "api://default"},
		"the events of a security message": {"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}},
	} {
		all[name] = f.signed(nil, claims)
	}
	return all
}

// TestForgedTokensOpenNothing through API Gateway, and lead nobody anywhere.
func TestForgedTokensOpenNothing(t *testing.T) {
	t.Parallel()
	var called atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		called.Add(1)
		_, _ = io.WriteString(w, `{"keys":[]}`)
	}))
	t.Cleanup(evil.Close)
	f := forger{t, start(t, repositoryFiles())}
	if got := send(t, http.MethodGet, f.r.REST+"/orders", "Authorization", "Bearer "+f.signed(nil, nil)); got.status != http.StatusOK {
		t.Fatalf("what forgeries are made of is no good itself: %d %s", got.status, got.body)
	}
	tokens := f.tokens(evil.URL)
	for name, raw := range tokens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at, want := range map[string]int{f.r.REST: http.StatusUnauthorized, f.r.HTTP: http.StatusForbidden, f.r.Own: http.StatusForbidden} {
				path := map[bool]string{true: "/applications", false: "/orders"}[at == f.r.Own]
				got := send(t, http.MethodGet, at+path, "Authorization", "Bearer "+raw)
				if got.status != want || strings.Contains(got.body, "item") {
					t.Errorf("%s answered %d %s, want %d", place(at), got.status, got.body, want)
				}
			}
		})
	}
	t.Cleanup(func() {
		if called.Load() != 0 {
			t.Error("an address that a token names was called")
		}
	})
	t.Cleanup(func() {
		// Each is refused for what is wrong with it.
		for _, reason := range []string{
			"malformed", "algorithm", "bad_signature", "forbidden_header", "unknown_key", "wrong_issuer", "wrong_audience", "expired", "not_yet_valid",
			"bad_claims", "lifetime", "not_an_access_token", "sender_constrained", "token_syntax",
		} {
			if !strings.Contains(f.r.log.String(), `"reason":"`+reason+`"`) {
				t.Errorf("none was refused as %s", reason)
			}
		}
	})
	tooltest.Count(t, "attacks refused by the whole system: forged tokens, by three APIs each", int64(len(tokens)))
}
