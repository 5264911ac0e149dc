package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
)

// This file asks the registration API, in the name of the person.

// question is a request to it.
type question struct {
	method, path string
	body         any    // nil: none
	key          string // Idempotency-Key; "": none
}

func get(path string) question { return question{method: http.MethodGet, path: path} }

// at builds a path of the registration API from texts that may be anything.
func at(segments ...string) string {
	var path strings.Builder
	for _, s := range segments {
		path.WriteString("/" + url.PathEscape(s))
	}
	return path.String()
}

// answer is what the registration says, in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// ask asks, and reads a success into an object; nil: nobody wants it. What the
// registration refuses is a refusal with its words.
func (p *Portal) ask(ctx context.Context, who session, q question, into any) error {
	told, err := who.told(p.GroupsClaim)
	if err != nil {
		return err
	}
	var body []byte
	if q.body != nil {
		if body, err = json.Marshal(q.body); err != nil {
			return fmt.Errorf("portal: %s: %w", q.path, err)
		}
	}
	r, err := http.NewRequestWithContext(apigw.WithAuthorizerContext(ctx, told), q.method, q.path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("portal: registration: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	if q.key != "" {
		r.Header.Set("Idempotency-Key", q.key)
	}
	a := &answer{header: http.Header{}}
	p.Registration.ServeHTTP(a, r)
	if a.status >= http.StatusBadRequest {
		return refusedBy(a)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(a.body.Bytes(), into); err != nil {
		return errors.New("portal: the registration's answer cannot be read") // the error could quote a secret
	}
	return nil
}

// refusedBy is a problem document (RFC 9457) as a person reads it.
func refusedBy(a *answer) error {
	var problem struct {
		Detail string `json:"detail"`
		Field  string `json:"field"`
	}
	if err := json.Unmarshal(a.body.Bytes(), &problem); err != nil || problem.Detail == "" {
		return fmt.Errorf("portal: the registration answered %d", a.status)
	}
	e := &refusal{Status: a.status, Title: titles[a.status], Field: problem.Field, Text: sentence(problem.Field, problem.Detail)}
	if e.Title == "" {
		e.Title = "That was not done"
	}
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	if a.status == http.StatusInternalServerError {
		return fmt.Errorf("portal: the registration answered %d", a.status)
	}
	return e
}

var titles = map[int]string{
	http.StatusForbidden:          "You may not do that",
	http.StatusNotFound:           "There is nothing here",
	http.StatusConflict:           "That does not go at the moment",
	http.StatusServiceUnavailable: "That does not go at the moment",
	http.StatusNotImplemented:     "The provider cannot do that",
}

// labels are what the pages call the members of a request.
var labels = map[string]string{
	"client_name": "Name", "description": "Description", "redirect_uris": "Redirect URIs", "grant_types": "Grant types",
	"token_endpoint_auth_method": "Authentication", "scope": "Scopes", "reason": "Reason", "tier": "Tier", "api": "API",
	"provider": "Provider", "contracts": "Access", "client_uri": "Home page", "status": "Decision",
}

// catalogue is how the registration refers to what the pages of APIs show.
var catalogue = regexp.MustCompile(`GET /apis(/\S+)? lists`)

// sentence is a detail in the words of the pages.
func sentence(field, detail string) string {
	if rest, ok := strings.CutPrefix(detail, field+" "); ok && labels[field] != "" {
		detail = labels[field] + " " + rest
	}
	detail = strings.ReplaceAll(catalogue.ReplaceAllString(detail, "the API's page lists"), "GET /applications lists", "My applications lists")
	if detail == "" {
		return ""
	}
	return strings.ToUpper(detail[:1]) + detail[1:] + "."
}

// What the registration answers, as far as pages show it.
type (
	apiInfo struct {
		Name      string
		Resource  string
		Providers []string
		Tiers     []tier
		Scopes    []string
		Routes    []route
	}
	tier struct {
		Name        string
		AutoApprove bool `json:"auto_approve"`
		Requests    int
		Per         string
	}
	route struct {
		Route            string
		Scopes, AnyScope []string
	}
	application struct {
		ID, Provider string
		ClientID     string `json:"client_id"`
		Secret       string `json:"client_secret"`
		SecretEnds   int64  `json:"client_secret_expires_at"`
		Name         string `json:"client_name"`
		Description  string
		RedirectURIs []string `json:"redirect_uris"`
		GrantTypes   []string `json:"grant_types"`
		AuthMethod   string   `json:"token_endpoint_auth_method"`
		Scope        string
		State        string
		Created      time.Time
		Updated      time.Time
		Contracts    []contract
		OldSecret    string `json:"previous_client_secret"`
	}
	contract struct {
		API, Provider string
		ClientID      string `json:"client_id"`
		Application   string
		Status        string
		Tier          string
		RequestedTier string `json:"requested_tier"`
		Reason        string
		DecidedBy     string `json:"decided_by"`
		Created       time.Time
		Updated       time.Time

		Name  string `json:"application_name"`
		Owner string `json:"application_owner"`
	}
	providerInfo struct {
		Name      string
		Registers bool `json:"registers_clients"`
		Update    bool `json:"updates_clients"`
		Rotate    bool `json:"rotates_secrets"`
		Two       bool `json:"two_secrets"`
		Health    map[string]health
		Checked   time.Time
	}
	health struct {
		Status string
		LastOK time.Time `json:"last_ok"`
		Advice string
	}
	audit struct {
		Who, What, Target string
		When              time.Time
		Details           map[string]string
	}
)

// Ends is when the secret stops working, if it does by itself.
func (a application) Ends() time.Time { return time.Unix(a.SecretEnds, 0) }

// Terms are a tier's limit in words.
func (t tier) Terms() string {
	terms := "no limit"
	if t.Requests > 0 {
		terms = thousands(t.Requests) + " requests each " + period(t.Per)
	}
	if t.AutoApprove {
		return terms + ", approved at once"
	}
	return terms + ", an owner decides"
}

func thousands(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// period is a duration in words, if there is one for it.
func period(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch n := d / unit.of; {
		case d%unit.of != 0:
		case n == 1:
			return unit.name
		default:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return text
}

func (p *Portal) info(ctx context.Context, who session, name string) (apiInfo, error) {
	var a apiInfo
	err := p.ask(ctx, who, get(at("apis", name)), &a)
	return a, err
}

// infos are all APIs.
func (p *Portal) infos(ctx context.Context, who session) ([]apiInfo, error) {
	var all struct{ APIs []apiInfo }
	err := p.ask(ctx, who, get("/apis"), &all)
	return all.APIs, err
}

// mine are the applications of a person, the first page of them that after
// leads to.
func (p *Portal) mine(ctx context.Context, who session, after string) ([]application, string, error) {
	if !who.May(config.ScopeApplications) {
		return nil, "", nil
	}
	var all struct {
		Applications []application
		Next         string
	}
	err := p.ask(ctx, who, get("/applications?limit=50&"+url.Values{"cursor": {after}}.Encode()), &all)
	return all.Applications, all.Next, err
}

func (p *Portal) application(ctx context.Context, who session, id string) (application, error) {
	var a application
	err := p.ask(ctx, who, get(at("applications", id)), &a)
	return a, err
}

// contracts are all of an application, up to a hundred.
func (p *Portal) contracts(ctx context.Context, who session, id string) ([]contract, error) {
	var all struct{ Contracts []contract }
	err := p.ask(ctx, who, get(at("applications", id, "contracts")+"?limit=100"), &all)
	return all.Contracts, err
}

func (p *Portal) providersOf(ctx context.Context, who session) ([]providerInfo, error) {
	var all struct{ Providers []providerInfo }
	err := p.ask(ctx, who, get("/providers"), &all)
	return all.Providers, err
}
