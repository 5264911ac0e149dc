package standin

import (
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// This file is the part of OpenAM's REST API that takes an administrator's
// session: its agents, of which OAuth clients are a kind. The attributes of a
// client are its registered.metadata.

const (
	agentPrefix = "com.forgerock.openam.oauth2provider."

	agentName          = agentPrefix + "clientName"
	agentType          = agentPrefix + "clientType"
	agentMethod        = agentPrefix + "tokenEndPointAuthMethod"
	agentRedirects     = agentPrefix + "redirectionURIs"
	agentResponses     = agentPrefix + "responseTypes"
	agentScopes        = agentPrefix + "scopes"
	agentDefaultScopes = agentPrefix + "defaultScopes"
	agentJWKS          = agentPrefix + "jwks"
	agentJWKSURI       = agentPrefix + "jwksURI"
	agentKeySource     = agentPrefix + "publicKeyLocation"
	agentSecret        = "userpassword"
)

// agentSchema are the attributes that a client can have, as one has them that
// was registered with nothing. A real one has a few more.
func agentSchema() map[string]any {
	none := []any{"[0]="}
	return map[string]any{
		agentName: none, agentType: "Confidential", agentMethod: Basic, agentRedirects: none, agentResponses: []any{"[0]=code"},
		agentScopes: none, agentDefaultScopes: []any{}, agentJWKS: "", agentKeySource: "x509", agentSecret: nil,
		agentJWKSURI:                         "@SERVER_PROTO@://@SERVER_HOST@:@SERVER_PORT@@AM_SERVICES_DEPLOY_URI@/oauth2@REALM@/connect/jwk_uri",
		agentPrefix + "name":                 none,
		agentPrefix + "description":          none,
		agentPrefix + "contacts":             none,
		agentPrefix + "accessTokenLifeTime":  0,
		agentPrefix + "clientJwtPublicKey":   "",
		agentPrefix + "subjectType":          "public",
		agentPrefix + "defaultMaxAgeEnabled": false,
		"isConsentImplied":                   false,
		"sunIdentityServerDeviceStatus":      "Active",
	}
}

// agentOf returns the attributes of a client that the server was made with. known
// are the scopes there are.
func agentOf(c Client, known, defaults []string) map[string]any {
	if c.Scopes == nil {
		c.Scopes = known
	}
	m := agentSchema()
	m[agentName], m[agentRedirects], m[agentMethod] = entries([]string{c.Name}), entries(c.RedirectURIs), c.AuthMethod
	m[agentScopes], m[agentDefaultScopes] = entries(c.Scopes), entries(defaults)
	if c.AuthMethod == Public {
		m[agentType] = "Public"
	}
	return m
}

// applyAgent makes c the client that its attributes describe. It is let in by
// its secret whatever its method is, unless it is public; it gets no token for
// itself then.
func (r *registered) applyAgent() {
	r.Name = strings.Join(listed(r.metadata, agentName), " ")
	r.RedirectURIs, r.Scopes = listed(r.metadata, agentRedirects), scopesOf(r.metadata, agentScopes)
	r.AuthMethod, r.GrantTypes = Basic, []string{AuthorizationCode, RefreshToken, ClientCredentials}
	switch {
	case text(r.metadata, agentType) == "Public":
		r.AuthMethod, r.GrantTypes = Public, []string{AuthorizationCode, RefreshToken}
	case text(r.metadata, agentMethod) == Post:
		r.AuthMethod = Post
	}
}

// entries writes a list attribute, in no order that anyone can rely on.
func entries(values []string) []any {
	list := []any{}
	for n, v := range values {
		list = append(list, "["+strconv.Itoa(n)+"]="+v)
	}
	slices.Reverse(list)
	return list
}

// listed reads a list attribute. What has no number is no part of it.
func listed(attributes map[string]any, name string) []string {
	list, _ := attributes[name].([]any)
	values := map[int]string{}
	for _, entry := range list {
		s, _ := entry.(string)
		number, value, ok := strings.Cut(strings.TrimPrefix(s, "["), "]=")
		if n, err := strconv.Atoi(number); ok && err == nil && value != "" {
			values[n] = value
		}
	}
	ordered := []string{}
	for _, n := range slices.Sorted(maps.Keys(values)) {
		ordered = append(ordered, values[n])
	}
	return ordered
}

// scopesOf reads a list of scopes, each of which may come once for every
// language in which it has a text, as "scope|language|text".
func scopesOf(attributes map[string]any, name string) []string {
	scopes := []string{}
	for _, entry := range listed(attributes, name) {
		scope, _, _ := strings.Cut(entry, "|")
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// openAMAdmin is what takes an administrator's session.
type openAMAdmin struct {
	*Server

	user, password, session string
}

func refuseREST(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"code": status, "reason": http.StatusText(status), "message": message})
}

func (a openAMAdmin) authenticate(w http.ResponseWriter, r *http.Request, _ *authServer) {
	if a.password == "" || headerText(r, "X-OpenAM-Username") != a.user || !equal(headerText(r, "X-OpenAM-Password"), a.password) {
		refuseREST(w, http.StatusUnauthorized, "Authentication Failed")
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"tokenId": a.session, "successUrl": "/openam/console", "realm": "/"})
}

// headerText reads a header: Latin-1, or encoded as in mail (RFC 2047).
func headerText(r *http.Request, name string) string {
	var latin []rune
	for _, b := range []byte(r.Header.Get(name)) {
		latin = append(latin, rune(b))
	}
	var words mime.WordDecoder
	text, err := words.DecodeHeader(string(latin))
	if err != nil {
		return ""
	}
	return text
}

func (a openAMAdmin) agent(w http.ResponseWriter, r *http.Request, _ *authServer) {
	if !equal(r.Header.Get("iPlanetDirectoryPro"), a.session) {
		refuseREST(w, http.StatusUnauthorized, "Access Denied")
		return
	}
	id := r.PathValue("id")
	if r.Method == http.MethodPut {
		a.putAgent(w, r, id)
		return
	}
	var answer map[string]any
	err := a.clients.edit(id, func(c *registered) error {
		answer = agentDocument(c)
		return nil
	})
	if err == nil && r.Method == http.MethodDelete && a.clients.remove(id) {
		answer = map[string]any{"_id": id, "_rev": "0", "success": true}
	}
	if err != nil {
		refuseREST(w, http.StatusNotFound, "Not Found")
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// putAgent replaces the attributes that are sent and keeps the others. It makes
// a client that is not there, unless If-Match says that it must be.
func (a openAMAdmin) putAgent(w http.ResponseWriter, r *http.Request, id string) {
	sent, err := readObject(r)
	if err != nil {
		refuseREST(w, http.StatusBadRequest, "The request could not be processed because the provided content is not a JSON object")
		return
	}
	if method, ok := sent[agentMethod]; ok && !slices.Contains(anys(openAMMethods()), method) {
		refuseREST(w, http.StatusBadRequest, "Data validation failed for the attribute, "+agentMethod)
		return
	}
	status := http.StatusOK
	if r.Header.Get("If-Match") == "" {
		fresh := &registered{issued: a.now(), metadata: agentSchema()}
		fresh.ID, fresh.Secret = id, random()
		fresh.applyAgent()
		if a.clients.add(fresh, func(other *registered) bool { return other.ID == id }) {
			status = http.StatusCreated
		} else if r.Header.Get("If-None-Match") == "*" {
			refuseREST(w, http.StatusPreconditionFailed, "Unable to create SMS config: Service already exists")
			return
		}
	}
	var answer map[string]any
	err = a.clients.edit(id, func(c *registered) error {
		c.merge(sent)
		answer = agentDocument(c)
		return nil
	})
	if err != nil {
		refuseREST(w, http.StatusNotFound, "Not Found")
		return
	}
	writeJSON(w, status, answer)
}

// merge replaces attributes. Names that are not known are passed over without a
// word, a text that is empty becomes null, and no redirect URI is looked at.
func (r *registered) merge(sent map[string]any) {
	held := maps.Clone(r.metadata)
	for name, value := range sent {
		before, known := held[name]
		_, list := before.([]any)
		_, isList := value.([]any)
		switch {
		case name == agentSecret:
			if chosen, ok := value.(string); ok {
				r.Secret = chosen
			}
		case !known:
		case list && !isList:
			held[name] = []any{value}
		case value == "":
			held[name] = nil
		default:
			held[name] = value
		}
	}
	r.metadata = held
	r.applyAgent()
}

// agentDocument are the attributes of c; the secret never is one.
func agentDocument(c *registered) map[string]any {
	m := maps.Clone(c.metadata)
	m["_id"], m["_rev"] = c.ID, random()[:9]
	m["_type"] = map[string]any{"_id": "OAuth2Client", "name": "OAuth2 Clients", "collection": true}
	m[agentPrefix+"accessToken"] = c.manage
	return m
}
