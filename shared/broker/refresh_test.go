package broker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// sentUpstream are the refresh tokens that Okta was sent.
func (s *site) sentUpstream() []string {
	var all []string
	for _, e := range s.net.exchanges("okta.test", "/oauth2/default/v1/token") {
		if e.form.Get("grant_type") == oauth.RefreshToken {
			all = append(all, e.form.Get("refresh_token"))
		}
	}
	return all
}

// TestO8RefreshTokensRotate for every kind of client.
func TestO8RefreshTokensRotate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, a := range []app{s.register(confidential), s.register(public), s.selfRegister(stranger())} {
		last, known := s.tokens(a), map[any]bool{}
		for range 3 {
			s.clock.Advance(time.Hour)
			next := s.works(a, last["refresh_token"])
			if known[next["refresh_token"]] || known[next["access_token"]] || next["refresh_token"] == last["refresh_token"] || next["scope"] != last["scope"] {
				t.Errorf("got %v after %v", next, last)
			}
			known[next["refresh_token"]], known[next["access_token"]] = true, true
			last = next
		}
		if !s.alive(last["access_token"]) {
			t.Error("the provider does not know the last token")
		}
	}
	if sent := s.sentUpstream(); len(slices.Compact(slices.Sorted(slices.Values(sent)))) != 9 {
		t.Errorf("the provider was sent %v, want each of its tokens once", sent)
	}
}

// TestO8AProviderThatDoesNotRotate keeps its one token going; ours rotate.
func TestO8AProviderThatDoesNotRotate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	last := s.tokens(a)
	for n := range 3 {
		s.okta.Break(standin.Token, standin.Fault{Times: 1, Body: fmt.Sprintf(`{"access_token":"at%d","token_type":"Bearer"}`, n)})
		next := s.works(a, last["refresh_token"])
		if next["access_token"] != fmt.Sprint("at", n) || next["refresh_token"] == last["refresh_token"] || next["expires_in"] != nil || next["scope"] != last["scope"] {
			t.Errorf("got %v", next)
		}
		last = next
	}
	if sent := s.sentUpstream(); len(sent) != 3 || sent[0] != sent[1] || sent[1] != sent[2] {
		t.Errorf("the provider was sent %v, want its one token", sent)
	}
}

// TestO8ALostAnswerIsGivenAgain for thirty seconds; then the old token is in two
// hands, and both lose what it led to: here and at the provider.
func TestO8ALostAnswerIsGivenAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(public)
	log := s.logged(true)
	first := s.tokens(a)
	lost := s.works(a, first["refresh_token"])
	s.clock.Advance(30*time.Second - time.Millisecond)
	again := s.works(a, first["refresh_token"])
	if again["access_token"] != lost["access_token"] || lost["expires_in"] != 3600.0 || again["expires_in"] != 3570.0 || len(s.sentUpstream()) != 1 {
		t.Errorf("got %v, want what was lost: %v", again, lost)
	}
	next := s.works(a, again["refresh_token"])
	s.works(a, lost["refresh_token"]) // as good as the other: the answer of the same exchange
	if log.take(); !s.alive(next["access_token"]) {
		t.Fatal("the provider does not know the token")
	}
	s.clock.Advance(30 * time.Second)
	s.refresh(a, again["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
	if alarm := log.take(); !strings.Contains(alarm, `"alarm":"refresh_token_reused"`) {
		t.Errorf("the log says %s", alarm)
	}
	for _, dead := range []map[string]any{first, lost, again, next} {
		s.refresh(a, dead["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
	}
	if s.alive(next["access_token"]) {
		t.Error("the provider still takes the last token")
	}
}

// TestO8AnOlderTokenIsNoLostAnswer even within the time for that.
func TestO8AnOlderTokenIsNoLostAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	first := s.tokens(a)
	second := s.works(a, first["refresh_token"])
	third := s.works(a, second["refresh_token"])
	s.refresh(a, first["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
	s.refresh(a, third["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
}

// TestO8F27ManyRefreshAtOnce and one of them goes to the provider.
func TestO8F27ManyRefreshAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, a := range []app{s.register(confidential), s.register(public)} {
		first := s.tokens(a)
		before := s.okta.Requests(standin.Token)
		all := atOnce(20, func() answer { return s.refresh(a, first["refresh_token"]) })
		if good := count(all, 200); good == 0 || good+count(all, 429) != len(all) || s.okta.Requests(standin.Token) != before+1 {
			t.Errorf("got %v and %d requests to the provider", all, s.okta.Requests(standin.Token)-before)
		}
		var last answer
		for _, got := range all {
			switch {
			case got.status != 200:
			case last.json != nil && got.json["access_token"] != last.json["access_token"]:
				t.Errorf("got %v and %v", got, last)
			default:
				last = got
			}
		}
		s.works(a, last.json["refresh_token"])
	}
}

// TestO8NobodyGetsMoreThanWasGranted and asking for it changes nothing.
func TestO8NobodyGetsMoreThanWasGranted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.registerAt("plain", all, "orders")
	last := s.tokens(a, "resource", "https://api.test/orders")
	for _, row := range []struct {
		name    string
		changes []string
		want    string // scope or error
		status  int
	}{
		{"less", []string{"scope", "orders:read"}, "orders:read", 200},
		{"all again", nil, "orders:read orders:write", 200},
		{"more", []string{"scope", "orders:read orders:admin"}, oauth.InvalidScope, 400},
		{"nothing but what a person is", []string{"scope", "openid"}, oauth.InvalidScope, 400},
		{"what nobody knows", []string{"scope", "everything"}, oauth.InvalidScope, 400},
		{"scopes of OpenID Connect", []string{"scope", "openid orders:write"}, "orders:write", 200},
		{"the resource", []string{"resource", "https://API.test/orders"}, "orders:read orders:write", 200},
		{"N1 another resource", []string{"resource", "https://api.test/stock"}, oauth.InvalidTarget, 400},
		{"N2 one that begins alike", []string{"resource", "https://api.test/orders-evil"}, oauth.InvalidTarget, 400},
	} {
		got := s.refresh(a, last["refresh_token"], row.changes...)
		if row.status != 200 {
			if got.refused(t, row.status, row.want); t.Failed() {
				t.Fatal(row.name)
			}
			continue
		}
		if last = got.ok(t).json; last["scope"] != row.want {
			t.Errorf("%s: got %v, want %s", row.name, got, row.want)
		}
	}
}

func TestO8WhoseRefreshTokenItIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b, c := s.register(confidential), s.register(confidential), s.register(public)
	d := s.registerAt("plain", confidential, "orders")
	tokens := s.tokens(a)
	token := fmt.Sprint(tokens["refresh_token"])
	for _, row := range []struct {
		name   string
		a      app
		token  string
		status int
		code   string
	}{
		{"another client's", b, token, 400, oauth.InvalidGrant},
		{"a public client's", c, token, 400, oauth.InvalidGrant},
		{"a client's of another provider", d, token, 400, oauth.InvalidGrant},
		{"nobody's", app{id: "nobody"}, token, 401, oauth.InvalidClient},
		{"the client's, with a wrong secret", app{a.Application, a.id, "wrong"}, token, 401, oauth.InvalidClient},
		{"none", a, "", 400, oauth.InvalidRequest},
		{"one that is none", a, "x", 400, oauth.InvalidGrant},
		{"one that was changed", a, token[:len(token)-4] + "AAAA", 400, oauth.InvalidGrant},
		{"the end of one", a, token[1:], 400, oauth.InvalidGrant},
		{"one with padding", a, token + "=", 400, oauth.InvalidGrant},
		{"a code", a, s.code(a), 400, oauth.InvalidGrant},
		{"an access token", a, fmt.Sprint(tokens["access_token"]), 400, oauth.InvalidGrant},
		{"the provider's own", a, "MARK", 400, oauth.InvalidGrant},
	} {
		if s.refresh(row.a, row.token).refused(t, row.status, row.code); t.Failed() {
			t.Fatal(row.name)
		}
	}
	s.works(a, token)
}

func TestO8WhatIsNotGrantedAnyMore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.registerAt("okta", all, "orders", "stock")
	s.contract(a, "stock", registry.Approved)
	last := s.tokens(a)
	s.contract(a, "stock", registry.Revoked)
	if last = s.works(a, last["refresh_token"]); last["scope"] != "orders:read orders:write" {
		t.Errorf("got %v, want it without what the contract gave", last)
	}
	s.refresh(a, last["refresh_token"], "scope", "orders:admin").refused(t, 400, oauth.AccessDenied)
	s.contract(a, "orders", registry.Revoked)
	s.refresh(a, last["refresh_token"]).refused(t, 400, oauth.AccessDenied)
	s.contract(a, "orders", registry.Approved)
	last = s.works(a, last["refresh_token"])

	m := all
	m.Name, m.GrantTypes = a.Name, everyGrant[:1]
	if _, err := s.reg.Update(t.Context(), ada, a.ID, m); err != nil {
		t.Fatal(err)
	}
	s.refresh(a, last["refresh_token"]).refused(t, 400, oauth.UnauthorizedClient)
	if err := s.reg.Delete(t.Context(), ada, a.ID); err != nil {
		t.Fatal(err)
	}
	s.refresh(a, last["refresh_token"]).refused(t, 401, oauth.InvalidClient)
}

func TestARefreshTokenThatIsNotUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	last := s.tokens(a)
	s.clock.Advance(90*24*time.Hour - time.Second)
	if got := s.introspect(a, last["refresh_token"]).ok(t); got.json["active"] != true {
		t.Errorf("got %v", got)
	}
	s.clock.Advance(time.Second)
	if got := s.introspect(a, last["refresh_token"]).ok(t); got.json["active"] != false {
		t.Errorf("got %v", got)
	}
	s.refresh(a, last["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
}

// TestRefreshTokensAreForThoseWhoMayHaveThem whatever the provider gives.
func TestRefreshTokensAreForThoseWhoMayHaveThem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(registration.Metadata{RedirectURIs: []string{webApp}, GrantTypes: everyGrant[:1], Scope: "orders:read"})
	s.okta.Break(standin.Token, standin.Fault{Times: 1, Body: `{"access_token":"at","token_type":"Bearer","refresh_token":"MARK"}`})
	if got := s.redeem(a, s.code(a)).ok(t); got.json["refresh_token"] != nil || strings.Contains(got.body, "MARK") {
		t.Errorf("got %v", got)
	}
}

// TestWhatTheProviderHasEnded is ended here, too.
func TestWhatTheProviderHasEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	last := s.tokens(a)
	s.okta.Break(standin.Token, standin.Fault{Times: 1, Status: 400, Body: `{"error":"invalid_grant","error_description":"MARK"}`})
	got := s.refresh(a, last["refresh_token"])
	if got.refused(t, 400, oauth.InvalidGrant); strings.Contains(got.body, "MARK") {
		t.Errorf("got %v", got)
	}
	before := s.okta.Requests(standin.Token)
	s.refresh(a, last["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
	if s.okta.Requests(standin.Token) != before {
		t.Error("the provider is asked again")
	}
	code := s.code(a)
	s.okta.Break(standin.Token, standin.Fault{Times: 1, Status: 400, Body: `{"error":"invalid_grant"}`})
	s.redeem(a, code).refused(t, 400, oauth.InvalidGrant)
}

// TestARefreshTokenAndALine that is cut before the provider is reached, and after
// it: then the provider has seen its token once, and may see it again soon only.
func TestARefreshTokenAndALine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	last := s.tokens(a)
	s.net.set("okta.test", nil)
	s.refresh(a, last["refresh_token"]).refused(t, 503, oauth.TemporarilyUnavailable)
	s.net.set("okta.test", s.okta)
	last = s.works(a, last["refresh_token"])

	s.net.losing("/oauth2/default/v1/token", 1)
	s.refresh(a, last["refresh_token"]).refused(t, 503, oauth.TemporarilyUnavailable)
	last = s.works(a, last["refresh_token"])

	s.net.losing("/oauth2/default/v1/token", 1)
	s.refresh(a, last["refresh_token"]).refused(t, 503, oauth.TemporarilyUnavailable)
	s.clock.Advance(31 * time.Second)
	s.refresh(a, last["refresh_token"]).refused(t, 400, oauth.InvalidGrant) // the person signs in again
}

// grant returns the grant of a refresh token.
func (s *site) grant(token any) registry.Grant {
	s.t.Helper()
	text, err := s.Box.OpenText(s.t.Context(), "refresh token", "", fmt.Sprint(token))
	var says struct {
		ID string `json:"g"`
	}
	if err == nil {
		err = json.Unmarshal(text, &says)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	g, err := s.Store.Grant(s.t.Context(), says.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

// TestF25AnExchangeThatNobodyEnds is taken over when its time is up, and not
// before: until then, others wait, but not for ever.
func TestF25AnExchangeThatNobodyEnds(t *testing.T) {
	t.Parallel()
	if _, err := signingKey(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		a := s.register(confidential)
		last := s.tokens(a)
		g := s.grant(last["refresh_token"])
		g.Attempt, g.Lease = registry.NewID(), s.clock.Now().Add(15*time.Second)
		if _, err := s.Store.UpdateGrant(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		got := s.refresh(a, last["refresh_token"])
		if got.refused(t, 429, oauth.TemporarilyUnavailable); got.header.Get("Retry-After") != "1" || time.Since(begun) > 6*time.Second {
			t.Errorf("after %v got %v", time.Since(begun), got)
		}
		s.clock.Advance(15 * time.Second)
		s.works(a, last["refresh_token"])
	})
}

// TestARevocationDuringAnExchange wins, and so does a code that comes again while
// the first exchange of it is under way.
func TestARevocationDuringAnExchange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.register(confidential)
	last, code := s.tokens(a), s.code(a)
	var meanwhile func()
	s.net.set("okta.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if act := meanwhile; act != nil && r.URL.Path == "/oauth2/default/v1/token" {
			meanwhile = nil
			act()
		}
		s.okta.ServeHTTP(w, r)
	}))
	meanwhile = func() { s.revoke(a, last["refresh_token"]).ok(t) }
	s.refresh(a, last["refresh_token"]).refused(t, 400, oauth.InvalidGrant)
	meanwhile = func() { s.redeem(a, code).refused(t, 400, oauth.InvalidGrant) }
	s.redeem(a, code).refused(t, 400, oauth.InvalidGrant)
	for _, e := range s.net.exchanges("okta.test", "/oauth2/default/v1/token") {
		if token := e.answer.json["access_token"]; token != nil && s.alive(token) {
			t.Error("the provider takes a token that nobody was given, or that was revoked")
		}
	}
}
