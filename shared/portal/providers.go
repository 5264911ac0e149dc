package portal

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"gatehouse/shared/provider"
)

// This file shows administrators how the providers are.

type providerView struct {
	providerInfo

	Form   Form
	Checks []check
	Red    bool // something is not well
}

// check is one check of a provider.
type check struct {
	Name   string
	Word   string
	State  string // well, ill or unknown
	LastOK time.Time
	Advice string
}

// meanings are what is checked, as people know it.
var meanings = map[string]string{
	"discovery": "Its metadata can be read", "keys": "Its keys can be read", "introspection": "It answers about tokens",
	"registration": "It registers clients", "access policy": "Its access policy gives tokens to clients that are registered",
}

func (p *Portal) getProviders(w http.ResponseWriter, r *http.Request, who session) error {
	if !who.Admin() {
		return &refusal{Status: http.StatusForbidden, Title: "This page is for administrators",
			Text: "Sign in as one, if the provider lets you.", SignIn: "admin", Next: r.URL.RequestURI()}
	}
	all, err := p.providersOf(r.Context(), who)
	if err != nil {
		return err
	}
	var views []providerView
	for _, one := range all {
		v := providerView{providerInfo: one}
		if n := slices.IndexFunc(p.Forms, func(f Form) bool { return f.Name == one.Name }); n >= 0 {
			v.Form = p.Forms[n]
		}
		for _, name := range slices.Sorted(maps.Keys(one.Health)) {
			h := one.Health[name]
			c := check{Name: name, Word: h.Status, State: "ill", LastOK: h.LastOK, Advice: h.Advice}
			if meaning := meanings[name]; meaning != "" {
				c.Name = meaning
			}
			switch h.Status {
			case provider.Healthy:
				c.State = "well"
			case provider.Unknown:
				c.State = "unknown"
			default:
				v.Red = true
			}
			v.Checks = append(v.Checks, c)
		}
		views = append(views, v)
	}
	p.show(w, r, view{Page: "providers", Title: "Providers", Who: who, Data: views})
	return nil
}
