package token_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"gatehouse/shared/token"
)

// oddToken is a token with one thing odd about it: everything else, the
// signature included, is right.
type oddToken struct {
	name   string
	header string              // "": the good one
	claims string              // "": the good ones
	mangle func(string) string // changes the finished token; nil: nothing
	want   error
}

// oddTokens are the ways a token can be written, or say two things at once,
// that one library or another lets pass.
func oddTokens(tb testing.TB) []oddToken {
	tb.Helper()
	h := func(old, replacement string) string { return edit(tb, goodHeader, old, replacement) }
	c := func(old, replacement string) string { return edit(tb, goodClaims, old, replacement) }
	return []oddToken{
		{name: "the good token"},
		{name: "exp with a fraction (RFC 7519 §2)", claims: c(`"exp":1800000600`, `"exp":1800000600.5`)},

		// The compact serialization.
		{name: "newline inside the signature", mangle: insertInPart(2, "\n"), want: token.ErrMalformed},
		{name: "newline after the signature", mangle: suffix("\n"), want: token.ErrMalformed},
		{name: "carriage return after the signature", mangle: suffix("\r"), want: token.ErrMalformed},
		{name: "newline inside the payload", mangle: insertInPart(1, "\n"), want: token.ErrMalformed},
		{name: "newline inside the header", mangle: insertInPart(0, "\r\n"), want: token.ErrMalformed},
		{name: "non-zero trailing bits", mangle: trailingBits, want: token.ErrMalformed},
		{name: "padding after the signature", mangle: suffix("=="), want: token.ErrMalformed},
		{name: "padding after the payload", mangle: func(s string) string { return replacePart(s, 1, "=") }, want: token.ErrMalformed},
		{name: "leading space", mangle: prefix(" "), want: token.ErrMalformed},
		{name: "trailing space", mangle: suffix(" "), want: token.ErrMalformed},
		{name: "NUL after the token", mangle: suffix("\x00"), want: token.ErrMalformed},
		{name: "standard base64 alphabet", mangle: standardAlphabet, want: token.ErrMalformed},
		{name: "no signature", mangle: func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] }, want: token.ErrMalformed},
		{name: "two parts", mangle: func(s string) string { return s[:strings.LastIndexByte(s, '.')] }, want: token.ErrMalformed},
		{name: "a fourth part", mangle: suffix(".AAAA"), want: token.ErrMalformed},
		{name: "a final dot", mangle: suffix("."), want: token.ErrMalformed},
		{name: "a megabyte of dots", mangle: suffix(strings.Repeat(".", 1<<20)), want: token.ErrMalformed},
		{name: "longer than 8 KiB", claims: extra(goodClaims, `"x":"`+strings.Repeat("x", token.MaxLength)+`"`), want: token.ErrMalformed},
		{name: "JSON serialization", mangle: jsonSerialization, want: token.ErrMalformed},

		// Members that occur twice, or nearly.
		{name: "exp twice", claims: extra(goodClaims, `"exp":1900000000`), want: token.ErrMalformed},
		{name: "sub twice", claims: extra(goodClaims, `"sub":"admin"`), want: token.ErrMalformed},
		{name: "alg twice", header: `{"alg":"none",` + goodHeader[1:], want: token.ErrMalformed},
		{name: "SUB next to sub", claims: extra(goodClaims, `"SUB":"admin"`), want: token.ErrMalformed},
		{name: "ſub next to sub", claims: extra(goodClaims, `"ſub":"admin"`), want: token.ErrMalformed},
		{name: "escaped s\\u0075b next to sub", claims: extra(goodClaims, `"s\u0075b":"admin"`), want: token.ErrMalformed},
		{name: "sub\\u0000 next to sub", claims: extra(goodClaims, `"sub\u0000":"admin"`), want: token.ErrMalformed},
		{name: "a nested object with a member twice", claims: extra(goodClaims, `"act":{"sub":"a","sub":"b"}`), want: token.ErrMalformed},

		// Claims of the wrong type or without meaning.
		{name: "exp as a string", claims: c(`"exp":1800000600`, `"exp":"1800000600"`), want: token.ErrClaims},
		{name: "exp in milliseconds", claims: c(`"exp":1800000600`, `"exp":1800000600000`), want: token.ErrClaims},
		{name: "nbf 1e300", claims: extra(goodClaims, `"nbf":1e300`), want: token.ErrClaims},
		{name: "a number that some readers take for infinity", claims: extra(goodClaims, `"x":[8E600]`), want: token.ErrMalformed},
		{name: "iat in the future", claims: c(`"iat":1800000000`, `"iat":1800000500`), want: token.ErrNotYetValid},
		{name: "aud with a number beside the right one", claims: c(`"aud":"api://orders"`, `"aud":["api://orders",1]`), want: token.ErrClaims},
		{name: "aud an object", claims: c(`"aud":"api://orders"`, `"aud":{"api://orders":true}`), want: token.ErrClaims},

		// Header members that change what the rest means.
		{name: "unknown crit", header: extra(goodHeader, `"crit":["x"],"x":1`), want: token.ErrHeader},
		{name: "empty crit", header: extra(goodHeader, `"crit":[]`), want: token.ErrHeader},
		{name: "crit that names an absent member", header: extra(goodHeader, `"crit":["exp"]`), want: token.ErrHeader},
		{name: "b64 true", header: extra(goodHeader, `"b64":true`), want: token.ErrHeader},
		{name: "b64 false", header: extra(goodHeader, `"b64":false`), want: token.ErrHeader},
		{name: "b64 false with crit", header: extra(goodHeader, `"b64":false,"crit":["b64"]`), want: token.ErrHeader},
		{name: "zip", header: extra(goodHeader, `"zip":"DEF"`), want: token.ErrHeader},
		{name: "cty JWT", header: extra(goodHeader, `"cty":"JWT"`), want: token.ErrHeader},
		{name: "a nested JWT", claims: good(tb), want: token.ErrMalformed},
		{name: "kid a number", header: h(`"ec-1"`, `1`), want: token.ErrMalformed},
		{name: "kid null", header: h(`"ec-1"`, `null`), want: token.ErrMalformed},
		{name: "kid an object", header: h(`"ec-1"`, `{}`), want: token.ErrMalformed},
		{name: "kid of 600 bytes", header: h(`ec-1`, strings.Repeat("k", 600)), want: token.ErrMalformed},
		{name: "kid of 10 KB", header: h(`ec-1`, strings.Repeat("k", 10_000)), want: token.ErrMalformed},
		{name: "kid a path", header: h(`ec-1`, `../../../dev/null`), want: token.ErrUnknownKey},
		{name: "kid an SQL expression", header: h(`ec-1`, `x' UNION SELECT 'ec-1`), want: token.ErrUnknownKey},
		{name: "typ JWT where at+jwt is wanted", header: h(`at+jwt`, `JWT`), want: token.ErrType},

		// What is not JSON, or not one JSON text in UTF-8.
		{name: "garbage after the claims", claims: goodClaims + "x", want: token.ErrMalformed},
		{name: "a second object after the claims", claims: goodClaims + `{"sub":"admin"}`, want: token.ErrMalformed},
		{name: "a second object after the header", header: goodHeader + `{"alg":"none"}`, want: token.ErrMalformed},
		{name: "claims in an array", claims: "[" + goodClaims + "]", want: token.ErrMalformed},
		{name: "invalid UTF-8 in sub", claims: c(`user-1`, "user-\xff"), want: token.ErrMalformed},
		{name: "a lone surrogate in sub", claims: c(`user-1`, `user-\ud800`), want: token.ErrMalformed},
		{name: "NUL in sub", claims: c(`user-1`, `user-1\u0000`), want: token.ErrMalformed},
		{name: "2,500 nested arrays, which fit", claims: extra(goodClaims, `"x":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500)), want: token.ErrMalformed},
		{name: "9,000 nested arrays", claims: extra(goodClaims, `"x":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)), want: token.ErrMalformed},
		{name: "byte order mark before the claims", claims: "\ufeff" + goodClaims, want: token.ErrMalformed},
		{name: "byte order mark before the header", header: "\ufeff" + goodHeader, want: token.ErrMalformed},
		{name: "claims in UTF-16", claims: inUTF16(goodClaims), want: token.ErrMalformed},
	}
}

func (o oddToken) write(tb testing.TB) string {
	tb.Helper()
	header, claims := o.header, o.claims
	if header == "" {
		header = goodHeader
	}
	if claims == "" {
		claims = goodClaims
	}
	raw := ecSigner(tb, "ES256").sign(tb, header, claims)
	if o.mangle == nil {
		return raw
	}
	// Signatures are random: one in twenty has nothing for standardAlphabet.
	for o.mangle(raw) == raw {
		raw = ecSigner(tb, "ES256").sign(tb, header, claims)
	}
	return o.mangle(raw)
}

func TestMalleability(t *testing.T) {
	t.Parallel()
	i := issuer(t, ecSigner(t, "ES256"))
	for _, odd := range oddTokens(t) {
		t.Run(odd.name, func(t *testing.T) {
			t.Parallel()
			facts, err := judge(t, i, odd.write(t))
			if !errors.Is(err, odd.want) || (err == nil) != (facts != nil) {
				t.Errorf("got %v, %v; want %v", facts, err, odd.want)
			}
		})
	}
}

func prefix(p string) func(string) string { return func(s string) string { return p + s } }
func suffix(p string) func(string) string { return func(s string) string { return s + p } }

// insertInPart puts text into the middle of one of the three parts.
func insertInPart(part int, text string) func(string) string {
	return func(s string) string {
		parts := strings.Split(s, ".")
		middle := len(parts[part]) / 2
		parts[part] = parts[part][:middle] + text + parts[part][middle:]
		return strings.Join(parts, ".")
	}
}

func replacePart(s string, part int, appended string) string {
	parts := strings.Split(s, ".")
	parts[part] += appended
	return strings.Join(parts, ".")
}

// trailingBits sets bits of the last character that decode to nothing: 64
// bytes leave four of them.
func trailingBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last|1])
}

// standardAlphabet writes the signature with + and /.
func standardAlphabet(s string) string {
	dot := strings.LastIndexByte(s, '.')
	return s[:dot] + strings.NewReplacer("-", "+", "_", "/").Replace(s[dot:])
}

func jsonSerialization(s string) string {
	p := strings.Split(s, ".")
	return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`
}

func inUTF16(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u >> 8))
		b.WriteByte(byte(u))
	}
	return b.String()
}
