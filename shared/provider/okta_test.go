package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

const callback = "https://app.example.com/cb"

// org is an organisation at Okta and a provider that registers clients there.
type org struct {
	*standin.Server
	*provider.Provider

	t      *testing.T
	url    string
	secret string // path of the secret file
}

func newOrg(t *testing.T, group string, servers ...standin.AuthorizationServer) *org {
	t.Helper()
	hs := httptest.NewUnstartedServer(nil)
	o := &org{t: t, url: "http://" + hs.Listener.Addr().String(), secret: filepath.Join(t.TempDir(), "secret.json")}
	srv, err := standin.New(standin.Okta{
		Org: o.url, APIToken: "00token", AuthorizationServers: servers, ShowSecrets: true, Keys: signingKeys(t),
		Users: []standin.User{{Login: "ada", Password: "pw", Groups: []string{"staff"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	hs.Config.Handler = srv
	hs.Start()
	t.Cleanup(hs.Close)
	o.Server = srv
	o.setSecret("SSWS 00token")
	o.Provider = o.provider(group)
	return o
}

func (o *org) setSecret(authorization string) {
	o.t.Helper()
	if err := os.WriteFile(o.secret, fmt.Appendf(nil, `{"authorization":%q}`, authorization), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// provider returns one that assigns a group to new clients; "": none.
func (o *org) provider(group string) *provider.Provider {
	o.t.Helper()
	return registering(o.t, config.Provider{
		Type: config.Okta, Issuer: o.url + "/oauth2/default", AdminSecret: "file:" + o.secret,
		AfterCreate: config.AfterCreate{AssignGroup: group},
	})
}

// registering returns a provider that registers clients.
func registering(t *testing.T, c config.Provider) *provider.Provider {
	t.Helper()
	c.Name, c.Tokens, c.RequestTimeout = "idp", config.Introspect, 2*time.Second
	env := provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}}
	p, err := provider.New(c, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.EnableRegistration(c, env); err != nil {
		t.Fatal(err)
	}
	return p
}

func service(name string) provider.Client {
	return provider.Client{Name: name, GrantTypes: []string{"client_credentials"}, Scope: "orders:read"}
}

func web(name string) provider.Client {
	return provider.Client{
		Name: name, RedirectURIs: []string{callback}, ClientURI: "https://app.example.com",
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
	}
}

// token asks for a token by client credentials and returns the status.
func (o *org) token(c provider.Client) int {
	return tokenStatus(o.t, o.url+"/oauth2/default/v1/token", c)
}

func tokenStatus(t *testing.T, endpoint string, c provider.Client) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader("grant_type=client_credentials&scope=orders:read"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.Secret.Reveal()))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func names(clients []standin.Client) []string {
	var all []string
	for _, c := range clients {
		all = append(all, c.Name)
	}
	return all
}

func TestOktaClientLives(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	made, err := o.CreateClient(t.Context(), web("orders 7f3a"))
	if err != nil {
		t.Fatal(err)
	}
	if made.ClientID == "" || made.Secret.Reveal() == "" || !made.SecretExpires.IsZero() || made.Name != "orders 7f3a" {
		t.Errorf("created: %+v", made)
	}
	if got := o.token(made); got != http.StatusOK {
		t.Errorf("token: got %d", got)
	}
	found, ok, err := o.FindClient(t.Context(), "orders 7f3a")
	if err != nil || !ok || found.ClientID != made.ClientID {
		t.Errorf("found: %+v, %v, %v", found, ok, err)
	}
	if _, ok, err := o.FindClient(t.Context(), "orders"); ok || err != nil {
		t.Errorf("a part of the name is found: %v, %v", ok, err)
	}
	read, err := o.ReadClient(t.Context(), made)
	if err != nil || !slices.Equal(read.RedirectURIs, []string{callback}) || read.ClientURI != "https://app.example.com" {
		t.Errorf("read: %+v, %v", read, err)
	}
	change := web("orders 7f3b")
	change.ClientID, change.ClientURI, change.RedirectURIs = made.ClientID, "", []string{callback, callback + "2"}
	changed, err := o.UpdateClient(t.Context(), change)
	if err != nil || changed.Name != "orders 7f3b" || len(changed.RedirectURIs) != 2 || changed.ClientURI != "" {
		t.Errorf("changed: %+v, %v", changed, err)
	}
	if got := o.token(made); got != http.StatusOK {
		t.Errorf("token after the update: got %d", got)
	}
	for range 2 { // a client that is not there is deleted
		if err := o.DeleteClient(t.Context(), made); err != nil {
			t.Error(err)
		}
	}
	if got := o.token(made); got != http.StatusUnauthorized {
		t.Errorf("token after the deletion: got %d", got)
	}
	if _, err := o.ReadClient(t.Context(), made); !errors.Is(err, provider.ErrGone) {
		t.Errorf("read after the deletion: got %v, want %v", err, provider.ErrGone)
	}
	if _, err := o.UpdateClient(t.Context(), change); !errors.Is(err, provider.ErrGone) {
		t.Errorf("update after the deletion: got %v, want %v", err, provider.ErrGone)
	}
}

func TestOktaApplicationTypeFollowsFromTheGrants(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name           string
		grants         []string
		method         string
		redirects      []string
		kind, response string // of what Okta has; kind "" when refused
		field          string // of the refusal
	}{
		{"a service", []string{"client_credentials"}, "", nil, "service", "[token]", ""},
		{"a web application", []string{"authorization_code", "refresh_token"}, "", []string{callback}, "web", "[code]", ""},
		{"a web application that is a service, too", []string{"authorization_code", "client_credentials"}, "", []string{callback}, "web", "[code token]", ""},
		{"a page", []string{"authorization_code"}, "none", []string{callback}, "browser", "[code]", ""},
		{"an application with a scheme of its own", []string{"authorization_code"}, "none", []string{"com.example.app:/cb"}, "native", "[code]", ""},
		{"a public client that refreshes", []string{"authorization_code", "refresh_token"}, "none", []string{callback}, "native", "[code]", ""},
		{"a public service is refused", []string{"client_credentials"}, "none", nil, "", "", "token_endpoint_auth_method"},
		{"refresh without code is refused", []string{"refresh_token"}, "", nil, "", "", "grant_types"},
		{"a service with refresh is refused", []string{"client_credentials", "refresh_token"}, "", nil, "", "", "grant_types"},
		{"a grant Okta does not know is refused", []string{"authorization_code", "urn:x"}, "", []string{callback}, "", "", "grant_types"},
		{"code without a redirect URI is refused", []string{"authorization_code"}, "", nil, "", "", "redirect_uris"},
		{"a redirect URI with a fragment is refused by Okta", []string{"authorization_code"}, "", []string{callback + "#x"}, "", "", "redirect_uris"},
		{"an authentication method Okta does not know", []string{"client_credentials"}, "tls_client_auth", nil, "", "", "token_endpoint_auth_method"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, "")
			made, err := o.CreateClient(t.Context(), provider.Client{
				Name: "app", GrantTypes: row.grants, TokenEndpointAuthMethod: row.method, RedirectURIs: row.redirects,
			})
			if row.kind == "" {
				wrong, ok := errors.AsType[*provider.MetadataError](err)
				if !ok || wrong.Field != row.field {
					t.Errorf("got %v, want a MetadataError of %s", err, row.field)
				}
				if left := o.Registered(""); len(left) > 0 {
					t.Errorf("left behind: %v", names(left))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			body := o.adminGet("/oauth2/v1/clients/" + made.ClientID)
			if body["application_type"] != row.kind || fmt.Sprint(body["response_types"]) != row.response {
				t.Errorf("got %v %v, want %s %s", body["application_type"], body["response_types"], row.kind, row.response)
			}
		})
	}
}

func (o *org) adminGet(path string) map[string]any {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, o.url+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Authorization", "SSWS 00token")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	body := map[string]any{}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&body); err != nil {
		o.t.Fatal(err)
	}
	return body
}

func TestW3MetadataNoProviderIsSent(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	for name, row := range map[string]struct {
		change func(*provider.Client)
		field  string
	}{
		"no name":               {func(c *provider.Client) { c.Name = "" }, "client_name"},
		"a long name":           {func(c *provider.Client) { c.Name = strings.Repeat("x", 101) }, "client_name"},
		"a newline in the name": {func(c *provider.Client) { c.Name = "a\nb" }, "client_name"},
		"an override character": {func(c *provider.Client) { c.Name = "a\u202eb" }, "client_name"},
		"a name not in UTF-8":   {func(c *provider.Client) { c.Name = "a\xffb" }, "client_name"},
		"no grant":              {func(c *provider.Client) { c.GrantTypes = []string{} }, "grant_types"},
		"jwks and jwks_uri":     {func(c *provider.Client) { c.JWKS, c.JWKSURI = []byte(`{"keys":[]}`), callback }, "jwks"},
		"a private key":         {func(c *provider.Client) { c.JWKS = []byte(`{"keys":[{"kty":"EC","d":"MARK"}]}`) }, "jwks"},
		"a symmetric key":       {func(c *provider.Client) { c.JWKS = []byte(`{"keys":[{"kty":"oct","k":"MARK"}]}`) }, "jwks"},
		"a jwks of 1 MiB":       {func(c *provider.Client) { c.JWKS = []byte(`{"keys":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`) }, "jwks"},
		"a jwks that is none":   {func(c *provider.Client) { c.JWKS = []byte(`[]`) }, "jwks"},
	} {
		c := service("app")
		row.change(&c)
		_, err := o.CreateClient(t.Context(), c)
		wrong, ok := errors.AsType[*provider.MetadataError](err)
		if !ok || wrong.Field != row.field || strings.Contains(err.Error(), "MARK") {
			t.Errorf("%s: got %v, want a MetadataError of %s", name, err, row.field)
		}
	}
	if got := o.Requests(standin.Clients); got != 0 {
		t.Errorf("%d requests were sent", got)
	}
}

// TestAPageIsNoAnswer of the provider, whatever its status: something stands
// between. A client that is taken for deleted would be left behind.
func TestAPageIsNoAnswer(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	made, err := o.CreateClient(t.Context(), service("app"))
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{200, 201, 202} {
		o.Break(standin.Clients, standin.Fault{Status: status, Body: standin.Garbage})
		if err := o.DeleteClient(t.Context(), made); !errors.Is(err, provider.ErrUncertain) {
			t.Errorf("delete, %d: got %v, want %v", status, err, provider.ErrUncertain)
		}
		if _, _, err := o.FindClient(t.Context(), "app"); !errors.Is(err, provider.ErrUnavailable) {
			t.Errorf("find, %d: got %v, want %v", status, err, provider.ErrUnavailable)
		}
		o.Mend()
	}
	if err := o.DeleteClient(t.Context(), made); err != nil {
		t.Error(err)
	}
}

func TestOktaNameTaken(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	if _, err := o.CreateClient(t.Context(), service("app")); err != nil {
		t.Fatal(err)
	}
	if _, err := o.CreateClient(t.Context(), service("app")); !errors.Is(err, provider.ErrNameTaken) {
		t.Errorf("got %v, want %v", err, provider.ErrNameTaken)
	}
	if got := names(o.Registered("")); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

// TestF24OktaAnswers feeds answers of every kind to a creation.
func TestF24OktaAnswers(t *testing.T) {
	t.Parallel()
	const envelope = `{"errorCode":%q,"errorSummary":"MARK","errorLink":"x","errorId":"x","errorCauses":[%s]}`
	for _, row := range []struct {
		name  string
		fault standin.Fault
		want  error // nil: what check says
		check func(error) bool
	}{
		{"a bad SSWS token", standin.Fault{Status: 401, Body: fmt.Sprintf(envelope, "E0000011", "")}, provider.ErrAdminCredentials, nil},
		{"rights that do not reach", standin.Fault{Status: 403, Body: fmt.Sprintf(envelope, "E0000006", "")}, provider.ErrAdminCredentials, nil},
		{"bad metadata, RFC form", standin.Fault{Status: 400, Body: `{"error":"invalid_client_metadata","error_description":"jwks_uri: MARK"}`}, nil, field("jwks_uri")},
		{"bad metadata, envelope", standin.Fault{Status: 400, Body: fmt.Sprintf(envelope, "E0000001", `{"errorSummary":"client_uri: MARK"}`)}, nil, field("client_uri")},
		{"bad metadata that are not named", standin.Fault{Status: 400, Body: `{"error":"invalid_client_metadata"}`}, nil, field("")},
		{"a bad redirect URI", standin.Fault{Status: 400, Body: `{"error":"invalid_redirect_uri","error_description":"MARK"}`}, nil, field("redirect_uris")},
		{"400 with garbage", standin.Fault{Status: 400, Body: standin.Garbage}, nil, field("")},
		{"404", standin.Fault{Status: 404}, provider.ErrUnavailable, nil},
		{"405", standin.Fault{Status: 405}, provider.ErrUnsupported, nil},
		{"a redirect", standin.Fault{Redirect: "/elsewhere"}, provider.ErrUnavailable, nil},
		{"F24: 200 with an error body", standin.Fault{Status: 200, Body: `{"error":"invalid_client_metadata","error_description":"scope"}`}, nil, field("scope")},
		{"500", standin.Fault{Status: 500}, provider.ErrUncertain, nil},
		{"503", standin.Fault{Status: 503}, provider.ErrUncertain, nil},
		{"201 with garbage", standin.Fault{Status: 201, Body: standin.Garbage}, provider.ErrUncertain, nil},
		{"201 without client_id", standin.Fault{Status: 201, Body: `{}`}, provider.ErrUncertain, nil},
		{"201 with client_id twice", standin.Fault{Status: 201, Body: `{"client_id":"a","client_id":"b","client_secret":"MARK"}`}, provider.ErrUncertain, nil},
		{"201 of 1 MiB", standin.Fault{Status: 201, Size: 1 << 20}, provider.ErrUncertain, nil},
		{"reset with nothing answered", standin.Fault{Cut: standin.AfterEffect}, provider.ErrUncertain, nil},
		{"closed in the middle of the answer", standin.Fault{Cut: standin.AfterHeaders}, provider.ErrUncertain, nil},
		{"reset before anything was done", standin.Fault{Cut: standin.BeforeHeaders}, provider.ErrUncertain, nil},
		{"no answer in time", standin.Fault{Delay: time.Hour}, provider.ErrUncertain, nil},
		{"F24: 201 without a secret", standin.Fault{Status: 201, Body: `{"client_id":"0oa1"}`}, nil, mismatch("client_secret")},
		{"F24: other redirect URIs", standin.Fault{Status: 201, Body: `{"client_id":"0oa1","client_secret":"MARK","redirect_uris":["https://evil.example"]}`}, nil, mismatch("redirect_uris")},
		{"F24: fewer grants", standin.Fault{Status: 201, Body: `{"client_id":"0oa1","client_secret":"MARK","grant_types":["implicit"]}`}, nil, mismatch("grant_types")},
		{"F24: another authentication method", standin.Fault{Status: 201, Body: `{"client_id":"0oa1","client_secret":"MARK","token_endpoint_auth_method":"client_secret_post"}`}, nil, mismatch("token_endpoint_auth_method")},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, "")
			o.Break("/oauth2/v1/clients", row.fault)
			ctx := t.Context()
			if row.fault.Delay > 0 {
				short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
				ctx = short
			}
			_, err := o.CreateClient(ctx, service("app"))
			if row.want != nil && !errors.Is(err, row.want) || row.check != nil && !row.check(err) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			if errors.Is(err, provider.ErrUncertain) && errors.Is(err, provider.ErrUnavailable) {
				t.Error("uncertain and yet said not to have happened")
			}
			if err == nil || strings.Contains(err.Error(), "MARK") || strings.Contains(err.Error(), "00token") {
				t.Errorf("the error shows what it must not: %v", err)
			}
			if got := o.Requests("/oauth2/v1/clients"); got != 1 {
				t.Errorf("sent %d times, want once", got)
			}
		})
	}
}

func field(name string) func(error) bool {
	return func(err error) bool {
		wrong, ok := errors.AsType[*provider.MetadataError](err)
		return ok && wrong.Field == name
	}
}

func mismatch(name string) func(error) bool {
	return func(err error) bool {
		wrong, ok := errors.AsType[*provider.MismatchError](err)
		return ok && wrong.Field == name && wrong.Client.ClientID == "0oa1"
	}
}

func TestF20LostAnswerIsFoundByName(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	o.Break("/oauth2/v1/clients", standin.Fault{Cut: standin.AfterEffect, Times: 1})
	if _, err := o.CreateClient(t.Context(), service("app 7f3a")); !errors.Is(err, provider.ErrUncertain) {
		t.Fatalf("got %v, want %v", err, provider.ErrUncertain)
	}
	found, ok, err := o.FindClient(t.Context(), "app 7f3a")
	if err != nil || !ok {
		t.Fatalf("got %v, %v", ok, err)
	}
	if err := o.DeleteClient(t.Context(), found); err != nil || len(o.Registered("")) > 0 {
		t.Errorf("got %v, left behind %v", err, names(o.Registered("")))
	}
}

func TestOktaRevokedTokenDoesNotMeanThatAClientIsGone(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	made, err := o.CreateClient(t.Context(), service("app"))
	if err != nil {
		t.Fatal(err)
	}
	o.SetAPIToken("")
	_, readErr := o.ReadClient(t.Context(), made)
	_, updateErr := o.UpdateClient(t.Context(), provider.Client{ClientID: made.ClientID, Name: "app", GrantTypes: made.GrantTypes})
	_, rotateErr := o.RotateSecret(t.Context(), made)
	_, _, findErr := o.FindClient(t.Context(), "app")
	for what, err := range map[string]error{
		"read": readErr, "update": updateErr, "rotate": rotateErr, "find": findErr, "delete": o.DeleteClient(t.Context(), made),
	} {
		if !errors.Is(err, provider.ErrAdminCredentials) || errors.Is(err, provider.ErrGone) {
			t.Errorf("%s: got %v, want %v", what, err, provider.ErrAdminCredentials)
		}
	}
	o.SetAPIToken("00token")
	o.Break(standin.Clients, standin.Fault{Status: 401, Body: `{"error":"invalid_client"}`}) // as old documents say
	if _, err := o.ReadClient(t.Context(), made); !errors.Is(err, provider.ErrGone) {
		t.Errorf("got %v, want %v", err, provider.ErrGone)
	}
}

// guarded is a transport to a registration endpoint that admits one token.
type guarded struct{ token string }

func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := canned{http.StatusUnauthorized, ""}
	if r.Header.Get("Authorization") == g.token {
		answer = canned{http.StatusCreated, `{"client_id":"a","client_secret":"s"}`}
	}
	return answer.RoundTrip(r)
}

// TestF14RotatedToken replaces the token at the provider and, a little later,
// in the secret: time is the bubble's own.
func TestF14RotatedToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := strings.TrimPrefix(secretFile(t, "Bearer old"), "file:")
		c := config.Provider{
			Name: "idp", Type: config.RFC7591, AdminSecret: "file:" + path, Tokens: config.Introspect, RequestTimeout: time.Second,
			Endpoints: config.Endpoints{Registration: "https://idp.example.com/register"},
		}
		env := provider.Environment{HTTP: &http.Client{Transport: guarded{"Bearer new"}}, Secrets: &secret.Manager{}}
		p, err := provider.New(c, env)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.EnableRegistration(c, env); err != nil {
			t.Fatal(err)
		}
		if _, err := p.CreateClient(t.Context(), service("app")); !errors.Is(err, provider.ErrAdminCredentials) {
			t.Errorf("with the old token: got %v, want %v", err, provider.ErrAdminCredentials)
		}
		if err := os.WriteFile(path, []byte(`{"authorization":"Bearer new"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second) // the secret is read again at most once in ten
		if _, err := p.CreateClient(t.Context(), service("app")); err != nil {
			t.Errorf("with the new token: %v", err)
		}
	})
}

func TestF23RateLimit(t *testing.T) {
	t.Parallel()
	date := time.Now().UTC()
	limited := func(after time.Duration) standin.Fault {
		return standin.Fault{Status: 429, Times: 1, Header: map[string]string{
			"Date": date.Format(http.TimeFormat), "X-Rate-Limit-Reset": fmt.Sprint(date.Add(after).Unix()),
		}}
	}
	for _, row := range []struct {
		name   string
		fault  standin.Fault
		budget time.Duration // of the caller; zero: all the time in the world
		waited time.Duration
		after  time.Duration // of the refusal; zero: it goes on
	}{
		{"a short limit is waited for, by the provider's clock", limited(4 * time.Second), 0, 5 * time.Second, 0},
		{"a long one is not", limited(time.Minute), 0, 0, 61 * time.Second},
		{"nor one that leaves no time to ask again", limited(4 * time.Second), 5 * time.Second, 0, 5 * time.Second},
		{"one in the past is over in a second", limited(-time.Hour), 0, time.Second, 0},
		{"Retry-After", standin.Fault{Status: 429, Times: 1, Header: map[string]string{"Retry-After": "3"}}, 0, 3 * time.Second, 0},
		{"no time named", standin.Fault{Status: 429, Times: 1, Header: map[string]string{"X-Rate-Limit-Reset": "soon"}}, 0, 0, 30 * time.Second},
		{"a limit that does not pass", standin.Fault{Status: 429, Header: map[string]string{"Retry-After": "3"}}, 0, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := newOrg(t, "")
			var waited time.Duration
			o.SetWait(func(_ context.Context, d time.Duration) error { waited += d; return nil })
			o.Break("/oauth2/v1/clients", row.fault)
			ctx := t.Context()
			if row.budget > 0 {
				short, cancel := context.WithTimeout(ctx, row.budget)
				defer cancel()
				ctx = short
			}
			_, err := o.CreateClient(ctx, service("app"))
			limit, ok := errors.AsType[*provider.RateLimitError](err)
			if waited != row.waited || ok != (row.after > 0) || ok && limit.After != row.after || !ok && err != nil {
				t.Errorf("waited %v, got %v; want %v, %v", waited, err, row.waited, row.after)
			}
			if ok && !errors.Is(err, provider.ErrUnavailable) {
				t.Error("a rate limit does not say that nothing was done")
			}
		})
	}
}

func TestOktaGroupIsAssigned(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"Everyone", "staff"} {
		o := newOrg(t, group)
		if _, err := o.CreateClient(t.Context(), web("app")); err != nil {
			t.Fatal(err)
		}
		if got := o.Registered("")[0].Groups; !slices.Equal(got, []string{group}) {
			t.Errorf("got %v, want %s", got, group)
		}
		if _, err := o.CreateClient(t.Context(), service("svc")); err != nil || len(o.Registered("svc")[0].Groups) > 0 {
			t.Errorf("a service: got %v, %v", o.Registered("svc"), err)
		}
	}
	o := newOrg(t, "nobody")
	if _, err := o.CreateClient(t.Context(), web("app")); !errors.Is(err, provider.ErrAccessPolicy) || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("a group that is not there: got %v, want %v", err, provider.ErrAccessPolicy)
	}
	if left := o.Registered(""); len(left) > 0 {
		t.Errorf("left behind: %v", names(left))
	}
}

func TestOktaGroupThatCannotBeAssignedLeavesAClientToUndo(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	_, err := lose(t, o, http.MethodPut).CreateClient(t.Context(), web("app"))
	wrong, ok := errors.AsType[*provider.MismatchError](err)
	if !ok || wrong.Field != "group" || len(o.Registered("")) != 1 || wrong.Client.ClientID != o.Registered("")[0].ID {
		t.Fatalf("got %v, want a client to undo", err)
	}
	if err := o.DeleteClient(t.Context(), wrong.Client); err != nil || len(o.Registered("")) > 0 {
		t.Errorf("got %v, left behind %v", err, names(o.Registered("")))
	}
	o.Break(standin.Admin, standin.Fault{Status: 500})
	if _, err := lose(t, o, "").CreateClient(t.Context(), web("app")); !errors.Is(err, provider.ErrUnavailable) || len(o.Registered("")) > 0 {
		t.Errorf("the group cannot be looked up: got %v, left %v", err, names(o.Registered("")))
	}
}

func TestOktaAccessPolicyIsChecked(t *testing.T) {
	t.Parallel()
	for name, clients := range map[string][]string{"no policy": {}, "a policy that lists clients": {"somebody"}} {
		o := newOrg(t, "", standin.AuthorizationServer{ID: "default", Clients: clients})
		_, err := o.CreateClient(t.Context(), service("app"))
		if !errors.Is(err, provider.ErrAccessPolicy) {
			t.Fatalf("%s: got %v, want %v", name, err, provider.ErrAccessPolicy)
		}
		for _, part := range []string{`authorization server "default"`, "All clients", "client_credentials"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v does not say %q", name, err, part)
			}
		}
		if left := o.Registered(""); len(left) > 0 {
			t.Errorf("%s: left behind %v", name, names(left))
		}
	}
	o := newOrg(t, "")
	for n := range 5 {
		if _, err := o.CreateClient(t.Context(), service(fmt.Sprint("app", n))); err != nil {
			t.Fatal(err)
		}
	}
	if got := o.Requests(standin.Admin); got != 2 {
		t.Errorf("five clients: %d requests for policies, want 2", got)
	}
	o = newOrg(t, "")
	o.Break(standin.Admin, standin.Fault{Status: 403, Body: `{"errorCode":"E0000006"}`})
	if _, err := o.CreateClient(t.Context(), service("app")); err != nil {
		t.Errorf("a token that may not read policies: %v", err)
	}
}

func TestOktaSecretsRotate(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	first, err := o.CreateClient(t.Context(), service("app"))
	if err != nil {
		t.Fatal(err)
	}
	rotate := func(c provider.Client) provider.Client {
		t.Helper()
		r, err := o.RotateSecret(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if !r.OldValidUntil.IsZero() {
			t.Errorf("the old secret is said to stop at %v", r.OldValidUntil)
		}
		return r.Client
	}
	live := func(clients ...provider.Client) []int {
		t.Helper()
		var got []int
		for _, c := range clients {
			got = append(got, o.token(c))
		}
		return got
	}
	second := rotate(first)
	if diff := cmp.Diff([]int{200, 200}, live(first, second)); diff != "" {
		t.Errorf("after one rotation (-want +got):\n%s", diff)
	}
	third := rotate(second)
	if diff := cmp.Diff([]int{401, 200, 200}, live(first, second, third)); diff != "" {
		t.Errorf("after two (-want +got):\n%s", diff)
	}
	for range 2 {
		if err := o.RetireSecret(t.Context(), third); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{401, 401, 200}, live(first, second, third)); diff != "" {
		t.Errorf("after the old one was retired (-want +got):\n%s", diff)
	}
	if got := o.Requests(standin.Clients); got != 1 {
		t.Errorf("%d requests to the registration API, want the creation alone", got)
	}
}

// TestOktaLostRotationDoesNotEndTheSecretInUse loses the answer to a rotation
// and rotates again: what is in use must go on working.
func TestOktaLostRotationDoesNotEndTheSecretInUse(t *testing.T) {
	t.Parallel()
	for _, rotatedBefore := range []bool{false, true} {
		o := newOrg(t, "")
		current, err := o.CreateClient(t.Context(), service("app"))
		if err != nil {
			t.Fatal(err)
		}
		if rotatedBefore {
			r, err := o.RotateSecret(t.Context(), current)
			if err != nil {
				t.Fatal(err)
			}
			current = r.Client
			if err := o.RetireSecret(t.Context(), current); err != nil {
				t.Fatal(err)
			}
		}
		// The list of secrets is read first; the answer that is lost is the second.
		lost := lose(t, o, http.MethodPost)
		if _, err := lost.RotateSecret(t.Context(), current); !errors.Is(err, provider.ErrUncertain) {
			t.Fatalf("got %v, want %v", err, provider.ErrUncertain)
		}
		r, err := o.RotateSecret(t.Context(), current)
		if err != nil {
			t.Fatal(err)
		}
		if o.token(current) != 200 || o.token(r.Client) != 200 {
			t.Errorf("rotated before %v: the secret in use answers %d, the new one %d", rotatedBefore, o.token(current), o.token(r.Client))
		}
	}
}

func TestOktaLeavesSecretsMadeElsewhereAlone(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	made, err := o.CreateClient(t.Context(), service("app"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := o.RotateSecret(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	stranger := made
	stranger.Management = secret.New("ocsUnknown")
	if _, err := o.RotateSecret(t.Context(), stranger); !errors.Is(err, provider.ErrUnsupported) {
		t.Errorf("rotated: got %v, want %v", err, provider.ErrUnsupported)
	}
	if err := o.RetireSecret(t.Context(), stranger); err != nil {
		t.Errorf("retired: %v", err)
	}
	if o.token(made) != 200 || o.token(other.Client) != 200 {
		t.Error("a secret stopped")
	}
}

// TestWhatDoesNotMeanThatAClientIsGone: a client that is taken for deleted would
// be left behind for ever.
func TestWhatDoesNotMeanThatAClientIsGone(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	made, err := o.CreateClient(t.Context(), service("app"))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]standin.Fault{
		"a page that says 404":       {Status: 404, Body: standin.Garbage},
		"invalid_client and 500":     {Status: 500, Body: `{"error":"invalid_client"}`},
		"invalid_client and 400":     {Status: 400, Body: `{"error":"invalid_client"}`},
		"a bad token":                {Status: 401, Body: `{"errorCode":"E0000011"}`},
		"401 without a body":         {Status: 401, Body: " "},
		"rights that do not reach":   {Status: 403, Body: `{"errorCode":"E0000006"}`},
		"a redirect to a login page": {Redirect: "/login"},
	} {
		o.Break(standin.Clients, f)
		if err := o.DeleteClient(t.Context(), made); err == nil || errors.Is(err, provider.ErrGone) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	o.Break(standin.Clients, standin.Fault{Status: 404})
	if _, _, err := o.FindClient(t.Context(), "app"); !errors.Is(err, provider.ErrUnavailable) {
		t.Errorf("a search at the wrong place: got %v, want %v", err, provider.ErrUnavailable)
	}
}

func TestClientWithoutIDReachesNoProvider(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	for _, id := range []string{"", ".", "..", "a\nb", strings.Repeat("x", 256)} {
		c := service("app")
		c.ClientID = id
		_, readErr := o.ReadClient(t.Context(), c)
		_, updateErr := o.UpdateClient(t.Context(), c)
		_, rotateErr := o.RotateSecret(t.Context(), c)
		for what, err := range map[string]error{
			"read": readErr, "update": updateErr, "rotate": rotateErr, "delete": o.DeleteClient(t.Context(), c), "retire": o.RetireSecret(t.Context(), c),
		} {
			if !field("client_id")(err) {
				t.Errorf("%s %q: got %v", what, id, err)
			}
		}
	}
	if o.Requests(standin.Clients)+o.Requests(standin.Admin) > 0 {
		t.Error("requests were sent")
	}
}

func TestNobodyThereMeansThatNothingWasDone(t *testing.T) {
	t.Parallel()
	hs := httptest.NewServer(http.NotFoundHandler())
	hs.Close()
	p := registering(t, config.Provider{Type: config.RFC7591, Issuer: hs.URL, Endpoints: config.Endpoints{Registration: hs.URL + "/register"}})
	_, err := p.CreateClient(t.Context(), service("app"))
	if !errors.Is(err, provider.ErrUnavailable) || errors.Is(err, provider.ErrUncertain) {
		t.Errorf("got %v, want %v", err, provider.ErrUnavailable)
	}
}

func TestOktaOrganisationServerHasNoServices(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	p := registering(t, config.Provider{
		Type: config.Okta, Issuer: o.url, AdminSecret: "file:" + o.secret, Endpoints: config.Endpoints{Registration: o.url + "/oauth2/v1/clients"},
	})
	if _, err := p.CreateClient(t.Context(), service("app")); !field("grant_types")(err) {
		t.Errorf("got %v", err)
	}
	c := web("app")
	c.GrantTypes = []string{"authorization_code"}
	if _, err := p.CreateClient(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// lose returns a provider like o's that does not get the answers to requests
// of this method, which are carried out all the same, and assigns Everyone.
func lose(t *testing.T, o *org, method string) *provider.Provider {
	t.Helper()
	c := config.Provider{
		Name: "idp", Type: config.Okta, Issuer: o.url + "/oauth2/default", AdminSecret: "file:" + o.secret,
		AfterCreate: config.AfterCreate{AssignGroup: "Everyone"}, Tokens: config.Introspect, RequestTimeout: 2 * time.Second,
	}
	env := provider.Environment{HTTP: &http.Client{Transport: deaf(method)}, Secrets: &secret.Manager{}}
	p, err := provider.New(c, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.EnableRegistration(c, env); err != nil {
		t.Fatal(err)
	}
	return p
}

// deaf is a transport that loses the answers to one method.
type deaf string

func (d deaf) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && r.Method == string(d) {
		res.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return res, err
}

func TestWithoutRegistrationNothingIsSupported(t *testing.T) {
	t.Parallel()
	p := newIDP(t).provider()
	if diff := cmp.Diff(provider.Capabilities{}, p.Capabilities()); diff != "" {
		t.Error(diff)
	}
	if _, err := p.CreateClient(t.Context(), service("app")); !errors.Is(err, provider.ErrUnsupported) {
		t.Errorf("got %v, want %v", err, provider.ErrUnsupported)
	}
}
