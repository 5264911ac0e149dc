package standin

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// RFC7591 describes a plain OAuth server with dynamic client registration (RFC
// 7591) and its management (RFC 7592). What it refers to must not be changed
// after [NewRFC7591].
type RFC7591 struct {
	URL     string // issuer and base of every endpoint, without a trailing slash
	Scopes  []string
	Clients []Client
	Users   []User
	Keys    []Key            // as in [Okta]
	Now     func() time.Time // nil means time.Now
	Control bool             // as in [Okta]

	// InitialToken is what registering takes as a Bearer token (RFC 7591
	// section 3); empty means that anyone can register.
	InitialToken string
	Quirks       Quirks
}

// Quirks are ways in which registration servers differ from each other and from
// the RFCs. The zero value is oidc-provider without rotation.
type Quirks struct {
	OK                bool // 200 for a registration and for a deletion (Glewlwyd)
	NeedRedirect      bool // redirect_uris even for client_credentials alone (Glewlwyd)
	RefuseClientID    bool // client_id in a registration (go-oidc, Keycloak)
	Forgetful         bool // GET and PUT name no token, no URI, no secret (Hydra)
	Arrays            bool // token_endpoint_auth_method is an array, redirect_uris of one a string (Glewlwyd)
	RotateToken       bool // the registration access token, on every PUT (Hydra, Keycloak)
	RotateTokenOnRead bool // and on GET as well (go-oidc)
	RotateSecret      bool // the secret, on every GET and PUT (go-oidc)
	EmptyErrors       bool // a refusal of the credentials has no body (Glewlwyd)
	StrictJSON        bool // members it does not know are refused (Keycloak)
	Unmanaged         bool // no RFC 7592
}

// NewRFC7591 returns the server c. It reports every mistake in c at once.
func NewRFC7591(c RFC7591) (*Server, error) {
	d := dcr{
		path: "/register", initial: c.InitialToken, quirks: c.Quirks, grants: []string{AuthorizationCode, RefreshToken, ClientCredentials, "implicit"},
	}
	s, as, err := newPlain(plain{}, c, "")
	if err != nil {
		return nil, err
	}
	as.sendsIssuer = true
	s.plainRoutes(as, plainPaths{
		authorize: "/authorize", token: "/token", introspect: "/introspect", revoke: "/revoke", keys: "/jwks", register: d.path,
	})
	s.dcrRoutes(d)
	return s, nil
}

// newPlain returns a server of one authorization server, whose issuer is c.URL
// and path.
func newPlain(vendor personality, c RFC7591, path string) (*Server, *authServer, error) {
	var problem error
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || c.URL != u.Scheme+"://"+u.Host {
		problem = fmt.Errorf("standin: URL %q: want a URL such as http://localhost:8085, without a path", c.URL)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Scopes == nil {
		c.Scopes = []string{"orders:read", "orders:write", "orders:admin"}
	}
	as := &authServer{
		AuthorizationServer: AuthorizationServer{Audience: "api://default", Lifetime: time.Hour, Scopes: c.Scopes},
		issuer:              c.URL + path,
		path:                path,
		lax:                 true,
	}
	s, err := assemble(parts{
		vendor: vendor, base: c.URL, servers: []*authServer{as}, clients: c.Clients, users: c.Users, keys: c.Keys, now: c.Now, problem: problem,
	})
	if err != nil {
		return nil, nil, err
	}
	if c.Control {
		s.controlRoutes()
	}
	return s, as, nil
}

// plainPaths are where the endpoints are, under the URL of the server.
type plainPaths struct {
	authorize, token, introspect, revoke, keys, register string

	edit func(metadata map[string]any) // nil: they are as they should be
}

// plainRoutes puts the endpoints and the metadata that name them in place.
func (s *Server) plainRoutes(as *authServer, p plainPaths) {
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	document := map[string]any{
		"issuer":                                as.issuer,
		"authorization_endpoint":                s.base + p.authorize,
		"token_endpoint":                        s.base + p.token,
		"introspection_endpoint":                s.base + p.introspect,
		"revocation_endpoint":                   s.base + p.revoke,
		"jwks_uri":                              s.base + p.keys,
		"registration_endpoint":                 s.base + p.register,
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{AuthorizationCode, RefreshToken, ClientCredentials},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{Basic, Post, Public},
		"subject_types_supported":               []string{"public"},
		"scopes_supported":                      append(slices.Clone(as.Scopes), "offline_access"),
	}
	if as.sendsIssuer {
		document["authorization_response_iss_parameter_supported"] = true
	}
	if p.edit != nil {
		p.edit(document)
	}
	metadata := s.guard(endpoint{Metadata, get, func(w http.ResponseWriter, r *http.Request, _ *authServer) {
		s.metadata(w, r, document)
	}})
	s.mux.Handle(as.path+"/.well-known/openid-configuration", metadata)
	s.mux.Handle("/.well-known/oauth-authorization-server"+as.path, metadata)
	login := http.NewCrossOriginProtection()
	both := []string{http.MethodGet, http.MethodPost}
	s.mux.Handle(p.authorize, login.Handler(s.guard(endpoint{Authorize, both, s.authorize})))
	s.mux.Handle(p.token, s.guard(endpoint{Token, post, s.token}))
	s.mux.Handle(p.introspect, s.guard(endpoint{Introspect, post, s.introspect}))
	s.mux.Handle(p.revoke, s.guard(endpoint{Revoke, post, s.revokeToken}))
	s.mux.Handle(p.keys, s.guard(endpoint{Keys, get, s.publishKeys}))
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.vendor.refuse(w, refusal{reason: notFound})
	})
}

// plain is a server that does what the RFCs say. What it has in common with
// Okta it takes from there.
type plain struct{ okta }

// words returns an OAuth error, whatever the reason.
func (p plain) words(err error) wording {
	r := asRefusal(err)
	if r.reason == noClient || r.reason == badManagement {
		return wording{status: http.StatusUnauthorized, code: "invalid_token", text: "The token is not valid."}
	}
	e := p.okta.words(err)
	if e.envelope {
		e.envelope = false
		e.code, e.text = "invalid_request", http.StatusText(e.status)
		if e.status >= http.StatusInternalServerError {
			e.code = "server_error"
		}
	}
	return e
}

// refuse answers w with the words for err.
func (p plain) refuse(w http.ResponseWriter, err error) { answerOAuth(w, p.words(err)) }

// fail answers w with an error of this status.
func (plain) fail(w http.ResponseWriter, status int) {
	answerOAuth(w, wording{status: status, code: "server_error", text: http.StatusText(status)})
}

func answerOAuth(w http.ResponseWriter, e wording) {
	noStore(w)
	if e.status == http.StatusUnauthorized {
		scheme := "Basic"
		if e.code == "invalid_token" {
			scheme = `Bearer error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", scheme)
	}
	if e.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "60")
	}
	writeJSON(w, e.status, map[string]string{"error": e.code, "error_description": e.text})
}

// accessClaims returns the claims of RFC 9068.
func (p plain) accessClaims(g *grant, now time.Time) map[string]any {
	claims := p.okta.accessClaims(g, now)
	for _, name := range []string{"ver", "cid", "scp"} {
		delete(claims, name)
	}
	claims["client_id"] = g.client.ID
	claims["scope"] = strings.Join(g.scopes, " ")
	return claims
}

func (plain) clientOf(claims map[string]any) string {
	if id, ok := claims["client_id"].(string); ok {
		return id
	}
	aud, _ := claims["aud"].(string)
	return aud
}

func (plain) introspection(claims map[string]any) map[string]any {
	answer := maps.Clone(claims)
	answer["active"] = true
	answer["token_type"] = "Bearer"
	return answer
}

// Keycloak describes a realm. What it refers to must not be changed after
// [NewKeycloak].
type Keycloak struct {
	URL          string // of the server, without a path
	Realm        string // empty means "demo"
	Scopes       []string
	InitialToken string // what registering takes; empty means that nobody can, as behind an empty Trusted Hosts policy
	Clients      []Client
	Users        []User
	Keys         []Key
	Now          func() time.Time // nil means time.Now
	Control      bool
}

// NewKeycloak returns the realm c. It reports every mistake in c at once.
func NewKeycloak(c Keycloak) (*Server, error) {
	if c.Realm == "" {
		c.Realm = "demo"
	}
	var problem error
	if !alphanumeric(c.Realm) {
		problem = fmt.Errorf("standin: realm %q: want letters and digits", c.Realm)
	}
	path := "/realms/" + c.Realm
	s, as, err := newPlain(keycloak{}, RFC7591{
		URL: c.URL, Scopes: c.Scopes, Clients: c.Clients, Users: c.Users, Keys: c.Keys, Now: c.Now, Control: c.Control,
	}, path)
	if err := errors.Join(problem, err); err != nil {
		return nil, err
	}
	as.sendsIssuer, as.refreshes = true, true
	connect := path + "/protocol/openid-connect"
	d := dcr{
		path: path + "/clients-registrations/openid-connect", initial: c.InitialToken, closed: c.InitialToken == "", knownScopes: as.Scopes,
		quirks: Quirks{RefuseClientID: true, RotateToken: true, StrictJSON: true},
		grants: []string{AuthorizationCode, RefreshToken, ClientCredentials, "implicit", "password"},
	}
	s.plainRoutes(as, plainPaths{
		authorize: connect + "/auth", token: connect + "/token", introspect: connect + "/token/introspect", revoke: connect + "/revoke",
		keys: connect + "/certs", register: d.path,
	})
	s.dcrRoutes(d)
	return s, nil
}

// keycloak is what Keycloak does differently from a plain server.
type keycloak struct{ plain }

func (k keycloak) words(err error) wording {
	switch r := asRefusal(err); r.reason {
	case noClient:
		return wording{status: http.StatusNotFound, code: "invalid_request", text: "Client not found"}
	case wrongSecret:
		return wording{status: http.StatusUnauthorized, code: "unauthorized_client", text: "Invalid client or Invalid client credentials"}
	default:
		return k.plain.words(err)
	}
}

func (k keycloak) refuse(w http.ResponseWriter, err error) { answerOAuth(w, k.words(err)) }

// accessClaims has the client in azp as well.
func (k keycloak) accessClaims(g *grant, now time.Time) map[string]any {
	claims := k.plain.accessClaims(g, now)
	claims["azp"] = g.client.ID
	claims["typ"] = "Bearer"
	return claims
}
