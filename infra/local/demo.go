package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/shared/config"
)

// demoCommand tells the story of a protected API from beginning to end. Every
// exchange in it is a real one; one that goes otherwise than told is an error.
type demoCommand struct {
	files
}

// Run implements the command.
func (c *demoCommand) Run(ctx context.Context, s stage) error {
	listeners, err := listen(ctx, 0)
	if err != nil {
		return err
	}
	clock := new(demoClock)
	sys, err := newSystem(ctx, options{files: c.files, listeners: listeners, now: clock.now})
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	ctx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- sys.Serve(ctx) }()
	story := &story{system: sys, out: s.out, clock: clock, client: &http.Client{Timeout: 10 * time.Second}}
	err = story.tell(ctx)
	stop()
	return errors.Join(err, <-served)
}

// demoClock is the wall clock, and can be put forward: nobody wants to wait for
// a cache.
type demoClock struct{ ahead atomic.Int64 }

func (c *demoClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// story is the walk-through as it is told.
type story struct {
	system *system
	out    io.Writer
	clock  *demoClock
	client *http.Client
	err    error // the first thing that went otherwise
}

// application is a client that was registered.
type application struct {
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
	Secret   string `json:"client_secret"`
}

// chapter is one exchange and what must come of it.
type chapter struct {
	title  string
	text   string
	method string // GET when empty
	url    string
	token  string
	body   string
	want   int
	header string // a response header worth a look
	hide   string // a member of the answer that is not printed
}

func (s *story) tell(ctx context.Context) error {
	orders := s.system.REST + "/orders"
	s.system.policyOff.Store(true)
	s.exchange(ctx, chapter{
		title: "An open API",
		text:  "The orders API stands behind API Gateway. Anyone may read the orders.",
		url:   orders, want: http.StatusOK,
	})
	s.system.policyOff.Store(false)
	s.exchange(ctx, chapter{
		title: "The policy is on",
		text:  "The authorizer is attached to its routes, as template.yaml says. The same request:",
		url:   orders, want: http.StatusUnauthorized, header: "WWW-Authenticate",
	})
	developer := s.token(ctx, grant{
		title: "A developer", text: "Whoever wants to call the API asks for access. Their token is the identity provider's, too.",
		id: developerID, secret: developerSecret, scope: config.ScopeApplications,
	})
	app := s.request(ctx, developer)
	read := s.token(ctx, grant{
		title: "A token", text: "The new client asks the identity provider for a token that may read orders.",
		id: app.ClientID, secret: app.Secret, scope: "orders:read",
	})
	s.exchange(ctx, chapter{
		title: "The token opens the route",
		text: "The authorizer verifies it, finds the client's contract with the API, and returns one policy for all routes that\n" +
			"  both open. The API sees who called.",
		url: orders, token: read, want: http.StatusOK,
	})
	s.exchange(ctx, chapter{
		title: "One order",
		text:  "Another route, the same policy: API Gateway does not ask again.",
		url:   orders + "/1001", token: read, want: http.StatusOK,
	})
	order := `{"item":"lamp","quantity":1}`
	s.exchange(ctx, chapter{
		title:  "A missing scope",
		text:   "To place an order takes orders:write, which this token does not have.",
		method: http.MethodPost, url: orders, token: read, body: order,
		want: http.StatusForbidden, header: "WWW-Authenticate",
	})
	write := s.token(ctx, grant{
		title: "A better token", text: "The client asks again, for both scopes.",
		id: app.ClientID, secret: app.Secret, scope: "orders:read orders:write",
	})
	s.exchange(ctx, chapter{
		title:  "The order is placed",
		text:   "",
		method: http.MethodPost, url: orders, token: write, body: order, want: http.StatusCreated, header: "Location",
	})
	s.exchange(ctx, chapter{
		title: "An HTTP API",
		text:  "The same routes stand as an HTTP API, with the same authorizer.",
		url:   s.system.HTTP + "/orders", token: read, want: http.StatusOK,
	})
	s.exchange(ctx, chapter{
		title: "Somebody else's token",
		text:  "A token that names another issuer opens nothing, however well it is signed.",
		url:   orders, token: s.foreign(app.ClientID), want: http.StatusUnauthorized,
	})
	s.signIn(ctx, developer)
	s.revocation(ctx, app, read)
	if s.err == nil {
		fmt.Fprintln(s.out, "\nThat is all. `make run` leaves it running for you.")
	}
	return s.err
}

// request asks for access and returns the application. Its secret is not
// printed.
func (s *story) request(ctx context.Context, developer string) application {
	if s.err != nil {
		return application{}
	}
	got := s.exchange(ctx, chapter{
		title:  "Request access",
		text:   "The registration API creates a client at the identity provider and a contract with the orders API. The tier\n  \"trial\" approves itself.",
		method: http.MethodPost, url: s.system.Own + "/applications", token: developer, body: requestAccess,
		want: http.StatusCreated, hide: "client_secret",
	})
	var app application
	if err := json.Unmarshal(got.body, &app); err != nil && s.err == nil {
		s.err = err
	}
	return app
}

// revocation ends an application's access. It takes effect when the caches have
// forgotten it, which here takes no waiting.
func (s *story) revocation(ctx context.Context, app application, token string) {
	owner := s.token(ctx, grant{
		title: "The owner of the API", text: "decides who gets access, and who no longer does.",
		id: ownerID, secret: ownerSecret, scope: config.ScopeContracts,
	})
	s.exchange(ctx, chapter{
		title:  "The contract is revoked",
		method: http.MethodPatch, url: s.system.Own + "/apis/orders/contracts/" + app.ClientID, token: owner, body: `{"status":"revoked"}`,
		want: http.StatusOK,
	})
	const revoked = 2 * time.Minute // README and make check say so, and a test holds it
	s.clock.ahead.Add(int64(revoked))
	s.exchange(ctx, chapter{
		title: "Two minutes later",
		text:  "That is how long what was decided before is remembered at most (this demo puts the clock forward). The token has\n  not expired; the contract has ended.",
		url:   s.system.REST + "/orders", token: token, want: http.StatusForbidden, header: "WWW-Authenticate",
	})
}

// exchange sends a chapter's request, shows both sides, and compares.
func (s *story) exchange(ctx context.Context, c chapter) exchanged {
	if s.err != nil {
		return exchanged{}
	}
	s.narrate(c.title, c.text)
	if c.method == "" {
		c.method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, strings.NewReader(c.body))
	if err != nil {
		s.err = err
		return exchanged{}
	}
	line := "  > " + c.method + " " + c.url
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
		line += "\n  > Authorization: Bearer (the token)"
	}
	if c.body != "" {
		req.Header.Set("Content-Type", "application/json")
		line += "\n  > " + c.body
	}
	fmt.Fprintln(s.out, line)
	got, err := s.do(req)
	if err != nil {
		s.err = err
		return exchanged{}
	}
	fmt.Fprintf(s.out, "  < %d %s\n", got.status, http.StatusText(got.status))
	if value := got.header.Get(c.header); c.header != "" && value != "" {
		fmt.Fprintf(s.out, "  < %s: %s\n", c.header, value)
	}
	fmt.Fprintf(s.out, "  < %s\n", hidden(bytes.TrimSpace(got.body), c.hide))
	if got.status != c.want {
		s.err = fmt.Errorf("%q should have answered %d", c.title, c.want)
	}
	return got
}

// hidden is a body without the value of a member.
func hidden(body []byte, member string) []byte {
	if member == "" {
		return body
	}
	pattern := regexp.MustCompile(`("` + regexp.QuoteMeta(member) + `":)"[^"]*"`)
	return pattern.ReplaceAll(body, []byte(`$1"(shown this once)"`))
}

// grant is a token that a client asks for.
type grant struct {
	title, text       string
	id, secret, scope string
}

// token gets a token by client credentials and shows what it says, never the
// token.
func (s *story) token(ctx context.Context, g grant) string {
	if s.err != nil {
		return ""
	}
	s.narrate(g.title, g.text)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {g.scope}}
	fmt.Fprintf(s.out, "  > POST %s\n  > %s\n", s.system.tokenURL(), form.Encode())
	return s.ask(ctx, s.system.tokenURL(), form, url.UserPassword(g.id, g.secret)).AccessToken
}

// foreign is a token that says it comes from elsewhere.
func (s *story) foreign(clientID string) string {
	claims := s.system.standin.Claims(clientID, "orders:read")
	claims["iss"] = "https://elsewhere.example.com"
	signed, err := s.system.standin.Mint(claims, nil)
	if err != nil {
		s.err = err
	}
	return signed
}

func (s *story) narrate(title, text string) {
	fmt.Fprintf(s.out, "\n%s\n", title)
	if text != "" {
		fmt.Fprintf(s.out, "  %s\n", text)
	}
	fmt.Fprintln(s.out)
}

// exchanged is an answer, read to its end.
type exchanged struct {
	status int
	header http.Header
	body   []byte
}

func (s *story) do(req *http.Request) (exchanged, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return exchanged{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return exchanged{resp.StatusCode, resp.Header, body}, err
}
