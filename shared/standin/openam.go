package standin

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// OpenAM describes the root realm of an OpenAM server. What it refers to must
// not be changed after [NewOpenAM].
type OpenAM struct {
	URL            string // of the server; everything is under /openam there
	User, Password string // of the administrator; an empty Password means that there is none
	Open           bool   // anyone can register, else those with a valid access token
	Stateless      bool   // access tokens are JWTs, else opaque
	Scopes         []string
	Clients        []Client
	Users          []User
	Keys           []Key
	Now            func() time.Time // nil means time.Now
	Control        bool
}

const (
	openAMBase   = "/openam/oauth2"
	openAMAgents = "/openam/json/realms/root/realm-config/agents/OAuth2Client/{id}"
)

// NewOpenAM returns the server c. It reports every mistake in c at once.
func NewOpenAM(c OpenAM) (*Server, error) {
	var problem error
	if (c.User == "") != (c.Password == "") {
		problem = fmt.Errorf("standin: User %q: want a password exactly when there is a user", c.User)
	}
	s, as, err := newPlain(openAM{}, RFC7591{
		URL: c.URL, Scopes: c.Scopes, Clients: c.Clients, Users: c.Users, Keys: c.Keys, Now: c.Now, Control: c.Control,
	}, openAMBase)
	if err := errors.Join(problem, err); err != nil {
		return nil, err
	}
	as.Opaque = !c.Stateless
	s.plainRoutes(as, plainPaths{
		authorize: openAMBase + "/authorize", token: openAMBase + "/access_token", introspect: openAMBase + "/introspect",
		revoke: openAMBase + "/token/revoke", keys: openAMBase + "/connect/jwk_uri", register: openAMBase + "/connect/register",
		edit: func(m map[string]any) {
			delete(m, "introspection_endpoint")
			m["revocation_endpoint"] = as.issuer + "/revoke" // there is nothing
		},
	})
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	both := []string{http.MethodGet, http.MethodPost}
	admin := openAMAdmin{Server: s, user: c.User, password: c.Password, session: random()}
	s.mux.Handle(openAMBase+"/tokeninfo", s.guard(endpoint{Introspect, get, s.openAMTokenInfo}))
	s.mux.Handle(openAMBase+"/connect/register", s.guard(endpoint{Clients, both, func(w http.ResponseWriter, r *http.Request, as *authServer) {
		if r.Method == http.MethodGet {
			s.openAMShow(w, r)
			return
		}
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, ok := s.active(token, as); !ok && !c.Open {
			s.vendor.refuse(w, refusal{reason: badManagement})
			return
		}
		if c.Open {
			token = random()
		}
		s.openAMRegister(w, r, token)
	}}))
	s.mux.Handle("/openam/json/authenticate", s.guard(endpoint{Admin, post, admin.authenticate}))
	s.mux.Handle(openAMAgents, s.guard(endpoint{Admin, []string{http.MethodGet, http.MethodDelete}, admin.agent}))
	return s, nil
}

// openAMRegister is RFC 7591 with OpenAM's own members. What is plain "scope"
// elsewhere is ignored here, and grant types are not kept.
func (s *Server) openAMRegister(w http.ResponseWriter, r *http.Request, token string) {
	sent, err := readObject(r)
	uris, ok := texts(sent, "redirect_uris")
	scopes, ok2 := texts(sent, "scopes")
	if _, isObject := sent["jwks"].(map[string]any); err == nil && (!ok || !ok2 || isObject) {
		err = refusal{reason: badMetadata, detail: "redirect_uris and scopes are arrays, jwks is a string"}
	}
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	c := &registered{issued: s.now(), manage: token}
	c.ID, c.Secret, c.Name = text(sent, "client_id"), text(sent, "client_secret"), text(sent, "client_name")
	if c.ID == "" {
		c.ID = random()
	}
	if c.Secret == "" {
		c.Secret = random()
	}
	c.RedirectURIs, c.Scopes, c.AuthMethod = uris, append([]string{}, scopes...), Basic
	c.GrantTypes = []string{AuthorizationCode, RefreshToken, ClientCredentials}
	if method := text(sent, "token_endpoint_auth_method"); method != "" {
		c.AuthMethod = method
	}
	if c.AuthMethod == Public {
		c.Secret = ""
	}
	if !s.clients.add(c, func(other *registered) bool { return other.ID == c.ID }) {
		s.vendor.refuse(w, refusal{reason: badMetadata, detail: "client_id already exists"})
		return
	}
	writeJSON(w, http.StatusCreated, s.openAMDocument(c))
}

func (s *Server) openAMDocument(c *registered) map[string]any {
	return map[string]any{
		"client_id": c.ID, "client_secret": c.Secret, "client_secret_expires_at": 0, "client_name": c.Name,
		"redirect_uris": c.RedirectURIs, "scopes": c.Scopes, "token_endpoint_auth_method": c.AuthMethod, "application_type": "web",
		"registration_access_token": c.manage, "registration_client_uri": s.base + openAMBase + "/connect/register?client_id=" + c.ID,
	}
}

func (s *Server) openAMShow(w http.ResponseWriter, r *http.Request) {
	var answer map[string]any
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	err := s.clients.edit(r.URL.Query().Get("client_id"), func(c *registered) error {
		if !ok || c.manage == "" || !equal(token, c.manage) {
			return refusal{reason: badManagement}
		}
		answer = s.openAMDocument(c)
		return nil
	})
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// openAMTokenInfo tells anyone about a token who has it.
func (s *Server) openAMTokenInfo(w http.ResponseWriter, r *http.Request, as *authServer) {
	token := r.URL.Query().Get("access_token")
	claims, ok := s.active(token, as)
	if !ok {
		s.vendor.refuse(w, refusal{reason: badManagement})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token, "realm": "/", "token_type": "Bearer", "scope": anys(parseScope(text(claims, "scope"))),
		"client_id": s.vendor.clientOf(claims), "expires_in": int(as.Lifetime.Seconds()),
	})
}

// openAMAdmin is the part of OpenAM's REST API that takes an administrator's
// session.
type openAMAdmin struct {
	*Server

	user, password, session string
}

func (a openAMAdmin) authenticate(w http.ResponseWriter, r *http.Request, _ *authServer) {
	if a.password == "" || r.Header.Get("X-OpenAM-Username") != a.user || !equal(r.Header.Get("X-OpenAM-Password"), a.password) {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"code": 401, "reason": "Unauthorized", "message": "Authentication Failed"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"tokenId": a.session, "successUrl": "/openam/console", "realm": "/"})
}

func (a openAMAdmin) agent(w http.ResponseWriter, r *http.Request, _ *authServer) {
	if !equal(r.Header.Get("iPlanetDirectoryPro"), a.session) {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"code": 401, "reason": "Unauthorized", "message": "Access Denied"})
		return
	}
	id := r.PathValue("id")
	_, ok := a.clients.get(id)
	if r.Method == http.MethodDelete {
		ok = a.clients.remove(id)
	}
	if !ok {
		writeJSON(w, http.StatusNotFound, map[string]any{"code": 404, "reason": "Not Found", "message": "Agent not found"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"_id": id})
}

// openAM is what OpenAM does differently from a plain server.
type openAM struct{ plain }

// accessClaims has no client_id: the client is in aud alone. What is elsewhere
// in seconds is in milliseconds in expires_in.
func (openAM) accessClaims(g *grant, now time.Time) map[string]any {
	claims := map[string]any{
		"iss": g.as.issuer, "sub": g.client.ID, "aud": []string{g.client.ID}, "realm": "/", "tokenName": "access_token",
		"token_type": "Bearer", "typ": "Bearer", "scope": strings.Join(g.scopes, " "), "iat": now.Unix(), "nbf": now.Unix(),
		"exp": now.Add(g.as.Lifetime).Unix(), "expires_in": g.as.Lifetime.Milliseconds(), "auth_time": now.Unix(),
	}
	if g.user != nil {
		claims["sub"] = g.user.Login
	}
	return claims
}

func (openAM) clientOf(claims map[string]any) string {
	aud, _ := texts(claims, "aud")
	return strings.Join(aud, " ")
}

// mayAsk lets a client ask about its own tokens alone.
func (o openAM) mayAsk(c Client, claims map[string]any) bool { return o.clientOf(claims) == c.ID }

func (o openAM) introspection(claims map[string]any) map[string]any {
	answer := maps.Clone(claims)
	maps.DeleteFunc(answer, func(name string, _ any) bool { return !slices.Contains([]string{"scope", "exp", "sub", "iss"}, name) })
	maps.Copy(answer, map[string]any{
		"active": true, "client_id": o.clientOf(claims), "user_id": claims["sub"], "token_type": "access_token",
	})
	return answer
}
