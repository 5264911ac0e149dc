package token

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/strictjson"
)

// claimSet is one pass over a claims object: what the checks need. Claims
// whose names depend on the provider are looked up afterwards.
type claimSet struct {
	issuer   string
	audience []string
	subject  string
	id       string
	expires  instant
	notYet   instant
	issued   instant
	active   bool // introspection answers only (RFC 7662 §2.2)

	has       marks
	tokenType string // token_type of introspection answers
	all       []member
}

// member is a claim as it stands in the object: its name, decoded, and where the
// text of its value is.
type member struct {
	name       []byte
	start, end int32
}

// marks is a set of claims that matter by being there.
type marks uint16

const (
	hasIssuer marks = 1 << iota
	hasAudience
	hasSubject
	hasActive
	hasNonce
	hasHash      // at_hash, c_hash
	hasCnf       // RFC 7800
	hasEvent     // RFC 8417
	hasBearer    // typ Bearer, as Keycloak marks access tokens
	hasOtherKind // typ, token_use or tokenName of another kind of token
)

// instant is a NumericDate (RFC 7519 §2) in milliseconds.
type instant struct {
	ms  int64
	set bool
}

func (i instant) time() time.Time { return time.UnixMilli(i.ms) }

// parse reads a claims object with d.
func (c *claimSet) parse(d *strictjson.Decoder, text []byte) error {
	d.Reset(text)
	c.all = make([]member, 0, 20) // few tokens have more
	err := d.Object(func(name []byte) error {
		start := d.Offset()
		err := c.read(d, name)
		c.all = append(c.all, member{name, int32(start), int32(d.Offset())}) //nolint:gosec // a token has at most 8 KiB, an answer 64
		return err
	})
	if err == nil {
		err = d.End()
	}
	switch {
	case err == nil, Reason(err) != "":
		return err
	default:
		return ErrMalformed
	}
}

func (c *claimSet) read(d *strictjson.Decoder, name []byte) error {
	switch string(name) {
	case "iss":
		c.has |= hasIssuer
		return c.text(d, &c.issuer)
	case "aud":
		c.has |= hasAudience
		return c.readAudience(d)
	case "sub":
		c.has |= hasSubject
		return c.text(d, &c.subject)
	case "jti":
		return c.text(d, &c.id)
	case "exp":
		return c.date(d, &c.expires)
	case "nbf":
		return c.date(d, &c.notYet)
	case "iat":
		return c.date(d, &c.issued)
	case "active":
		if d.Kind() != strictjson.Bool {
			return ErrClaims
		}
		c.has |= hasActive
		var err error
		c.active, err = d.Bool()
		return err
	case "token_type":
		return c.text(d, &c.tokenType)
	case "typ", "token_use", "tokenName":
		return c.readKind(d)
	case "nonce":
		c.has |= hasNonce
	case "at_hash", "c_hash":
		c.has |= hasHash
	case "cnf":
		c.has |= hasCnf
	case "events":
		c.has |= hasEvent
	}
	return d.Skip()
}

func (*claimSet) text(d *strictjson.Decoder, into *string) error {
	if d.Kind() != strictjson.String {
		return ErrClaims
	}
	return readString(d, into)
}

// readKind reads a claim in which a vendor says what kind of token this is.
func (c *claimSet) readKind(d *strictjson.Decoder) error {
	if d.Kind() != strictjson.String {
		return d.Skip()
	}
	var kind string
	err := readString(d, &kind)
	switch mediaType(kind) {
	case "bearer":
		c.has |= hasBearer
	case "", "at+jwt", "access", "access_token", "jwt":
	default: // Keycloak: ID, Refresh, Offline, Logout; Cognito: id; OpenAM: id_token
		c.has |= hasOtherKind
	}
	return err
}

// readAudience reads aud: a string or an array of strings (RFC 7519 §4.1.3).
func (c *claimSet) readAudience(d *strictjson.Decoder) error {
	switch d.Kind() {
	case strictjson.String:
		var s string
		err := readString(d, &s)
		c.audience = []string{s}
		return err
	case strictjson.Array:
		return d.Array(func() error {
			var s string
			err := c.text(d, &s)
			c.audience = append(c.audience, s)
			return err
		})
	default:
		return ErrClaims
	}
}

// date reads a NumericDate: a number, perhaps with a fraction, of a year
// before 10000.
func (*claimSet) date(d *strictjson.Decoder, into *instant) error {
	if d.Kind() != strictjson.Number {
		return ErrClaims
	}
	text, err := d.Number()
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || seconds < 0 || seconds >= 253402300800 {
		return ErrClaims
	}
	*into = instant{ms: int64(seconds * 1000), set: true}
	return nil
}

// check applies the rules of RFC 7519 §4.1 and RFC 9068 §4 to claims whose
// origin is established.
func (i *Issuer) check(c *claimSet, now time.Time) error {
	switch {
	case c.has&hasCnf != 0:
		// RFC 9449 §7.2, RFC 8705 §3: whoever presents it must prove a key.
		return ErrSenderConstrained
	case c.has&hasSubject != 0 && c.subject == "":
		return ErrClaims
	}
	if err := i.checkAudience(c); err != nil {
		return err
	}
	return i.checkTimes(c, now)
}

func (i *Issuer) checkAudience(c *claimSet) error {
	if i.InsecureAnyAudience {
		return nil
	}
	for _, want := range i.Audiences {
		if want != "" && slices.Contains(c.audience, want) {
			return nil
		}
	}
	return ErrAudience
}

func (i *Issuer) checkTimes(c *claimSet, now time.Time) error {
	ms, leeway := now.UnixMilli(), i.leeway().Milliseconds()
	switch {
	case c.expires.set && ms-leeway >= c.expires.ms:
		return ErrExpired
	case c.notYet.set && ms+leeway < c.notYet.ms:
		return ErrNotYetValid
	case c.issued.set && ms+leeway < c.issued.ms:
		return ErrNotYetValid
	}
	if !c.expires.set {
		return nil
	}
	// Milliseconds written where seconds belong make a token of the year
	// 58865: no issuer's tokens live that long.
	from := ms
	if c.issued.set {
		from = c.issued.ms
	}
	if c.expires.ms-from > i.maxLifetime().Milliseconds()+leeway {
		return ErrLifetime
	}
	return nil
}

// checkKind refuses tokens that are signed by the issuer but are not access
// tokens (RFC 8725 §3.12, RFC 9068 §4). typ is the header's; a token whose
// header says at+jwt has said enough.
func (i *Issuer) checkKind(typ string, c *claimSet, f *Facts) error {
	typ = mediaType(typ)
	if !slices.ContainsFunc(i.tokenTypes(), func(t string) bool { return mediaType(t) == typ }) {
		return ErrType
	}
	if typ == "at+jwt" {
		return nil
	}
	return looksLikeAccessToken(c, f)
}

// looksLikeAccessToken goes by what ID tokens (OpenID Connect Core §2), logout
// tokens and refresh tokens have and access tokens do not.
func looksLikeAccessToken(c *claimSet, f *Facts) error {
	switch {
	case c.has&(hasHash|hasEvent|hasOtherKind) != 0:
		return ErrType
	case c.has&(hasNonce|hasBearer) == hasNonce:
		// Keycloak before 25 wrote nonce into access tokens, and typ Bearer.
		return ErrType
	case len(f.Scopes) == 0 && f.ClientID != "" && slices.Contains(c.audience, f.ClientID):
		return ErrType
	}
	return nil
}

// mediaType normalises a typ as RFC 7515 §4.1.9 says.
func mediaType(typ string) string {
	typ = strings.ToLower(typ)
	if rest, ok := strings.CutPrefix(typ, "application/"); ok && !strings.Contains(rest, "/") {
		return rest
	}
	return typ
}

// facts reads, with d, what the provider's claim names say.
func (i *Issuer) facts(d *strictjson.Decoder, c *claimSet, claims []byte, how reading) (*Facts, error) {
	f := &Facts{
		Provider: i.Provider,
		Issuer:   i.Issuer,
		Subject:  c.subject,
		ID:       c.id,
		Audience: c.audience,
		claims:   claims,
	}
	if c.expires.set {
		f.Expires = c.expires.time()
	}
	var clientIDs, scopes ranked
	var found uint64 // of RequiredClaims, by place
	for _, m := range c.all {
		if n := slices.Index(how.required, string(m.name)); n >= 0 {
			found |= 1 << n
		}
		value := claims[m.start:m.end]
		clientIDs.offer(rank(m.name, i.ClientIDClaims, how.clientID), value)
		scopes.offer(rank(m.name, i.ScopeClaims, how.scope), value)
	}
	if found != 1<<len(how.required)-1 {
		return nil, ErrClaims
	}
	var err error
	if f.ClientID, err = clientIDs.clientID(d); err != nil {
		return nil, err
	}
	if f.Scopes, err = scopes.scopes(d); err != nil {
		return nil, err
	}
	return f, nil
}

// reading is what differs between the claims of a JWT and of an introspection
// answer: names that are read when none of the provider's own are there, and
// claims that must be.
type reading struct {
	clientID, scope string
	required        []string
}

// ranked is the value of the best-ranked claim seen so far.
type ranked struct {
	rank int // 1 is best; 0: none seen
	raw  []byte
}

func (r *ranked) offer(rank int, raw []byte) {
	if rank != 0 && (r.rank == 0 || rank < r.rank) {
		r.rank, r.raw = rank, raw
	}
}

// rank is the place of name in names, counted from 1, with last after them; 0
// when it is none of them.
func rank(name []byte, names []string, last string) int {
	for i, n := range names {
		if n == string(name) {
			return i + 1
		}
	}
	if last != "" && last == string(name) {
		return len(names) + 1
	}
	return 0
}

func (r *ranked) clientID(d *strictjson.Decoder) (string, error) {
	if r.rank == 0 {
		return "", nil
	}
	d.Reset(r.raw)
	s, err := d.String()
	if err != nil || len(s) == 0 {
		return "", ErrClaims
	}
	return string(s), nil
}

// scopes reads a space-delimited string (RFC 9068 §2.2.3) or an array of
// scope-tokens (Okta's scp). An element that is no scope-token is refused: the
// scopes are handed on joined by spaces, and "a b" must not become two.
func (r *ranked) scopes(d *strictjson.Decoder) ([]string, error) {
	if r.rank == 0 {
		return nil, nil
	}
	d.Reset(r.raw)
	var list []string
	if d.Kind() == strictjson.String {
		s, err := d.String()
		if err != nil {
			return nil, ErrClaims
		}
		list = oauth.SplitScope(string(s))
	} else if err := r.readArray(d, &list); err != nil {
		return nil, ErrClaims
	}
	for _, s := range list {
		if !oauth.ValidScope(s) {
			return nil, ErrClaims
		}
	}
	return list, nil
}

// readArray reads an array of strings into one piece of memory.
func (r *ranked) readArray(d *strictjson.Decoder, into *[]string) error {
	var text strings.Builder
	text.Grow(len(r.raw))
	list := make([]string, 0, 1+bytes.Count(r.raw, []byte{','}))
	err := d.Array(func() error {
		s, err := d.String()
		start := text.Len()
		_, _ = text.Write(s) // a Builder always takes it
		list = append(list, text.String()[start:])
		return err
	})
	*into = list
	return err
}
