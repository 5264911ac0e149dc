package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/shared/oauth"
	"gatehouse/shared/policy"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/token"
)

// This file sends a request to a protected API and says what came of it, and
// why. It goes to the configured address of an API and nowhere else.

// Limits of a try.
const (
	tryTime   = 10 * time.Second // of the request
	maxShown  = 32 << 10         // bytes of the answer that are shown
	maxPath   = 1024             // bytes
	maxHeader = 500              // bytes of a header's value that are shown
)

// tryMethods are those that can be tried.
var tryMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// tryForm is what is to be tried. It is shown again without its secrets.
type tryForm struct {
	APIs        []API // with an address
	API         apiView
	Have        []application // that get tokens for themselves
	Application string        // the id of the one whose secret is sent; "": a token is
	Scope       string
	Method      string
	Path        string
	Place       string // header or query
	Body        string
	Methods     []string
	Problem     *refusal
	Result      *tryResult // nil: nothing was tried yet
}

// tryResult is what came of it.
type tryResult struct {
	Request string
	Status  int
	Text    string // of the status
	Took    time.Duration
	Headers []Field
	Body    string
	Cut     bool // there is more of it
	Steps   []step
}

// Passed reports whether the API has answered, and no gatekeeper.
func (t tryResult) Passed() bool {
	return t.Status != http.StatusUnauthorized && t.Status != http.StatusForbidden
}

// step is one part of the decision about a request.
type step struct {
	Name  string
	State string // well, ill or unknown
	Text  string
}

// Milliseconds is how long it took.
func (t tryResult) Milliseconds() int64 { return t.Took.Milliseconds() }

// tryForm is an empty form about an API; "" is the first.
func (p *Portal) tryForm(ctx context.Context, who session, name string) (tryForm, error) {
	f := tryForm{Method: http.MethodGet, Place: "header", Methods: tryMethods}
	f.APIs = slices.DeleteFunc(slices.Clone(p.APIs), func(a API) bool { return a.URL == "" })
	if name == "" && len(f.APIs) > 0 {
		name = f.APIs[0].Name
	}
	if name == "" {
		return f, nil
	}
	if !slices.ContainsFunc(f.APIs, func(a API) bool { return a.Name == name }) {
		return f, &refusal{Status: http.StatusNotFound, Title: "That API cannot be tried", Text: "Nobody has said where it is called: apis[].url in gatehouse.yaml."}
	}
	info, err := p.info(ctx, who, name)
	if err != nil {
		return f, err
	}
	f.API = p.viewOf(who, info)
	f.Path, f.Scope = f.API.first().path(), strings.Join(f.API.first().enough(), " ")
	have, _, err := p.mine(ctx, who, "")
	for _, a := range have {
		if slices.Contains(a.GrantTypes, oauth.ClientCredentials) && slices.Contains(info.Providers, a.Provider) {
			f.Have = append(f.Have, a)
		}
	}
	return f, err
}

func (p *Portal) getTry(w http.ResponseWriter, r *http.Request, who session) error {
	q := r.URL.Query()
	f, err := p.tryForm(r.Context(), who, q.Get("api"))
	if err != nil {
		return err
	}
	f.Application = q.Get("application")
	p.showTry(w, r, who, f)
	return nil
}

func (p *Portal) showTry(w http.ResponseWriter, r *http.Request, who session, f tryForm) {
	v := view{Page: "try", Title: "Try it", Who: who, Data: f}
	if f.Problem != nil {
		v.Status = f.Problem.Status
	}
	p.show(w, r, v)
}

func (p *Portal) postTry(w http.ResponseWriter, r *http.Request, who session) error {
	form := r.PostForm
	f, err := p.tryForm(r.Context(), who, form.Get("api"))
	if err != nil {
		return err
	}
	f.Application, f.Scope, f.Method, f.Path = form.Get("application"), strings.TrimSpace(form.Get("scope")), form.Get("method"), strings.TrimSpace(form.Get("path"))
	f.Place, f.Body = form.Get("place"), form.Get("body")
	raw, err := p.tokenFor(r.Context(), f, strings.TrimSpace(form.Get("token")), form.Get("secret"))
	if err == nil {
		f.Result, err = p.try(r.Context(), f, raw)
	}
	if err == nil {
		f.Result.Steps = append(p.explainTry(r.Context(), who, f, raw), f.Result.verdict())
	}
	if err != nil {
		return p.again(err, func(problem *refusal) {
			f.Problem = problem
			p.showTry(w, r, who, f)
		})
	}
	p.showTry(w, r, who, f)
	return nil
}

func badTry(field, text string) error {
	return &refusal{Status: http.StatusBadRequest, Title: "That cannot be sent", Field: field, Text: text}
}

// tokenFor is the token to try: the one that was pasted, or one that an
// application gets for itself. Without either the request goes without.
func (p *Portal) tokenFor(ctx context.Context, f tryForm, pasted, secretText string) (string, error) {
	switch {
	case pasted != "" && oauth.CheckToken(pasted) != nil:
		return "", badTry("token", "An access token has no spaces and at most 8 KiB; paste it alone, without “Bearer”.")
	case pasted != "", f.Application == "":
		return pasted, nil
	case secretText == "":
		return "", badTry("secret", "Paste the secret of the application, or an access token. Gatehouse does not know the secret.")
	}
	n := slices.IndexFunc(f.Have, func(a application) bool { return a.ID == f.Application })
	if n < 0 {
		return "", badTry("application", "Choose one of your applications.")
	}
	a := f.Have[n]
	from, ok := p.provider(a.Provider)
	if !ok {
		return "", badTry("application", "Its provider is not configured any more.")
	}
	of := p.api(f.API.Name)
	request := provider.TokenRequest{
		Client:    provider.ClientAuth{ClientID: a.ClientID, Secret: secret.New(strings.TrimSpace(secretText)), Method: a.AuthMethod},
		GrantType: oauth.ClientCredentials, Scope: f.Scope,
	}
	if of.Resource != "" {
		request.Resources = []string{of.Resource}
	}
	got, err := from.Token(ctx, request)
	if err != nil {
		return "", noToken(err)
	}
	return got.AccessToken.Reveal(), nil
}

// noToken says why an application got no token.
func noToken(err error) error {
	e := &refusal{Status: http.StatusServiceUnavailable, Title: "There is no token", Text: "The provider does not answer at the moment. Try again.", Cause: err}
	refused, ok := errors.AsType[*provider.GrantError](err)
	if !ok {
		return e
	}
	e.Status, e.Code = http.StatusBadRequest, refused.Code
	switch refused.Code {
	case oauth.InvalidClient:
		e.Field, e.Text = "secret", "The provider does not know this secret. Paste it again, or get a new one on the application’s page."
	case oauth.InvalidScope:
		e.Field, e.Text = "scope", "The provider does not give the application these scopes. Ask for fewer, or add them to the application."
	default:
		e.Text = "The provider refuses: " + refused.Code + "."
	}
	return e
}

// address is where a try goes: to the API, whatever its path says.
func (f tryForm) address() (*url.URL, error) {
	if !slices.Contains(tryMethods, f.Method) {
		return nil, badTry("method", "Choose a method.")
	}
	base, err := url.Parse(f.API.URL)
	if err != nil {
		return nil, fmt.Errorf("portal: url of %s: %w", f.API.Name, err)
	}
	at, query, _ := strings.Cut(f.Path, "?")
	forbidden := func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`\#{}`, c) }
	if !strings.HasPrefix(at, "/") || len(f.Path) > maxPath || strings.ContainsFunc(f.Path, forbidden) || path.Clean(at) != at && path.Clean(at)+"/" != at {
		return nil, badTry("path", "A path begins with a slash, and has no “..”, spaces or braces: write a value for each {parameter}.")
	}
	if values, err := url.ParseQuery(query); err != nil || values.Has("access_token") {
		return nil, badTry("path", "The query is broken, or has a token of its own. Put the token where the form asks for it.")
	}
	u, err := url.Parse(f.API.URL + f.Path)
	if err != nil || u.Scheme != base.Scheme || u.Host != base.Host || u.User != nil {
		return nil, badTry("path", "This is no path of the API.")
	}
	if strings.Contains(u.Path, "/../") || strings.HasSuffix(u.Path, "/..") {
		return nil, badTry("path", "A path has no “..”.")
	}
	return u, nil
}

// try sends the request.
func (p *Portal) try(ctx context.Context, f tryForm, raw string) (*tryResult, error) {
	u, err := f.address()
	if err != nil {
		return nil, err
	}
	t := &tryResult{Request: f.Method + " " + u.String()}
	if f.Place == "query" && raw != "" {
		q := u.Query()
		q.Set("access_token", raw)
		u.RawQuery = q.Encode()
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	var body io.Reader
	if f.Body != "" {
		body = strings.NewReader(f.Body)
	}
	req, err := http.NewRequestWithContext(ctx, f.Method, u.String(), body) //nolint:gosec // G704: the host is configured, see address
	if err != nil {
		return nil, badTry("path", "This is no path of the API.")
	}
	req.Header.Set("Accept", "application/json, */*")
	req.Header.Set("User-Agent", "gatehouse-portal")
	if f.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if f.Place != "query" && raw != "" {
		req.Header.Set("Authorization", "Bearer "+raw)
	}
	start := time.Now()
	resp, err := p.HTTP.Do(req) //nolint:gosec // G704: the host is configured, see address
	if err != nil {
		// The error may quote the address, and that the token.
		return nil, &refusal{Status: http.StatusBadGateway, Title: "The API does not answer", Text: "Not within ten seconds, or not at all, at " + f.API.URL + ". Ask its owner.",
			Cause: errors.New("portal: try: no answer")}
	}
	defer resp.Body.Close()
	return t, t.read(resp, start, raw)
}

// read takes in what is shown of an answer. What of it is the token is not.
func (t *tryResult) read(resp *http.Response, start time.Time, raw string) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxShown+1))
	if err != nil {
		return &refusal{Status: http.StatusBadGateway, Title: "The API’s answer breaks off", Text: "Try again, or ask its owner.", Cause: errors.New("portal: try: the body breaks off")}
	}
	hidden := func(text string) string {
		if raw != "" {
			text = strings.ReplaceAll(text, raw, "…")
		}
		return text
	}
	t.Status, t.Text, t.Took = resp.StatusCode, http.StatusText(resp.StatusCode), time.Since(start)
	if t.Cut = len(text) > maxShown; t.Cut {
		text = text[:maxShown]
	}
	t.Body = hidden(string(text))
	if !utf8.ValidString(t.Body) && !t.Cut {
		t.Body = fmt.Sprintf("%d bytes that are no text", len(text))
	}
	for name, values := range resp.Header {
		if name == "Set-Cookie" {
			values = []string{"not shown"}
		}
		value := hidden(strings.Join(values, ", "))
		t.Headers = append(t.Headers, Field{name, strings.ToValidUTF8(value[:min(len(value), maxHeader)], "")})
	}
	slices.SortFunc(t.Headers, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// verdict is what the gateway has decided, by its answer.
func (t *tryResult) verdict() step {
	s := step{Name: "API Gateway", State: "well", Text: fmt.Sprintf("let the request through; the API answered %d.", t.Status)}
	switch {
	case t.Status == http.StatusUnauthorized:
		s.State, s.Text = "ill", "refused the request with 401: there is no token that counts."
	case t.Status == http.StatusForbidden:
		s.State, s.Text = "ill", "refused the request with 403: the token is good, and does not open this."
	case t.Status == http.StatusTooManyRequests:
		s.State, s.Text = "ill", "refused the request with 429: the limit of the tier, or of the API, is reached. Wait a moment."
	case t.Status >= http.StatusInternalServerError:
		s.State, s.Text = "unknown", fmt.Sprintf("or the API itself answered %d: it is not about the token.", t.Status)
	}
	return s
}

// explainTry says of each part of the decision what there is to know here: it
// is worked out anew, by the same rules as the authorizer's.
func (p *Portal) explainTry(ctx context.Context, who session, f tryForm, raw string) []step {
	if raw == "" {
		return []step{{"Token", "ill", "there is none."}}
	}
	if f.Place == "query" && !f.API.Query {
		return []step{{"Token", "ill", "the API takes none in the query: addresses end up in logs and histories. Send it in the header."}}
	}
	facts, err := p.facts(ctx, f.API, raw)
	if err != nil {
		return []step{refusedToken(err)}
	}
	of := p.api(f.API.Name)
	steps := []step{{"Token", "well", fmt.Sprintf("it is %s’s, for the client %s, with the scopes “%s”, until %s.", facts.Provider, facts.ClientID,
		strings.Join(facts.Scopes, " "), facts.Expires.UTC().Format("15:04 UTC"))}}
	if of.Contract {
		steps = append(steps, p.explainContract(ctx, who, f, facts))
	}
	return append(steps, f.explainRoute(of, facts))
}

// facts is what a token says, if it is one of a provider of the API's. No other
// provider sees it.
func (p *Portal) facts(ctx context.Context, a apiView, raw string) (*token.Facts, error) {
	var all []*provider.Provider
	for _, name := range a.Providers {
		if from, ok := p.provider(name); ok {
			all = append(all, from)
		}
	}
	from, err := whose(all, raw)
	if err != nil {
		return nil, err
	}
	return verify(ctx, from, raw)
}

var errNobodyToAsk = errors.New("portal: try: no provider, or more than one, to ask about an opaque token")

// whose is the provider that a token is of, as the authorizer finds it.
func whose(all []*provider.Provider, raw string) (*provider.Provider, error) {
	if len(all) == 1 {
		return all[0], nil
	}
	if !token.LooksLikeJWT(raw) {
		if one := provider.OneToAsk(all); one != nil {
			return one, nil
		}
		return nil, errNobodyToAsk
	}
	unverified, err := token.Parse(raw)
	if err != nil {
		return nil, err
	}
	n := slices.IndexFunc(all, func(one *provider.Provider) bool { return one.Issuer.Issuer == unverified.Issuer() })
	if n < 0 {
		return nil, token.ErrIssuer
	}
	return all[n], nil
}

// reasons are the words of a refused token as sentences.
var reasons = map[string]string{
	"expired": "it has expired. Get a new one.", "not_yet_valid": "it is not valid yet: compare the clocks.", "bad_signature": "its signature is wrong.",
	"wrong_issuer": "it is of no provider that this API trusts.", "wrong_audience": "it is not for this API: its aud names another.",
	"unknown_key": "it is signed with a key that the provider does not have.", "malformed": "it is no token, or only a part of one.",
	"not_an_access_token": "it is no access token; an ID token opens nothing here.", "inactive": "the provider says that it is not active: expired, revoked or unknown.",
}

func refusedToken(err error) step {
	word := token.Reason(err)
	switch {
	case word == "":
		return step{"Token", "unknown", "it could not be checked here: the provider does not answer, or is not asked about such tokens."}
	case reasons[word] != "":
		return step{"Token", "ill", reasons[word] + " (" + word + ")"}
	default:
		return step{"Token", "ill", "it is refused: " + word + "."}
	}
}

func (p *Portal) explainContract(ctx context.Context, who session, f tryForm, facts *token.Facts) step {
	s := step{"Contract", "unknown", "the token’s client is none of your applications, so its access is not shown here."}
	mine, _, err := p.mine(ctx, who, "")
	n := slices.IndexFunc(mine, func(a application) bool { return a.ClientID == facts.ClientID && a.Provider == facts.Provider })
	if err != nil || n < 0 {
		return s
	}
	access, err := p.contracts(ctx, who, mine[n].ID)
	if err != nil {
		return s
	}
	k := slices.IndexFunc(access, func(c contract) bool { return c.API == f.API.Name })
	switch {
	case k < 0:
		return step{"Contract", "ill", mine[n].Name + " has none with " + f.API.Name + ". Ask for access."}
	case access[k].Status != "approved":
		return step{"Contract", "ill", "the access of " + mine[n].Name + " is " + access[k].Status + "."}
	case access[k].Tier != "":
		return step{"Contract", "well", mine[n].Name + " has access, in the tier " + access[k].Tier + "."}
	default:
		return step{"Contract", "well", mine[n].Name + " has access."}
	}
}

func (f tryForm) explainRoute(of API, facts *token.Facts) step {
	at, _, _ := strings.Cut(f.Path, "?")
	found, _ := of.Routes.Match(f.Method, at)
	reason, scopes := of.Routes.Refusal(found, policy.Caller{Scopes: facts.Scopes, Claim: func(name string) []string {
		claim, _ := facts.Claim(name)
		return claim.Values
	}})
	switch reason {
	case "":
		return step{"Route", "well", "the token has what " + f.Method + " " + at + " needs."}
	case policy.MissingScope:
		return step{"Route", "ill", "it needs the scopes “" + strings.Join(scopes, " ") + "”, and the token does not have them all."}
	case policy.MissingClaim:
		return step{"Route", "ill", "it needs a claim that the token does not have, such as a group."}
	default:
		return step{"Route", "ill", "it is not one of the API’s, or is never allowed."}
	}
}
