package standin

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// This file is Okta's client registration API, /oauth2/v1/clients.

// everyone is the group every user is in.
const everyone = "Everyone"

// oktaClientRoutes puts registration where Okta has it: once for the whole
// organisation.
func (s *Server) oktaClientRoutes() {
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	one := []string{http.MethodGet, http.MethodPut, http.MethodDelete}
	for pattern, e := range map[string]endpoint{
		"/oauth2/v1/clients":                                                  {Clients, []string{http.MethodGet, http.MethodPost}, s.oktaClients},
		"/oauth2/v1/clients/{id}":                                             {Clients, one, s.oktaClient},
		"/oauth2/v1/clients/{id}/lifecycle/newSecret":                         {Clients, post, s.oktaNewSecret},
		"/api/v1/apps/{id}/groups/{group}":                                    {Admin, []string{http.MethodPut}, s.oktaAssignGroup},
		"/api/v1/apps/{id}/credentials/secrets":                               {Admin, []string{http.MethodGet, http.MethodPost}, s.oktaSecrets},
		"/api/v1/apps/{id}/credentials/secrets/{secret}":                      {Admin, []string{http.MethodDelete}, s.oktaDeleteSecret},
		"/api/v1/apps/{id}/credentials/secrets/{secret}/lifecycle/deactivate": {Admin, post, s.oktaDeactivateSecret},
		"/api/v1/groups":                                                      {Admin, get, s.oktaGroups},
		"/api/v1/authorizationServers/{as}/policies":                          {Admin, get, s.oktaPolicies},
		"/api/v1/authorizationServers/{as}/policies/{policy}/rules":           {Admin, get, s.oktaRules},
	} {
		s.mux.Handle(pattern, s.guard(endpoint{e.kind, e.methods, s.asAdmin(e.serve)}))
	}
}

// SetAPIToken replaces the token that administrators send as SSWS; "" revokes
// it and leaves none.
func (s *Server) SetAPIToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apiToken = token
}

// asAdmin lets only requests with the API token through, and tells them what
// is left of their rate limit.
func (s *Server) asAdmin(serve func(http.ResponseWriter, *http.Request, *authServer)) func(http.ResponseWriter, *http.Request, *authServer) {
	return func(w http.ResponseWriter, r *http.Request, as *authServer) {
		s.mu.Lock()
		token := s.apiToken
		s.mu.Unlock()
		sent, ok := strings.CutPrefix(r.Header.Get("Authorization"), "SSWS ")
		if !ok || token == "" || !equal(sent, token) {
			s.vendor.refuse(w, refusal{reason: badAPIToken})
			return
		}
		h := w.Header()
		h.Set("X-Rate-Limit-Limit", "600")
		h.Set("X-Rate-Limit-Remaining", "599")
		h.Set("X-Rate-Limit-Reset", strconv.FormatInt(s.now().Unix()+60, 10))
		serve(w, r, as)
	}
}

func (s *Server) oktaClients(w http.ResponseWriter, r *http.Request, _ *authServer) {
	if r.Method == http.MethodPost {
		s.oktaCreate(w, r)
		return
	}
	q := r.URL.Query()
	limit := 20
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n >= 1 && n <= 200 {
		limit = n
	}
	page := []map[string]any{}
	after := q.Get("after")
	for _, c := range s.clients.list(q.Get("q")) {
		if after != "" {
			if c.ID == after {
				after = ""
			}
			continue
		}
		if len(page) == limit {
			q.Set("after", text(page[limit-1], "client_id"))
			w.Header().Add("Link", "<"+s.base+r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
			break
		}
		page = append(page, s.oktaDocument(&c))
	}
	writeJSON(w, http.StatusOK, page)
}

// oktaCreate is RFC 7591 as Okta does it.
func (s *Server) oktaCreate(w http.ResponseWriter, r *http.Request) {
	sent, err := readObject(r)
	if err == nil {
		err = oktaComplete(sent)
	}
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	c := &registered{issued: s.now()}
	s.mu.Lock()
	s.minted++
	c.ID = numbered("0oa", s.base, s.minted)
	s.mu.Unlock()
	c.apply(sent)
	c.Groups = []string{} // nobody, until a group is assigned
	if c.AuthMethod == Basic || c.AuthMethod == Post {
		c.Secret = random()[:40]
		c.secrets = []clientSecret{{id: numbered("ocs", c.ID, 0), value: c.Secret, active: true, created: s.now()}}
	}
	answer := s.oktaDocument(c)
	if c.Secret != "" {
		answer["client_secret"] = c.Secret
	}
	if !s.clients.add(c, func(other *registered) bool { return other.Name == c.Name }) {
		s.vendor.refuse(w, refusal{reason: badMetadata, detail: "client_name: An object with this field already exists in the current organization"})
		return
	}
	writeJSON(w, http.StatusCreated, answer)
}

// apply makes r the client that metadata describes. The metadata is complete.
func (r *registered) apply(metadata map[string]any) {
	r.metadata = metadata
	r.Name = text(metadata, "client_name")
	r.AuthMethod = text(metadata, "token_endpoint_auth_method")
	r.GrantTypes, _ = texts(metadata, "grant_types")
	r.RedirectURIs, _ = texts(metadata, "redirect_uris")
}

// oktaClient reads, replaces or deletes one client.
func (s *Server) oktaClient(w http.ResponseWriter, r *http.Request, _ *authServer) {
	id := r.PathValue("id")
	switch r.Method {
	case http.MethodDelete:
		if !s.clients.remove(id) {
			s.vendor.refuse(w, refusal{reason: noClient, detail: id})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPut:
		s.oktaReplace(w, r)
	default:
		s.showClient(w, id)
	}
}

func (s *Server) showClient(w http.ResponseWriter, id string) {
	var answer map[string]any
	err := s.clients.edit(id, func(c *registered) error {
		answer = s.oktaDocument(c)
		return nil
	})
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// oktaReplace is PUT: the whole object, with what cannot be changed left out
// or unchanged.
func (s *Server) oktaReplace(w http.ResponseWriter, r *http.Request) {
	sent, err := readObject(r)
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	id := r.PathValue("id")
	for _, other := range s.clients.list(text(sent, "client_name")) {
		if other.Name == text(sent, "client_name") && other.ID != id {
			s.vendor.refuse(w, refusal{reason: badMetadata, detail: "client_name: An object with this field already exists in the current organization"})
			return
		}
	}
	err = s.clients.edit(id, func(c *registered) error {
		for _, name := range []string{"client_id_issued_at", "client_secret_expires_at"} {
			if _, ok := sent[name]; ok {
				return refusal{reason: badMetadata, detail: name + ": The field is read-only"}
			}
		}
		if text(sent, "client_id") != id {
			return refusal{reason: badMetadata, detail: "client_id: The client_id does not match the one in the path"}
		}
		for name := range c.metadata {
			if _, ok := sent[name]; !ok && name != "client_secret" {
				return refusal{reason: badMetadata, detail: name + ": Partial updates aren't supported"}
			}
		}
		if text(sent, "application_type") != text(c.metadata, "application_type") {
			return refusal{reason: badMetadata, detail: "application_type: The field is read-only"}
		}
		delete(sent, "client_id")
		delete(sent, "client_secret")
		if err := oktaComplete(sent); err != nil {
			return err
		}
		c.apply(sent)
		return nil
	})
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	s.showClient(w, id)
}

// oktaNewSecret replaces the secret; the old one stops at once.
func (s *Server) oktaNewSecret(w http.ResponseWriter, r *http.Request, _ *authServer) {
	var answer map[string]any
	err := s.clients.edit(r.PathValue("id"), func(c *registered) error {
		if c.secrets == nil {
			return refusal{reason: badMetadata, detail: "token_endpoint_auth_method: The client has no secret"}
		}
		c.Secret = random()[:40]
		c.secrets = []clientSecret{{id: oktaID("ocs", c.Secret), value: c.Secret, active: true, created: s.now()}}
		answer = s.oktaDocument(c)
		answer["client_secret"] = c.Secret
		return nil
	})
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// oktaDocument returns c as Okta shows it, as a rule without its secret.
func (s *Server) oktaDocument(c *registered) map[string]any {
	answer := map[string]any{
		"client_id":           c.ID,
		"client_id_issued_at": c.issued.Unix(),
		"client_name":         c.Name,
		"client_uri":          nil,
		"logo_uri":            nil,
	}
	maps.Copy(answer, c.metadata)
	if c.metadata == nil {
		answer["application_type"] = "web"
		answer["grant_types"] = c.GrantTypes
		answer["redirect_uris"] = c.RedirectURIs
		answer["token_endpoint_auth_method"] = c.AuthMethod
	}
	if c.AuthMethod == Basic || c.AuthMethod == Post {
		answer["client_secret_expires_at"] = 0
	}
	if s.showSecrets && c.Secret != "" {
		answer["client_secret"] = c.Secret
	}
	return answer
}

// oktaComplete fills in Okta's defaults and checks metadata by its rules.
func oktaComplete(m map[string]any) error {
	bad := func(detail string) error { return refusal{reason: badMetadata, detail: detail} }
	if strings.TrimSpace(text(m, "client_name")) == "" {
		return bad("client_name: The field cannot be left blank")
	}
	for name := range m {
		if !slices.Contains(oktaMetadata(), name) {
			return bad(name + ": The field is not supported")
		}
	}
	m["application_type"] = cmp.Or(text(m, "application_type"), "web")
	m["token_endpoint_auth_method"] = cmp.Or(text(m, "token_endpoint_auth_method"), Basic)
	for name, value := range map[string][]string{
		"grant_types": {AuthorizationCode}, "response_types": {"code"}, "redirect_uris": {}, "post_logout_redirect_uris": {},
	} {
		if m[name] == nil {
			m[name] = anys(value)
		}
	}
	grants, ok := texts(m, "grant_types")
	allowed, known := oktaGrants(text(m, "application_type"))
	if !ok || !known {
		return bad("application_type: Invalid value")
	}
	for _, g := range grants {
		if !slices.Contains(allowed, g) {
			return bad("grant_types: The grant type is not allowed for this application_type")
		}
	}
	if slices.Contains(allowed, AuthorizationCode) && !slices.Contains(grants, AuthorizationCode) && text(m, "application_type") != "browser" {
		return bad("grant_types: The grant type authorization_code is required for this application_type")
	}
	return oktaCompleteRedirects(m, grants)
}

func oktaCompleteRedirects(m map[string]any, grants []string) error {
	bad := func(detail string) error { return refusal{reason: badMetadata, detail: detail} }
	uris, ok := texts(m, "redirect_uris")
	if !ok {
		return bad("redirect_uris: Invalid value")
	}
	for _, uri := range uris {
		if u, err := url.Parse(uri); err != nil || !u.IsAbs() || strings.Contains(uri, "#") {
			return refusal{reason: badRedirectMetadata, detail: "redirect_uris: must be absolute and without a fragment"}
		}
	}
	responses, ok := texts(m, "response_types")
	if !ok {
		return bad("response_types: Invalid value")
	}
	code := slices.Contains(grants, AuthorizationCode)
	switch {
	case code && len(uris) == 0:
		return bad("redirect_uris: The field cannot be left blank")
	case code != slices.Contains(responses, "code"):
		return bad("response_types: The response types do not match the grant types")
	case len(responses) == 0:
		return bad("response_types: The field cannot be left blank")
	case text(m, "token_endpoint_auth_method") == Public && slices.Contains(grants, ClientCredentials):
		return bad("token_endpoint_auth_method: client_credentials needs a confidential client")
	case text(m, "token_endpoint_auth_method") == "private_key_jwt" && m["jwks"] == nil && m["jwks_uri"] == nil:
		return bad("jwks: The field cannot be left blank")
	case !slices.Contains([]string{Basic, Post, "client_secret_jwt", "private_key_jwt", Public}, text(m, "token_endpoint_auth_method")):
		return bad("token_endpoint_auth_method: Invalid value")
	}
	return nil
}

// oktaMetadata are the members Okta knows. There is no scope among them.
func oktaMetadata() []string {
	return []string{
		"client_name", "client_uri", "logo_uri", "application_type", "redirect_uris", "post_logout_redirect_uris", "response_types",
		"grant_types", "token_endpoint_auth_method", "initiate_login_uri", "tos_uri", "policy_uri", "jwks", "jwks_uri",
		"request_object_signing_alg", "frontchannel_logout_uri", "frontchannel_logout_session_required", "id_token_encrypted_response_alg",
	}
}

// oktaGrants returns the grant types that an application_type may have.
func oktaGrants(applicationType string) (grants []string, known bool) {
	switch applicationType {
	case "browser":
		return []string{AuthorizationCode, "implicit"}, true
	case "native":
		return []string{AuthorizationCode, "implicit", "password", RefreshToken}, true
	case "service":
		return []string{ClientCredentials}, true
	case "web":
		return []string{AuthorizationCode, "implicit", RefreshToken, ClientCredentials}, true
	default:
		return nil, false
	}
}

// readObject returns the JSON object in r's body.
func readObject(r *http.Request) (map[string]any, error) {
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); media != "application/json" {
		return nil, refusal{reason: wrongMedia}
	}
	var m map[string]any
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m == nil {
		return nil, refusal{reason: malformedBody}
	}
	return m, nil
}
