package standin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Okta describes an organisation at Okta. What it refers to must not be changed
// after [New]. The zero value is an organisation without clients and users at
// http://localhost:8085.
type Okta struct {
	// Org is its base URL without a trailing slash; empty means
	// "http://localhost:8085". It is the issuer of the organisation's own
	// authorization server; a custom one is {Org}/oauth2/{ID}.
	Org string
	// AuthorizationServers are the custom ones; nil means one, "default". The
	// organisation's own, whose tokens are opaque, is always there.
	AuthorizationServers []AuthorizationServer
	Clients              []Client
	Users                []User
	// APIToken is what administrators send as "SSWS …" to register clients and
	// for the rest of the management API; empty means that nobody can.
	APIToken string
	// ShowSecrets makes reading a client show its secret. Okta's documents say
	// both; do not rely on it.
	ShowSecrets bool
	// Keys sign; the last one signs new tokens and all are published. Nil means
	// one that is made when it is first needed.
	Keys []Key
	Now  func() time.Time // nil means time.Now
	// Control serves /_standin/, by which anyone who can reach the server can
	// break it.
	Control bool
}

// New returns the organisation o. It reports every mistake in o at once.
func New(o Okta) (*Server, error) {
	if o.Org == "" {
		o.Org = "http://localhost:8085"
	}
	if o.AuthorizationServers == nil {
		o.AuthorizationServers = []AuthorizationServer{{ID: "default"}}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	servers, err := oktaServers(o)
	if u, parseErr := url.Parse(o.Org); parseErr != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || o.Org != u.Scheme+"://"+u.Host {
		err = errors.Join(fmt.Errorf("standin: Org %q: want a URL such as http://localhost:8085, without a path", o.Org), err)
	}
	s, err := assemble(parts{
		vendor: okta{base: o.Org}, base: o.Org, servers: servers, clients: o.Clients, users: o.Users, keys: o.Keys, now: o.Now,
		problem: err,
	})
	if err != nil {
		return nil, err
	}
	s.apiToken, s.showSecrets = o.APIToken, o.ShowSecrets
	s.oktaRoutes()
	s.oktaClientRoutes()
	if o.Control {
		s.controlRoutes()
	}
	return s, nil
}

// oktaServers returns the custom authorization servers of o and, last, the one
// of the organisation itself.
func oktaServers(o Okta) ([]*authServer, error) {
	var servers []*authServer
	var problems []error
	seen := map[string]bool{}
	for _, as := range o.AuthorizationServers {
		// "v1" would be taken for the organisation's own.
		if seen[as.ID] || as.ID == "v1" || !alphanumeric(as.ID) {
			problems = append(problems, fmt.Errorf("standin: authorization server %q: want an ID of letters and digits, once, and not v1", as.ID))
		}
		if as.Lifetime < 0 || as.Lifetime%time.Second != 0 {
			problems = append(problems, fmt.Errorf("standin: authorization server %q: Lifetime %v is not in whole seconds", as.ID, as.Lifetime))
		}
		seen[as.ID] = true
		if as.Audience == "" {
			as.Audience = "api://default"
		}
		if as.Lifetime == 0 {
			as.Lifetime = time.Hour
		}
		if as.Scopes == nil {
			as.Scopes = []string{"orders:read", "orders:write", "orders:admin"}
		}
		path := "/oauth2/" + as.ID
		servers = append(servers, &authServer{AuthorizationServer: as, issuer: o.Org + path, path: path})
	}
	org := AuthorizationServer{Audience: o.Org, Lifetime: time.Hour, Opaque: true}
	servers = append(servers, &authServer{AuthorizationServer: org, issuer: o.Org, path: "/oauth2", org: true})
	return servers, errors.Join(problems...)
}

func alphanumeric(s string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return s != "" && strings.Trim(s, alphabet) == ""
}

// okta is what Okta does differently from the core.
type okta struct {
	base string // URL of the organisation
}

// oktaRoutes puts every endpoint where Okta has it.
func (s *Server) oktaRoutes() {
	get, post, both := []string{http.MethodGet}, []string{http.MethodPost}, []string{http.MethodGet, http.MethodPost}
	oidc := s.guard(endpoint{kind: Metadata, methods: get, serve: s.openIDConfiguration})
	oauth := s.guard(endpoint{kind: Metadata, methods: get, serve: s.oauthMetadata})
	for pattern, h := range map[string]http.Handler{
		"/.well-known/openid-configuration":                   oidc,
		"/.well-known/oauth-authorization-server":             oauth,
		"/.well-known/oauth-authorization-server/oauth2/{as}": oauth, // RFC 8414 section 3.1
		"/oauth2/{as}/.well-known/openid-configuration":       oidc,
		"/oauth2/{as}/.well-known/oauth-authorization-server": oauth,
	} {
		s.mux.Handle(pattern, h)
	}
	login := http.NewCrossOriginProtection() // another site must not sign a browser in
	for leaf, h := range map[string]http.Handler{
		"keys":       s.guard(endpoint{kind: Keys, methods: get, serve: s.publishKeys}),
		"authorize":  login.Handler(s.guard(endpoint{kind: Authorize, methods: both, serve: s.authorize})),
		"token":      s.guard(endpoint{kind: Token, methods: post, serve: s.token}),
		"introspect": s.guard(endpoint{kind: Introspect, methods: post, serve: s.introspect}),
		"revoke":     s.guard(endpoint{kind: Revoke, methods: post, serve: s.revokeToken}),
	} {
		s.mux.Handle("/oauth2/v1/"+leaf, h)
		s.mux.Handle("/oauth2/{as}/v1/"+leaf, h)
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.vendor.refuse(w, refusal{reason: notFound})
	})
}

func (s *Server) publishKeys(w http.ResponseWriter, _ *http.Request, _ *authServer) {
	set, err := s.keys.published()
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	w.Header().Set("Cache-Control", "max-age=3600, must-revalidate")
	writeJSON(w, http.StatusOK, set)
}

// oktaID returns an identifier of Okta's shape, such as "00u" and 17 characters
// more, made of seed.
func oktaID(prefix, seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return prefix + strings.NewReplacer("-", "a", "_", "b").Replace(encode(sum[:]))[:17]
}
