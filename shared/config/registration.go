package config

import (
	"slices"
	"strings"
	"time"

	"gatehouse/shared/oauth"
)

// Registration says how client applications are registered.
type Registration struct {
	// Keys names the secret {"current", "previous"} that what is kept of clients
	// is sealed with; see secret.Keys. "": there is no registration.
	Keys string `yaml:"keys" example:"arn:aws:secretsmanager:eu-west-1:123456789012:secret:gatehouse-keys-AbCdEf"`

	// SignIn is the provider whose tokens developers, owners of APIs and
	// administrators send. It is one, because owners are named by the subjects
	// of its tokens; the only provider when the file is silent.
	SignIn string `yaml:"signIn" example:"okta"`

	// GroupsClaim is the claim of those tokens that lists groups.
	GroupsClaim string `yaml:"groupsClaim" default:"groups"`

	Dynamic Dynamic `yaml:"dynamic"`
	Portal  Portal  `yaml:"portal"`
}

// Portal says how people sign in to the pages that the registration serves.
type Portal struct {
	// Secret names the secret {"client_id", "client_secret"} of the portal's own
	// client at the provider of signIn, which an administrator has set up. "":
	// there is no portal.
	Secret string `yaml:"secret" example:"arn:aws:secretsmanager:eu-west-1:123456789012:secret:gatehouse-portal-AbCdEf"`

	// Scopes are asked for when a person signs in; those of an administrator only
	// when one says so. They are gatehouse:applications and gatehouse:contracts
	// when the file is silent: some providers refuse a person who may not have one
	// of those that are asked for, and then the file has to ask for less.
	Scopes []string `yaml:"scopes" example:"gatehouse:applications"`
}

// HasPortal reports whether there are pages for people.
func (c *Config) HasPortal() bool { return c.Registration.Portal.Secret != "" }

// Dynamic says whether clients may register themselves (RFC 7591), which they
// do at POST /register.
type Dynamic struct {
	Provider string `yaml:"provider" example:"okta"` // where; "": nowhere

	// Open lets in who has no initial access token.
	Open bool `yaml:"open"`

	// PerHour and PerAddress are how many may register in an hour, altogether
	// and from one address, when it is open.
	PerHour    int `yaml:"perHour" default:"100" min:"1" max:"100000"`
	PerAddress int `yaml:"perAddress" default:"10" min:"1" max:"100000"`

	// UnusedLife is how long a client lives that is not used and has no approved
	// contract.
	UnusedLife time.Duration `yaml:"unusedLife" default:"720h" min:"1h" max:"87600h"`
}

// Registers reports whether there is a registration API.
func (c *Config) Registers() bool { return c.Registration.Keys != "" }

// RegistersClients reports whether clients are registered at p.
func (p Provider) RegistersClients() bool { return p.AdminSecret != "" || p.OpenRegistration }

// Gatehouse's own API, and the scopes that open it.
const (
	BuiltInAPI = "gatehouse" // its name, and the value of its stage variable

	ScopeApplications = "gatehouse:applications" // have applications
	ScopeContracts    = "gatehouse:contracts"    // decide about access to APIs that one owns
	ScopeAdmin        = "gatehouse:admin"        // see and do everything
)

// builtIn is the API that the registration function serves. What is open to
// everyone, such as /register, is not in it: API Gateway asks no authorizer.
func builtIn(r Registration) API {
	any3 := []string{ScopeApplications, ScopeContracts, ScopeAdmin}
	developer := []string{ScopeApplications, ScopeAdmin}
	owner := []string{ScopeContracts, ScopeAdmin}
	admin := []string{ScopeAdmin}
	var routes []Route
	for _, group := range []struct {
		scopes []string
		routes []string
	}{
		{any3, []string{"GET /apis", "GET /apis/{api}", "GET /providers"}},
		{developer, []string{
			"GET /applications", "POST /applications",
			"GET /applications/{id}", "PATCH /applications/{id}", "DELETE /applications/{id}",
			"POST /applications/{id}/secret", "DELETE /applications/{id}/secret/previous",
			"GET /applications/{id}/contracts", "POST /applications/{id}/contracts", "DELETE /applications/{id}/contracts/{api}",
			"GET /applications/{id}/audits",
		}},
		{owner, []string{"GET /apis/{api}/contracts", "PATCH /apis/{api}/contracts/{client_id}"}},
		{admin, []string{"POST /initial-access-tokens", "GET /intents", "DELETE /intents/{marker}"}},
	} {
		for _, route := range group.routes {
			routes = append(routes, Route{Route: route, AnyScope: group.scopes})
		}
	}
	return API{
		Name: BuiltInAPI, Providers: []string{r.SignIn}, Match: Match{StageVariable: BuiltInAPI},
		Profile: Strict, TokenIn: []Place{Header}, HTTPAnswer: IAM, Contract: None,
		ExposeClaims: []string{r.GroupsClaim}, Routes: routes, BuiltIn: true,
	}
}

func (d *decoder) checkRegistration(cfg *Config) {
	r := &cfg.Registration
	d.checkSecretName("registration.keys", r.Keys)
	if !cfg.Registers() {
		d.checkNoRegistration(cfg)
		return
	}
	if r.SignIn == "" && len(cfg.Providers) == 1 {
		r.SignIn = cfg.Providers[0].Name
	}
	if r.SignIn == "" && !d.faulty["registration.signIn"] {
		d.problem("registration.signIn", "is missing; say which provider developers and administrators have tokens of")
	}
	d.checkProviderName("registration.signIn", r.SignIn, cfg.Providers)
	d.checkExposed("registration.groupsClaim", r.GroupsClaim)
	if !slices.ContainsFunc(cfg.Providers, Provider.RegistersClients) {
		d.warn("registration", "is on, but clients are registered at no provider; give one an adminSecret")
	}
	d.checkDynamic(cfg)
	d.checkPortal(cfg)
	for i, a := range cfg.APIs {
		if a.Contract == Required && a.Owners == nil {
			d.warn(element("apis", i)+".owners", "are missing; only administrators decide who gets access")
		}
	}
	cfg.APIs = append(cfg.APIs, builtIn(*r))
}

// checkNoRegistration warns of settings that have no effect.
func (d *decoder) checkNoRegistration(cfg *Config) {
	for i, p := range cfg.Providers {
		if p.RegistersClients() {
			d.warn(element("providers", i), "registers clients, but there is no registration; set registration.keys")
		}
	}
	if cfg.Registration.Dynamic.Provider != "" {
		d.warn("registration.dynamic", "has no effect without registration.keys")
	}
	if cfg.HasPortal() {
		d.problem("registration.portal.secret", "needs registration.keys, too: what the portal keeps in browsers is sealed with them")
	}
}

// checkPortal fills in what people are asked for.
func (d *decoder) checkPortal(cfg *Config) {
	const path = "registration.portal"
	p := &cfg.Registration.Portal
	d.checkSecretName(path+".secret", p.Secret)
	for i, scope := range p.Scopes {
		if !oauth.ValidScope(scope) {
			d.problem(element(path+".scopes", i), "is %s; a scope has no spaces, quotes or backslashes", d.shown(element(path+".scopes", i)))
		}
	}
	if !cfg.HasPortal() {
		return
	}
	if p.Scopes == nil {
		p.Scopes = []string{ScopeApplications, ScopeContracts}
	}
	for _, c := range cfg.Providers {
		switch name := c.Name; {
		case name != cfg.Registration.SignIn:
		case p.Secret == c.Secret:
			d.problem(path+".secret", "is providers[].secret of %s; the portal's client is one of its own, with the redirect URI /portal/callback", name)
		case p.Secret == c.AdminSecret:
			d.problem(path+".secret", "is providers[].adminSecret of %s; the portal's client is one of its own, with the redirect URI /portal/callback", name)
		}
	}
}

func (d *decoder) checkDynamic(cfg *Config) {
	dynamic := cfg.Registration.Dynamic
	const path = "registration.dynamic"
	if dynamic.Provider == "" {
		if dynamic.Open {
			d.problem(path+".provider", "is missing; say where clients that register themselves go")
		}
		return
	}
	if !d.checkProviderName(path+".provider", dynamic.Provider, cfg.Providers) {
		return
	}
	p := cfg.Providers[slices.IndexFunc(cfg.Providers, func(p Provider) bool { return p.Name == dynamic.Provider })]
	if !p.RegistersClients() {
		d.problem(path+".provider", "is %s, where clients are not registered; give it an adminSecret", d.shown(path+".provider"))
	}
	for i, a := range cfg.APIs {
		if dynamic.Open && a.Contract == Required && slices.Contains(a.Providers, dynamic.Provider) && len(a.Tiers) > 0 && a.Tiers[0].AutoApprove {
			d.warn(element(element("apis", i)+".tiers", 0)+".autoApprove",
				"approves clients that nobody knows: whoever registers itself gets the first tier")
		}
	}
}

// checkProviderName reports whether name is a provider's; "" is left to others.
func (d *decoder) checkProviderName(path, name string, providers []Provider) bool {
	if name == "" {
		return false
	}
	if slices.ContainsFunc(providers, func(p Provider) bool { return p.Name == name }) {
		return true
	}
	d.unknownProvider(path, providers)
	return false
}

// checkRegistrar checks how clients are registered at a provider.
func (d *decoder) checkRegistrar(path string, p *Provider) {
	d.checkSecretName(path+".adminSecret", p.AdminSecret)
	d.checkURL(path+".endpoints.registration", p.Endpoints.Registration, "?#")
	switch {
	case p.OpenRegistration && p.AdminSecret != "":
		d.problem(path+".openRegistration", "contradicts adminSecret; keep one of them")
	case p.OpenRegistration && p.Type == Okta:
		d.problem(path+".openRegistration", "is nothing that Okta has; set adminSecret")
	case p.AdminSecret != "" && p.AdminSecret == p.Secret:
		d.warn(path+".adminSecret", "is the secret that the authorizer reads, too; keep the administrator's in one of its own")
	}
	if p.AfterCreate.AssignGroup != "" && p.Type != Okta {
		d.problem(path+".afterCreate.assignGroup", "is for Okta only; remove it")
	}
}

// checkResource checks the resource indicator of the API at path, if it has one.
// Those of the APIs before are in others, each with its path.
func (d *decoder) checkResource(path, text string, others map[string]string) {
	at := path + ".resource"
	if !d.checkURL(at, text, "#") {
		return
	}
	resource, ok := oauth.CanonicalResource(text)
	if !ok {
		d.problem(at, "is no resource indicator (RFC 8707): it has at most %d bytes, all of them characters of RFC 3986, a host without percent-encoding, and http:// only for localhost, 127.0.0.1 and [::1]", oauth.MaxResource)
		return
	}
	if other, ok := others[resource]; ok {
		d.problem(at, "is that of %s, too", other)
	}
	others[resource] = path
}

// checkTerms checks what an application can ask for at an API.
func (d *decoder) checkTerms(path string, a *API, resources map[string]string) {
	if a.Name == BuiltInAPI {
		d.problem(path+".name", "is what Gatehouse calls its own API; choose another")
	}
	if a.Match.StageVariable == BuiltInAPI {
		d.problem(path+".match.stageVariable", "is the one of Gatehouse's own API; choose another")
	}
	d.checkResource(path, a.Resource, resources)
	if a.URL != "" && d.checkURL(path+".url", a.URL, "?#") && strings.HasSuffix(a.URL, "/") {
		d.problem(path+".url", "ends with a slash; leave it out")
	}
	for i, owner := range a.Owners {
		if owner == "group:" {
			d.problem(element(path+".owners", i), `names no group; write "group:" and its name`)
		}
	}
	d.checkTiers(path, a.Tiers)
	if a.Tiers != nil && a.Contract == None {
		d.warn(path+".tiers", "have no effect with contract: none")
	}
}

func (d *decoder) checkTiers(path string, tiers []Tier) {
	seen := map[string]bool{}
	planned := slices.ContainsFunc(tiers, func(t Tier) bool { return t.UsagePlan != "" })
	for i, t := range tiers {
		at := element(path+".tiers", i)
		d.checkName(at+".name", t.Name, seen)
		if (t.Requests == 0) != (t.Per == 0) && !d.faulty[at+".requests"] && !d.faulty[at+".per"] {
			d.problem(at, "has requests or per; a limit needs both, such as requests: 100 and per: 1m")
		}
		plan := at + ".usagePlan"
		if len(t.UsagePlan) > maxUsagePlan || !consistsOf(t.UsagePlan, "") {
			d.problem(plan, "is %s; it must be the id of a usage plan, such as a1b2c3", d.shown(plan))
		}
		if planned && t.UsagePlan == "" && !d.faulty[plan] {
			d.warn(at, "has no usagePlan, and others have; where API Gateway asks for an API key it refuses the clients of this tier")
		}
	}
}

// maxUsagePlan is longer than any id of a usage plan that was seen.
const maxUsagePlan = 20

// checkSecretName checks what leads to a secret; "" is none.
func (d *decoder) checkSecretName(path, name string) {
	switch file, isFile := strings.CutPrefix(name, "file:"); {
	case d.faulty[path]:
	case isFile && file == "":
		d.problem(path, "names no file; write file: and its path")
	case !isFile && (len(name) > 2048 || !consistsOf(name, "/_+=.@-:")):
		d.problem(path, "is no ARN or name of a secret; keep the secret itself in Secrets Manager")
	}
}
