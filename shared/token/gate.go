package token

import (
	"encoding/base64"
	"strings"

	"gatehouse/shared/strictjson"
)

// Limits of what the gate reads.
const (
	maxLength = 8 << 10 // bytes of a token
	maxKeyID  = 512     // bytes of a kid
)

// Unverified is a JWT that passed the gate and nothing else. It tells which
// issuer to ask; no other claim of it may be used.
type Unverified struct {
	header       header
	claims       claimSet
	payload      []byte // JSON
	signingInput string
	signature    []byte
	decoder      *strictjson.Decoder // to use again
}

// Issuer returns the iss claim, which anyone could have written.
func (u *Unverified) Issuer() string { return u.claims.issuer }

// header holds the members of the JOSE header that the gate lets matter.
type header struct {
	algorithm string
	keyID     string
	hasKeyID  bool
	typ       string
}

// LooksLikeJWT reports whether raw is meant as a JOSE object in compact form,
// well-formed or not: it starts like the base64url of a JSON object and has the
// dots. Everything else is an opaque token.
func LooksLikeJWT(raw string) bool {
	return strings.HasPrefix(raw, "ey") && strings.Count(raw, ".") >= 2
}

// Parse takes a JWT apart and applies every rule that needs neither keys nor
// the time. The claims are read as iss's provider names them once that is
// known; see [Issuer.Verify].
//
// Accepted is one way to write a token: three parts of canonical, unpadded
// base64url (RFC 7515 §2, RFC 4648 §3.5), header and claims each one strict
// JSON object, no crit, b64 or enc, no zip but "NONE", no key and no URL of a
// key, no nested JWT.
func Parse(raw string) (*Unverified, error) {
	d := strictjson.NewDecoder(nil, strictjson.Token)
	u, err := split(raw, d)
	if err != nil {
		return nil, err
	}
	u.decoder = d
	if err := u.claims.parse(d, u.payload); err != nil {
		return nil, err
	}
	return u, nil
}

// split checks the compact serialization and, with d, the header.
func split(raw string, d *strictjson.Decoder) (*Unverified, error) {
	if len(raw) > maxLength {
		return nil, ErrMalformed
	}
	// Dots are counted before anything is allocated (CVE-2025-27144).
	first := strings.IndexByte(raw, '.')
	last := first + 1 + strings.IndexByte(raw[first+1:], '.')
	if first < 0 || last <= first || strings.IndexByte(raw[last+1:], '.') >= 0 {
		return nil, ErrMalformed
	}
	// The claims are kept for as long as the token is remembered; header and
	// signature are not.
	room := make([]byte, 0, canonical.DecodedLen(first)+canonical.DecodedLen(len(raw)-last))
	head, err := decode(room, raw[:first])
	if err != nil {
		return nil, err
	}
	u := &Unverified{signingInput: raw[:last]}
	if u.header, err = parseHeader(d, head); err != nil {
		return nil, err
	}
	if u.payload, err = decode(nil, raw[first+1:last]); err != nil {
		return nil, err
	}
	if u.signature, err = decode(head[len(head):], raw[last+1:]); err != nil {
		return nil, err
	}
	return u, nil
}

// canonical refuses padding and non-zero trailing bits, but skips line breaks:
// decode refuses those itself.
var canonical = base64.RawURLEncoding.Strict()

// decode decodes a part into dst's capacity if that suffices.
func decode(dst []byte, part string) ([]byte, error) {
	if part == "" || strings.IndexByte(part, '\n') >= 0 || strings.IndexByte(part, '\r') >= 0 {
		return nil, ErrMalformed
	}
	b, err := canonical.AppendDecode(dst[:0], []byte(part))
	if err != nil {
		return nil, ErrMalformed
	}
	return b, nil
}

func parseHeader(d *strictjson.Decoder, text []byte) (header, error) {
	var h header
	d.Reset(text)
	err := d.Object(func(name []byte) error {
		switch string(name) {
		case "alg":
			return readString(d, &h.algorithm)
		case "kid":
			h.hasKeyID = true
			return readString(d, &h.keyID)
		case "typ":
			return readString(d, &h.typ)
		case "zip": // RFC 7516: a JWE's
			return notCompressed(d)
		case "crit", // RFC 7515 §4.1.11: we understand no extension
			"b64",                      // RFC 7797 §7: not in a JWT
			"enc",                      // RFC 7516: a JWE's
			"jwk", "jku", "x5c", "x5u", // RFC 8725 §3.10: keys come from the issuer only
			"cty": // RFC 7519 §5.2: a nested JWT
			return ErrHeader
		default:
			return d.Skip()
		}
	})
	if err == nil {
		err = d.End()
	}
	switch {
	case err != nil && Reason(err) != "":
		return header{}, err
	case err != nil, len(h.keyID) > maxKeyID, h.algorithm == "", h.hasKeyID && h.keyID == "":
		return header{}, ErrMalformed
	}
	return h, nil
}

// notCompressed refuses every zip but the one that OpenAM writes into each token,
// signed or encrypted: the text NONE, by which nothing is compressed.
func notCompressed(d *strictjson.Decoder) error {
	var zip string
	if d.Kind() != strictjson.String {
		return ErrHeader
	}
	if err := readString(d, &zip); err != nil {
		return err
	}
	if zip != "NONE" {
		return ErrHeader
	}
	return nil
}

func readString(d *strictjson.Decoder, into *string) error {
	b, err := d.String()
	*into = string(b)
	return err
}
