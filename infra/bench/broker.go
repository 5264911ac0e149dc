package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"gatehouse/shared/broker"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// This file measures what the broker adds to a token request: requests to the
// provider and to the broker before it take turns, over the loopback interface,
// and the medians are compared.

const (
	mostAdded = time.Millisecond // to the median token request
	flows     = 200              // sign-ins at a time
)

// brokerSite is an identity provider, and a broker before it.
type brokerSite struct {
	url, tokenURL string // of the broker, of the provider
	client        *http.Client
	program       application // that gets tokens for itself
	app           application // that people sign in to
	close         []func() error
}

// application is what an application knows of itself.
type application struct{ id, secret string }

const brokerConfig = `
publicURL: ${URL}
providers:
  - {name: okta, type: okta, issuer: "${IDP}/oauth2/default", audiences: ["api://default"], adminSecret: "file:${DIR}/admin.json", afterCreate: {assignGroup: Everyone}}
apis:
  - name: orders
    providers: [okta]
    owners: [grace]
    tiers: [{name: trial, autoApprove: true}]
    routes: [{route: GET /orders, scopes: [orders:read]}]
registration: {keys: "file:${DIR}/registration.json"}
broker: {keys: "file:${DIR}/broker.json"}
`

// measureBroker reports what the broker costs, and fails if that is too much.
func measureBroker(ctx context.Context, out, progress io.Writer, count int) (err error) {
	plain, err := newBrokerSite(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	keeping, err := newBrokerSite(ctx, time.Minute)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keeping.Close()) }()

	fmt.Fprint(progress, "\r\x1b[Ktoken requests")
	var direct, through, kept []time.Duration
	for range count * turns {
		for _, one := range []struct {
			into *[]time.Duration
			site *brokerSite
			url  string
		}{{&direct, plain, plain.tokenURL}, {&through, plain, plain.url + "/token"}, {&kept, keeping, keeping.url + "/token"}} {
			start := time.Now()
			if _, err := one.site.forItself(ctx, one.url); err != nil {
				return err
			}
			*one.into = append(*one.into, time.Since(start))
		}
	}
	fmt.Fprintf(progress, "\r\x1b[K%d sign-ins at a time", flows)
	took, err := plain.together(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(progress, "\r\x1b[K")
	added := middle(through) - middle(direct)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\n\ttime\tadded\tbound\t")
	fmt.Fprintf(w, "client_credentials, from the provider\t%v\t\t\t\n", middle(direct))
	fmt.Fprintf(w, "client_credentials, from the broker\t%v\t%v\t%v\t\n", middle(through), added, mostAdded)
	fmt.Fprintf(w, "client_credentials, from the broker, which keeps tokens\t%v\t%v\t\t\n", middle(kept), middle(kept)-middle(direct))
	fmt.Fprintf(w, "%d people at a time: sign-in, code, refresh; the middle one\t%v\t\t\t\n", flows, middle(took))
	if added > mostAdded {
		err = fmt.Errorf("the broker adds %v to a token request, more than %v", added, mostAdded)
	}
	return errors.Join(err, w.Flush())
}

func middle(values []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2].Round(time.Microsecond)
}

// newBrokerSite starts a site whose broker gives tokens again for a while, 0 for
// never.
func newBrokerSite(ctx context.Context, keep time.Duration) (*brokerSite, error) {
	s := &brokerSite{client: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: flows},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	err := s.start(ctx, keep)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	return s, err
}

func (s *brokerSite) start(ctx context.Context, keep time.Duration) error {
	idp, idpURL, err := listen(ctx)
	if err != nil {
		return err
	}
	own, ownURL, err := listen(ctx)
	if err != nil {
		return err
	}
	okta, err := standin.New(standin.Okta{
		Org: idpURL, APIToken: "00token", Users: []standin.User{{Login: "ada", Password: "correct horse", Groups: []string{"Everyone"}}},
	})
	if err != nil {
		return err
	}
	s.url, s.tokenURL = ownURL, idpURL+"/oauth2/default/v1/token"
	cfg, err := s.config(idpURL)
	if err != nil {
		return err
	}
	cfg.Broker.CacheClientCredentials = keep
	store, err := registry.Embedded{}.Open()
	if err != nil {
		return err
	}
	env := provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}}
	server, err := broker.New(cfg, env, store, nil)
	if err != nil {
		return err
	}
	s.serve(idp, okta)
	s.serve(own, server.Handler())
	service, err := registration.New(cfg, env, store)
	if err != nil {
		return err
	}
	return s.register(ctx, service)
}

func listen(ctx context.Context) (net.Listener, string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	return l, "http://" + l.Addr().String(), nil
}

func (s *brokerSite) serve(l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // until it is closed
	s.close = append(s.close, server.Close)
}

func (s *brokerSite) config(idpURL string) (*config.Config, error) {
	dir, err := os.MkdirTemp("", "gatehouse.")
	if err != nil {
		return nil, err
	}
	s.close = append(s.close, func() error { return os.RemoveAll(dir) })
	for name, text := range map[string]string{
		"admin.json":        `{"authorization":"SSWS 00token"}`,
		"registration.json": `{"current":"` + rand.Text() + rand.Text() + `"}`,
		"broker.json":       `{"current":"` + rand.Text() + rand.Text() + `"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	values := map[string]string{"URL": s.url, "IDP": idpURL, "DIR": dir}
	return config.Parse([]byte(brokerConfig), func(name string) (string, bool) { v, ok := values[name]; return v, ok })
}

func (s *brokerSite) register(ctx context.Context, service *registration.Service) error {
	for _, one := range []struct {
		into *application
		m    registration.Metadata
	}{
		{&s.program, registration.Metadata{Name: "A program", GrantTypes: []string{oauth.ClientCredentials}}},
		{&s.app, registration.Metadata{
			Name: "An app", GrantTypes: []string{oauth.AuthorizationCode, oauth.RefreshToken}, RedirectURIs: []string{"https://app.example.com/cb"},
		}},
	} {
		done, err := service.Register(ctx, registration.Caller{Subject: "ada", Applications: true}, registration.Request{
			Provider: "okta", Metadata: one.m, Access: []registration.Access{{API: "orders"}},
		})
		if err != nil {
			return err
		}
		*one.into = application{done.Application.ClientID, done.Secret.Reveal()}
	}
	return nil
}

// Close ends the site.
func (s *brokerSite) Close() error {
	var errs []error
	for _, end := range s.close {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// forItself gets a token for the program.
func (s *brokerSite) forItself(ctx context.Context, at string) (map[string]any, error) {
	return s.tokens(ctx, at, s.program, url.Values{"grant_type": {oauth.ClientCredentials}, "scope": {"orders:read"}})
}

func (s *brokerSite) tokens(ctx context.Context, at string, a application, form url.Values) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(a.id, a.secret)
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d with %v (%w)", at, resp.StatusCode, answer["error"], err)
	}
	return answer, nil
}

// together has many people sign in at a time, and returns how long each took.
func (s *brokerSite) together(ctx context.Context) ([]time.Duration, error) {
	took, errs := make([]time.Duration, flows), make([]error, flows)
	var wg sync.WaitGroup
	for n := range flows {
		wg.Go(func() {
			start := time.Now()
			errs[n] = s.signIn(ctx)
			took[n] = time.Since(start)
		})
	}
	wg.Wait()
	return took, errors.Join(errs...)
}

// signIn is a sign-in from its beginning to a refreshed token.
func (s *brokerSite) signIn(ctx context.Context) error {
	verifier := oauth.NewVerifier()
	query := url.Values{
		"response_type": {"code"}, "client_id": {s.app.id}, "redirect_uri": {"https://app.example.com/cb"},
		"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {oauth.S256},
	}
	next, cookies, err := s.open(ctx, s.url+"/authorize?"+query.Encode(), nil, nil)
	if err == nil {
		next, _, err = s.open(ctx, next, url.Values{"username": {"ada"}, "password": {"correct horse"}, "action": {"login"}}, nil)
	}
	if err == nil {
		next, _, err = s.open(ctx, next, nil, cookies)
	}
	if err != nil {
		return err
	}
	back, err := url.Parse(next)
	if err != nil {
		return err
	}
	got, err := s.tokens(ctx, s.url+"/token", s.app, url.Values{
		"grant_type": {oauth.AuthorizationCode}, "code": {back.Query().Get("code")}, "code_verifier": {verifier},
	})
	if err != nil {
		return err
	}
	_, err = s.tokens(ctx, s.url+"/token", s.app, url.Values{"grant_type": {oauth.RefreshToken}, "refresh_token": {fmt.Sprint(got["refresh_token"])}})
	return err
}

// open opens an address as a browser does, and returns where it is sent next.
func (s *brokerSite) open(ctx context.Context, at string, form url.Values, cookies []*http.Cookie) (next string, set []*http.Cookie, err error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		req.AddCookie(c)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		return "", nil, fmt.Errorf("%s answered %d", req.URL.Path, resp.StatusCode)
	}
	return resp.Header.Get("Location"), resp.Cookies(), nil
}
