package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/infra/local/awsprofile"
	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/policy"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/token"
)

// explainCommand says what the authorizer decides about a token, and why.
type explainCommand struct {
	files

	API string `help:"Name of the API in gatehouse.yaml. Not needed if there is one."`

	Method string `arg:"" help:"Method of the request, such as GET."`
	Path   string `arg:"" help:"Path of the request as clients send it, without the stage, such as /orders/1001."`
}

// Run implements the command. The token comes from standard input: a command
// line is seen by other programs and kept by shells.
func (c *explainCommand) Run(ctx context.Context, s stage) error {
	_, cfg, err := c.configuration(s)
	if err != nil {
		return err
	}
	api, err := c.api(cfg)
	if err != nil {
		return err
	}
	raw, err := readToken(s)
	if err != nil {
		return err
	}
	e := &explainer{reporter: reporter{out: s.out}, cfg: cfg, api: api, now: time.Now()}
	e.token(raw)
	if err := e.route(c.Method, c.Path); err != nil {
		return err
	}
	return e.decide(ctx, s, c.Method, c.Path, raw)
}

// api is the API that is asked about.
func (c *explainCommand) api(cfg *config.Config) (config.API, error) {
	var own []string
	for _, a := range cfg.APIs {
		if a.Name == c.API {
			return a, nil
		}
		if !a.BuiltIn {
			own = append(own, a.Name)
		}
	}
	if c.API == "" && len(own) == 1 {
		return cfg.APIs[slices.IndexFunc(cfg.APIs, func(a config.API) bool { return a.Name == own[0] })], nil
	}
	return config.API{}, fmt.Errorf("say which API with --api: there are %s", strings.Join(own, ", "))
}

// readToken reads one token, with or without the word Bearer.
func readToken(s stage) (string, error) {
	text, err := io.ReadAll(io.LimitReader(s.in, 2*oauth.MaxTokenLength))
	if err != nil {
		return "", fmt.Errorf("the token cannot be read from standard input: %w", err)
	}
	raw := strings.TrimSpace(string(text))
	if scheme, rest, ok := strings.Cut(raw, " "); ok && strings.EqualFold(scheme, "Bearer") {
		raw = strings.TrimSpace(rest)
	}
	if raw == "" {
		return "", errors.New("there is no token on standard input; try: pbpaste | go run ./infra/local explain GET /orders")
	}
	return raw, nil
}

// explainer prints the steps of a decision.
type explainer struct {
	reporter

	cfg *config.Config
	api config.API
	now time.Time
}

// token says what stands in a token, which nobody has verified yet.
func (e *explainer) token(raw string) {
	e.printf("Token, as it says itself\n")
	if !token.LooksLikeJWT(raw) {
		e.table([][]string{{"kind", fmt.Sprintf("opaque, %d bytes: only its provider knows what it is worth", len(raw))}})
		return
	}
	parts := strings.Split(raw, ".")
	header, claims := readPart(parts[0]), readPart(parts[1])
	issuer := text(claims["iss"])
	of := "no provider of gatehouse.yaml"
	for _, p := range e.cfg.Providers {
		if p.Issuer == issuer {
			of = "provider " + p.Name
		}
	}
	rows := [][]string{
		{"kind", fmt.Sprintf("JWT, %d bytes; alg %s, typ %s, kid %s", len(raw), text(header["alg"]), text(header["typ"]), text(header["kid"]))},
		{"issuer", issuer + " (" + of + ")"},
	}
	for _, name := range []string{"aud", "sub", "client_id", "cid", "azp", "scope", "scp"} {
		if claims[name] != nil {
			rows = append(rows, []string{name, text(claims[name])})
		}
	}
	for _, name := range []string{"iat", "nbf", "exp"} {
		var seconds float64
		if json.Unmarshal(claims[name], &seconds) == nil {
			rows = append(rows, []string{name, e.when(seconds)})
		}
	}
	e.table(rows)
}

// when says a NumericDate, for people.
func (e *explainer) when(seconds float64) string {
	at := time.Unix(int64(seconds), 0).UTC()
	if left := at.Sub(e.now).Round(time.Second); left > 0 {
		return fmt.Sprintf("%s, in %v", at.Format(time.RFC3339), left)
	}
	return fmt.Sprintf("%s, %v ago", at.Format(time.RFC3339), e.now.Sub(at).Round(time.Second))
}

// readPart reads a part of a JWT as far as it can be read.
func readPart(part string) map[string]json.RawMessage {
	decoded, _ := base64.RawURLEncoding.DecodeString(part) // what it is not, the authorizer says
	var m map[string]json.RawMessage
	_ = json.Unmarshal(decoded, &m)
	return m
}

// text shows a value that somebody else has chosen. Control characters stay
// escaped, as JSON has them.
func text(raw json.RawMessage) string {
	const most = 200
	var s string
	switch {
	case raw == nil:
		return "(none)"
	case json.Unmarshal(raw, &s) == nil:
		quoted := strconv.Quote(s)
		raw = json.RawMessage(quoted[1 : len(quoted)-1])
	}
	if len(raw) > most {
		return string(raw[:most]) + "…"
	}
	return string(raw)
}

// route says which route the request is for.
func (e *explainer) route(method, path string) error {
	table, err := policy.NewTable(e.api.Rules())
	if err != nil {
		return err
	}
	e.printf("\nRoute\n")
	route, ok := table.Match(method, path)
	if !ok {
		e.printf("  API %s does not list %s %s: nobody may call it.\n", e.api.Name, method, path)
		return nil
	}
	rule := table.RuleOf(route)
	e.printf("  %s %s is %q of API %s. It needs %s.\n", method, path, rule.Route, e.api.Name, rule)
	return nil
}

// decide asks the authorizer itself.
func (e *explainer) decide(ctx context.Context, s stage, method, path, raw string) error {
	env := func(name string) string { value, _ := s.env(name); return value }
	find, err := e.contracts(ctx, env)
	if err != nil {
		return err
	}
	gate, err := authorizer.New(e.cfg, provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{AWS: awsprofile.Load}}, find)
	if err != nil {
		return err
	}
	request, err := apigw.ParseRequest(e.event(method, path, raw))
	if err != nil {
		return fmt.Errorf("%s %s is no request that API Gateway would pass on", method, path)
	}
	d, err := gate.Decide(ctx, request)
	e.printf("\nDecision\n")
	if err != nil {
		e.printf("  503 or 500: no decision is possible.\n  %s\n  %s\n", err, "Try: go run ./infra/local doctor")
		return errors.New("no decision is possible")
	}
	e.verdict(d)
	if d.Outcome != apigw.Allowed {
		return fmt.Errorf("%s: %s", d.Outcome, d.Reason)
	}
	return nil
}

// contracts returns how contracts are found: in the table, if it is known, or
// else taken to be there.
func (e *explainer) contracts(ctx context.Context, env func(string) string) (authorizer.Contracts, error) {
	name := env("REGISTRY_TABLE")
	if name == "" {
		return func(_ context.Context, k registry.ContractKey) (registry.Contract, error) {
			e.printf("\nContract\n  Of client %s with %s: not looked up, taken for approved. Set REGISTRY_TABLE to look it up.\n", k.ClientID, k.API)
			return registry.Contract{Provider: k.Provider, ClientID: k.ClientID, API: k.API, Status: registry.Approved}, nil
		}, nil
	}
	store, err := registry.Dynamo{Table: name, AWS: awsprofile.Load}.Open(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, k registry.ContractKey) (registry.Contract, error) {
		c, err := store.Contract(ctx, k)
		status := string(c.Status)
		switch {
		case errors.Is(err, registry.ErrNotFound):
			status = "there is none"
		case err != nil:
			status = "cannot be read"
		case c.Tier != "":
			status += ", tier " + c.Tier
		}
		e.printf("\nContract\n  Of client %s with %s: %s.\n", k.ClientID, k.API, status)
		return c, err
	}, nil
}

// event is what API Gateway would ask a REST API's authorizer.
func (e *explainer) event(method, path, raw string) []byte {
	id, domain := "explained0", ""
	if len(e.api.Match.APIIDs) > 0 {
		id = e.api.Match.APIIDs[0]
	}
	if len(e.api.Match.Domains) > 0 {
		domain = e.api.Match.Domains[0]
	}
	b, _ := json.Marshal(map[string]any{ // strings can always be written
		"type": "REQUEST", "methodArn": "arn:aws:execute-api:us-east-1:123456789012:" + id + "/stage/" + method + path,
		"path": path, "httpMethod": method,
		"headers":           map[string]string{"Authorization": "Bearer " + raw},
		"multiValueHeaders": map[string][]string{"Authorization": {"Bearer " + raw}},
		"stageVariables":    map[string]string{"gatehouse": e.api.Match.StageVariable},
		"requestContext":    map[string]any{"httpMethod": method, "apiId": id, "stage": "stage", "domainName": domain},
	})
	return b
}

// verdict says what was decided, and what to do about it.
func (e *explainer) verdict(d apigw.Decision) {
	status := map[apigw.Outcome]string{apigw.Allowed: "allowed", apigw.Forbidden: "403", apigw.Unauthenticated: "401"}[d.Outcome]
	e.printf("  %s: %s\n", status, d.Reason)
	if what := remedies[d.Reason]; what != "" {
		e.printf("  %s\n", what)
	}
	if d.Outcome == apigw.Unauthenticated {
		return
	}
	rows := [][]string{{"principal", d.Principal}}
	rows = append(rows, statements(d.Document)...)
	if d.Context != nil {
		rows = append(rows, []string{"context", string(d.Context)})
	}
	e.table(rows)
	if e.cfg.ResultCache > 0 {
		e.printf("  API Gateway uses this answer for %v, for every route of the stage.\n", e.cfg.ResultCache)
	}
}

// statements are those of a policy document, a line for each resource.
func statements(document []byte) [][]string {
	var d struct {
		Statement []struct {
			Effect   string
			Resource []string
		}
	}
	if json.Unmarshal(document, &d) != nil {
		return [][]string{{"policy", "denies everything"}}
	}
	var rows [][]string
	for _, s := range d.Statement {
		for _, r := range s.Resource {
			_, route, _ := strings.Cut(r, "/") // behind the API's id; the stage follows
			_, route, _ = strings.Cut(route, "/")
			rows = append(rows, []string{strings.ToLower(s.Effect), route})
		}
	}
	return rows
}

// remedies say what to do about a reason, by the words that the log has, too.
var remedies = map[string]string{
	"malformed":                 "It is no JWT as RFC 7515 has them. Was it copied whole?",
	"forbidden_header":          "Its header has a member that changes what the rest means (crit, b64, zip, jwk, jku, x5c, x5u, enc, cty).",
	"algorithm":                 "Its alg is not among the provider's algorithms, or not that of the key.",
	"unknown_key":               "The provider publishes no key with this kid. Is the issuer of another environment?",
	"bad_signature":             "It was changed, or another key has signed it.",
	"bad_claims":                "A claim is missing or of the wrong type; see requiredClaims and scopeClaims of the provider.",
	"wrong_issuer":              "Its iss is none of the issuers of this API's providers, to the last character.",
	"wrong_audience":            "Its aud names none of the provider's audiences, or another API's resource. Ask for a token for this API.",
	"expired":                   "Get a new one.",
	"not_yet_valid":             "It is good later. Are the clocks right?",
	"lifetime":                  "It lives longer than maxLifetime of the provider.",
	"not_an_access_token":       "It looks like an id token or another kind. Send the access token; see tokenTypes of the provider.",
	"sender_constrained":        "It is bound to a key (cnf), which is not checked here, so it is refused.",
	"inactive":                  "The provider says that it is not active: expired, revoked, or not for the client that introspects.",
	"opaque_token_not_accepted": "It is no JWT, and none, or more than one, of the API's providers can be asked about it.",
	"token_syntax":              "It has characters that no token has.",
	"token_length":              "It is longer than 8 KiB.",
	"insufficient_scope":        "The route needs more than the token has; see Route above.",
	"insufficient_claim":        "A claim that the route needs is missing, or has other values; see Route above.",
	"route_not_listed":          "Add the route to gatehouse.yaml.",
	"route_refused":             "It says refuse: true.",
	"no_client_id":              "It does not say whose it is; see clientIDClaims of the provider.",
	"no_contract":               "Ask for access: POST /applications/{id}/contracts.",
	"contract_pending":          "The owners of the API have not decided yet: PATCH /apis/{api}/contracts/{client_id}.",
	"contract_rejected":         "The owners of the API have refused.",
	"contract_revoked":          "The owners of the API have ended it.",
}
