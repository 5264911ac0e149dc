package standin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
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
	DefaultScopes  map[string][]string // by client ID: what it gets when it asks for none; it is refused otherwise
	Users          []User
	Keys           []Key
	Now            func() time.Time // nil means time.Now
	Control        bool
}

const (
	openAMBase     = "/openam/oauth2"
	openAMToken    = openAMBase + "/access_token"
	openAMRegister = openAMBase + "/connect/register"
	openAMAgents   = "/openam/json/realms/root/realm-config/agents/OAuth2Client/{id}"
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
	as.Opaque, as.lax, as.header = !c.Stateless, false, map[string]any{"typ": "JWT", "zip": "NONE"}
	for id, client := range s.clients.byID {
		client.metadata = agentOf(client.Client, as.Scopes, c.DefaultScopes[id])
	}
	s.plainRoutes(as, plainPaths{
		authorize: openAMBase + "/authorize", token: openAMToken, introspect: openAMBase + "/introspect",
		revoke: openAMBase + "/token/revoke", keys: openAMBase + "/connect/jwk_uri", register: openAMRegister,
		edit: func(m map[string]any) {
			delete(m, "introspection_endpoint")
			m["revocation_endpoint"] = as.issuer + "/revoke" // there is nothing
		},
	})
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	admin := openAMAdmin{Server: s, user: c.User, password: c.Password, session: random()}
	s.mux.Handle("POST "+openAMToken, s.guard(endpoint{Token, post, s.openAMToken}))
	s.mux.Handle(openAMBase+"/tokeninfo", s.guard(endpoint{Introspect, get, s.openAMTokenInfo}))
	s.mux.Handle(openAMRegister, s.guard(endpoint{Clients, []string{http.MethodGet, http.MethodPost}, func(w http.ResponseWriter, r *http.Request, as *authServer) {
		if r.Method == http.MethodGet {
			s.openAMShow(w, r)
			return
		}
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, ok := s.active(token, as); !ok && !c.Open {
			answerOAuth(w, wording{status: http.StatusBadRequest, code: "access_denied", text: "Access Token not valid"})
			return
		}
		if c.Open {
			token = random()
		}
		s.openAMRegister(w, r, as, token)
	}}))
	s.mux.Handle("/openam/json/authenticate", s.guard(endpoint{Admin, post, admin.authenticate}))
	s.mux.Handle(openAMAgents, s.guard(endpoint{Admin, []string{http.MethodGet, http.MethodPut, http.MethodDelete}, admin.agent}))
	return s, nil
}

// openAMToken is the token endpoint. A client that asks for no scope gets its
// default scopes, be they among its scopes or not.
func (s *Server) openAMToken(w http.ResponseWriter, r *http.Request, as *authServer) {
	body, err := io.ReadAll(r.Body) // guard has read it before
	if err != nil {
		s.vendor.refuse(w, refusal{reason: malformedBody})
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, c, err := s.tokenRequest(r)
	if err == nil && form.Get("grant_type") == ClientCredentials && !form.Has("scope") && c.may(ClientCredentials) {
		if scopes := s.openAMDefaults(c.ID); len(scopes) > 0 {
			answer, err := s.issue(&grant{as: as, client: c}, scopes)
			if err != nil {
				s.vendor.refuse(w, err)
				return
			}
			noStore(w)
			writeJSON(w, http.StatusOK, answer)
			return
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.token(w, r, as)
}

func (s *Server) openAMDefaults(id string) []string {
	var scopes []string
	_ = s.clients.edit(id, func(c *registered) error { // a client that has just gone has none
		scopes = scopesOf(c.metadata, agentDefaultScopes)
		return nil
	})
	return scopes
}

// openAMRegister is RFC 7591 with OpenAM's own members. What is plain "scope"
// elsewhere is ignored here, and grant types are not kept. A body that is no
// object counts as an empty one.
func (s *Server) openAMRegister(w http.ResponseWriter, r *http.Request, as *authServer, token string) {
	sent, err := readObject(r)
	if err != nil {
		sent = map[string]any{}
	}
	c := &registered{issued: s.now(), manage: token}
	c.ID, c.Secret = text(sent, "client_id"), text(sent, "client_secret")
	if c.ID == "" {
		c.ID = random()
	}
	if c.Secret == "" {
		c.Secret = random() // whatever the method
	}
	if c.metadata, err = registeredAgent(sent, as.Scopes); err != nil {
		s.vendor.refuse(w, err)
		return
	}
	c.applyAgent()
	answer := openAMDocument(c)
	answer["registration_access_token"] = token
	answer["registration_client_uri"] = s.base + openAMRegister + "?client_id=" + c.ID // without the realm
	if !s.clients.add(c, func(other *registered) bool { return other.ID == c.ID }) {
		s.vendor.refuse(w, refusal{reason: badMetadata, detail: openAMBadMetadata})
		return
	}
	writeJSON(w, http.StatusCreated, answer)
}

// openAMBadMetadata is all that OpenAM says of most mistakes.
const openAMBadMetadata = "The request contains invalid metadata."

// registeredAgent returns the attributes of a client that is registered with
// these members. known are the scopes there are.
func registeredAgent(sent map[string]any, known []string) (map[string]any, error) {
	bad := func(detail string) error { return refusal{reason: badMetadata, detail: detail} }
	uris, ok := texts(sent, "redirect_uris")
	scopes, ok2 := texts(sent, "scopes")
	defaults, ok3 := texts(sent, "default_scopes")
	responses, ok4 := texts(sent, "response_types")
	if _, isObject := sent["jwks"].(map[string]any); !ok || !ok2 || !ok3 || !ok4 || isObject {
		return nil, bad(openAMBadMetadata)
	}
	method := text(sent, "token_endpoint_auth_method")
	if method == "" {
		method = Basic
	}
	if sent["response_types"] == nil {
		responses = []string{"code"}
	}
	if len(scopes) == 0 {
		scopes = []string{"openid"}
	}
	switch {
	case slices.ContainsFunc(uris, func(uri string) bool {
		u, err := url.Parse(uri)
		return err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Contains(uri, "#")
	}):
		return nil, refusal{reason: badRedirectMetadata, detail: "One or more redirect_uri values are invalid."}
	case slices.ContainsFunc(append(scopes, defaults...), func(scope string) bool { return !slices.Contains(append(userScopes(), known...), scope) }):
		return nil, bad("Invalid scopes requested")
	case !slices.Contains(openAMMethods(), method):
		return nil, bad("Invalid token_endpoint_auth_method requested.")
	case slices.ContainsFunc(responses, func(t string) bool { return !slices.Contains([]string{"code", "token", "code token"}, t) }):
		return nil, bad("Invalid response_types requested.")
	}
	m := agentSchema()
	m[agentName] = entries([]string{text(sent, "client_name")})
	m[agentRedirects], m[agentScopes], m[agentDefaultScopes] = entries(uris), entries(scopes), entries(defaults)
	m[agentResponses], m[agentMethod] = entries(responses), method
	if kind := text(sent, "client_type"); kind != "" {
		m[agentType] = kind
	}
	switch {
	case sent["jwks"] != nil:
		m[agentJWKS], m[agentKeySource] = text(sent, "jwks"), "jwks"
	case sent["jwks_uri"] != nil:
		m[agentJWKSURI], m[agentKeySource] = text(sent, "jwks_uri"), "jwks_uri"
	}
	return m, nil
}

func openAMMethods() []string { return []string{Basic, Post, "private_key_jwt", Public} }

// openAMDocument is the client by its RFC 7591 names. It has no grant types, and
// a name with "|" in it becomes one in a language.
func openAMDocument(c *registered) map[string]any {
	m := map[string]any{
		"client_id": c.ID, "client_secret": c.Secret, "client_secret_expires_at": 0, "application_type": "web",
		"client_type": text(c.metadata, agentType), "token_endpoint_auth_method": text(c.metadata, agentMethod),
		"public_key_selector": text(c.metadata, agentKeySource), "scopes": scopesOf(c.metadata, agentScopes),
		"subject_type": "public", "id_token_signed_response_alg": "HS256",
	}
	for name, attribute := range map[string]string{"redirect_uris": agentRedirects, "response_types": agentResponses} {
		if values := listed(c.metadata, attribute); len(values) > 0 {
			m[name] = values
		}
	}
	for _, entry := range listed(c.metadata, agentName) {
		if language, name, ok := strings.Cut(entry, "|"); ok {
			m["client_name#"+language] = name
		} else {
			m["client_name"] = entry
		}
	}
	if keys := text(c.metadata, agentJWKS); keys != "" {
		m["jwks"] = keys
	}
	return m
}

// openAMShow shows a client to whoever has its registration access token, which
// is never too old.
func (s *Server) openAMShow(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		answerOAuth(w, wording{status: http.StatusBadRequest, code: "server_error", text: "Internal Server Error (500)"})
		return
	}
	var answer map[string]any
	err := s.clients.edit(r.URL.Query().Get("client_id"), func(c *registered) error {
		if c.manage == "" || !equal(token, c.manage) {
			return refusal{reason: badManagement}
		}
		answer = openAMDocument(c)
		return nil
	})
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// openAMTokenInfo tells anyone about a token who has it: of an opaque one who
// has it and for what, of a stateless one the claims, where the client is in aud
// alone and expires_in is milliseconds.
func (s *Server) openAMTokenInfo(w http.ResponseWriter, r *http.Request, as *authServer) {
	token := r.URL.Query().Get("access_token")
	claims, ok := s.active(token, as)
	if !ok {
		s.vendor.refuse(w, refusal{reason: badManagement})
		return
	}
	if _, opaque := s.grants.claims(token); !opaque {
		claims["access_token"] = token
		writeJSON(w, http.StatusOK, claims)
		return
	}
	scopes := parseScope(text(claims, "scope"))
	answer := map[string]any{
		"access_token": token, "realm": "/", "token_type": "Bearer", "scope": anys(scopes), "client_id": s.vendor.clientOf(claims),
		"grant_type": AuthorizationCode,
	}
	if text(claims, "sub") == s.vendor.clientOf(claims) {
		answer["grant_type"] = ClientCredentials
	}
	for _, scope := range scopes {
		answer[scope] = ""
	}
	if exp, ok := claims["exp"].(json.Number); ok {
		if at, err := exp.Int64(); err == nil {
			answer["expires_in"] = at - s.now().Unix()
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

// openAM is what OpenAM does differently from a plain server.
type openAM struct{ plain }

func (o openAM) words(err error) wording {
	r := asRefusal(err)
	switch r.reason {
	case badManagement:
		return wording{
			status: http.StatusUnauthorized, code: "invalid_token",
			text: "The access token provided is expired, revoked, malformed, or invalid for other reasons.",
		}
	case noClient:
		return wording{status: http.StatusBadRequest, code: "invalid_client_metadata", text: openAMBadMetadata}
	case unknownClient, wrongSecret, wrongAuthMethod, badBasic, noCredentials:
		return wording{status: http.StatusUnauthorized, code: "invalid_client", text: "Client authentication failed"}
	case noScopes:
		return wording{status: http.StatusBadRequest, code: "invalid_scope", text: "No scope requested and no default scope configured"}
	case unknownScope, userScope, someScopesDenied, allScopesDenied:
		return wording{status: http.StatusBadRequest, code: "invalid_scope", text: "Unknown/invalid scope(s): [" + r.detail + "]"}
	default:
		return o.plain.words(err)
	}
}

func (o openAM) refuse(w http.ResponseWriter, err error) { answerOAuth(w, o.words(err)) }

// accessClaims has no client_id: the client is in aud alone. What is elsewhere
// in seconds is in milliseconds in expires_in.
func (openAM) accessClaims(g *grant, now time.Time) map[string]any {
	claims := map[string]any{
		"iss": g.as.issuer, "sub": g.client.ID, "aud": g.client.ID, "realm": "/", "tokenName": "access_token",
		"token_type": "Bearer", "typ": "Bearer", "scope": strings.Join(g.scopes, " "), "iat": now.Unix(), "nbf": now.Unix(),
		"exp": now.Add(g.as.Lifetime).Unix(), "expires_in": g.as.Lifetime.Milliseconds(), "auth_time": now.Unix(),
	}
	if g.user != nil {
		claims["sub"] = g.user.Login
	}
	return claims
}

func (openAM) clientOf(claims map[string]any) string { return text(claims, "aud") }

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
