package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/seal"
	"gatehouse/shared/token"
)

// This file knows who a person is once they have signed in.

// What is sealed, each with keys of its own.
const (
	sessionPurpose = "portal session"
	signInPurpose  = "portal sign-in"
)

// sessionCookie begins with __Host-, so that no other host can set it.
const sessionCookie = "__Host-gatehouse-portal"

// longestSession is when a person signs in again whatever the token says.
const longestSession = 8 * time.Hour

const groupPrefix = "group:"

// session is what is known of a person: what their token says, as far as the
// registration asks for it. The zero session is nobody.
type session struct {
	Subject string    `json:"s"`
	Client  string    `json:"c"` // the portal's own
	Scopes  []string  `json:"p"`
	Groups  []string  `json:"g,omitempty"` // those that own an API
	Expires time.Time `json:"x"`
}

// sessionOf is the session that a verified token begins.
func (p *Portal) sessionOf(f *token.Facts) session {
	s := session{Subject: f.Subject, Client: f.ClientID, Expires: p.now().Add(longestSession)}
	if !f.Expires.IsZero() && f.Expires.Before(s.Expires) {
		s.Expires = f.Expires
	}
	for _, scope := range []string{config.ScopeApplications, config.ScopeContracts, config.ScopeAdmin} {
		if slices.Contains(f.Scopes, scope) {
			s.Scopes = append(s.Scopes, scope)
		}
	}
	claim, _ := f.Claim(p.GroupsClaim)
	for _, group := range claim.Values {
		owns := func(a API) bool { return slices.Contains(a.Owners, groupPrefix+group) }
		// Some people are in hundreds, and a cookie has 4 KiB.
		if slices.ContainsFunc(p.APIs, owns) && !slices.Contains(s.Groups, group) {
			s.Groups = append(s.Groups, group)
		}
	}
	return s
}

// Nobody reports whether there is nobody.
func (s session) Nobody() bool { return s.Subject == "" }

// May reports whether the person's token opens what a scope is for.
func (s session) May(scope string) bool {
	return slices.Contains(s.Scopes, scope) || slices.Contains(s.Scopes, config.ScopeAdmin)
}

// Admin reports whether the person has signed in as an administrator.
func (s session) Admin() bool { return slices.Contains(s.Scopes, config.ScopeAdmin) }

// owns reports whether the person decides about access to a.
func (s session) owns(a API) bool {
	own := func(owner string) bool {
		if group, ok := strings.CutPrefix(owner, groupPrefix); ok {
			return slices.Contains(s.Groups, group)
		}
		return owner == s.Subject
	}
	return s.Admin() || s.May(config.ScopeContracts) && slices.ContainsFunc(a.Owners, own)
}

// told is what the authorizer would have told of the person's token.
func (s session) told(groupsClaim string) (map[string]string, error) {
	groups, err := json.Marshal(append([]string{}, s.Groups...))
	if err != nil {
		return nil, fmt.Errorf("portal: groups: %w", err)
	}
	return map[string]string{
		"sub": s.Subject, "client_id": s.Client, "scope": strings.Join(s.Scopes, " "), groupsClaim: string(groups),
	}, nil
}

// session is who has sent r, or a refusal that lets them sign in.
func (p *Portal) session(r *http.Request) (session, error) {
	var s session
	sent, err := r.Cookie(sessionCookie)
	if err == nil {
		err = p.unseal(r.Context(), sessionPurpose, "", sent.Value, &s)
	}
	switch {
	case errors.Is(err, seal.ErrKeys):
		return session{}, noKeys(err)
	case err != nil, s.Subject == "":
		return session{}, p.signInFirst(r, "Sign in first", "This page is for people who have signed in.")
	case !p.now().Before(s.Expires):
		return session{}, p.signInFirst(r, "You have been signed out", "A sign-in lasts as long as the provider says, and yours has ended. Nothing was done; sign in and do it again.")
	}
	return s, nil
}

// signInFirst leads back to the page that was asked for.
func (*Portal) signInFirst(r *http.Request, title, text string) *refusal {
	e := &refusal{Status: http.StatusUnauthorized, Title: title, Text: text, SignIn: "person"}
	if r.Method == http.MethodGet {
		e.Next = r.URL.RequestURI()
	}
	return e
}

func noKeys(err error) error {
	return &refusal{
		Status: http.StatusServiceUnavailable, Title: "Our keys cannot be read at the moment", Text: "Try again in a few seconds.",
		RetryAfter: 5 * time.Second, Cause: err,
	}
}

// begin gives the browser a session.
func (p *Portal) begin(w http.ResponseWriter, r *http.Request, s session) error {
	sealed, err := p.seal(r.Context(), sessionPurpose, "", s)
	if err != nil {
		return err
	}
	apigw.Log(r.Context(), slog.String("sub", s.Subject))
	http.SetCookie(w, cookie(sessionCookie, sealed, int(s.Expires.Sub(p.now()).Seconds())))
	return nil
}

// postSignOut forgets the person. At the provider they may still be signed in.
func (p *Portal) postSignOut(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, cookie(sessionCookie, "", -1))
	redirect(w, p.root(r.Context()))
	return nil
}

// cookie returns one that comes back when a browser comes from elsewhere by a
// link or a redirect, and not with what a page of elsewhere sends by itself.
func cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, MaxAge: maxAge, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// redirect sends the browser to u. A form that was posted is not posted again.
func redirect(w http.ResponseWriter, u string) {
	w.Header().Set("Location", u)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// seal returns v as a text that nobody else can read or make.
func (p *Portal) seal(ctx context.Context, purpose, bound string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("portal: %s: %w", purpose, err)
	}
	sealed, err := p.Box.SealText(ctx, purpose, bound, text)
	if errors.Is(err, seal.ErrKeys) {
		return "", noKeys(err)
	}
	return sealed, err
}

// unseal reads what seal has made.
func (p *Portal) unseal(ctx context.Context, purpose, bound, sealed string, into any) error {
	text, err := p.Box.OpenText(ctx, purpose, bound, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("portal: %s: %w", purpose, err)
	}
	return nil
}
