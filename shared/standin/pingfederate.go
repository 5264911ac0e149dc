package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// PingFederate describes a PingFederate server. What it refers to must not be
// changed after [NewPingFederate].
type PingFederate struct {
	URL string // its runtime, such as "http://localhost:9031"
	// User and Password are those of the client management service; an empty
	// Password means that nobody can use it.
	User, Password string
	// InitialToken is what dynamic registration takes; empty means that it is
	// off, as PingFederate comes.
	InitialToken string
	Scopes       []string
	Clients      []Client
	Users        []User
	Keys         []Key
	Now          func() time.Time // nil means time.Now
	Control      bool
}

const (
	pingClients = "/pf-ws/rest/oauth/clients"
	pingToken   = "/as/token.oauth2"
	// validateBearer is PingFederate's way of asking about a token before there
	// was introspection: a grant type of the token endpoint.
	validateBearer = "urn:pingidentity.com:oauth2:grant_type:validate_bearer"
)

// NewPingFederate returns the server c. It reports every mistake in c at once.
func NewPingFederate(c PingFederate) (*Server, error) {
	var problem error
	if strings.Contains(c.User, ":") {
		problem = fmt.Errorf("standin: User %q: want one without a colon", c.User)
	}
	s, as, err := newPlain(pingFederate{}, RFC7591{
		URL: c.URL, Scopes: c.Scopes, Clients: c.Clients, Users: c.Users, Keys: c.Keys, Now: c.Now, Control: c.Control,
	}, "")
	if err := errors.Join(problem, err); err != nil {
		return nil, err
	}
	as.refreshes = true
	d := dcr{
		path: "/as/clients.oauth2", initial: c.InitialToken, closed: c.InitialToken == "",
		grants: []string{AuthorizationCode, RefreshToken, ClientCredentials, "implicit"},
	}
	s.plainRoutes(as, plainPaths{
		authorize: "/as/authorization.oauth2", token: pingToken, introspect: "/as/introspect.oauth2",
		revoke: "/as/revoke_token.oauth2", keys: "/pf/JWKS", register: d.path,
	})
	s.dcrRoutes(d)
	service := pingService{Server: s, user: c.User, password: c.Password}
	s.mux.Handle(pingClients, s.guard(endpoint{Clients, []string{http.MethodPost, http.MethodPut}, service.write}))
	s.mux.Handle(pingClients+"/{id}", s.guard(endpoint{Clients, []string{http.MethodGet, http.MethodDelete}, service.one}))
	return s, nil
}

// pingFederate is what PingFederate does differently from a plain server.
type pingFederate struct{ plain }

// validate answers the grant type by which PingFederate is asked about a token.
func (s *Server) validate(w http.ResponseWriter, token string, as *authServer) {
	claims, ok := s.active(token, as)
	if !ok {
		answerOAuth(w, wording{status: http.StatusBadRequest, code: "invalid_grant", text: "token not found, expired or invalid"})
		return
	}
	attributes := map[string]any{}
	for name, value := range claims {
		if !slices.Contains([]string{"client_id", "scope", "exp"}, name) {
			attributes[name] = value
		}
	}
	var expires float64
	if n, ok := claims["exp"].(json.Number); ok {
		expires, _ = n.Float64()
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": attributes,
		"token_type":   "urn:pingidentity.com:oauth2:validated_token",
		"client_id":    claims["client_id"],
		"scope":        claims["scope"],
		"expires_in":   int64(expires) - s.now().Unix(),
	})
}

// pingService is the OAuth client management service.
type pingService struct {
	*Server

	user, password string
}

// pingClient is a client as the service writes it.
type pingClient struct {
	Name              string   `json:"name"`
	ClientID          string   `json:"clientId"`
	RedirectURIs      []string `json:"redirectUris"`
	GrantTypes        []string `json:"grantTypes"`
	Description       string   `json:"description,omitempty"`
	ClientAuthnType   string   `json:"clientAuthnType"`
	Secret            string   `json:"secret,omitempty"`
	RestrictScopes    bool     `json:"restrictScopes"`
	RestrictedScopes  []string `json:"restrictedScopes"`
	BypassApproval    bool     `json:"bypassApprovalPage"`
	ForceSecretChange bool     `json:"forceSecretChange,omitempty"`
}

func (p pingService) admits(w http.ResponseWriter, r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	if !ok || p.password == "" || user != p.user || !equal(password, p.password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="PingFederate"`)
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	return true
}

// write is POST, which creates, and PUT, which replaces: both on the collection.
func (p pingService) write(w http.ResponseWriter, r *http.Request, _ *authServer) {
	if !p.admits(w, r) {
		return
	}
	var sent struct {
		Client []pingClient `json:"client"`
	}
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil || len(sent.Client) != 1 || sent.Client[0].ClientID == "" || sent.Client[0].Name == "" {
		p.invalid(w, "clientId and name are required")
		return
	}
	c := sent.Client[0]
	var err error
	if r.Method == http.MethodPost {
		if c.ClientAuthnType == "SECRET" && c.Secret == "" {
			p.invalid(w, "secret is required")
			return
		}
		made := &registered{issued: p.now()}
		made.ID = c.ClientID
		made.applyPing(c)
		if !p.clients.add(made, func(other *registered) bool { return other.ID == c.ClientID }) {
			p.invalid(w, "A client with this clientId already exists")
			return
		}
	} else {
		err = p.clients.edit(c.ClientID, func(held *registered) error {
			held.applyPing(c)
			return nil
		})
	}
	if err != nil {
		p.missing(w)
		return
	}
	p.show(w, c.ClientID)
}

// applyPing makes r the client that c describes. A secret is changed only when
// that is said explicitly.
func (r *registered) applyPing(c pingClient) {
	r.Name, r.RedirectURIs, r.GrantTypes, r.AuthMethod = c.Name, c.RedirectURIs, c.GrantTypes, Basic
	if c.ClientAuthnType == "NONE" {
		r.AuthMethod = Public
	}
	if r.Secret == "" || c.ForceSecretChange {
		r.Secret = c.Secret
	}
	r.Scopes = nil
	if c.RestrictScopes {
		r.Scopes = append([]string{}, c.RestrictedScopes...)
	}
	r.metadata = map[string]any{"description": c.Description}
}

func (p pingService) one(w http.ResponseWriter, r *http.Request, _ *authServer) {
	if !p.admits(w, r) {
		return
	}
	id := r.PathValue("id")
	if r.Method == http.MethodGet {
		p.show(w, id)
		return
	}
	if !p.clients.remove(id) {
		p.missing(w)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// show answers with a client, in which lists of one value are plain strings.
func (p pingService) show(w http.ResponseWriter, id string) {
	c, ok := p.clients.get(id)
	if !ok {
		p.missing(w)
		return
	}
	kind := "SECRET"
	if c.AuthMethod == Public {
		kind = "NONE"
	}
	writeJSON(w, http.StatusOK, map[string]any{"client": []map[string]any{{
		"name": c.Name, "clientId": c.ID, "clientAuthnType": kind, "description": p.description(id),
		"redirectUris": single(c.RedirectURIs), "grantTypes": single(c.GrantTypes),
		"restrictScopes": c.Scopes != nil, "restrictedScopes": single(c.Scopes), "bypassApprovalPage": false,
	}}})
}

func (p pingService) description(id string) (text string) {
	// A client that has gone in between has none.
	_ = p.clients.edit(id, func(c *registered) error {
		text, _ = c.metadata["description"].(string)
		return nil
	})
	return text
}

func single(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return append([]string{}, values...)
}

func (pingService) invalid(w http.ResponseWriter, text string) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"resultId": "validation_error", "message": text})
}

func (pingService) missing(w http.ResponseWriter) {
	writeJSON(w, http.StatusNotFound, map[string]string{"resultId": "resource_not_found", "message": "No client with this ID"})
}
