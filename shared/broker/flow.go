package broker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/seal"
)

// This file keeps a sign-in together from one request of the browser to the
// next. All that is known of it travels sealed; the browser is told from others
// by a cookie.

// What is sealed, each with keys of its own.
const (
	consentPurpose = "consent"
	statePurpose   = "state"
	codePurpose    = "authorization code"
	refreshPurpose = "refresh token"
	grantPurpose   = "grant"
	answerPurpose  = "token"
)

// How long the parts of a sign-in may take.
const (
	flowLife = 10 * time.Minute // of a person at the provider
	codeLife = time.Minute      // RFC 9700 §4.3.3
)

// flow is an authorization request that is being worked on.
type flow struct {
	ID      string    `json:"i"` // names the cookie
	Binding []byte    `json:"b"` // SHA-256 of the cookie's value
	Expires time.Time `json:"x"`

	Application string   `json:"a"`
	Client      string   `json:"c"` // what the client calls itself
	Redirect    string   `json:"r"`
	State       string   `json:"s"`
	Challenge   string   `json:"h"`
	Scopes      []string `json:"p"`
	Resources   []string `json:"t,omitempty"`

	Verifier string `json:"v,omitempty"` // of our own leg to the provider
	Callback string `json:"u,omitempty"` // our redirect URI there
}

func (f flow) access() access { return access{scopes: f.Scopes, resources: f.Resources} }

// begin gives the browser of w a cookie and returns f as it is bound to it.
func (s *Server) begin(w http.ResponseWriter, f flow, purpose string) flow {
	var random [40]byte
	_, _ = rand.Read(random[:]) // never fails
	value := base64.RawURLEncoding.EncodeToString(random[8:])
	sum := sha256.Sum256([]byte(value))
	f.ID, f.Binding, f.Expires = base64.RawURLEncoding.EncodeToString(random[:8]), sum[:], s.now().Add(flowLife)
	http.SetCookie(w, cookie(cookieName(purpose, f.ID), value, int(flowLife.Seconds())))
	return f
}

// resume opens a flow that comes back from the browser of r, and takes its
// cookie away.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, purpose, sealed string) (flow, error) {
	var f flow
	if err := s.open(r.Context(), purpose, sealed, &f); err != nil {
		return flow{}, err
	}
	name := cookieName(purpose, f.ID)
	shown, err := r.Cookie(name)
	if err != nil {
		return flow{}, errOtherBrowser
	}
	sum := sha256.Sum256([]byte(shown.Value))
	if subtle.ConstantTimeCompare(sum[:], f.Binding) != 1 {
		return flow{}, errOtherBrowser
	}
	http.SetCookie(w, cookie(name, "", -1))
	if !s.now().Before(f.Expires) {
		return flow{}, errTooLate
	}
	return f, nil
}

// Reasons a browser cannot go on. There is no client that they could be told.
var (
	errOtherBrowser = oauth.Refuse(oauth.InvalidRequest, "This browser did not begin this sign-in, or its cookies were removed. Go back to the application and sign in again.")
	errTooLate      = oauth.Refuse(oauth.InvalidRequest, "The sign-in took longer than ten minutes. Go back to the application and sign in again.")
	errUnsealed     = oauth.Refuse(oauth.InvalidRequest, "This address is not complete, or it was changed. Go back to the application and sign in again.")
)

// cookieName begins with __Host-, so that no other host can set the cookie.
func cookieName(purpose, id string) string { return "__Host-gatehouse-" + purpose + "-" + id }

// cookie returns one that comes back when a browser comes from elsewhere by a
// link or a redirect, and not with what a page of elsewhere sends by itself.
func cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, MaxAge: maxAge, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// seal returns v as a text that nobody else can read or make.
func (s *Server) seal(ctx context.Context, purpose string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("broker: %s: %w", purpose, err)
	}
	sealed, err := s.Box.SealText(ctx, purpose, "", text)
	return sealed, fromKeys(err)
}

// open reads what seal has made. The error is errUnsealed for everything else.
func (s *Server) open(ctx context.Context, purpose, sealed string, into any) error {
	text, err := s.Box.OpenText(ctx, purpose, "", sealed)
	if errors.Is(err, seal.ErrSealed) {
		return errUnsealed
	}
	if err != nil {
		return fromKeys(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("broker: %s: %w", purpose, err)
	}
	return nil
}
