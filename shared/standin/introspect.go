package standin

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// introspect is RFC 7662.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request, as *authServer) {
	noStore(w)
	form, c, err := s.tokenForm(r)
	if err == nil && !form.Has("token") {
		err = refusal{reason: missingParameter, detail: "token"}
	}
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	// The hint is only a hint: all kinds are tried whatever it says.
	token := form.Get("token")
	if claims, ok := s.active(token, as); ok && s.vendor.mayAsk(c, claims) {
		writeJSON(w, http.StatusOK, s.vendor.introspection(claims))
		return
	}
	if t, ok := s.grants.refresh(token, as, s.now()); ok {
		writeJSON(w, http.StatusOK, s.vendor.refreshIntrospection(t))
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"active": false})
}

// revokeToken is RFC 7009. A client can revoke its own tokens; it is told 200
// whatever it sends, so that it learns nothing of others'.
func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request, as *authServer) {
	noStore(w)
	form, c, err := s.tokenForm(r)
	if err == nil && !form.Has("token") {
		err = refusal{reason: missingParameter, detail: "token"}
	}
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	token := form.Get("token")
	if t, ok := s.grants.refresh(token, as, s.now()); ok && t.grant.client.ID == c.ID {
		s.grants.end(t.grant)
	}
	if claims, ok := s.active(token, as); ok && s.vendor.clientOf(claims) == c.ID {
		if jti, ok := claims["jti"].(string); ok {
			s.grants.revoke(jti, s.now())
		}
	}
	w.WriteHeader(http.StatusOK)
}

// active returns the claims of an access or ID token of as that has neither
// expired nor been revoked. Numbers are json.Number.
func (s *Server) active(token string, as *authServer) (map[string]any, bool) {
	body, ok := s.grants.claims(token)
	if !ok {
		body, ok = s.keys.verify(token)
	}
	if !ok {
		return nil, false
	}
	var claims map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		return nil, false
	}
	exp, ok := claims["exp"].(json.Number)
	if !ok {
		return nil, false
	}
	seconds, err := exp.Float64()
	if err != nil || float64(s.now().Unix()) >= seconds || claims["iss"] != as.issuer {
		return nil, false
	}
	jti, _ := claims["jti"].(string)
	return claims, !s.grants.isRevoked(jti) && !s.clients.isDeleted(s.vendor.clientOf(claims))
}
