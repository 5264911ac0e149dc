package standin

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// This file is dynamic client registration (RFC 7591) and its management (RFC
// 7592).

// dcr is how one server registers clients.
type dcr struct {
	path        string // of the registration endpoint
	initial     string // the initial access token; empty: none is needed
	closed      bool   // nobody can register
	quirks      Quirks
	grants      []string // that a client can have
	knownScopes []string // that a client can have; nil: any
}

// dcrMetadata are the members a registration can have (RFC 7591 section 2).
func dcrMetadata() []string {
	return []string{
		"client_id", "client_secret", "redirect_uris", "token_endpoint_auth_method", "grant_types", "response_types", "client_name",
		"client_uri", "logo_uri", "scope", "contacts", "tos_uri", "policy_uri", "jwks_uri", "jwks", "software_id", "software_version",
	}
}

func (s *Server) dcrRoutes(d dcr) {
	s.mux.Handle(d.path, s.guard(endpoint{Clients, []string{http.MethodPost}, func(w http.ResponseWriter, r *http.Request, _ *authServer) {
		s.register(w, r, d)
	}}))
	if d.quirks.Unmanaged {
		return
	}
	methods := []string{http.MethodGet, http.MethodPut, http.MethodDelete}
	s.mux.Handle(d.path+"/{id}", s.guard(endpoint{Clients, methods, func(w http.ResponseWriter, r *http.Request, _ *authServer) {
		s.manage(w, r, d)
	}}))
}

// refuseBare answers as d does when credentials are refused.
func (s *Server) refuseBare(w http.ResponseWriter, d dcr, err error) {
	if d.quirks.EmptyErrors && s.vendor.words(err).status == http.StatusUnauthorized {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.vendor.refuse(w, err)
}

// register is RFC 7591 section 3.1.
func (s *Server) register(w http.ResponseWriter, r *http.Request, d dcr) {
	noStore(w)
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if d.closed || d.initial != "" && (!bearer || !equal(token, d.initial)) {
		s.refuseBare(w, d, refusal{reason: badManagement})
		return
	}
	sent, err := readObject(r)
	if err == nil && sent["client_id"] != nil && d.quirks.RefuseClientID {
		err = refusal{reason: badMetadata, detail: "Client Identifier included"}
	}
	if err == nil {
		delete(sent, "client_id")
		err = d.complete(sent)
	}
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	c := &registered{issued: s.now()}
	c.ID = random()[:22]
	c.apply(sent)
	if c.AuthMethod == Basic || c.AuthMethod == Post {
		c.Secret = random()
	}
	if !d.quirks.Unmanaged {
		c.manage = random()
	}
	answer := s.dcrDocument(c, d, everything)
	s.clients.add(c, func(*registered) bool { return false })
	status := http.StatusCreated
	if d.quirks.OK {
		status = http.StatusOK
	}
	writeJSON(w, status, answer)
}

// manage is RFC 7592 section 2.
func (s *Server) manage(w http.ResponseWriter, r *http.Request, d dcr) {
	noStore(w)
	var sent map[string]any
	if r.Method == http.MethodPut {
		var err error
		if sent, err = readObject(r); err != nil {
			s.vendor.refuse(w, err)
			return
		}
	}
	var answer map[string]any
	err := s.clients.edit(r.PathValue("id"), func(c *registered) error {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || c.manage == "" || !equal(token, c.manage) {
			return refusal{reason: badManagement}
		}
		if r.Method == http.MethodDelete {
			return nil
		}
		if r.Method == http.MethodPut {
			if err := d.replace(c, sent); err != nil {
				return err
			}
		}
		part := everything
		if d.quirks.Forgetful {
			part = 0
		}
		if d.quirks.RotateToken && r.Method == http.MethodPut || d.quirks.RotateTokenOnRead {
			c.manage = random()
			part |= withToken
		}
		if d.quirks.RotateSecret && c.Secret != "" {
			c.Secret = random()
			part |= withSecret
		}
		answer = s.dcrDocument(c, d, part)
		return nil
	})
	switch {
	case err != nil && asRefusal(err).reason == badMetadata:
		s.vendor.refuse(w, err)
	case err != nil:
		s.refuseBare(w, d, err)
	case r.Method == http.MethodDelete:
		s.clients.remove(r.PathValue("id"))
		if !d.quirks.OK {
			w.WriteHeader(http.StatusNoContent)
		}
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// replace is PUT (RFC 7592 section 2.2).
func (d dcr) replace(c *registered, sent map[string]any) error {
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if _, ok := sent[name]; ok {
			return refusal{reason: badMetadata, detail: name + " must not be sent"}
		}
	}
	if text(sent, "client_id") != c.ID {
		return refusal{reason: badMetadata, detail: "Client Identifier modified"}
	}
	if secret, ok := sent["client_secret"]; ok && secret != c.Secret {
		return refusal{reason: badMetadata, detail: "client_secret cannot be chosen"}
	}
	delete(sent, "client_id")
	delete(sent, "client_secret")
	if err := d.complete(sent); err != nil {
		return err
	}
	c.apply(sent)
	return nil
}

// What of a client an answer shows beside its metadata, as bits.
const (
	withToken = 1 << iota
	withURI
	withSecret

	everything = withToken | withURI | withSecret
)

func (s *Server) dcrDocument(c *registered, d dcr, show int) map[string]any {
	answer := map[string]any{"client_id": c.ID, "client_id_issued_at": c.issued.Unix()}
	maps.Copy(answer, c.metadata)
	if d.quirks.Arrays {
		answer["token_endpoint_auth_method"] = []string{c.AuthMethod}
		if len(c.RedirectURIs) == 1 {
			answer["redirect_uris"] = c.RedirectURIs[0]
		}
	}
	if c.Secret != "" && show&withSecret != 0 {
		answer["client_secret"] = c.Secret
		answer["client_secret_expires_at"] = 0
	}
	if c.manage != "" && show&withToken != 0 {
		answer["registration_access_token"] = c.manage
	}
	if c.manage != "" && show&withURI != 0 {
		answer["registration_client_uri"] = s.base + d.path + "/" + c.ID
	}
	return answer
}

// complete fills in the defaults of RFC 7591 section 2 and checks metadata.
func (d dcr) complete(m map[string]any) error {
	bad := func(detail string) error { return refusal{reason: badMetadata, detail: detail} }
	for name := range m {
		if !slices.Contains(dcrMetadata(), name) {
			if d.quirks.StrictJSON {
				return bad("Unrecognized field " + name)
			}
			delete(m, name) // RFC 7591 section 2: unknown members are ignored
		}
	}
	m["token_endpoint_auth_method"] = cmp.Or(text(m, "token_endpoint_auth_method"), Basic)
	for name, value := range map[string][]string{"grant_types": {AuthorizationCode}, "response_types": {"code"}, "redirect_uris": {}} {
		if m[name] == nil {
			m[name] = anys(value)
		}
	}
	grants, ok := texts(m, "grant_types")
	responses, ok2 := texts(m, "response_types")
	uris, ok3 := texts(m, "redirect_uris")
	if !ok || !ok2 || !ok3 {
		return bad("redirect_uris, grant_types and response_types are arrays of strings")
	}
	if i := slices.IndexFunc(grants, func(g string) bool { return !slices.Contains(d.grants, g) }); i >= 0 {
		return bad("grant_types: unsupported")
	}
	code := slices.Contains(grants, AuthorizationCode)
	switch {
	case !d.quirks.StrictJSON && code != slices.Contains(responses, "code"):
		return bad("response_types does not match grant_types")
	case (code || d.quirks.NeedRedirect) && len(uris) == 0:
		return refusal{reason: badRedirectMetadata, detail: "redirect_uris is missing"}
	case m["jwks"] != nil && m["jwks_uri"] != nil:
		return bad("jwks and jwks_uri exclude each other")
	case !slices.Contains([]string{Basic, Post, "private_key_jwt", Public}, text(m, "token_endpoint_auth_method")):
		return bad("token_endpoint_auth_method: unsupported")
	}
	for _, uri := range uris {
		if u, err := url.Parse(uri); err != nil || !u.IsAbs() || strings.Contains(uri, "#") {
			return refusal{reason: badRedirectMetadata, detail: "a redirect URI is absolute and has no fragment"}
		}
	}
	for _, scope := range parseScope(text(m, "scope")) {
		if d.knownScopes != nil && !slices.Contains(d.knownScopes, scope) {
			return refusal{reason: scopeForbidden, detail: scope}
		}
	}
	return nil
}
