package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path"
	"slices"
	"text/template"
	"time"

	"gatehouse/shared/standin"
)

// eventsCommand writes the events of events/ anew: those API Gateway sends,
// with tokens of a key that is made for them and forgotten. Only its public
// half is kept, so nobody can add a token later. What else is in the events
// depends on nothing but their templates. The answers beside them stay: go test
// ./infra/local -run TestEvents -update writes those.
type eventsCommand struct {
	Dir string `help:"Folder of the events and their templates." default:"events"`
}

// Run implements the command.
func (c *eventsCommand) Run(s stage) error {
	dir, err := os.OpenRoot(c.Dir)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	defer dir.Close()
	files, err := newEvents(dir)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	for _, f := range files {
		if err := dir.MkdirAll(path.Dir(f.name), 0o755); err != nil {
			return fmt.Errorf("events: %w", err)
		}
		// Readable for all, as Lambda wants what is packed.
		if err := dir.WriteFile(f.name, f.text, 0o644); err != nil {
			return fmt.Errorf("events: %w", err)
		}
	}
	_, err = fmt.Fprintf(s.out, "%d files are written below %s.\n", len(files), c.Dir)
	return err
}

// eventFile is a file to be written, its name relative to events/.
type eventFile struct {
	name string
	text []byte
}

// The tokens of the events are issued on 2025-01-01. Those that are valid stay
// so until 2100-01-01.
func eventsFrom() time.Time  { return time.Unix(1735689600, 0) }
func eventsUntil() time.Time { return time.Unix(4102444800, 0) }

// newEvents returns the key set and every event.
func newEvents(dir *os.Root) ([]eventFile, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	t, err := mintTokens(standin.Key{ID: "events", Private: private})
	if err != nil {
		return nil, err
	}
	keys, err := json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "events",
		"n": base64.RawURLEncoding.EncodeToString(private.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(private.E)).Bytes()),
	}}})
	if err != nil {
		return nil, err
	}
	// Nothing that anyone keeps is sealed with this.
	seal := []byte(`{"current":"these-are-the-keys-of-the-events-they-seal-nothing"}`)
	broker := []byte(`{"current":"these-are-the-keys-of-the-broker-they-seal-nothing"}`)
	files := []eventFile{{"keys/okta.json", keys}, {"keys/seal.json", seal}, {"keys/broker.json", broker}}
	events := slices.Concat(authorizerEvents(t), demoEvents(t), ownEvents("registration", registrationCases()), ownEvents("broker", brokerCases()),
		[]sampleEvent{{name: "reconciler/scheduled", template: "reconciler/scheduled"}})
	for _, e := range events {
		text, err := e.render(dir)
		if err != nil {
			return nil, err
		}
		files = append(files, eventFile{e.name + ".json", text})
	}
	for i := range files {
		if files[i].text, err = indent(files[i].text); err != nil {
			return nil, fmt.Errorf("%s: %w", files[i].name, err)
		}
	}
	return files, nil
}

func indent(text []byte) ([]byte, error) {
	var b bytes.Buffer
	err := json.Indent(&b, bytes.TrimSpace(text), "", "  ")
	b.WriteByte('\n')
	return b.Bytes(), err
}

// appID is the client of the events' tokens.
const appID = "orders-app"

// eventTokens are the access tokens of the events.
type eventTokens struct{ read, write, expired, foreign string }

// mintTokens makes tokens as Okta would issue them to the walk-through's client.
func mintTokens(key standin.Key) (eventTokens, error) {
	okta, err := standin.New(standin.Okta{
		Org:                  "https://example.okta.com",
		AuthorizationServers: []standin.AuthorizationServer{{ID: "default", Lifetime: eventsUntil().Sub(eventsFrom())}},
		Keys:                 []standin.Key{key},
		Now:                  eventsFrom,
	})
	if err != nil {
		return eventTokens{}, err
	}
	read, write := okta.Claims(appID, "orders:read"), okta.Claims(appID, "orders:write")
	expired, foreign := okta.Claims(appID, "orders:read"), okta.Claims(appID, "orders:read")
	expired["exp"] = eventsFrom().Add(time.Hour).Unix()
	foreign["aud"] = "api://payments"
	var t eventTokens
	for _, one := range []struct {
		claims map[string]any
		into   *string
	}{{read, &t.read}, {write, &t.write}, {expired, &t.expired}, {foreign, &t.foreign}} {
		if *one.into, err = okta.Mint(one.claims, nil); err != nil {
			return eventTokens{}, err
		}
	}
	return t, nil
}

// sampleEvent is one event: a template and what stands in it.
type sampleEvent struct {
	name     string // such as "authorizer/rest-token-allow"
	template string // such as "authorizer/rest-token"

	APIID          string
	StageVariable  string // the API of events/gatehouse.yaml
	Authorization  string // "" for no such header
	IdentitySource []string
	Method         string
	Route          string // as API Gateway writes it
	Path           string
	Order          string // the path parameter id; "" for none
	Authorized     bool   // an authorizer was asked
	Scope          string // what it said of the token; "" for none was asked
	Query          url.Values
	Type           string // of the body; "" for none
	Body           string
}

func (e sampleEvent) render(dir *os.Root) ([]byte, error) {
	name := "templates/" + e.template + ".json.tmpl"
	text, err := dir.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Funcs(template.FuncMap{"json": quote}).Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, e)
	return b.Bytes(), err
}

func quote(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// eventShape is what API Gateway sends an authorizer of one kind.
type eventShape struct{ name, template, apiID, api string }

func eventShapes() []eventShape {
	return []eventShape{
		{"rest-token", "rest-token", "a1b2c3d4e5", "orders"},
		{"rest-request", "rest-request", "b2c3d4e5f6", "orders"},
		{"http-1.0", "http-1.0", "c3d4e5f6g7", "orders"},
		{"http-2.0", "http-2.0", "d4e5f6g7h8", "orders"},
		{"http-2.0-simple", "http-2.0", "e5f6g7h8i9", "orders-simple"},
		{"websocket", "websocket", "f6g7h8i9j0", "orders"},
	}
}

// authorizerEvents are the events of every case in every shape.
func authorizerEvents(t eventTokens) []sampleEvent {
	list := sampleEvent{Method: "GET", Route: "/orders", Path: "/orders"}
	place, audit := list, list
	place.Method = "POST"
	audit.Route, audit.Path, audit.Order = "/orders/{id}/audit", "/orders/1001/audit", "1001"
	cases := []struct {
		name, token string
		sampleEvent
	}{
		{"allow", t.read, list},
		{"no-token", "", list},
		{"expired", t.expired, list},
		{"wrong-audience", t.foreign, list},
		{"missing-scope", t.read, place},
		{"unknown-route", t.read, audit},
	}
	var events []sampleEvent
	for _, s := range eventShapes() {
		for _, c := range cases {
			e := c.sampleEvent
			e.name, e.template = "authorizer/"+s.name+"-"+c.name, "authorizer/"+s.template
			e.APIID, e.StageVariable = s.apiID, s.api
			if c.token != "" {
				e.Authorization = "Bearer " + c.token
				e.IdentitySource = []string{e.Authorization}
			}
			switch {
			case s.name == "http-2.0-simple":
				// A cached yes would count for every route, were this not in its key.
				e.IdentitySource = append(e.IdentitySource, e.Method+" "+e.Route)
			case s.name == "websocket" && c.name == "missing-scope":
				e.Authorization = "Bearer " + t.write // there is no other route to ask for
			case s.name == "websocket" && c.name == "unknown-route":
				e.StageVariable = "orders-simple" // which has no $connect
			}
			events = append(events, e)
		}
	}
	return events
}

// demoEvents are those of the API behind the gateway.
func demoEvents(t eventTokens) []sampleEvent {
	var events []sampleEvent
	for _, shape := range []struct{ name, apiID string }{
		{"rest", "b2c3d4e5f6"}, {"http-1.0", "c3d4e5f6g7"}, {"http-2.0", "d4e5f6g7h8"},
	} {
		e := sampleEvent{
			template: "demoapi/" + shape.name, APIID: shape.apiID, StageVariable: "orders",
			Authorization: "Bearer " + t.read, Method: "GET", Route: "/orders", Path: "/orders",
		}
		e.name = "demoapi/" + shape.name + "-no-authorizer"
		events = append(events, e)
		e.name, e.Authorized = "demoapi/"+shape.name+"-authorized", true
		events = append(events, e)
	}
	return events
}

// eventCase is one request to Gatehouse's own API, whatever its kind.
type eventCase struct {
	name string
	sampleEvent
}

// ownEvents are the events of a function of Gatehouse's own API.
func ownEvents(function string, cases []eventCase) []sampleEvent {
	var events []sampleEvent
	for _, shape := range []string{"rest", "http-2.0"} {
		for _, c := range cases {
			e := c.sampleEvent
			e.name, e.template = function+"/"+shape+"-"+c.name, "gatehouse/"+shape
			e.Path = cmp.Or(e.Path, e.Route)
			events = append(events, e)
		}
	}
	return events
}

// registrationCases are those that have one answer, whatever was registered
// before.
func registrationCases() []eventCase {
	const developer, owner, json = "gatehouse:applications", "gatehouse:contracts", "application/json"
	return []eventCase{
		{"apis", sampleEvent{Method: "GET", Route: "/apis", Scope: developer}},
		{"no-authorizer", sampleEvent{Method: "GET", Route: "/applications"}},
		{"no-scope", sampleEvent{Method: "GET", Route: "/applications", Scope: owner}},
		{"no-applications", sampleEvent{Method: "GET", Route: "/applications", Scope: developer}},
		{"no-status", sampleEvent{Method: "GET", Route: "/apis/{api}/contracts", Path: "/apis/orders/contracts", Scope: owner}},
		{"unknown-api", sampleEvent{Method: "POST", Route: "/applications", Scope: developer, Type: json, Body: `{"client_name":"Reports",` +
			`"grant_types":["client_credentials"],"contracts":[{"api":"payments"}]}`}},
		{"register-private-key", sampleEvent{Method: "POST", Route: "/register", Type: json, Body: `{"client_name":"Reports","redirect_uris":["https://app.example.com/cb"],` +
			`"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"oct"},{"kty":"RSA","p":"not a secret"}]}}`}},
		{"manage-without-token", sampleEvent{Method: "GET", Route: "/register/{client_id}", Path: "/register/0oa1"}},
	}
}

// brokerCases are those of a broker that knows no application.
func brokerCases() []eventCase {
	const form = "application/x-www-form-urlencoded"
	return []eventCase{
		{"metadata", sampleEvent{Method: "GET", Route: "/.well-known/oauth-authorization-server"}},
		{"resource-metadata", sampleEvent{Method: "GET", Route: "/.well-known/oauth-protected-resource/{proxy+}", Path: "/.well-known/oauth-protected-resource/orders"}},
		{"authorize-unknown-client", sampleEvent{Method: "GET", Route: "/authorize", Query: url.Values{
			"response_type": {"code"}, "client_id": {"0oa1"}, "redirect_uri": {"https://app.example.com/cb"}, "state": {"<script>"},
		}}},
		{"callback-without-cookie", sampleEvent{Method: "GET", Route: "/callback", Query: url.Values{"code": {"1"}, "state": {"1"}}}},
		{"token-unknown-client", sampleEvent{Method: "POST", Route: "/token", Type: form, Body: "grant_type=client_credentials&client_id=0oa1"}},
		{"token-password", sampleEvent{Method: "POST", Route: "/token", Type: form, Body: "grant_type=password&username=ada&password=none"}},
		{"introspect-without-client", sampleEvent{Method: "POST", Route: "/introspect", Type: form, Body: "token=none"}},
		{"revoke-json", sampleEvent{Method: "POST", Route: "/revoke", Type: "application/json", Body: `{"token":"none"}`}},
	}
}
