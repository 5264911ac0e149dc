package token_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/token"
)

// decodedObject decodes text as encoding/json does, which takes more than the
// gate takes.
func decodedObject(tb testing.TB, text []byte) map[string]any {
	tb.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil || m == nil {
		tb.Fatalf("encoding/json does not take %q: %v", text, err)
	}
	return m
}

// There is one way to write a token: what the gate accepts is what encoding
// its parts again gives, and other readers of JSON read the same.
func FuzzParse(f *testing.F) {
	for _, odd := range oddTokens(f) {
		if raw := odd.write(f); len(raw) <= token.MaxLength {
			f.Add(raw)
		}
	}
	for _, alg := range everyAlgorithm() {
		s := signerFor(f, alg)
		f.Add(s.sign(f, s.header(), goodClaims))
	}
	for _, name := range []string{"json_web_signature_test.json", "json_web_encryption_test.json"} {
		for _, g := range readVectors(f, name).TestGroups {
			for _, tc := range g.Tests {
				f.Add(tc.JWS + tc.JWE)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := token.Parse(raw)
		if err != nil {
			if token.Reason(err) == "" {
				t.Fatalf("an error without a reason: %v", err)
			}
			return
		}
		parts := strings.Split(raw, ".")
		again := make([]string, len(parts))
		decoded := make([][]byte, len(parts))
		for n, part := range parts {
			if decoded[n], err = base64.RawURLEncoding.DecodeString(part); err != nil {
				t.Fatalf("part %d: %v", n, err)
			}
			again[n] = base64.RawURLEncoding.EncodeToString(decoded[n])
		}
		if len(parts) != 3 || strings.Join(again, ".") != raw {
			t.Fatalf("not written the one way: %q", raw)
		}
		if alg, ok := decodedObject(t, decoded[0])["alg"].(string); !ok || alg == "" {
			t.Fatalf("accepted without alg: %q", decoded[0])
		}
		if iss, ok := decodedObject(t, decoded[1])["iss"].(string); iss != u.Issuer() || !ok && u.Issuer() != "" {
			t.Fatalf("iss: got %q; encoding/json reads %q", u.Issuer(), iss)
		}
	})
}

// A key set that is taken is JSON and holds no secret.
func FuzzParseKeys(f *testing.F) {
	for _, g := range readVectors(f, "json_web_key_test.json").TestGroups {
		f.Add([]byte(g.Public))
		f.Add([]byte(g.Private))
	}
	ec, rs, ed := ecSigner(f, "ES256"), rsaSigner(f, "RS256"), edSigner(f, "EdDSA")
	f.Add(jwksOf(f, ec, rs, ed))
	f.Add(jwks(ec.jwk(f), `{"kty":"x"}`, extra(rs.jwk(f), `"key_ops":["verify"]`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		ids, err := token.KeyIDs(text, everyAlgorithm())
		if err != nil {
			return
		}
		list, ok := decodedObject(t, text)["keys"].([]any)
		if !ok || len(ids) == 0 || len(ids) > len(list) || len(list) > token.MaxKeys {
			t.Fatalf("%d keys of %q", len(ids), text)
		}
		named := map[string]bool{}
		for _, id := range ids {
			if id != "" && named[id] {
				t.Fatalf("two keys of one name in %q", text)
			}
			named[id] = true
		}
		for _, k := range list {
			if m, ok := k.(map[string]any); ok && m["kty"] == "oct" && m["k"] != nil {
				t.Fatalf("a symmetric key in %q", text)
			}
		}
	})
}

// An answer that is believed says active, and nothing that other readers of
// JSON would read otherwise.
func FuzzParseIntrospection(f *testing.F) {
	for _, tc := range answers(f) {
		f.Add([]byte(tc.answer))
	}
	for _, sh := range shapes() {
		f.Add([]byte(extra(sh.claims, `"active":true`)))
	}
	i := issuer(f, ecSigner(f, "ES256"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		facts, err := i.ParseIntrospection(answer)
		if err != nil {
			if token.Reason(err) == "" || facts != nil {
				t.Fatalf("got %v, %v; want a reason alone", facts, err)
			}
			return
		}
		m := decodedObject(t, answer)
		if m["active"] != true {
			t.Fatalf("believed though not active: %q", answer)
		}
		if iss, ok := m["iss"]; ok && iss != issuerURL {
			t.Fatalf("believed of issuer %v", iss)
		}
		if sub, ok := m["sub"].(string); sub != facts.Subject || !ok && m["sub"] != nil {
			t.Fatalf("sub: got %q; encoding/json reads %v", facts.Subject, m["sub"])
		}
		if m["cnf"] != nil {
			t.Fatalf("believed though bound to a key: %q", answer)
		}
		for name := range facts.Claims() {
			if _, ok := m[name]; !ok {
				t.Fatalf("claim %q is not in %q", name, answer)
			}
		}
	})
}

// A token that is believed, though its issuer may sign anything, says what the
// RFCs ask for to encoding/json, too.
func FuzzVerify(f *testing.F) {
	f.Add(goodHeader, goodClaims)
	for _, sh := range shapes() {
		f.Add(sh.header, sh.claims)
	}
	for _, member := range []string{
		`"cnf":{"jkt":"x"}`, `"nbf":1800000361`, `"nonce":"n"`, `"typ":"ID"`, `"events":{}`, `"sub2":""`, `"scp":["a"]`, `"exp":1e10`, `"Iss":"x"`,
	} {
		f.Add(goodHeader, extra(goodClaims, member))
	}
	for _, member := range []string{`"crit":["exp"]`, `"b64":false`, `"zip":"DEF"`, `"jwk":{}`, `"enc":"A128GCM"`} {
		f.Add(extra(goodHeader, member), goodClaims)
	}
	f.Add(`{"alg":"EdDSA","typ":"application/at+jwt"}`, `{"iss":"https://idp.example/oauth2/default","aud":["x","api://orders"],"exp":1800000240.5}`)
	ec := ecSigner(f, "ES256")
	i := issuer(f, ec)
	f.Fuzz(func(t *testing.T, header, claims string) {
		facts, err := judge(t, i, ec.sign(t, header, claims))
		if err != nil {
			if token.Reason(err) == "" || facts != nil {
				t.Fatalf("got %v, %v; want a reason alone", facts, err)
			}
			return
		}
		h := decodedObject(t, []byte(header))
		typ, _ := h["typ"].(string)
		if kid := h["kid"]; h["alg"] != "ES256" || kid != nil && kid != ec.kid || strings.TrimPrefix(strings.ToLower(typ), "application/") != "at+jwt" {
			t.Fatalf("believed with the header %q", header)
		}
		for _, name := range []string{"crit", "b64", "enc"} {
			if _, ok := h[name]; ok {
				t.Fatalf("believed with %s in the header %q", name, header)
			}
		}
		checkClaims(t, facts, claims)
	})
}

// checkClaims holds the claims of a token that is believed to RFC 7519 and RFC
// 9068.
func checkClaims(t *testing.T, facts *token.Facts, claims string) {
	t.Helper()
	m := decodedObject(t, []byte(claims))
	audience, ok := m["aud"].([]any)
	if !ok {
		audience = []any{m["aud"]}
	}
	if m["iss"] != issuerURL || !slices.Contains(audience, any("api://orders")) || m["cnf"] != nil {
		t.Fatalf("believed: %q", claims)
	}
	const leeway = 60
	exp, ok := m["exp"].(float64)
	if !ok || exp <= nowUnix-leeway {
		t.Fatalf("believed though expired: %q", claims)
	}
	from := float64(nowUnix)
	for _, name := range []string{"iat", "nbf"} {
		at, ok := m[name].(float64)
		if at > nowUnix+leeway+0.01 || !ok && m[name] != nil {
			t.Fatalf("believed before %s: %q", name, claims)
		}
		if ok && name == "iat" {
			from = at
		}
	}
	if exp-from > 24*60*60+leeway+0.01 {
		t.Fatalf("believed for %v seconds: %q", exp-from, claims)
	}
	for name, got := range map[string]string{"sub": facts.Subject, "jti": facts.ID, "client_id": facts.ClientID} {
		if want, ok := m[name].(string); want != got || !ok && m[name] != nil {
			t.Fatalf("%s: got %q of %q", name, got, claims)
		}
	}
	var scopes []string
	switch list := m["scope"].(type) {
	case string:
		scopes = strings.FieldsFunc(list, func(r rune) bool { return r == ' ' })
	case []any:
		for _, s := range list {
			text, _ := s.(string)
			scopes = append(scopes, text)
		}
	default:
	}
	if !slices.Equal(facts.Scopes, scopes) {
		t.Fatalf("got the scopes %q of %q", facts.Scopes, claims)
	}
}
