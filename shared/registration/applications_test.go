package registration_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/shared/standin"
)

const orders = `{"provider":"okta","client_name":"Reports","grant_types":["client_credentials"],"scope":"orders:read","contracts":[{"api":"orders","tier":"gold","reason":"reports"}]}`

func (a *api) application() answer {
	a.t.Helper()
	return a.want(201, request{method: "POST", path: "/applications", body: orders, authorizer: asAda})
}

func TestApplicationLives(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.application()
	path := "/applications/" + made.string("id")
	if made.string("client_secret") == "" || made.header.Get("Location") != "https://gatehouse.example.com"+path {
		t.Errorf("got %s", made.text)
	}
	read := a.want(200, request{method: "GET", path: path, authorizer: asAda})
	if read.body["client_secret"] != nil || read.string("client_name") != "Reports" {
		t.Errorf("got %s, want no secret", read.text)
	}
	changed := a.want(200, request{method: "PATCH", path: path, body: `{"client_name":"Renamed"}`, authorizer: asAda})
	if changed.string("client_name") != "Renamed" || changed.string("scope") != "orders:read" {
		t.Errorf("got %s", changed.text)
	}
	rotated := a.want(200, request{method: "POST", path: path + "/secret", authorizer: asAda})
	if s := rotated.string("client_secret"); s == "" || s == made.string("client_secret") || rotated.string("previous_client_secret") != "works until the next rotation" {
		t.Errorf("got %s", rotated.text)
	}
	list := a.want(200, request{method: "GET", path: "/applications?limit=1", authorizer: asAda})
	if !strings.Contains(list.text, made.string("id")) || strings.Contains(list.text, "client_secret\"") {
		t.Errorf("got %s", list.text)
	}
	a.unchanged("changed", 1)
	a.want(204, request{method: "DELETE", path: path, authorizer: asAda})
	a.want(404, request{method: "GET", path: path, authorizer: asAda})
	a.unchanged("deleted", 0)
}

func TestForeignApplicationsAreAsIfTheyWereNotThere(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.application()
	for _, r := range []request{
		{method: "GET", path: ""},
		{method: "PATCH", path: "", body: `{"client_name":"Mine"}`},
		{method: "DELETE", path: ""},
		{method: "POST", path: "/secret"},
		{method: "POST", path: "/contracts", body: `{"api":"orders","tier":"trial"}`},
		{method: "GET", path: "/contracts"},
		{method: "DELETE", path: "/contracts/orders"},
	} {
		r.authorizer = asMal
		tail := r.path
		r.path = "/applications/" + made.string("id") + tail
		foreign := a.want(404, r)
		r.path = "/applications/none" + tail
		if none := a.want(404, r); none.text != foreign.text {
			t.Errorf("%s %s: a foreign application is told from none: %s, %s", r.method, tail, foreign.text, none.text)
		}
	}
	if list := a.want(200, request{method: "GET", path: "/applications", authorizer: asMal}); strings.Contains(list.text, "Reports") {
		t.Errorf("got %s", list.text)
	}
	a.want(403, request{method: "GET", path: "/applications", authorizer: asGrace})
	a.want(403, request{method: "GET", path: "/applications", authorizer: map[string]string{"sub": "group:orders-team", "scope": "gatehouse:applications"}})
	a.want(401, request{method: "GET", path: "/applications"})
	a.want(200, request{method: "GET", path: "/applications/" + made.string("id"), authorizer: asAdmin})
}

func TestBadApplicationsChangeNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for name, body := range map[string]string{
		"an unknown API":             `{"provider":"okta","client_name":"x","grant_types":["client_credentials"],"contracts":[{"api":"nothing"}]}`,
		"an unknown tier":            `{"provider":"okta","client_name":"x","grant_types":["client_credentials"],"contracts":[{"api":"orders","tier":"free"}]}`,
		"an API twice":               `{"provider":"okta","client_name":"x","grant_types":["client_credentials"],"contracts":[{"api":"stock"},{"api":"stock"}]}`,
		"an unknown provider":        `{"client_name":"x","grant_types":["client_credentials"],"provider":"auth0"}`,
		"an unknown member":          `{"provider":"okta","client_name":"x","grant_types":["client_credentials"],"application_type":"web"}`,
		"no name":                    `{"provider":"okta","grant_types":["client_credentials"]}`,
		"a public client with one":   `{"provider":"okta","client_name":"x","grant_types":["client_credentials"],"token_endpoint_auth_method":"none"}`,
		"a name that is too long":    `{"provider":"okta","client_name":"` + strings.Repeat("x", 71) + `","grant_types":["client_credentials"]}`,
		"refresh without a code":     `{"provider":"okta","client_name":"x","grant_types":["refresh_token"]}`,
		"contracts that are no list": `{"provider":"okta","client_name":"x","grant_types":["client_credentials"],"contracts":"orders"}`,
	} {
		got := a.want(400, request{method: "POST", path: "/applications", body: body, authorizer: asAda})
		if got.header.Get("Content-Type") != "application/problem+json" || got.string("field") == "" {
			t.Errorf("%s: got %s", name, got.text)
		}
		a.unchanged(name, 0)
	}
}

func TestOwnersDecide(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.application()
	mine := "/applications/" + made.string("id") + "/contracts"
	at := "/apis/orders/contracts/" + made.string("client_id")
	decide := func(status int, who map[string]string, body string) answer {
		t.Helper()
		return a.want(status, request{method: "PATCH", path: at, body: body, authorizer: who})
	}
	decide(403, asMal, `{"status":"approved"}`)
	decide(403, asAda, `{"status":"approved"}`)
	a.want(403, request{method: "GET", path: "/apis/orders/contracts?status=pending", authorizer: asMal})
	if list := a.want(200, request{method: "GET", path: "/apis/orders/contracts?status=pending", authorizer: asTeam}); !strings.Contains(list.text, `"requested_tier":"gold"`) {
		t.Errorf("got %s", list.text)
	}
	a.want(400, request{method: "GET", path: "/apis/orders/contracts?status=", authorizer: asTeam})
	decide(409, asTeam, `{"status":"revoked"}`)
	decide(400, asTeam, `{"tier":"free"}`)
	if got := decide(200, asTeam, `{"status":"approved"}`); got.string("tier") != "gold" || got.string("decided_by") != "ivan" {
		t.Errorf("got %s", got.text)
	}
	decide(200, asGrace, `{"status":"revoked","reason":"too much"}`)
	// Neither asking again nor withdrawing gets around it.
	a.want(409, request{method: "POST", path: mine, body: `{"api":"orders","tier":"trial"}`, authorizer: asAda})
	a.want(409, request{method: "DELETE", path: mine + "/orders", authorizer: asAda})
	decide(200, asGrace, `{"status":"approved"}`)
	a.want(204, request{method: "DELETE", path: mine + "/orders", authorizer: asAda})
	if got := a.want(201, request{method: "POST", path: mine, body: `{"api":"orders","tier":"trial"}`, authorizer: asAda}); got.string("status") != "approved" {
		t.Errorf("got %s, want a tier that approves itself", got.text)
	}
	if got := a.want(201, request{method: "POST", path: mine, body: `{"api":"stock"}`, authorizer: asAda}); got.string("status") != "pending" {
		t.Errorf("got %s, want an API without tiers to wait for its owner", got.text)
	}
	a.want(404, request{method: "PATCH", path: "/apis/orders/contracts/none", body: `{"status":"approved"}`, authorizer: asGrace})
	if got := a.want(200, request{method: "GET", path: "/apis/orders", authorizer: asAda}); !strings.Contains(got.text, `"orders:read"`) {
		t.Errorf("got %s", got.text)
	}
}

func TestF19RepeatedRequestGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	r := request{method: "POST", path: "/applications", body: orders, authorizer: asAda, header: map[string]string{"Idempotency-Key": "k"}}
	first, again := a.want(201, r), a.want(201, r)
	if first.string("client_secret") != again.string("client_secret") || first.string("id") != again.string("id") {
		t.Errorf("got %s, then %s", first.text, again.text)
	}
	r.body = strings.Replace(orders, "Reports", "Others", 1)
	a.want(422, r)
	r.body, r.authorizer = orders, asMal
	if other := a.want(201, r); other.string("client_id") == first.string("client_id") {
		t.Error("another caller's key is the same key")
	}
}

func TestProviderFaultsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  standin.Fault
		status int
		retry  string
	}{
		"F23 a rate limit is told with when to come back":       {standin.Fault{Status: 429, Header: map[string]string{"Retry-After": "77"}}, 503, "77"},
		"F24 another redirect URI than asked is undone":         {standin.Fault{Status: 201, Body: `{"client_id":"0oaX","client_secret":"s","redirect_uris":["https://evil.example"]}`}, 502, ""},
		"F24 a client without its secret is undone":             {standin.Fault{Status: 201, Body: `{"client_id":"0oaX"}`}, 502, ""},
		"F24 success with an error body is a refusal":           {standin.Fault{Status: 200, Body: `{"error":"invalid_client_metadata"}`}, 400, ""},
		"F20 an answer that is garbage is found out afterwards": {standin.Fault{Status: 200, Body: standin.Garbage}, 503, "180"},
		"a forbidden request names the administrator":           {standin.Fault{Status: 403, Body: `{"errorCode":"E0000006"}`}, 503, "180"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			warm := a.application()
			a.want(204, request{method: "DELETE", path: "/applications/" + warm.string("id"), authorizer: asAda})
			test.fault.Times = 1
			a.org.Break(standin.Clients, test.fault)
			got := a.want(test.status, request{method: "POST", path: "/applications", body: orders, authorizer: asAda})
			if got.header.Get("Retry-After") != test.retry || strings.Contains(got.text, "evil") || strings.Contains(got.text, "E0000006") {
				t.Errorf("got %v %s", got.header, got.text)
			}
			a.unchanged(name, 0)
			a.org.Mend()
			a.clock.Advance(4 * time.Minute)
			if all, err := a.Reconcile(t.Context()); err != nil || len(all.Left) > 0 {
				t.Errorf("got %+v, %v", all, err)
			}
			a.unchanged(name, 0)
		})
	}
}

func TestProvidersTellTheirHealthToAdministrators(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	if got := a.want(200, request{method: "GET", path: "/providers", authorizer: asAda}); strings.Contains(got.text, "registration") {
		t.Errorf("got %s", got.text)
	}
	if got := a.want(200, request{method: "GET", path: "/providers", authorizer: asAdmin}); !strings.Contains(got.text, `"registration":"ok"`) {
		t.Errorf("got %s", got.text)
	}
	a.org.SetAPIToken("")
	if got := a.want(200, request{method: "GET", path: "/providers", authorizer: asAdmin}); !strings.Contains(got.text, `"registration":"credentials refused"`) {
		t.Errorf("got %s", got.text)
	}
}
