package portal_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/shared/registry"
)

func TestAccessIsAskedFor(t *testing.T) {
	t.Parallel()
	set := func(name string, values ...string) func(url.Values) {
		return func(f url.Values) { f[name] = values }
	}
	for _, test := range []struct {
		name    string
		path    string
		change  func(url.Values)
		status  int
		text    string
		clients int // that there are afterwards
	}{
		{"a tier that approves itself opens the API now", "orders", set("x"), 200, "It opens the API now, in the tier trial", 1},
		{"another tier waits for an owner", "orders", set("tier", "gold"), 200, "An owner of the API decides", 1},
		{"an application that people sign in to has Postman's callbacks", "orders", func(f url.Values) {
			f["grant"], f["postman"], f["way"] = []string{"authorization_code"}, []string{"https://oauth.pstmn.io/v1/callback", "https://oauth.pstmn.io/v1/browser-callback"}, []string{"none"}
		}, 200, "It has no secret", 1},
		{"redirect URIs stand one a line", "orders", func(f url.Values) {
			f["grant"], f["redirects"] = []string{"authorization_code"}, []string{"https://a.example.com/cb\r\n\r\n https://b.example.com/cb "}
		}, 200, "Copy the secret now.", 1},
		{"without a name it is not done", "orders", set("name", " "), 400, "Name is missing", 0},
		{"a name with control characters is not taken", "orders", set("name", "a\u202eb"), 400, "Name has control or invisible characters", 0},
		{"without the terms it is not done", "orders", set("terms"), 400, "Agree to the terms", 0},
		{"a tier that there is not is refused", "orders", set("tier", "platinum"), 400, "Tier is not one of the API's; the API's page lists them", 0},
		{"a scope that there is not is refused", "orders", set("scope", "gatehouse:admin"), 400, "Scopes has one that no API of this provider knows", 0},
		{"a grant type that there is not is refused", "orders", set("grant", "password"), 400, "Grant types can have", 0},
		{"a redirect URI that is not safe is refused", "orders", func(f url.Values) {
			f["grant"], f["redirects"] = []string{"authorization_code"}, []string{"http://evil.example.com/"}
		}, 400, "Redirect URIs has an element that is not allowed", 0},
		{"a provider that there is not is refused", "orders", set("provider", "none"), 400, "Provider is not one of those", 0},
		{"a reason that is too long is refused", "orders", set("reason", strings.Repeat("x", 501)), 400, "Reason has more than 500 bytes", 0},
		{"an API that there is not has no form", "none", set("x"), 404, "There is no such API", 0},
		{"an application of another's gets nothing", "orders", set("with", "aqbcdefghijklmnop234567rst"), 404, "There is no such application among yours", 0},
		{"more than a form can have is refused", "orders", set("description", strings.Repeat("x", 64<<10)), 413, "A form can have 64 KiB", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{})
			form := request("Reports", "trial")
			test.change(form)
			got := s.signIn(t, "bob", "").post("/portal/apis/"+test.path+"/request", form)
			got.wants(t, test.status, test.text)
			if n := s.clients(); n != test.clients {
				t.Errorf("got %d clients, want %d", n, test.clients)
			}
			if test.status == 400 && form.Get("name") == "Reports" && !strings.Contains(got.Body, `value="Reports"`) {
				t.Error("what was filled in is gone")
			}
		})
	}
}

func TestAFormThatIsSentTwiceMakesOneApplication(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	p := s.signIn(t, "bob", "")
	id, client, secretText := p.application("Reports", "trial")
	if again, c, text := p.application("Reports", "trial"); again != id || c != client || text != secretText {
		t.Error("the second time makes another application")
	}
	form := request("Other reports", "trial")
	form.Set("key", "Reports")
	p.post("/portal/apis/orders/request", form).wants(t, 422, "Idempotency-Key was sent before with another body")
	if n := s.clients(); n != 1 {
		t.Errorf("got %d clients, want 1", n)
	}
}

func TestASecretIsShownOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	p := s.signIn(t, "bob", "")
	id, client, secretText := p.application("It's <mine>", "trial")
	got := p.post("/portal/apis/orders/request", request("It's <mine>", "trial"))
	for _, want := range []string{
		"curl -s -u '" + client + ":" + secretText + "' -d grant_type=client_credentials -d 'scope=orders:read' '" + org + "/oauth2/default/v1/token'",
		`curl -i -H "Authorization: Bearer $TOKEN" '` + apiURL + "/orders'",
	} {
		got.wants(t, 200, want)
	}
	for _, path := range []string{"/portal/applications", "/portal/applications/" + id, "/portal/applications/" + id + "/edit", "/portal/audit?application=" + id, "/portal/try"} {
		if got := p.get(path); got.Status != 200 || strings.Contains(got.Body, secretText) {
			t.Errorf("%s: got %d, or the secret", path, got.Status)
		}
	}
	if strings.Contains(s.log.String(), secretText) {
		t.Error("the secret is in the log")
	}
}

func TestApplicationsAreLookedAfter(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	p := s.signIn(t, "bob", "")
	id, client, secretText := p.application("Reports", "trial")
	at := "/portal/applications/" + id
	then := func(path, to string) {
		t.Helper()
		if got := p.post(at+path, url.Values{"api": {"orders"}}); got.Status != http.StatusSeeOther || got.Header["Location"] != to {
			t.Errorf("%s: got %d to %q, want %q: %s", path, got.Status, got.Header["Location"], to, got.text())
		}
		p.get(to).wants(t, 200, map[string]string{"previous": "The old secret does not work", "withdraw": "The access is given up", "delete": "The application is deleted"}[path[strings.LastIndex(path, "/")+1:]])
	}
	change := request("Renamed", "trial")
	if got := p.post(at+"/edit", change); got.Status != http.StatusSeeOther {
		t.Errorf("got %d %s", got.Status, got.text())
	}
	p.get(at).wants(t, 200, "Renamed")
	change.Set("name", "")
	p.post(at+"/edit", change).wants(t, 400, "Name is missing")

	p.get(at+"/secret").wants(t, 200, "two secrets work at the same time")
	got := p.post(at+"/secret", nil)
	got.wants(t, 200, "The old secret works until the next rotation.")
	if strings.Contains(got.Body, secretText) || !strings.Contains(got.Body, client) {
		t.Error("the secret is not a new one of the client")
	}
	then("/secret/previous", at+"?did=retired")
	then("/withdraw", at+"?did=withdrawn")
	p.get(at).wants(t, 200, "It has access to nothing")
	if got := p.post("/portal/apis/orders/request", url.Values{"with": {id}, "tier": {"gold"}, "terms": {"yes"}}); got.Header["Location"] != at+"?did=requested" {
		t.Errorf("got %d %s", got.Status, got.text())
	}
	p.get(at).wants(t, 200, "asked for tier gold")
	p.get("/portal/audit?application="+id).wants(t, 200, "contract withdrawn by bob")
	then("/delete", "/portal/applications?did=deleted")
	p.get(at).wants(t, 404, "There is no such application among yours")
	if n := s.clients(); n != 0 {
		t.Errorf("got %d clients, want none", n)
	}
}

func TestOwnersDecide(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		login  string
		first  string // what was decided before; "": nothing
		form   url.Values
		status int
		text   string
		want   registry.Status
		tier   string
	}{
		{"an owner approves what was asked for", "ada", "", url.Values{"decision": {"approved"}}, 303, "", registry.Approved, "gold"},
		{"an owner approves with another tier", "ada", "", url.Values{"decision": {"approved"}, "tier": {"trial"}}, 303, "", registry.Approved, "trial"},
		{"an owner rejects with a reason", "ada", "", url.Values{"decision": {"rejected"}, "reason": {"no"}}, 303, "", registry.Rejected, ""},
		{"without a reason nobody is rejected", "ada", "", url.Values{"decision": {"rejected"}, "reason": {" "}}, 400, "Say why", registry.Pending, ""},
		{"an owner revokes what was approved", "ada", "approved", url.Values{"decision": {"revoked"}, "reason": {"no"}}, 303, "", registry.Revoked, "gold"},
		{"what waits cannot be revoked", "ada", "", url.Values{"decision": {"revoked"}, "reason": {"no"}}, 409, "pending ones can be approved or rejected", registry.Pending, ""},
		{"there are no other decisions", "ada", "", url.Values{"decision": {"forgotten"}, "reason": {"no"}}, 400, "Decision must be approved", registry.Pending, ""},
		{"without a decision there is none", "ada", "", url.Values{"reason": {"no"}}, 303, "", registry.Pending, ""},
		{"who owns nothing decides nothing", "bob", "", url.Values{"decision": {"approved"}}, 403, "Only an owner of the API", registry.Pending, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{})
			_, client, _ := s.signIn(t, "bob", "").application("Reports", "gold")
			test.form["client"], test.form["provider"] = []string{client}, []string{"okta"}
			if test.first != "" {
				s.signIn(t, "ada", "").post("/portal/inbox/orders", url.Values{"client": {client}, "provider": {"okta"}, "decision": {test.first}})
			}
			s.signIn(t, test.login, "").post("/portal/inbox/orders", test.form).wants(t, test.status, test.text)
			c, err := s.store.Contract(t.Context(), registry.ContractKey{Provider: "okta", ClientID: client, API: "orders"})
			if err != nil || c.Status != test.want || c.Tier != test.tier {
				t.Errorf("got %s in tier %q, %v; want %s in %q", c.Status, c.Tier, err, test.want, test.tier)
			}
		})
	}
}

func TestProvidersSayWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	p := s.signIn(t, "bob", "admin")
	s.down = true
	got := p.get("/portal/providers")
	got.wants(t, 200, "okta needs you")
	got.wants(t, 200, "What to do: see that the provider answers")
	got.wants(t, 200, "Issuer "+org+"/oauth2/default")
	if regexp.MustCompile(`00token|SSWS`).MatchString(got.Body) {
		t.Error("the administrator's token is on the page")
	}
}

func TestTrying(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(f url.Values, secretText string)
		status int
		text   []string
		call   string // to the API; "": none
	}{
		{"an application's secret is enough", func(f url.Values, text string) { f.Set("secret", text) }, 200,
			[]string{"200 OK", "Token: it is okta's", "has access, in the tier trial", "Route: the token has what GET /orders needs"}, "GET " + apiURL + "/orders"},
		{"a scope that the token lacks is named", func(f url.Values, text string) {
			f.Set("secret", text)
			f.Set("method", "POST")
			f.Set("body", "{}")
		}, 200, []string{"it needs the scopes “orders:write”"}, "POST " + apiURL + "/orders"},
		{"a route that there is not is named", func(f url.Values, text string) { f.Set("secret", text); f.Set("path", "/none?a=b") }, 200,
			[]string{"it is not one of the API's"}, "GET " + apiURL + "/none?a=b"},
		{"without a token it goes without", func(f url.Values, _ string) { f.Del("application") }, 200, []string{"Token: there is none."}, "GET " + apiURL + "/orders"},
		{"what is no token of the provider is named", func(f url.Values, _ string) { f.Del("application"); f.Set("token", "a.b.c") }, 200,
			[]string{"it is no token, or only a part of one. (malformed)"}, "GET " + apiURL + "/orders"},
		{"a token in the query is taken by no strict API", func(f url.Values, text string) { f.Set("secret", text); f.Set("place", "query") }, 200,
			[]string{"the API takes none in the query", "GET " + apiURL + "/orders Why"}, "GET " + apiURL + "/orders?access_token=…"},
		{"a wrong secret is refused", func(f url.Values, _ string) { f.Set("secret", "wrong") }, 400, []string{"The provider does not know this secret"}, ""},
		{"no secret is asked for", func(_ url.Values, _ string) {}, 400, []string{"Paste the secret of the application"}, ""},
		{"another's application is refused", func(f url.Values, text string) { f.Set("secret", text); f.Set("application", "x") }, 400, []string{"Choose one of your applications"}, ""},
		{"a scope that it may not have is refused", func(f url.Values, text string) { f.Set("secret", text); f.Set("scope", "none:such") }, 400, []string{"does not give the application these scopes"}, ""},
		{"a token with Bearer before it is refused", func(f url.Values, _ string) { f.Set("token", "Bearer x") }, 400, []string{"without “Bearer”"}, ""},
		{"another host is no path", func(f url.Values, _ string) { f.Del("application"); f.Set("path", "@evil.example.com/") }, 400, []string{"A path begins with a slash"}, ""},
		{"another host by two slashes is no path", func(f url.Values, _ string) { f.Del("application"); f.Set("path", "//evil.example.com/") }, 400, []string{"A path begins with a slash"}, ""},
		{"a whole address is no path", func(f url.Values, _ string) {
			f.Del("application")
			f.Set("path", "http://169.254.169.254/latest/meta-data")
		}, 400, []string{"A path begins with a slash"}, ""},
		{"a way up is no path", func(f url.Values, _ string) { f.Del("application"); f.Set("path", "/orders/../../v2/orders") }, 400, []string{"A path begins with a slash"}, ""},
		{"a way up in disguise is no path", func(f url.Values, _ string) { f.Del("application"); f.Set("path", "/orders/%2e%2e/%2e%2e/v2") }, 400, []string{"A path has no “..”"}, ""},
		{"a line break is no path", func(f url.Values, _ string) { f.Del("application"); f.Set("path", "/orders\r\nHost: evil") }, 400, []string{"A path begins with a slash"}, ""},
		{"a parameter without a value is no path", func(f url.Values, _ string) { f.Del("application"); f.Set("path", "/orders/{id}") }, 400, []string{"write a value for each {parameter}"}, ""},
		{"a token in the path is not sent", func(f url.Values, _ string) { f.Del("application"); f.Set("path", "/orders?access_token=x") }, 400, []string{"Put the token where the form asks for it"}, ""},
		{"a method that there is not is refused", func(f url.Values, _ string) { f.Del("application"); f.Set("method", "CONNECT") }, 400, []string{"Choose a method"}, ""},
		{"an API without an address is not tried", func(f url.Values, _ string) { f.Set("api", "stock") }, 404, []string{"That API cannot be tried"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{})
			p := s.signIn(t, "bob", "")
			id, _, secretText := p.application("Reports", "trial")
			form := url.Values{"api": {"orders"}, "application": {id}, "scope": {"orders:read"}, "method": {"GET"}, "path": {"/orders"}, "place": {"header"}}
			test.change(form, secretText)
			got := p.post("/portal/try", form)
			for _, text := range test.text {
				if got.Status != test.status || !strings.Contains(strings.ReplaceAll(got.text(), "’", "'"), text) {
					t.Errorf("got %d %q, want %d with %q", got.Status, got.text(), test.status, text)
				}
			}
			call := ""
			for _, r := range s.calls {
				call += r.Method + " " + regexp.MustCompile(`access_token=[^&]+`).ReplaceAllString(r.URL.String(), "access_token=…")
			}
			if call != test.call {
				t.Errorf("got the call %q, want %q", call, test.call)
			}
			if strings.Contains(got.Body+s.log.String(), "eyJ") || strings.Contains(got.Body+s.log.String(), secretText) {
				t.Error("a token or the secret is on the page or in the log")
			}
		})
	}
}

func TestAnAnswerIsShownWithCare(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		api  http.HandlerFunc
		text string
		not  string
	}{
		{"markup is text", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<script>alert(1)</script>")) }, "<script>alert(1)</script>", "<script>alert"},
		{"a redirect is shown and not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
		}, "302 Found", "\x00"},
		{"a token that comes back is not shown", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(r.Header.Get("Authorization")))
		}, "Bearer …", "eyJ"},
		{"a cookie is not shown", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", "a=hunter2") }, "not shown", "hunter2"},
		{"a long answer is cut", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat("x", 1<<20))) }, "There is more, which is not shown.", strings.Repeat("x", 33<<10)},
		{"what is no text is counted", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff, 0xfe, 0xfd}) }, "3 bytes that are no text", "\xff"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{})
			s.api = test.api
			p := s.signIn(t, "bob", "")
			id, _, secretText := p.application("Reports", "trial")
			got := p.post("/portal/try", url.Values{
				"api": {"orders"}, "application": {id}, "secret": {secretText}, "scope": {"orders:read"}, "method": {"GET"}, "path": {"/orders"},
			})
			got.wants(t, 200, test.text)
			if strings.Contains(got.Body, test.not) {
				t.Errorf("got %.300q, want it without %.40q", got.Body, test.not)
			}
			if len(s.calls) != 1 {
				t.Errorf("got %d calls, want 1", len(s.calls))
			}
		})
	}
}
