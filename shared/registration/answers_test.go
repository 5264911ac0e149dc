package registration_test

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/provider"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// This file asks all operations for the answers that any of them can give. That
// they have the right form is seen by [webtest.Document.Check].

// one returns a request of each operation, with which it could succeed, by
// pattern, and the words of the paths that name something.
func (a *api) one() (requests map[string]request, names *strings.Replacer) {
	a.t.Helper()
	made := a.application()
	_, self, bearer := a.registered()
	application := "/applications/" + made.string("id")
	all := map[string]request{
		"POST /register":                            {body: web},
		"GET /register/{client_id}":                 {path: self, header: bearer},
		"PUT /register/{client_id}":                 {path: self, header: bearer, body: strings.Replace(web, "{", `{"client_id":"`+strings.TrimPrefix(self, "/register/")+`",`, 1)},
		"DELETE /register/{client_id}":              {path: self, header: bearer},
		"POST /initial-access-tokens":               {body: `{}`, authorizer: asAdmin},
		"POST /applications":                        {body: orders, authorizer: asAda},
		"GET /applications":                         {authorizer: asAda},
		"GET /applications/{id}":                    {path: application, authorizer: asAda},
		"PATCH /applications/{id}":                  {path: application, body: `{"client_name":"Renamed"}`, authorizer: asAda},
		"DELETE /applications/{id}":                 {path: application, authorizer: asAda},
		"POST /applications/{id}/secret":            {path: application + "/secret", authorizer: asAda},
		"DELETE /applications/{id}/secret/previous": {path: application + "/secret/previous", authorizer: asAda},
		"GET /applications/{id}/audits":             {path: application + "/audits", authorizer: asAda},
		"POST /applications/{id}/contracts":         {path: application + "/contracts", body: `{"api":"stock"}`, authorizer: asAda},
		"GET /applications/{id}/contracts":          {path: application + "/contracts", authorizer: asAda},
		"DELETE /applications/{id}/contracts/{api}": {path: application + "/contracts/orders", authorizer: asAda},
		"GET /apis":                               {authorizer: asAda},
		"GET /apis/{api}":                         {path: "/apis/orders", authorizer: asAda},
		"GET /apis/{api}/contracts":               {path: "/apis/orders/contracts?status=pending", authorizer: asGrace},
		"PATCH /apis/{api}/contracts/{client_id}": {path: "/apis/orders/contracts/" + made.string("client_id"), body: `{"status":"approved"}`, authorizer: asGrace},
		"GET /providers":                          {authorizer: asAda},
		"GET /intents":                            {authorizer: asAdmin},
		"DELETE /intents/{marker}":                {path: "/intents/" + made.string("id"), authorizer: asAdmin},
		"GET /openapi.json":                       {},
	}
	for pattern, r := range all {
		var path string
		r.method, path, _ = strings.Cut(pattern, " ")
		if r.path == "" {
			r.path = path
		}
		all[pattern] = r
	}
	if got, want := slices.Sorted(maps.Keys(all)), a.Patterns(); !slices.Equal(got, want) {
		a.t.Fatalf("got requests of %v, want one of each of %v", got, want)
	}
	return all, strings.NewReplacer("/"+made.string("id"), "/none", "/"+made.string("client_id"), "/none", "/orders", "/none")
}

func TestNothingOpensWithoutAToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	a.Dynamic.Open = false
	for _, pattern := range document.Open(t).Answering("401") {
		r := all[pattern]
		r.authorizer, r.header = nil, nil
		got := a.want(401, r)
		if got.header.Get("WWW-Authenticate") != `Bearer realm="gatehouse"` { // B6: without a token nothing is wrong with one
			t.Errorf("%s: got %v", pattern, got.header)
		}
		if strings.Contains(pattern, "/register") {
			continue
		}
		r.authorizer = map[string]string{"scope": "gatehouse:admin"} // of nobody
		a.want(401, r)
	}
}

func TestNothingOpensWithoutTheScope(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	a.Dynamic.Provider = ""
	for _, pattern := range document.Open(t).Answering("403") {
		r := all[pattern]
		r.authorizer = map[string]string{"sub": "ada"}
		a.want(403, r)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, names := a.one()
	for _, pattern := range document.Open(t).Answering("404") {
		r := all[pattern]
		r.path = names.Replace(r.path)
		a.want(404, r)
	}
}

func TestW4OnlySmallJSONObjectsAreRead(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	large := `{"client_name":"` + strings.Repeat("x", 64<<10) + `"}`
	plain := func(header map[string]string) map[string]string {
		all := map[string]string{"Content-Type": "text/plain"}
		maps.Copy(all, header)
		return all
	}
	for _, pattern := range document.Open(t).Answering("415") {
		r := all[pattern]
		changed := r
		changed.body = large
		a.want(413, changed)
		changed = r
		changed.header = plain(r.header)
		a.want(415, changed)
		for _, body := range []string{`[]`, `{`, `{"client_name":`, `{}{}`, "{\"\xff\":1}"} {
			changed = r
			changed.body = body
			a.want(400, changed)
		}
	}
}

func TestListsAreReadFromACursorOfTheirs(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	for pattern, operation := range document.Open(t).Operations {
		var names []string
		for _, p := range operation.Parameters {
			names = append(names, p.Name)
		}
		if !slices.Contains(names, "cursor") {
			continue
		}
		if !slices.Contains(names, "limit") {
			t.Errorf("%s has a cursor and no limit", pattern)
		}
		for _, query := range []string{"limit=0", "limit=101", "limit=x", "cursor=x", "cursor=AAAAAAAAAAAA"} {
			r := all[pattern]
			if strings.Contains(r.path, "?") {
				r.path += "&" + query
			} else {
				r.path += "?" + query
			}
			name, _, _ := strings.Cut(query, "=")
			if got := a.want(400, r); got.string("field") != name {
				t.Errorf("%s %s: got %s", pattern, query, got.text)
			}
		}
	}
}

func TestListsAreReadPartByPart(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.application()
	a.application()
	path := "/applications/" + made.string("id")
	a.want(201, request{method: "POST", path: path + "/contracts", body: `{"api":"stock"}`, authorizer: asAda})
	for _, list := range []struct {
		path, member string
		who          map[string]string
	}{
		{"/applications?", "applications", asAda},
		{path + "/audits?", "audits", asAda},
		{path + "/contracts?", "contracts", asAda},
		{"/apis/orders/contracts?status=pending&", "contracts", asGrace},
	} {
		first := a.want(200, request{method: "GET", path: list.path + "limit=1", authorizer: list.who})
		last := a.want(200, request{method: "GET", path: list.path + "limit=1&cursor=" + first.string("next"), authorizer: list.who})
		if first.string("next") == "" || last.string("next") != "" || len(last.list(list.member)) != 1 || first.text == last.text {
			t.Errorf("%s: got %s, then %s, want two parts of one each", list.path, first.text, last.text)
		}
		whole := a.want(200, request{method: "GET", path: list.path, authorizer: list.who})
		both := slices.Concat(first.list(list.member), last.list(list.member))
		if diff := cmp.Diff(whole.list(list.member), both); diff != "" {
			t.Errorf("%s: the parts are not the whole (-whole +parts):\n%s", list.path, diff)
		}
	}
}

// TestTheStoreIsAway: where the store is needed, the answer says when to come
// back.
func TestTheStoreIsAway(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.ctx = ctx
	for _, pattern := range document.Open(t).Answering("503") {
		if got := a.want(503, all[pattern]); got.header.Get("Retry-After") != "5" {
			t.Errorf("%s: got %v", pattern, got.header)
		}
	}
	for _, pattern := range []string{"GET /apis", "GET /providers", "GET /openapi.json"} {
		a.want(200, all[pattern]) // they need none
	}
}

// TestW6WhatBreaksIsToldToTheOperatorOnly: a Service that is nil breaks at every
// operation.
func TestW6WhatBreaksIsToldToTheOperatorOnly(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	broken := &api{site: &site{clock: a.clock}, t: t}
	for _, pattern := range document.Open(t).Answering("500") {
		broken.log.Reset()
		got := broken.want(500, all[pattern])
		if strings.Contains(got.text, "nil") || !strings.Contains(broken.log.String(), "panic") {
			t.Errorf("%s: got %s and the log line %s", pattern, got.text, broken.log.String())
		}
	}
}

// TestARecordThatIsDamaged breaks nothing, and is answered in the form of the
// path.
func TestARecordThatIsDamaged(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	file := filepath.Join(t.TempDir(), "registry.json")
	open := func() *registry.Store {
		t.Helper()
		store, err := registry.Embedded{Path: file, Now: a.clock.Now}.Open()
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	a.Store = open()
	all, _ := a.one()
	if err := a.Store.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte(`"client_name": "Reports"`), []byte(`"client_name": 7`)), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Store = open()
	t.Cleanup(func() { _ = a.Store.Close() })
	for pattern, want := range map[string]string{
		"GET /applications":         `{"title":"Internal Server Error","status":500,"detail":"something broke on our side; try again"}`,
		"GET /applications/{id}":    `{"title":"Internal Server Error","status":500,"detail":"something broke on our side; try again"}`,
		"GET /register/{client_id}": `{"error":"server_error","error_description":"something broke on our side; try again"}`,
		"PUT /register/{client_id}": `{"error":"server_error","error_description":"something broke on our side; try again"}`,
	} {
		a.log.Reset()
		if got := a.want(500, all[pattern]); strings.TrimSpace(got.text) != want || !strings.Contains(a.log.String(), "registry: corrupt record") {
			t.Errorf("%s: got %s and the log line %s", pattern, got.text, a.log.String())
		}
	}
}

// TestAnApplicationIsChangedByOneAtATime: what is being done to an application
// keeps everyone else from changing it.
func TestAnApplicationIsChangedByOneAtATime(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	for _, path := range []string{all["GET /applications/{id}"].path, all["GET /register/{client_id}"].path} {
		id := strings.Split(path, "/")[2]
		is, err := a.Store.Application(t.Context(), id)
		if err != nil {
			is, err = a.Store.ApplicationByClient(t.Context(), registry.Client{Provider: "okta", ClientID: id})
		}
		if err == nil {
			_, err = a.Store.Begin(t.Context(), registry.Intent{
				Marker: registry.NewID(), Operation: registry.Update, Application: is, Attempt: registry.NewID(), Lease: a.clock.Now().Add(time.Minute),
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, pattern := range []string{
		"PATCH /applications/{id}", "DELETE /applications/{id}", "POST /applications/{id}/secret", "DELETE /applications/{id}/secret/previous",
		"PUT /register/{client_id}", "DELETE /register/{client_id}",
	} {
		r := all[pattern]
		if got := a.want(409, r); got.header.Get("Retry-After") != "5" {
			t.Errorf("%s: got %v", pattern, got.header)
		}
	}
}

// TestAKeyIsUsedByOneAtATime: while it is not known what came of a request, the
// same one is not begun again.
func TestAKeyIsUsedByOneAtATime(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, r := range []request{
		{method: "POST", path: "/applications", body: orders, authorizer: asAda},
		{method: "POST", path: "/register", body: web},
	} {
		r.header = map[string]string{"Idempotency-Key": "k"}
		created := false
		a.line.around = func(r *http.Request, serve func()) error {
			if created {
				return errReset
			}
			serve()
			if created = r.Method == http.MethodPost; created {
				return errReset
			}
			return nil
		}
		if got := a.want(503, r); got.header.Get("Retry-After") != "180" {
			t.Errorf("%s: got %v", r.path, got.header)
		}
		a.line.around = nil
		a.want(409, r)
		other := r
		other.body = strings.Replace(r.body, "Reports", "Others", 1)
		a.want(422, other)
		long := r
		long.header = map[string]string{"Idempotency-Key": strings.Repeat("k", 256)}
		a.want(400, long)
	}
	a.reconcile(t, 0, 2)
	a.unchanged("keys", 0)
}

// TestAProviderThatDoesNotRegisterClients is one whose administrator's secret
// was taken out of the configuration.
func TestAProviderThatDoesNotRegisterClients(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	a.Providers = []*provider.Provider{{Name: "okta"}}
	for _, pattern := range document.Open(t).Answering("501") {
		a.want(501, all[pattern])
	}
	if got := a.want(200, all["GET /providers"]); !strings.Contains(got.text, `"registers_clients":false`) {
		t.Errorf("got %s", got.text)
	}
}

func TestAProviderThatRefusesIsUnderstood(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	a.org.Break(standin.Admin, standin.Fault{Status: 400, Body: `{"errorCode":"E0000001"}`})
	a.org.Break(standin.Clients, standin.Fault{Status: 400, Body: `{"errorCode":"E0000001"}`})
	for _, pattern := range []string{
		"POST /applications/{id}/secret", "DELETE /applications/{id}/secret/previous", "PATCH /applications/{id}", "PUT /register/{client_id}",
	} {
		if got := a.want(400, all[pattern]); strings.Contains(got.text, "E0000001") {
			t.Errorf("%s: got %s", pattern, got.text)
		}
	}
	a.org.Mend()
	a.org.Break(standin.Clients, standin.Fault{Status: 201, Body: `{"client_id":"0oaX","client_secret":"s","redirect_uris":["https://evil.example"]}`, Times: 1})
	a.want(502, all["POST /register"])
	a.org.Break(standin.Clients, standin.Fault{Status: 429, Header: map[string]string{"Retry-After": "0"}})
	if got := a.want(503, all["POST /register"]); got.header.Get("Retry-After") != "1" {
		t.Errorf("got %v, want a second when the provider says none", got.header)
	}
}

func TestKeysThatCannotBeRead(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	initial := a.want(201, all["POST /initial-access-tokens"])
	a.Box = seal.New(secret.OpenKeys("file:"+t.TempDir()+"/none", nil))
	for _, pattern := range []string{
		"POST /initial-access-tokens", "POST /applications/{id}/secret", "GET /register/{client_id}", "PUT /register/{client_id}", "DELETE /register/{client_id}",
	} {
		if got := a.want(503, all[pattern]); !strings.Contains(got.text, "our keys cannot be read") || got.header.Get("Retry-After") != "5" {
			t.Errorf("%s: got %v %s", pattern, got.header, got.text)
		}
	}
	a.Dynamic.Open = false
	r := all["POST /register"]
	r.header = map[string]string{"Authorization": "Bearer " + initial.string("initial_access_token")}
	a.want(503, r)
}

// TestAClientThatIsGoneMeanwhile: it is deleted between its token being looked
// at and the change.
func TestAClientThatIsGoneMeanwhile(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"PUT /register/{client_id}", "DELETE /register/{client_id}"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t)
			all, _ := a.one()
			r := all[pattern]
			is, err := a.Store.ApplicationByClient(t.Context(), registry.Client{Provider: "okta", ClientID: strings.TrimPrefix(r.path, "/register/")})
			if err != nil {
				t.Fatal(err)
			}
			a.NewID = func() string { // the first thing of a change
				a.NewID = nil
				if err := a.Delete(t.Context(), registration.Caller{Subject: "root", Admin: true}, is.ID); err != nil {
					t.Error(err)
				}
				return registry.NewID()
			}
			gone, never := a.want(401, r), a.want(401, r)
			if gone.text != never.text {
				t.Errorf("got %s, want %s", gone.text, never.text)
			}
		})
	}
}

func TestWhatIsRegisteredIsAnswered(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	const body = `{"client_name":"Reports","description":"For the board.","redirect_uris":["https://app.example.com/cb"]}`
	made := a.want(201, request{method: "POST", path: "/register", body: body})
	if made.string("description") != "For the board." {
		t.Errorf("got %s, want the description, too", made.text)
	}
}

func TestDecisionsThatThereAreNotAreRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	all, _ := a.one()
	r := all["PATCH /apis/{api}/contracts/{client_id}"]
	for body, field := range map[string]string{
		`{"status":"granted"}`: "status", `{"tier":"free"}`: "tier", `{"reason":"` + strings.Repeat("x", 501) + `"}`: "reason", `{"state":"approved"}`: "state",
		"{\"reason\":\"too\u200bmuch\"}": "reason", "{\"reason\":\"\u3164\"}": "reason",
	} {
		r.body = body
		if got := a.want(400, r); got.string("field") != field {
			t.Errorf("%.40s: got %s", body, got.text)
		}
	}
}

func TestPathsAndMethodsThatThereAreNot(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, r := range []request{
		{method: "GET", path: "/"},
		{method: "GET", path: "/application"},
		{method: "GET", path: "/applications/"},
		{method: "GET", path: "/applications/x/"},
		{method: "GET", path: "/applications/x/secrets"},
		{method: "GET", path: "//applications"},
		{method: "GET", path: "/apis/../applications"},
		{method: "GET", path: "/registers"},
		{method: "GET", path: "/register/"},
		{method: "GET", path: "/register/x/y"},
		{method: "POST", path: "/register//"},
	} {
		if got := a.want(404, r); !strings.Contains(got.text, "GET /openapi.json tells what there is") {
			t.Errorf("%s: got %s", r.path, got.text)
		}
	}
	for path, methods := range document.Open(t).Methods {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			if slices.Contains(methods, method) {
				continue
			}
			r := request{method: method, path: strings.NewReplacer("{", "", "}", "").Replace(path), authorizer: asAdmin}
			if got := a.want(405, r); got.header.Get("Allow") == "" {
				t.Errorf("%s %s: got %v", method, path, got.header)
			}
		}
	}
	if !strings.Contains(a.log.String(), `"cause":"registration: this path does not know the method; it knows`) {
		t.Error("the log does not say what was wrong")
	}
}
