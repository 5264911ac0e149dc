package config

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/policy"
)

// check fills in what depends on other keys and reports what no single key
// shows.
func (d *decoder) check(cfg *Config) {
	if cfg.ResultCache%time.Second != 0 {
		d.problem("resultCache", "is %s; API Gateway counts whole seconds", d.shown("resultCache"))
	}
	for i := range cfg.Providers {
		cfg.Providers[i].setDefaults()
	}
	d.checkProviders(cfg.Providers)
	if cfg.PublicURL != "" && d.checkURL("publicURL", cfg.PublicURL, "?#") && strings.HasSuffix(cfg.PublicURL, "/") {
		d.problem("publicURL", "ends with a slash; leave it out")
	}
	seen, resources := map[string]bool{}, map[string]string{}
	for i := range cfg.APIs {
		a, path := &cfg.APIs[i], element("apis", i)
		if a.TokenIn == nil {
			a.TokenIn = []Place{Header}
			if a.Profile == MuleSoft {
				a.TokenIn = []Place{Header, Query}
			}
		}
		d.checkName(path+".name", a.Name, seen)
		d.checkAPIProviders(path, a, cfg.Providers)
		d.checkAnswer(path, a, cfg.ResultCache)
		for n, claim := range a.ExposeClaims {
			d.checkExposed(element(path+".exposeClaims", n), claim)
		}
		d.checkScopes(path, a)
		d.checkRoutes(path, a)
		d.checkTerms(path, a, resources)
	}
	d.checkMatches(cfg.APIs)
	d.checkUnused(cfg)
	d.checkRegistration(cfg)
	d.checkBroker(cfg)
}

// checkAPIProviders makes sure that iss tells an API's providers apart.
func (d *decoder) checkAPIProviders(path string, a *API, providers []Provider) {
	issuers := map[string]string{}
	introspect := 0
	for i, name := range a.Providers {
		at := element(path+".providers", i)
		if name == "" {
			continue // reported by the decoder
		}
		k := slices.IndexFunc(providers, func(p Provider) bool { return p.Name == name })
		if k < 0 {
			d.unknownProvider(at, providers)
			continue
		}
		p := &providers[k]
		if other, ok := issuers[p.Issuer]; ok && p.Issuer != "" {
			d.problem(at, "has the same issuer as %s, and tokens are told apart by it", other)
		}
		issuers[p.Issuer] = d.shown(at)
		if p.Tokens != JWT && p.Secret != "" {
			introspect++
		}
	}
	if introspect > 1 {
		d.warn(path+".providers", "has several that introspect; an opaque token does not say whose it is, so this API refuses it")
	}
}

func (d *decoder) unknownProvider(path string, providers []Provider) {
	var known []string
	for i := range providers {
		at := element("providers", i) + ".name"
		if providers[i].Name == "" {
			return // the one that is meant may have a problem of its own
		}
		known = append(known, d.nodes[at].Value)
	}
	if known != nil {
		d.problem(path, "is %s, which is no provider%s", d.shown(path),
			cmp.Or(didYouMean(d.nodes[path].Value, known), "; there are "+strings.Join(known, ", ")))
	}
}

// checkAnswer warns of settings that API Gateway's result cache defeats.
func (d *decoder) checkAnswer(path string, a *API, cache time.Duration) {
	query := slices.Contains(a.TokenIn, Query)
	if query && a.Profile == Strict {
		d.warn(path+".tokenIn", "accepts tokens in the query, which logs and browsers keep; OAuth 2.1 forbids it")
	}
	if query && slices.Contains(a.TokenIn, Header) && cache > 0 {
		d.warn(path+".tokenIn", "names two places, and API Gateway caches by identity sources that must all be present; "+
			"set resultCache: 0 and no identity source, or name one place")
	}
	if a.HTTPAnswer == Simple && cache > 0 {
		d.warn(path+".httpAnswer", "is simple, and cached answers count for every route; "+
			"the authorizer's identity sources must include $context.routeKey")
	}
}

// checkExposed refuses a claim that would take the place of what the authorizer
// itself tells the backend and API Gateway.
func (d *decoder) checkExposed(path, claim string) {
	own := []string{"application", "tier", "error", "error_description", "reason", "principalId", "integrationLatency", "claims"}
	if slices.Contains(own, claim) {
		d.problem(path, "is %s, a name that the authorizer's own answer uses", d.shown(path))
	}
}

// checkScopes holds scopes to the grammar of RFC 6749 §3.3.
func (d *decoder) checkScopes(path string, a *API) {
	for i := range a.Routes {
		for _, list := range []struct {
			key    string
			scopes []string
		}{{"scopes", a.Routes[i].Scopes}, {"anyScope", a.Routes[i].AnyScope}} {
			for j, scope := range list.scopes {
				at := element(element(path+".routes", i)+"."+list.key, j)
				if scope != "" && !oauth.ValidScope(scope) {
					d.problem(at, `is %s; a scope has no space, quote or backslash: write two of them as two elements`, d.shown(at))
				}
			}
		}
	}
}

// maxSearches bounds how often the rule is searched that a whole table is
// refused for. What is left is reported when these are mended.
const maxSearches = 20

// checkRoutes reports what package policy finds, at the rule that it finds it
// in: first in each rule, then in each together with those before it.
func (d *decoder) checkRoutes(path string, a *API) {
	var rules []policy.Rule
	var places []string
	report := d.routeProblems
	for i := range a.Routes {
		at := element(path+".routes", i)
		if n := d.nodes[at+".route"]; n != nil && strings.Contains(n.Value, "${") {
			report = d.hiddenRouteProblem
		}
	}
	for i, r := range a.Routes {
		at, rule := element(path+".routes", i), r.decoded()
		if r.Route == "" {
			continue // reported by the decoder
		}
		if _, err := policy.NewTable([]policy.Rule{rule}); err != nil {
			report(at, err)
			continue
		}
		rules, places = append(rules, rule), append(places, at)
	}
	for range maxSearches {
		_, err := policy.NewTable(rules)
		if err == nil {
			return
		}
		if !strings.HasPrefix(err.Error(), "policy: route ") {
			d.problem(path+".routes", "%s", strings.TrimPrefix(err.Error(), "policy: "))
			return // about the table as a whole
		}
		// The shortest beginning of the table that has a problem ends with the
		// rule that causes it.
		n := sort.Search(len(rules)-1, func(n int) bool {
			_, err := policy.NewTable(rules[:n+1])
			return err != nil
		})
		_, err = policy.NewTable(rules[:n+1])
		report(places[n], err)
		rules, places = slices.Delete(rules, n, n+1), slices.Delete(places, n, n+1)
	}
}

// decoded returns the rule without what is reported already, at its own place.
func (r Route) decoded() policy.Rule {
	rule := r.rule()
	for _, list := range []*[]string{&rule.Scopes, &rule.AnyScope} {
		var good []string
		for _, scope := range *list {
			if oauth.ValidScope(scope) && !slices.Contains(good, scope) {
				good = append(good, scope)
			}
		}
		*list = good
	}
	rule.Claims = slices.DeleteFunc(slices.Clone(rule.Claims), func(c policy.Claim) bool {
		return c.Name == "" || len(c.AnyOf) == 0 || slices.Contains(c.AnyOf, "")
	})
	return rule
}

// routeProblems reports each line of an error of [policy.NewTable] about a
// rule, whose scopes are quoted whole, with variables as the file writes them.
func (d *decoder) routeProblems(path string, err error) {
	message := err.Error()
	eachValue(d.nodes[path], func(text string) {
		if value, err := expand(text, d.env); err == nil {
			message = strings.ReplaceAll(message, strconv.Quote(value), strconv.Quote(text))
		}
	})
	for line := range strings.Lines(message) {
		d.problem(path+".route", "%s", strings.TrimPrefix(strings.TrimSpace(line), "policy: "))
	}
}

// hiddenRouteProblem stands for an error that may repeat a piece of what a
// variable holds: errors name pieces of routes, and not only of their own.
func (d *decoder) hiddenRouteProblem(path string, _ error) {
	at := path + ".route"
	d.problem(at, "is %s, which is refused with what variables hold; write the API's routes out to see why", d.shown(at))
}

// checkMatches makes sure that no property of an event belongs to two APIs.
func (d *decoder) checkMatches(apis []API) {
	owner := map[string]string{}
	for i := range apis {
		m, path := &apis[i].Match, element("apis", i)+".match"
		values := m.values(path)
		for _, v := range values {
			key := v.kind + " " + strings.ToLower(v.text)
			if other, ok := owner[key]; ok && other != path {
				d.problem(v.path, "is %s, which %s has already", d.shown(v.path), other)
			}
			owner[key] = path
			if fault := v.fault(); fault != "" {
				d.problem(v.path, "is %s; it must be %s", d.shown(v.path), fault)
			}
		}
		if len(values) == 0 && len(apis) > 1 && !d.matchRefused(path) {
			d.problem(path, "is missing; with several APIs each needs one, such as {stageVariable: orders}")
		}
	}
}

// matchRefused reports whether there is a match whose values are refused
// already.
func (d *decoder) matchRefused(path string) bool {
	return d.faulty[path] || d.faulty[path+".stageVariable"] || d.has(path+".apiIds") || d.has(path+".domains")
}

// matchValue is one value of one kind of match.
type matchValue struct{ kind, path, text string }

func (m *Match) values(path string) []matchValue {
	var list []matchValue
	if m.StageVariable != "" {
		list = append(list, matchValue{"stageVariable", path + ".stageVariable", m.StageVariable})
	}
	for i, id := range m.APIIDs {
		list = append(list, matchValue{"apiIds", element(path+".apiIds", i), id})
	}
	for i, domain := range m.Domains {
		list = append(list, matchValue{"domains", element(path+".domains", i), domain})
	}
	return list
}

// fault returns what the value must be and is not.
func (v matchValue) fault() string {
	switch {
	case v.kind == "stageVariable" && !consistsOf(v.text, "-._~:/?#&=,"):
		return "letters, digits and -._~:/?#&=, which is what stage variables hold"
	case v.kind == "apiIds" && (v.text != strings.ToLower(v.text) || !consistsOf(v.text, "")):
		return "an API id such as a1b2c3d4e5"
	case v.kind == "domains" && (v.text != strings.ToLower(v.text) || !consistsOf(v.text, "-.")):
		return "a host name in lower case, such as api.example.com"
	default:
		return ""
	}
}

func (d *decoder) checkUnused(cfg *Config) {
	for i, p := range cfg.Providers {
		used := slices.ContainsFunc(cfg.APIs, func(a API) bool { return slices.Contains(a.Providers, p.Name) })
		if !used && p.Name != "" && cfg.Registration.SignIn != p.Name {
			d.warn(element("providers", i)+".name", "is used by no API")
		}
	}
}
