package token_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"gatehouse/shared/token"
)

// wantReasons judges tokens that differ from the good one in their header.
func wantReasons(t *testing.T, headers map[string]error) {
	t.Helper()
	s := ecSigner(t, "ES256")
	i := issuer(t, s)
	for header, want := range headers {
		if _, err := judge(t, i, s.sign(t, header, goodClaims)); !errors.Is(err, want) {
			t.Errorf("%.200s: got %v; want %v", header, err, want)
		}
	}
}

func TestJ6_nestedJWT(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "ES256")
	wantReasons(t, map[string]error{
		extra(goodHeader, `"cty":"JWT"`):             token.ErrHeader,
		extra(goodHeader, `"cty":"application/jwt"`): token.ErrHeader,
		extra(goodHeader, `"cty":"at+jwt"`):          token.ErrHeader,
	})
	for _, header := range []string{goodHeader, extra(goodHeader, `"cty":"JWT"`)} {
		for _, payload := range []string{good(t), `"` + good(t) + `"`} {
			if _, err := token.Parse(s.sign(t, header, payload)); token.Reason(err) == "" {
				t.Errorf("a JWT in a JWT: got %v; want a refusal", err)
			}
		}
	}
}

// encrypt makes a JWE of the claims, for the issuer's own public key.
func encrypt(tb testing.TB, header string, public *rsa.PublicKey) string {
	tb.Helper()
	key, iv := make([]byte, 32), make([]byte, 12)
	if _, err := rand.Read(key); err != nil {
		tb.Fatal(err)
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, key, nil)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		tb.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		tb.Fatal(err)
	}
	sealed := string(gcm.Seal(nil, iv, []byte(goodClaims), []byte(b64(header))))
	tag := len(sealed) - gcm.Overhead()
	return strings.Join([]string{b64(header), b64(string(wrapped)), b64(string(iv)), b64(sealed[:tag]), b64(sealed[tag:])}, ".")
}

func TestJ7_encryptedIsNotAuthenticated(t *testing.T) {
	t.Parallel()
	rs := rsaSigner(t, "RS256")
	public, ok := rs.key.Public().(*rsa.PublicKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	raw := encrypt(t, `{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa-1","typ":"at+jwt"}`, public)
	if !token.LooksLikeJWT(raw) {
		t.Error("a JWE is taken for an opaque token")
	}
	if _, err := judge(t, issuer(t, rs), raw); !errors.Is(err, token.ErrMalformed) {
		t.Errorf("got %v; want %v", err, token.ErrMalformed)
	}
	wantReasons(t, map[string]error{extra(goodHeader, `"enc":"A256GCM"`): token.ErrHeader})
}

func TestJ10_compressionAndIterations(t *testing.T) {
	t.Parallel()
	wantReasons(t, map[string]error{
		extra(goodHeader, `"zip":"DEF"`):                                              token.ErrHeader,
		extra(goodHeader, `"zip":null`):                                               token.ErrHeader,
		extra(goodHeader, `"zip":"none"`):                                             token.ErrHeader,
		extra(goodHeader, `"zip":""`):                                                 token.ErrHeader,
		extra(goodHeader, `"zip":["NONE"]`):                                           token.ErrHeader,
		extra(goodHeader, `"zip":{"NONE":1}`):                                         token.ErrHeader,
		extra(goodHeader, `"zip":"NONE","zip":"NONE"`):                                token.ErrMalformed,
		extra(goodHeader, `"zip":"NONE","enc":"A256GCM"`):                             token.ErrHeader,
		edit(t, goodHeader, "ES256", "PBES2-HS256+A128KW"):                            token.ErrAlgorithm,
		extra(edit(t, goodHeader, "ES256", "PBES2-HS256+A128KW"), `"p2c":2147483647`): token.ErrAlgorithm,
	})
	for _, header := range []string{
		`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`,
		`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"p2s":"AA"}`,
	} {
		if _, err := token.Parse(b64(header) + ".AA.AA.AA.AA"); !errors.Is(err, token.ErrMalformed) {
			t.Errorf("%s: got %v; want %v", header, err, token.ErrMalformed)
		}
	}
}

// OpenAM writes "zip":"NONE" into every token.
func TestJ10_nothingIsCompressed(t *testing.T) {
	t.Parallel()
	wantReasons(t, map[string]error{extra(goodHeader, `"zip":"NONE"`): nil})
}

func TestJ11_onlyUTF8(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "ES256")
	utf32 := func(text string) string {
		var b strings.Builder
		for _, r := range text {
			b.WriteString("\x00\x00")
			b.WriteByte(byte(r >> 8))
			b.WriteByte(byte(r))
		}
		return b.String()
	}
	littleEndian := func(text string) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune(text)) {
			b.WriteByte(byte(u))
			b.WriteByte(byte(u >> 8))
		}
		return b.String()
	}
	for name, encode := range map[string]func(string) string{
		"UTF-8 with byte order mark": prefix("\ufeff"),
		"UTF-16":                     inUTF16,
		"UTF-16 little-endian":       littleEndian,
		"UTF-16 with byte order mark": func(text string) string {
			return "\xfe\xff" + inUTF16(text)
		},
		"UTF-32":              utf32,
		"Latin-1 byte":        func(text string) string { return extra(text, "\"x\":\"\xe9\"") },
		"overlong NUL":        func(text string) string { return extra(text, "\"x\":\"\xc0\x80\"") },
		"surrogate in UTF-8":  func(text string) string { return extra(text, "\"x\":\"\xed\xa0\x80\"") },
		"beyond Unicode":      func(text string) string { return extra(text, "\"x\":\"\xf4\x90\x80\x80\"") },
		"invalid member name": func(text string) string { return extra(text, "\"\xff\":1") },
	} {
		for part, raw := range map[string]string{
			"header": s.sign(t, encode(goodHeader), goodClaims),
			"claims": s.sign(t, goodHeader, encode(goodClaims)),
		} {
			if _, err := token.Parse(raw); !errors.Is(err, token.ErrMalformed) {
				t.Errorf("%s, %s: got %v; want %v", name, part, err, token.ErrMalformed)
			}
		}
	}
}

func TestJ15_kidIsOnlyCompared(t *testing.T) {
	t.Parallel()
	kid := func(text string) string { return fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%s}`, text) }
	wantReasons(t, map[string]error{
		kid(`"ec-1"`):                                nil,
		kid(`"\u0065c-1"`):                           nil, // the same text
		kid(`"EC-1"`):                                token.ErrUnknownKey,
		kid(`"ec-1 "`):                               token.ErrUnknownKey,
		kid(`"../../../../dev/null"`):                token.ErrUnknownKey,
		kid(`"file:///etc/passwd"`):                  token.ErrUnknownKey,
		kid(`"x' OR '1'='1"`):                        token.ErrUnknownKey,
		kid(`"ec-1|whoami"`):                         token.ErrUnknownKey,
		kid(`"http://169.254.169.254"`):              token.ErrUnknownKey,
		kid(`"еc-1"`):                                token.ErrUnknownKey, // Cyrillic е
		kid(`"\r\nlevel=ERROR"`):                     token.ErrUnknownKey,
		kid(`"ec-1\u0000"`):                          token.ErrMalformed,
		kid(`""`):                                    token.ErrMalformed,
		kid(`1`):                                     token.ErrMalformed,
		kid(`null`):                                  token.ErrMalformed,
		kid(`true`):                                  token.ErrMalformed,
		kid(`{"kid":"ec-1"}`):                        token.ErrMalformed,
		kid(`["ec-1"]`):                              token.ErrMalformed,
		kid(`"` + strings.Repeat("k", 512) + `"`):    token.ErrUnknownKey,
		kid(`"` + strings.Repeat("k", 513) + `"`):    token.ErrMalformed,
		kid(`"` + strings.Repeat("k", 10<<10) + `"`): token.ErrMalformed,
	})
}

// A token that brings its own key, or says where to get it, is refused with no
// connection made.
func TestJ16_keysInTheToken(t *testing.T) {
	t.Parallel()
	var dialled atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { dialled.Add(1) }))
	defer trap.Close()
	attacker := strangeEC(t)
	for _, member := range []string{
		`"jwk":` + attacker.jwk(t),
		`"jku":"` + trap.URL + `/jwks"`,
		`"x5u":"` + trap.URL + `/cert.pem"`,
		`"x5c":["AAAA"]`,
	} {
		p := newProvider(t, jwksOf(t, ecSigner(t, "ES256")))
		i := issuer(t, attacker)
		i.Keys = p.keys(t, newClock())
		for _, header := range []string{goodHeader, `{"alg":"ES256","typ":"at+jwt"}`, edit(t, goodHeader, "ec-1", trap.URL)} {
			if _, err := judge(t, i, attacker.sign(t, extra(header, member), goodClaims)); !errors.Is(err, token.ErrHeader) {
				t.Errorf("%.60s: got %v; want %v", member, err, token.ErrHeader)
			}
		}
		wantFetches(t, p, 0)
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("%d connections were made to an address in the token", n)
	}
}

func TestJ17_types(t *testing.T) {
	t.Parallel()
	typ := func(text string) string { return fmt.Sprintf(`{"alg":"ES256","kid":"ec-1","typ":%q}`, text) }
	headers := map[string]error{}
	for _, ok := range []string{"at+jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/AT+JWT"} {
		headers[typ(ok)] = nil
	}
	for _, bad := range []string{
		"", "JWT", "jwt", "application/jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "id_token+jwt",
		"client-authentication+jwt", "oauth-authz-req+jwt", "token-introspection+jwt", "at+jwt ", " at+jwt",
		"application/application/at+jwt", "text/at+jwt", "application/at+jwt;v=1", "at+jwt,JWT",
	} {
		headers[typ(bad)] = token.ErrType
	}
	headers[`{"alg":"ES256","kid":"ec-1"}`] = token.ErrType
	headers[`{"alg":"ES256","kid":"ec-1","typ":1}`] = token.ErrMalformed
	wantReasons(t, headers)

	// An issuer that writes JWT or nothing still writes no other type.
	s := ecSigner(t, "ES256")
	i := issuer(t, s)
	i.TokenTypes = []string{"", "JWT"}
	for text, want := range map[string]error{
		"JWT": nil, "jwt": nil, "": nil, "application/jwt": nil,
		"at+jwt": token.ErrType, "logout+jwt": token.ErrType, "dpop+jwt": token.ErrType, "secevent+jwt": token.ErrType,
	} {
		if _, err := judge(t, i, s.sign(t, typ(text), goodClaims)); !errors.Is(err, want) {
			t.Errorf("relaxed, typ %q: got %v; want %v", text, err, want)
		}
	}
}

func TestJ18_onlyTheCompactForm(t *testing.T) {
	t.Parallel()
	raw := good(t)
	for c := range 256 {
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", byte(c)) >= 0 {
			continue
		}
		for _, at := range []int{0, 10, strings.IndexByte(raw, '.') + 5, len(raw) - 5, len(raw)} {
			odd := raw[:at] + string([]byte{byte(c)}) + raw[at:]
			if _, err := token.Parse(odd); !errors.Is(err, token.ErrMalformed) {
				t.Errorf("byte %#x at %d: got %v; want %v", c, at, err, token.ErrMalformed)
			}
		}
	}
	general := `{"payload":"` + strings.Split(raw, ".")[1] + `","signatures":[]}`
	for _, odd := range []string{"", ".", "..", "...", "a.b.c", jsonSerialization(raw), general, "Bearer " + raw, raw + "," + raw, raw + "." + raw} {
		if _, err := token.Parse(odd); !errors.Is(err, token.ErrMalformed) {
			t.Errorf("%.40q: got %v; want %v", odd, err, token.ErrMalformed)
		}
	}
}

// CVE-2025-27144, CVE-2025-30204: what dots cost does not grow with them.
func TestDotsCostNothing(t *testing.T) {
	for _, n := range []int{4, 1000, token.MaxLength, 1 << 20} {
		dots := "ey" + strings.Repeat(".", n)
		if allocs := testing.AllocsPerRun(100, func() { _, _ = token.Parse(dots) }); allocs > 1 {
			t.Errorf("%d dots: %v allocations; want at most the result", n, allocs)
		}
	}
}

func TestS1_crit(t *testing.T) {
	t.Parallel()
	headers := map[string]error{}
	for _, crit := range []string{`["x"]`, `[]`, `["exp"]`, `["alg"]`, `["b64"]`, `null`, `"x"`, `{}`, `1`} {
		headers[extra(goodHeader, `"crit":`+crit)] = token.ErrHeader
		headers[`{"crit":`+crit+`,"x":1,`+goodHeader[1:]] = token.ErrHeader
	}
	wantReasons(t, headers)
}

func TestS2_membersThatOccurTwice(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "ES256")
	headers := map[string]error{}
	for _, member := range []string{
		`"alg":"ES256"`, `"alg":"none"`, `"kid":"ec-1"`, `"typ":"at+jwt"`, `"ALG":"none"`, `"Kid":"x"`,
		`"\u0061lg":"none"`, `"\u212Aid":"x"`, // K, the Kelvin sign
	} {
		headers[extra(goodHeader, member)] = token.ErrMalformed
	}
	headers[extra(goodHeader, `"x":1,"x":1`)] = token.ErrMalformed
	wantReasons(t, headers)
	for _, name := range []string{"iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti"} {
		for _, again := range []string{name, strings.ToUpper(name), `\u00` + fmt.Sprintf("%x", name[0]) + name[1:]} {
			claims := extra(goodClaims, `"`+again+`":1`)
			if _, err := token.Parse(s.sign(t, goodHeader, claims)); !errors.Is(err, token.ErrMalformed) {
				t.Errorf("%s beside %s: got %v; want %v", again, name, err, token.ErrMalformed)
			}
		}
	}
}

func TestS3_b64(t *testing.T) {
	t.Parallel()
	wantReasons(t, map[string]error{
		extra(goodHeader, `"b64":false`):                token.ErrHeader,
		extra(goodHeader, `"b64":true`):                 token.ErrHeader,
		extra(goodHeader, `"b64":false,"crit":["b64"]`): token.ErrHeader,
		extra(goodHeader, `"crit":["b64"],"b64":false`): token.ErrHeader,
	})
	// The payload as it stands (RFC 7797 §5.2).
	s := ecSigner(t, "ES256")
	input := b64(extra(goodHeader, `"b64":false,"crit":["b64"]`)) + ".claims"
	if _, err := token.Parse(input + "." + b64(s.signature(t, input, 0))); !errors.Is(err, token.ErrHeader) {
		t.Errorf("unencoded payload: got %v; want %v", err, token.ErrHeader)
	}
}

func TestLooksLikeJWT(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		good(t): true, "eyJ.x.y": true, "ey..": true, "ey....": true,
		"": false, "opaque": false, "a.b.c": false, "eyJhbGciOiJub25lIn0.e30": false, `{"a":1}`: false,
	} {
		if got := token.LooksLikeJWT(raw); got != want {
			t.Errorf("%.20q: got %t; want %t", raw, got, want)
		}
	}
}
