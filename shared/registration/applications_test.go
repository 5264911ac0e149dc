package registration_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
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
	decide(200, asGrace, "{\"status\":\"revoked\",\"reason\":\"too\u00a0much \u26a0\ufe0f\"}")
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
	health := func(who map[string]string) string {
		t.Helper()
		text := a.want(200, request{method: "GET", path: "/providers", authorizer: who}).text
		_, okta, _ := strings.Cut(text, `"name":"okta"`)
		okta, _, _ = strings.Cut(okta, `"name":"plain"`)
		_, registered, _ := strings.Cut(okta, `"registration":`)
		return registered
	}
	if got := health(asAda); got != "" {
		t.Errorf("got %s", got)
	}
	const well = `{"status":"ok","last_ok":"2026-11-01T08:00:00Z"}`
	if got := health(asAdmin); !strings.HasPrefix(got, well) {
		t.Errorf("got %s", got)
	}
	a.org.SetAPIToken("")
	if got := health(asAdmin); !strings.HasPrefix(got, well) {
		t.Errorf("got %s, want what was found a moment ago", got)
	}
	a.clock.Advance(time.Minute)
	if got := health(asAdmin); !strings.HasPrefix(got, `{"status":"credentials refused","last_ok":"2026-11-01T08:00:00Z","advice":"renew`) {
		t.Errorf("got %s", got)
	}
	kept, err := a.Store.Health(t.Context(), "okta")
	if err != nil || kept.Checks["registration"] != "credentials refused" {
		t.Errorf("kept %+v, %v", kept, err)
	}
}

func TestAnApplicationWithKeysOfItsOwn(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const key = `{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	body := `{"provider":"okta","client_name":"Reports","grant_types":["client_credentials"],"token_endpoint_auth_method":"private_key_jwt",` +
		`"jwks": {"keys": [` + key + `]}}`
	made := a.want(201, request{method: "POST", path: "/applications", body: body, authorizer: asAda})
	if made.body["client_secret"] != nil || !strings.Contains(made.text, `"jwks":{"keys":[`+key+`]}`) {
		t.Errorf("got %s", made.text)
	}
	path := "/applications/" + made.string("id")
	a.want(409, request{method: "POST", path: path + "/secret", authorizer: asAda})
	for name, uri := range map[string]string{
		"plain http": "http://keys.example.com/", "this machine": "https://localhost/keys", "an address": "https://10.0.0.1/", "IPv6": "https://[::1]/",
		"a number": "https://127.1/", "a name of this machine": "https://a.localhost/", "a user": "https://a@keys.example.com/", "a fragment": "https://keys.example.com/#a",
		"a name of this machine in upper case": "https://a.LOCALHOST/", "a name inside": "https://keys.corp/", "dots that are none": "https://keys\u3002internal/",
	} {
		got := a.want(400, request{method: "PATCH", path: path, body: `{"jwks":null,"jwks_uri":"` + uri + `"}`, authorizer: asAda})
		if got.string("field") != "jwks_uri" {
			t.Errorf("%s: got %s", name, got.text)
		}
	}
	got := a.want(200, request{method: "PATCH", path: path, body: `{"jwks":null,"jwks_uri":"https://keys.example.com/app"}`, authorizer: asAda})
	if got.body["jwks"] != nil || got.string("jwks_uri") != "https://keys.example.com/app" {
		t.Errorf("got %s", got.text)
	}
	a.unchanged("keys", 1)
}

func TestThePreviousSecretEndsWhenItIsTold(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.application()
	path := "/applications/" + made.string("id")
	works := func(secret string) bool {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, org+"/oauth2/default/v1/token", strings.NewReader("grant_type=client_credentials&scope=orders:read"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(made.string("client_id"), secret)
		a.org.ServeHTTP(w, r)
		return w.Code == http.StatusOK
	}
	a.clock.Advance(time.Second)
	a.want(204, request{method: "DELETE", path: path + "/secret/previous", authorizer: asAda}) // there is none
	a.clock.Advance(time.Second)
	rotated := a.want(200, request{method: "POST", path: path + "/secret", authorizer: asAda})
	if !works(made.string("client_secret")) || !works(rotated.string("client_secret")) {
		t.Error("after a rotation both secrets should work")
	}
	a.clock.Advance(time.Second)
	a.want(204, request{method: "DELETE", path: path + "/secret/previous", authorizer: asAda})
	if works(made.string("client_secret")) || !works(rotated.string("client_secret")) {
		t.Error("the new secret alone should work")
	}
	a.want(404, request{method: "DELETE", path: path + "/secret/previous", authorizer: asMal})
	var whats []string
	for _, one := range a.want(200, request{method: "GET", path: path + "/audits", authorizer: asAda}).list("audits") {
		audit, _ := one.(map[string]any)
		whats = append(whats, fmt.Sprint(audit["what"]))
	}
	want := []string{"application.created", "application.previous_secret_ended", "application.secret_rotated", "application.previous_secret_ended"}
	if !slices.Equal(whats, want) {
		t.Errorf("got the audits %v, want %v", whats, want)
	}
	a.want(404, request{method: "GET", path: path + "/audits", authorizer: asMal})
}

// TestTokensOfApplicationsOpenNothing: whatever scope a registered client can get
// at its provider, it does not get in here with it.
func TestTokensOfApplicationsOpenNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.application()
	for _, who := range []map[string]string{
		{"sub": made.string("client_id"), "client_id": made.string("client_id"), "scope": "gatehouse:admin"},
		{"sub": "ada", "client_id": made.string("client_id"), "scope": "gatehouse:applications"},
	} {
		for _, path := range []string{"/applications", "/applications/" + made.string("id"), "/apis", "/apis/orders", "/providers"} {
			a.want(403, request{method: "GET", path: path, authorizer: who})
		}
	}
	a.want(200, request{method: "GET", path: "/applications", authorizer: map[string]string{"sub": "ada", "client_id": "cli", "scope": "gatehouse:applications"}})
}

// TestARevokedOwnerDoesNotApproveThemselves: neither a new application nor a
// deleted one is the way around a revocation.
func TestARevokedOwnerDoesNotApproveThemselves(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	register := func(who map[string]string) answer {
		t.Helper()
		return a.want(201, request{method: "POST", path: "/applications", authorizer: who, body: strings.Replace(orders, "gold", "trial", 1)})
	}
	status := func(r answer) string {
		contract, _ := r.list("contracts")[0].(map[string]any)
		return fmt.Sprint(contract["status"])
	}
	first := register(asAda)
	if status(first) != "approved" {
		t.Fatalf("got %s", first.text)
	}
	at := "/apis/orders/contracts/" + first.string("client_id")
	a.want(200, request{method: "PATCH", path: at, body: `{"status":"revoked"}`, authorizer: asTeam})
	if second := register(asAda); status(second) != "pending" {
		t.Errorf("got %s, want it to wait for an owner of the API", second.text)
	}
	if other := register(asMal); status(other) != "approved" {
		t.Errorf("another developer: got %s", other.text)
	}
	a.want(204, request{method: "DELETE", path: "/applications/" + first.string("id"), authorizer: asAda})
	third := register(asAda)
	if status(third) != "pending" {
		t.Errorf("got %s, want it to wait still", third.text)
	}
	mine := "/applications/" + third.string("id") + "/contracts"
	a.want(204, request{method: "DELETE", path: mine + "/orders", authorizer: asAda})
	if again := a.want(201, request{method: "POST", path: mine, body: `{"api":"orders","tier":"trial"}`, authorizer: asAda}); again.string("status") != "pending" {
		t.Errorf("got %s, want it to wait even so", again.text)
	}
}
