package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/shared/oauth"
)

// This file is the part of the walk-through in which a person signs in to an
// application, through the broker.

// appRedirect is where the application that people sign in to is told the
// outcome: a port of its own, which it would choose when it starts.
const appRedirect = "http://127.0.0.1:53682/callback"

// signInAccess is how a developer asks for an application that people sign in
// to on their own machines.
const signInAccess = `{"client_name":"My desktop app","grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none",` +
	`"redirect_uris":["http://127.0.0.1/callback"],"scope":"orders:read","contracts":[{"api":"orders","tier":"trial"}]}`

// person is at a browser, whose cookies are all of one host.
type person struct {
	client  http.Client
	cookies []*http.Cookie
}

func newPerson() *person {
	return &person{client: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// open opens an address, or sends a form to it, and returns where the browser is
// sent next.
func (p *person) open(ctx context.Context, at string, form url.Values) (next string, err error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range p.cookies {
		req.AddCookie(c)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	p.cookies = append(p.cookies, resp.Cookies()...)
	if resp.StatusCode != http.StatusSeeOther {
		return "", fmt.Errorf("%s answered %d", req.URL.Path, resp.StatusCode)
	}
	return resp.Header.Get("Location"), nil
}

// signIn tells how a person signs in to a new application, and the application
// calls the API for them.
func (s *story) signIn(ctx context.Context, developer string) {
	created := s.exchange(ctx, chapter{
		title:  "An application that people sign in to",
		text:   "It runs on their machines and can keep no secret. The broker is its authorization server, whichever provider there is.",
		method: http.MethodPost, url: s.system.Own + "/applications", token: developer, body: signInAccess, want: http.StatusCreated,
	})
	var app application
	if err := json.Unmarshal(created.body, &app); err != nil && s.err == nil {
		s.err = err
	}
	verifier := oauth.NewVerifier()
	code := s.browse(ctx, app, verifier)
	first := s.redeem(ctx, "The code becomes a token", "The application shows the verifier that only it knows.", url.Values{
		"grant_type": {oauth.AuthorizationCode}, "client_id": {app.ClientID}, "code": {code}, "code_verifier": {verifier},
	})
	s.exchange(ctx, chapter{
		title: "The application reads orders for the person",
		url:   s.system.REST + "/orders", token: first.AccessToken, want: http.StatusOK,
	})
	s.redeem(ctx, "A new token, without the person", "A refresh token works once; the next one comes with the answer.", url.Values{
		"grant_type": {oauth.RefreshToken}, "client_id": {app.ClientID}, "refresh_token": {first.RefreshToken},
	})
}

// browse takes a person through a sign-in and returns the code that the
// application gets. What is in the addresses is theirs: it is not printed.
func (s *story) browse(ctx context.Context, app application, verifier string) string {
	if s.err != nil {
		return ""
	}
	s.narrate("Ada signs in", "in her browser. Her password goes to the provider and to nobody else.")
	state := oauth.NewVerifier()
	query := url.Values{
		"response_type": {"code"}, "client_id": {app.ClientID}, "redirect_uri": {appRedirect}, "state": {state}, "scope": {"orders:read"},
		"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {oauth.S256},
	}
	ada, next := newPerson(), s.system.Own+"/authorize?"+query.Encode()
	ada.client.Transport = s.client.Transport
	for _, form := range []url.Values{nil, {"username": {userLogin}, "password": {userPassword}, "action": {"login"}}, nil} {
		at := next
		if next, s.err = ada.open(ctx, at, form); s.err != nil {
			return ""
		}
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		fmt.Fprintf(s.out, "  > %s %s\n  < 303 to %s\n", method, place(at), place(next))
	}
	back, err := url.Parse(next)
	if err != nil || place(next) != appRedirect || back.Query().Get("state") != state || back.Query().Get("iss") != s.system.Own {
		s.err = errors.Join(err, errors.New("the application should have been told the outcome, with its state and our issuer"))
		return ""
	}
	return back.Query().Get("code")
}

// place is an address without its query.
func place(address string) string {
	at, _, _ := strings.Cut(address, "?")
	return at
}

// tokenAnswer is what a token endpoint answers.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
}

// redeem asks the broker for tokens, and shows what it says of them.
func (s *story) redeem(ctx context.Context, title, text string, form url.Values) tokenAnswer {
	if s.err != nil {
		return tokenAnswer{}
	}
	s.narrate(title, text)
	fmt.Fprintf(s.out, "  > POST %s/token\n  > grant_type=%s\n", s.system.Own, form.Get("grant_type"))
	answer := s.ask(ctx, s.system.Own+"/token", form, nil)
	if s.err == nil && answer.RefreshToken == "" {
		s.err = fmt.Errorf("%q should have brought a refresh token", title)
	}
	return answer
}

// ask sends a form to a token endpoint, in the name of a client if there is one.
func (s *story) ask(ctx context.Context, at string, form url.Values, client *url.Userinfo) tokenAnswer {
	var answer tokenAnswer
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		s.err = err
		return answer
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret, ok := client.Password(); ok {
		req.SetBasicAuth(client.Username(), secret)
	}
	got, err := s.do(req)
	if err != nil {
		s.err = err
		return answer
	}
	if err := json.Unmarshal(got.body, &answer); err != nil || got.status != http.StatusOK || answer.AccessToken == "" {
		s.err = fmt.Errorf("the token endpoint answered %d without a token", got.status)
		return tokenAnswer{}
	}
	fmt.Fprintf(s.out, "  < %d %s\n  < %s token for %d s, scope %q\n", got.status, http.StatusText(got.status), answer.TokenType, answer.ExpiresIn, answer.Scope)
	return answer
}
