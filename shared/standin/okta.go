package standin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"html/template"
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
	var problems []error
	if u, err := url.Parse(o.Org); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || o.Org != u.Scheme+"://"+u.Host {
		problems = append(problems, fmt.Errorf("standin: Org %q: want a URL such as http://localhost:8085, without a path", o.Org))
	}
	keys, err := withIDs(o.Keys)
	problems = append(problems, err)
	clients, err := indexClients(o.Clients)
	problems = append(problems, err)
	users, err := indexUsers(o.Users)
	problems = append(problems, err)
	servers, err := oktaServers(o)
	problems = append(problems, err)
	pages, err := template.ParseFS(pageFiles, "*.html")
	problems = append(problems, err)
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	s := &Server{
		vendor:  okta{base: o.Org, servers: servers},
		clients: clients,
		users:   users,
		now:     o.Now,
		pages:   pages,
		mux:     http.NewServeMux(),
		keys:    keyring{keys: keys},
		grants: grants{
			codes:     map[string]*code{},
			refreshes: map[string]*refreshToken{},
			opaques:   map[string]opaque{},
			revoked:   map[string]time.Time{},
			sweepAt:   1024,
		},
		faults: faults{set: map[Endpoint]*Fault{}},
		counts: map[Endpoint]int{},
	}
	s.oktaRoutes()
	if o.Control {
		s.controlRoutes()
	}
	return s, nil
}

func indexClients(clients []Client) (map[string]Client, error) {
	index := map[string]Client{}
	var problems []error
	for _, c := range clients {
		if c.AuthMethod == "" {
			c.AuthMethod = Basic
		}
		if c.GrantTypes == nil {
			c.GrantTypes = []string{AuthorizationCode}
		}
		if c.Name == "" {
			c.Name = c.ID
		}
		switch _, twice := index[c.ID]; {
		case c.ID == "" || twice:
			problems = append(problems, fmt.Errorf("standin: client %q: the ID is empty or given twice", c.ID))
		case c.AuthMethod != Basic && c.AuthMethod != Post && c.AuthMethod != Public:
			problems = append(problems, fmt.Errorf("standin: client %q: unknown AuthMethod %q", c.ID, c.AuthMethod))
		case (c.Secret == "") != (c.AuthMethod == Public):
			problems = append(problems, fmt.Errorf("standin: client %q: a client has a secret exactly when its AuthMethod is not %q", c.ID, Public))
		}
		for _, uri := range c.RedirectURIs {
			if u, err := url.Parse(uri); err != nil || !u.IsAbs() || strings.Contains(uri, "#") {
				problems = append(problems, fmt.Errorf("standin: client %q: redirect URI %q: want an absolute URL without a fragment", c.ID, uri))
			}
		}
		index[c.ID] = c
	}
	return index, errors.Join(problems...)
}

func indexUsers(users []User) (map[string]User, error) {
	index := map[string]User{}
	var problems []error
	for _, u := range users {
		if _, twice := index[u.Login]; u.Login == "" || u.Password == "" || twice {
			problems = append(problems, fmt.Errorf("standin: user %q: login or password is empty, or the login is given twice", u.Login))
		}
		if u.ID == "" {
			u.ID = oktaID("00u", u.Login)
		}
		index[u.Login] = u
	}
	return index, errors.Join(problems...)
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
	base    string        // URL of the organisation
	servers []*authServer // the organisation's own is the last
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

// server returns the authorization server that r's path names, the
// organisation's own if it names none.
func (o okta) server(r *http.Request) (*authServer, error) {
	id := r.PathValue("as")
	for _, as := range o.servers {
		if as.ID == id {
			return as, nil
		}
	}
	return nil, refusal{reason: noServer, detail: id}
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
