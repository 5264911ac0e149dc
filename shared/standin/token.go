package standin

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// tokenAnswer is a successful answer of the token endpoint (RFC 6749 section 5.1).
type tokenAnswer struct {
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	AccessToken  string `json:"access_token"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
}

func (s *Server) token(w http.ResponseWriter, r *http.Request, as *authServer) {
	noStore(w)
	form, c, err := s.tokenRequest(r)
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	if _, ok := s.vendor.(pingFederate); ok && form.Get("grant_type") == validateBearer {
		s.validate(w, form.Get("token"), as)
		return
	}
	answer, err := s.answerToken(form, c, as)
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// tokenRequest returns the form and the client that sent it.
func (s *Server) tokenRequest(r *http.Request) (url.Values, Client, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, Client{}, err
	}
	query, err := parseParameters(r.URL.RawQuery)
	if err != nil {
		return nil, Client{}, err
	}
	if query.Has("client_id") || query.Has("client_secret") || query.Has("client_assertion") {
		return nil, Client{}, refusal{reason: queryCredentials}
	}
	c, err := s.authenticate(r, form)
	return form, c, err
}

func (s *Server) answerToken(form url.Values, c Client, as *authServer) (tokenAnswer, error) {
	grantType := form.Get("grant_type")
	switch grantType {
	case "":
		return tokenAnswer{}, refusal{reason: noGrantType}
	case AuthorizationCode, RefreshToken:
	case ClientCredentials:
		if as.org {
			return tokenAnswer{}, refusal{reason: serviceGrantAtOrg}
		}
	default:
		return tokenAnswer{}, refusal{reason: unknownGrantType}
	}
	if !c.may(grantType) {
		return tokenAnswer{}, refusal{reason: grantNotOfClient, detail: strings.Join(c.GrantTypes, ", ")}
	}
	switch grantType {
	case AuthorizationCode:
		return s.redeemCode(form, c, as)
	case RefreshToken:
		return s.refresh(form, c, as)
	default:
		return s.serveClient(form, c, as)
	}
}

// serveClient is the client credentials grant (RFC 6749 section 4.4).
func (s *Server) serveClient(form url.Values, c Client, as *authServer) (tokenAnswer, error) {
	scopes, err := grantScopes(as, c, form.Get("scope"), ClientCredentials)
	if err != nil {
		return tokenAnswer{}, err
	}
	return s.issue(&grant{as: as, client: c}, scopes)
}

// redeemCode is the authorization code grant (RFC 6749 section 4.1.3).
func (s *Server) redeemCode(form url.Values, c Client, as *authServer) (tokenAnswer, error) {
	for _, name := range []string{"code", "redirect_uri"} {
		if !form.Has(name) {
			return tokenAnswer{}, refusal{reason: missingParameter, detail: name}
		}
	}
	gr, err := s.grants.redeem(redemption{
		code:     form.Get("code"),
		redirect: form.Get("redirect_uri"),
		verifier: form.Get("code_verifier"),
		client:   c.ID,
		as:       as,
	}, s.now())
	if err != nil {
		return tokenAnswer{}, err
	}
	return s.issue(gr, gr.scopes)
}

// refresh is the refresh token grant (RFC 6749 section 6).
func (s *Server) refresh(form url.Values, c Client, as *authServer) (tokenAnswer, error) {
	if !form.Has("refresh_token") {
		return tokenAnswer{}, refusal{reason: missingParameter, detail: "refresh_token"}
	}
	gr, scopes, err := s.grants.spend(form.Get("refresh_token"), parseScope(form.Get("scope")), c, as, s.now())
	if err != nil {
		return tokenAnswer{}, err
	}
	return s.issue(gr, scopes)
}

// issue answers with the tokens of gr: an access token, a refresh token when
// the user allowed offline access or the server does not ask for that, an ID token
// when they signed in to OpenID.
func (s *Server) issue(gr *grant, scopes []string) (tokenAnswer, error) {
	access, err := s.accessToken(gr, scopes)
	if err != nil {
		return tokenAnswer{}, err
	}
	answer := tokenAnswer{
		TokenType:   "Bearer",
		ExpiresIn:   int(gr.as.Lifetime.Seconds()),
		AccessToken: access,
		Scope:       strings.Join(scopes, " "),
	}
	if gr.user == nil {
		return answer, nil
	}
	if (gr.as.refreshes || slices.Contains(gr.scopes, "offline_access")) && gr.client.may(RefreshToken) {
		answer.RefreshToken = s.grants.addRefresh(gr, s.now())
	}
	if slices.Contains(scopes, "openid") {
		claims := s.vendor.idClaims(gr, s.now())
		sum := sha256.Sum256([]byte(access))
		claims["at_hash"] = encode(sum[:len(sum)/2]) // OpenID Connect Core section 3.1.3.6
		if answer.IDToken, err = s.keys.sign(claims, nil); err != nil {
			return tokenAnswer{}, err
		}
	}
	return answer, nil
}

func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-cache, no-store")
	w.Header().Set("Pragma", "no-cache")
}
