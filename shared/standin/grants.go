package standin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	codeLifetime    = 300 * time.Second
	refreshLifetime = 7 * 24 * time.Hour
	// codeMemory is how long a redeemed code is remembered, so that a replay is
	// recognised as one as long as a token of it may live.
	codeMemory = 24 * time.Hour
)

// grant is what a user, or a client for itself, has allowed.
type grant struct {
	as       *authServer
	client   Client
	user     *User // nil for client credentials
	scopes   []string
	authTime time.Time
	nonce    string

	dead   bool     // a code or a refresh token of it was replayed, or it was revoked; guarded by grants.mu
	issued []issued // access tokens; guarded by grants.mu
}

type issued struct {
	jti     string
	expires time.Time
}

// code is an authorization code.
type code struct {
	grant     *grant
	redirect  string
	challenge string // S256; empty when none was sent
	expires   time.Time
	used      bool
}

// refreshToken is one link in the chain of a grant's refresh tokens.
type refreshToken struct {
	grant   *grant
	expires time.Time
	used    time.Time // when it was exchanged for the next; zero: not yet
}

// opaque is an access token that is only a name for its claims.
type opaque struct {
	claims  []byte // JSON
	expires time.Time
}

// grants is everything that has been issued and can still be used.
type grants struct {
	mu        sync.Mutex // guards the fields below and what they point to
	codes     map[string]*code
	refreshes map[string]*refreshToken
	opaques   map[string]opaque
	revoked   map[string]time.Time // keyed by jti; when the token has expired anyway
	sweepAt   int                  // how many entries there may be before the expired ones go
}

// addCode keeps c and returns its name.
func (g *grants) addCode(c *code, now time.Time) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	name := random()
	g.codes[name] = c
	return name
}

// redemption is what a client sends to redeem an authorization code.
type redemption struct {
	code, redirect, verifier string
	client                   string // authenticated client ID
	as                       *authServer
}

// redeem returns the grant of a code. The first attempt of the right client
// uses the code up, whatever comes of it; a later one kills the grant.
func (g *grants) redeem(r redemption, now time.Time) (*grant, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.codes[r.code]
	if !ok || c.grant.as != r.as {
		return nil, refusal{reason: badCode}
	}
	if c.grant.client.ID != r.client {
		return nil, refusal{reason: foreignCode}
	}
	if c.used {
		g.kill(c.grant)
		return nil, refusal{reason: badCode}
	}
	c.used = true
	if !now.Before(c.expires) {
		return nil, refusal{reason: badCode}
	}
	if c.redirect != r.redirect {
		return nil, refusal{reason: otherRedirect}
	}
	if err := checkVerifier(c.challenge, r.verifier); err != nil {
		return nil, err
	}
	return c.grant, nil
}

// checkVerifier compares a PKCE verifier with the challenge of the
// authorization request (RFC 7636 section 4.6).
func checkVerifier(challenge, verifier string) error {
	switch {
	case challenge == "" && verifier == "":
		return nil
	case challenge == "":
		// RFC 9700 section 4.8.2: someone removed the challenge on the way.
		return refusal{reason: strayVerifier}
	case verifier == "":
		return refusal{reason: noVerifier}
	}
	sum := sha256.Sum256([]byte(verifier))
	if !unreserved(verifier, 43, 128) || !equal(encode(sum[:]), challenge) {
		return refusal{reason: mismatchVerifier}
	}
	return nil
}

// unreserved reports whether s has between shortest and longest characters, all
// of them unreserved (RFC 7636 section 4.1).
func unreserved(s string, shortest, longest int) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return len(s) >= shortest && len(s) <= longest && strings.Trim(s, alphabet) == ""
}

// equal compares two strings in a time that does not depend on them.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// addRefresh keeps a new refresh token of gr and returns it.
func (g *grants) addRefresh(gr *grant, now time.Time) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	name := random()
	g.refreshes[name] = &refreshToken{grant: gr, expires: now.Add(refreshLifetime)}
	return name
}

// spend returns the grant of a refresh token and the scopes asked for out of
// it, all of them when none are named, and uses the token up. Within the
// client's leeway it may be spent again, since the answer may have been lost;
// after that the whole grant dies (RFC 9700 section 4.14.2).
func (g *grants) spend(token string, asked []string, c Client, as *authServer, now time.Time) (*grant, []string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.refreshes[token]
	if !ok || t.grant.dead || t.grant.client.ID != c.ID || t.grant.as != as || !now.Before(t.expires) {
		return nil, nil, refusal{reason: badRefreshToken}
	}
	if !t.used.IsZero() && now.Sub(t.used) > c.leeway() {
		g.kill(t.grant)
		return nil, nil, refusal{reason: badRefreshToken}
	}
	for _, name := range asked {
		if !slices.Contains(t.grant.scopes, name) {
			return nil, nil, refusal{reason: refreshScopeDenied, detail: name}
		}
	}
	if t.used.IsZero() {
		t.used = now
	}
	if len(asked) == 0 {
		asked = t.grant.scopes
	}
	return t.grant, asked, nil
}

// record notes that gr has the access token jti. It fails when gr died since
// it was redeemed, as it does when a code is replayed at the same moment.
func (g *grants) record(gr *grant, jti string, expires, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gr.dead {
		return refusal{reason: badCode}
	}
	gr.issued = slices.DeleteFunc(gr.issued, func(i issued) bool { return i.expires.Before(now) })
	gr.issued = append(gr.issued, issued{jti: jti, expires: expires})
	return nil
}

// addOpaque keeps claims and returns the token that stands for them.
func (g *grants) addOpaque(claims []byte, expires, now time.Time) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	name := random()
	g.opaques[name] = opaque{claims: claims, expires: expires}
	return name
}

// claims returns the claims behind an opaque token.
func (g *grants) claims(token string) ([]byte, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o, ok := g.opaques[token]
	return o.claims, ok
}

// refresh returns a copy of a refresh token that can still be spent at as.
func (g *grants) refresh(token string, as *authServer, now time.Time) (refreshToken, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.refreshes[token]
	if !ok || t.grant.dead || t.grant.as != as || !t.used.IsZero() || !now.Before(t.expires) {
		return refreshToken{}, false
	}
	return *t, true
}

// end kills gr.
func (g *grants) end(gr *grant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kill(gr)
}

// kill ends gr and every token of it. The caller holds mu.
func (g *grants) kill(gr *grant) {
	gr.dead = true
	for _, i := range gr.issued {
		g.revoked[i.jti] = i.expires
	}
	gr.issued = nil
}

func (g *grants) revoke(jti string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	g.revoked[jti] = now.Add(100 * 365 * 24 * time.Hour) // a minted token may live that long
}

func (g *grants) isRevoked(jti string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.revoked[jti]
	return ok
}

// sweep forgets what has expired, each time the number of entries has doubled,
// so that a load test does not fill the memory. The caller holds mu.
func (g *grants) sweep(now time.Time) {
	if g.size() < g.sweepAt {
		return
	}
	for name, c := range g.codes {
		if now.After(c.expires.Add(codeMemory)) {
			delete(g.codes, name)
		}
	}
	for name, t := range g.refreshes {
		if now.After(t.expires) {
			delete(g.refreshes, name)
		}
	}
	for name, o := range g.opaques {
		if now.After(o.expires) {
			delete(g.opaques, name)
		}
	}
	for jti, expires := range g.revoked {
		if now.After(expires) {
			delete(g.revoked, jti)
		}
	}
	g.sweepAt = max(1024, 2*g.size())
}

func (g *grants) size() int {
	return len(g.codes) + len(g.refreshes) + len(g.opaques) + len(g.revoked)
}

// accessToken issues an access token for gr with these scopes.
func (s *Server) accessToken(gr *grant, scopes []string) (string, error) {
	now := s.now()
	narrowed := &grant{as: gr.as, client: gr.client, user: gr.user, scopes: scopes, authTime: gr.authTime}
	claims := s.vendor.accessClaims(narrowed, now)
	jti := s.vendor.randomID()
	claims["jti"] = jti
	expires := now.Add(gr.as.Lifetime)
	if gr.user != nil {
		if err := s.grants.record(gr, jti, expires, now); err != nil {
			return "", err
		}
	}
	if !gr.as.Opaque {
		return s.keys.sign(claims, gr.as.header)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", refusal{reason: broken}
	}
	return s.grants.addOpaque(body, expires, now), nil
}
