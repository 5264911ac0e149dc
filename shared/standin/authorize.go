package standin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// authorization is a request to the authorization endpoint whose client and
// redirect URI are known, so that what else is wrong can be sent back to it.
type authorization struct {
	as       *authServer
	client   Client
	redirect string
	params   url.Values
}

// authorize is RFC 6749 section 4.1.1 with RFC 7636: it shows the login page,
// and takes what is posted from it. The page posts to its own address, so that
// the request is checked again in full and nothing is kept in between.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, as *authServer) {
	noStore(w)
	req, err := s.trust(r, as)
	if err != nil {
		s.showRefusal(w, err)
		return
	}
	if err := req.check(); err != nil {
		s.sendBack(w, r, req, s.refusalParameters(err))
		return
	}
	if r.Method != http.MethodPost {
		if req.params.Get("prompt") == "none" {
			s.sendBack(w, r, req, s.refusalParameters(refusal{reason: noSession}))
			return
		}
		s.showLogin(w, http.StatusOK, req, login{Username: req.params.Get("login_hint")})
		return
	}
	form, err := readForm(r)
	if err != nil {
		s.showRefusal(w, err)
		return
	}
	if form.Get("action") == "cancel" {
		s.sendBack(w, r, req, s.refusalParameters(refusal{reason: userDenied}))
		return
	}
	user, ok := s.users[form.Get("username")]
	if !equal(form.Get("password"), user.Password) || !ok {
		s.showLogin(w, http.StatusForbidden, req, login{Username: form.Get("username"), Failed: true})
		return
	}
	s.sendBack(w, r, req, s.allow(req, user))
}

// trust returns the request with the client and the redirect URI it names, or
// why it must not be redirected anywhere.
func (s *Server) trust(r *http.Request, as *authServer) (authorization, error) {
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return authorization{}, refusal{reason: malformedBody}
	}
	if len(params["client_id"]) > 1 || len(params["redirect_uri"]) > 1 {
		return authorization{}, refusal{reason: repeatedParameter}
	}
	c, ok := s.clients.get(params.Get("client_id"))
	if !ok {
		return authorization{}, refusal{reason: unknownClient}
	}
	redirect := params.Get("redirect_uri")
	if !slices.Contains(c.RedirectURIs, redirect) {
		return authorization{}, refusal{reason: badRedirect}
	}
	return authorization{as: as, client: c, redirect: redirect, params: params}, nil
}

// check returns what is wrong with a request from a known client.
func (a authorization) check() error {
	for name, values := range a.params {
		if len(values) > 1 && name != resource {
			return refusal{reason: repeatedParameter}
		}
	}
	switch {
	case a.params.Get("state") == "":
		// Okta asks for it, RFC 6749 only recommends it.
		return refusal{reason: badState}
	case a.params.Get("response_type") != "code":
		return refusal{reason: badResponseType}
	case a.params.Get("response_mode") != "" && a.params.Get("response_mode") != "query":
		return refusal{reason: badResponseMode}
	case !a.client.may(AuthorizationCode):
		return refusal{reason: grantNotOfClient, detail: strings.Join(a.client.GrantTypes, ", ")}
	}
	if err := a.checkChallenge(); err != nil {
		return err
	}
	_, err := grantScopes(a.as, a.client, a.params.Get("scope"), AuthorizationCode)
	return err
}

// checkChallenge holds the request to PKCE with S256. A method that is not
// named would be "plain" (RFC 7636 section 4.3), and a method without a
// challenge is a downgrade that looks like PKCE.
func (a authorization) checkChallenge() error {
	challenge, method := a.params.Get("code_challenge"), a.params.Get("code_challenge_method")
	switch {
	case challenge == "" && (method != "" || a.client.AuthMethod == Public):
		return refusal{reason: noChallenge}
	case challenge == "":
		return nil
	case method != "S256":
		return refusal{reason: badMethod}
	case !unreserved(challenge, 43, 43) || strings.ContainsAny(challenge, ".~"):
		return refusal{reason: badChallenge}
	}
	return nil
}

// allow returns the parameters of the answer once user has signed in.
func (s *Server) allow(req authorization, user User) url.Values {
	if !req.client.assigned(user) {
		return s.refusalParameters(refusal{reason: userNotAssigned})
	}
	now := s.now()
	name := s.grants.addCode(&code{
		grant: &grant{
			as:       req.as,
			client:   req.client,
			user:     &user,
			scopes:   parseScope(req.params.Get("scope")),
			authTime: now.Truncate(time.Second),
			nonce:    req.params.Get("nonce"),
		},
		redirect:  req.redirect,
		challenge: req.params.Get("code_challenge"),
		expires:   now.Add(codeLifetime),
	}, now)
	return url.Values{"code": {name}}
}

func (s *Server) refusalParameters(err error) url.Values {
	e := s.vendor.words(err)
	return url.Values{"error": {e.code}, "error_description": {e.text}}
}

// sendBack redirects the browser to the client with answer and the state.
func (*Server) sendBack(w http.ResponseWriter, r *http.Request, req authorization, answer url.Values) {
	if state := req.params.Get("state"); state != "" {
		answer.Set("state", state)
	}
	if req.as.sendsIssuer {
		answer.Set("iss", req.as.issuer)
	}
	separator := "?"
	if strings.Contains(req.redirect, "?") {
		separator = "&"
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	// 303, so that no browser posts the password to the client.
	http.Redirect(w, r, req.redirect+separator+answer.Encode(), http.StatusSeeOther)
}
