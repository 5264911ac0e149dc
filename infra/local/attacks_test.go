package main

import (
	"encoding/json"
	"html"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

// Attacks that others have met, on the whole system. A row names what is done
// and, where it is known, where it worked; it says what the answer is here. What
// must not have changed is looked at after each.

// attack is one of them.
type attack struct {
	name   string
	try    func(*testing.T, *attacked) response
	status int
	says   string // the answer does, in its body or where it sends people
}

// attacked is a system that lets in whom its configuration can let in: clients
// register themselves, and others are known by documents.
type attacked struct {
	*running

	clock     *demoClock
	owned     party // a developer's, with a secret
	other     party // another of theirs
	native    party // one of theirs without a secret, on people's machines
	stranger  party // one that registered itself, also there
	elsewhere string
	refused   *atomic.Int64 // attacks
	called    *atomic.Int64 // connections to there, where only attackers send anybody
}

// party is a client.
type party struct {
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
	Secret   string `json:"client_secret"`
	Manage   string `json:"registration_access_token"`
	redirect string
	verifier string
}

const (
	webRedirect    = "https://app.example.com/cb"
	nativeRedirect = "http://127.0.0.1/cb"
)

// altered are the files of this repository with other texts in the configuration:
// old, new, and so on.
func altered(t *testing.T, replace ...string) files {
	t.Helper()
	f := repositoryFiles()
	text := string(contents(t, f.Config))
	for n := 0; n+1 < len(replace); n += 2 {
		if !strings.Contains(text, replace[n]) {
			t.Fatalf("%s does not have %q", f.Config, replace[n])
		}
		text = strings.Replace(text, replace[n], replace[n+1], 1)
	}
	f.Config = filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(f.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// attackable starts a system, with clients in it.
func attackable(t *testing.T, replace ...string) *attacked {
	t.Helper()
	a := &attacked{running: &running{}, clock: midHour(), called: new(atomic.Int64), refused: new(atomic.Int64)}
	evil := httptest.NewUnstartedServer(http.NotFoundHandler())
	evil.Config.ConnState = func(_ net.Conn, is http.ConnState) {
		if is == http.StateNew {
			a.called.Add(1)
		}
	}
	evil.Start()
	t.Cleanup(evil.Close)
	a.elsewhere = evil.URL
	f := altered(t, append([]string{
		"# dynamic: {provider: okta, open: false}", "dynamic: {provider: okta, open: true, perHour: 500, perAddress: 400}",
		"# clientMetadata: true", "clientMetadata: true", "# cacheClientCredentials: 1m", "cacheClientCredentials: 1m",
	}, replace...)...)
	a.system = serving(t, options{files: f, now: a.clock.now, log: slog.New(slog.NewJSONHandler(&a.log, nil))})
	a.app = a.registered(t)
	developer := a.developer(t)
	const access = `,"scope":"orders:read orders:write","contracts":[{"api":"orders","tier":"trial"}]}`
	const every = `{"client_name":"Mine","grant_types":["authorization_code","refresh_token","client_credentials"],"redirect_uris":["` + webRedirect + `"]` + access
	const public = `"grant_types":["authorization_code","refresh_token"],"redirect_uris":["` + nativeRedirect + `"],"token_endpoint_auth_method":"none"`
	a.owned = a.joins(t, "/applications", every, developer...)
	a.other = a.joins(t, "/applications", every, developer...)
	a.native = a.joins(t, "/applications", `{"client_name":"Desk",`+public+access, developer...)
	a.stranger = a.joins(t, "/register", `{"client_name":"Stranger","scope":"orders:read",`+public+`}`)
	t.Cleanup(func() {
		for _, p := range []party{a.owned, a.other, a.stranger} {
			for _, secret := range []string{p.Secret, p.Manage} {
				if secret != "" && strings.Contains(a.log.String(), secret) {
					t.Errorf("a secret of %s is in the log", p.ClientID)
				}
			}
		}
	})
	return a
}

// midHour is a clock on which no window of a quota ends while a test runs.
func midHour() *demoClock {
	clock := new(demoClock)
	now := time.Now()
	clock.ahead.Store(int64(now.Truncate(time.Hour).Add(time.Hour + 12*time.Minute).Sub(now)))
	return clock
}

// joins registers a client.
func (a *attacked) joins(t *testing.T, path, body string, header ...string) party {
	t.Helper()
	got := sendJSON(t, http.MethodPost, a.Own+path, body, header...)
	p := party{redirect: webRedirect, verifier: oauth.NewVerifier()}
	if strings.Contains(body, nativeRedirect) {
		p.redirect = nativeRedirect
	}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.status != http.StatusCreated || p.ClientID == "" {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	return p
}

// state is what no attack may change.
type state struct {
	Clients   []standin.Client
	Contracts []string
	Open      int // intents that are not done
	Called    int64
}

func (a *attacked) state(t *testing.T) state {
	t.Helper()
	s := state{Clients: a.standin.Registered(""), Called: a.called.Load()}
	for _, status := range []registry.Status{registry.Pending, registry.Approved, registry.Rejected, registry.Revoked} {
		some, _, err := a.store.ContractsByAPI(t.Context(), "orders", status, registry.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range some {
			s.Contracts = append(s.Contracts, strings.Join([]string{c.ClientID, string(c.Status), c.Tier}, " "))
		}
	}
	open, _, err := a.store.Unfinished(t.Context(), a.clock.now().Add(time.Hour), registry.Page{})
	if err != nil {
		t.Fatal(err)
	}
	s.Open = len(open)
	return s
}

// holds tries attacks one after the other, and fails for each that gets another
// answer than its row says, or changes anything.
func (a *attacked) holds(t *testing.T, attacks []attack) {
	t.Helper()
	for _, row := range attacks {
		t.Run(row.name, func(t *testing.T) {
			before := a.state(t)
			got := row.try(t, a)
			if got.status != row.status || !strings.Contains(got.body+" "+got.header.Get("Location"), row.says) {
				t.Errorf("got %d %s %s, want %d that says %q", got.status, got.header.Get("Location"), got.body, row.status, row.says)
			}
			if diff := cmp.Diff(before, a.state(t)); diff != "" {
				t.Errorf("it changes something: -before +after:\n%s", diff)
			}
		})
	}
	a.refused.Add(int64(len(attacks)))
}

// counted is a counter of attacks on something, which ends up in the summary.
func counted(t *testing.T, on string) *atomic.Int64 {
	t.Helper()
	n := new(atomic.Int64)
	t.Cleanup(func() { tooltest.Count(t, "attacks refused by the whole system: on "+on, n.Load()) })
	return n
}

// visitor is somebody's browser, with its cookies.
type visitor map[string]string

// send sends a request, with a form if there is one. Headers come as name, value.
func (v visitor) send(t *testing.T, at string, form url.Values, header ...string) response {
	t.Helper()
	for name, value := range v {
		header = append(header, "Cookie", name+"="+value)
	}
	got := post(t, at, form, header...)
	for _, c := range (&http.Response{Header: got.header}).Cookies() {
		if v[c.Name] = c.Value; c.MaxAge < 0 {
			delete(v, c.Name)
		}
	}
	return got
}

// post sends a form, or asks for a page if there is none.
func post(t *testing.T, at string, form url.Values, header ...string) response {
	t.Helper()
	if form == nil {
		return send(t, http.MethodGet, at, header...)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for n := 0; n+1 < len(header); n += 2 {
		req.Header.Add(header[n], header[n+1])
	}
	return received(t, req)
}

// changed returns a form with changes: a name and a value, "" to leave it out.
func changed(f url.Values, changes []string) url.Values {
	for n := 0; n+1 < len(changes); n += 2 {
		if f.Del(changes[n]); changes[n+1] != "" {
			f.Set(changes[n], changes[n+1])
		}
	}
	return f
}

// request is the address that a good client sends people to, with changes.
func (a *attacked) request(p party, changes ...string) string {
	return a.Own + "/authorize?" + changed(url.Values{
		"response_type": {"code"}, "client_id": {p.ClientID}, "redirect_uri": {p.redirect}, "state": {"xyz"}, "scope": {"orders:read"},
		"code_challenge": {oauth.Challenge(p.verifier)}, "code_challenge_method": {oauth.S256},
	}, changes).Encode()
}

var sealedRequest = regexp.MustCompile(`name="request" value="([^"]*)"`)

// consent is the form of a page that asks whether a person wants a client.
func consent(t *testing.T, page response, decision string) url.Values {
	t.Helper()
	field := sealedRequest.FindStringSubmatch(page.body)
	if field == nil || page.status != http.StatusOK {
		t.Fatalf("got %d %s, want a page to agree on", page.status, page.body)
	}
	return url.Values{"request": {html.UnescapeString(field[1])}, "decision": {decision}}
}

// toProvider is where a person is sent to sign in who agrees to everything.
func (a *attacked) toProvider(t *testing.T, v visitor, p party, changes ...string) string {
	t.Helper()
	got := v.send(t, a.request(p, changes...), nil)
	if got.status == http.StatusOK {
		got = v.send(t, a.Own+"/authorize/consent", consent(t, got, "allow"))
	}
	at := got.header.Get("Location")
	if !strings.HasPrefix(at, a.IDP) {
		t.Fatalf("got %d %s %s, want a redirect to the provider", got.status, at, got.body)
	}
	return at
}

// signsIn signs a person in at the provider, and returns where they are sent from
// there.
func (a *attacked) signsIn(t *testing.T, at string) string {
	t.Helper()
	got := post(t, at, url.Values{"username": {userLogin}, "password": {userPassword}, "action": {"login"}})
	back := got.header.Get("Location")
	if !strings.HasPrefix(back, a.Own) {
		t.Fatalf("the provider answers %d %s", got.status, back)
	}
	return back
}

// code is one that a person who signs in gets for a client.
func (a *attacked) code(t *testing.T, p party, changes ...string) string {
	t.Helper()
	v := visitor{}
	got := v.send(t, a.signsIn(t, a.toProvider(t, v, p, changes...)), nil)
	code := told(t, got).Get("code")
	if code == "" {
		t.Fatalf("got %d %s %s, want a code", got.status, got.header.Get("Location"), got.body)
	}
	return code
}

// told is what a client is told by an answer to a browser.
func told(t *testing.T, got response) url.Values {
	t.Helper()
	to, err := url.Parse(got.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return to.Query()
}

// as sends a form in the name of a client, which authenticates as it is
// registered.
func (a *attacked) by(t *testing.T, p party, path string, pairs ...string) response {
	t.Helper()
	form := changed(url.Values{}, pairs)
	if p.Secret == "" {
		form.Set("client_id", p.ClientID)
		return post(t, a.Own+path, form)
	}
	return post(t, a.Own+path, form, "Authorization", basic(p.ClientID, p.Secret))
}

func basic(id, secret string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return r.Header.Get("Authorization")
}

// redeem exchanges a code as a good client does, with changes.
func (a *attacked) redeem(t *testing.T, p party, code string, changes ...string) response {
	t.Helper()
	return a.by(t, p, "/token", append([]string{"grant_type", oauth.AuthorizationCode, "code", code, "code_verifier", p.verifier}, changes...)...)
}

func (a *attacked) refresh(t *testing.T, p party, token string) response {
	t.Helper()
	return a.by(t, p, "/token", "grant_type", oauth.RefreshToken, "refresh_token", token)
}

// tokens are what a client has for a person who signed in.
func (a *attacked) tokens(t *testing.T, p party) tokenAnswer {
	t.Helper()
	return answered(t, a.redeem(t, p, a.code(t, p)))
}

// answered is a good answer of the token endpoint.
func answered(t *testing.T, got response) tokenAnswer {
	t.Helper()
	var answer tokenAnswer
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != http.StatusOK || answer.AccessToken == "" {
		t.Fatalf("got %d %s, want tokens", got.status, got.body)
	}
	return answer
}

// expects fails unless an answer is as it has to be, beside the one that a row is
// about.
func expects(t *testing.T, what string, got response, status int, says string) {
	t.Helper()
	if got.status != status || !strings.Contains(got.body, says) {
		t.Errorf("%s: got %d %s, want %d that says %q", what, got.status, got.body, status, says)
	}
}

// bearer is the header with an access token.
func bearer(raw string) []string { return []string{"Authorization", "Bearer " + raw} }
