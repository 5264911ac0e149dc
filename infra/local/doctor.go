package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/infra/local/awsprofile"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
)

// doctorCommand asks the providers of a configuration.
type doctorCommand struct {
	files
}

// examination is how long one provider is asked.
const examination = 30 * time.Second

// Run implements the command. It changes nothing anywhere.
func (c *doctorCommand) Run(ctx context.Context, s stage) error {
	_, cfg, err := c.configuration(s)
	if err != nil {
		return err
	}
	d := &doctor{
		reporter: reporter{out: s.out}, cfg: cfg,
		env: provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{AWS: awsprofile.Load}},
	}
	for _, p := range cfg.Providers {
		if err := d.examine(ctx, p); err != nil {
			return err
		}
	}
	if d.ill > 0 {
		return fmt.Errorf("%d of the checks above need you", d.ill)
	}
	d.printf("\nAll is well.\n")
	return nil
}

// doctor prints what checks of providers have found.
type doctor struct {
	reporter

	cfg *config.Config
	env provider.Environment
	ill int
}

func (d *doctor) examine(ctx context.Context, c config.Provider) error {
	ctx, cancel := context.WithTimeout(ctx, examination)
	defer cancel()
	d.printf("\nProvider %s (%s), %s\n", c.Name, c.Type, c.Issuer)
	p, err := provider.New(c, d.env)
	if err == nil && c.RegistersClients() {
		err = p.EnableRegistration(c, d.env)
	}
	if err != nil {
		return err
	}
	found := append(p.Examine(ctx, d.typical(c)), d.clock(ctx, c))
	rows := make([][]string, len(found))
	for n, f := range found {
		rows[n] = []string{f.Check, f.Word}
	}
	d.table(rows)
	for _, f := range found {
		if f.Err != nil {
			d.ill++
			for why := range strings.Lines(f.Err.Error()) { // several places may have been tried
				d.printf("      %s\n", strings.TrimSpace(why))
			}
			d.printf("  → %s: %s\n", f.Check, remedy(c, f))
		}
	}
	return nil
}

// typical is a client like those that are registered at c: it acts for itself
// and for people, with every scope of the APIs that take the provider's tokens.
func (d *doctor) typical(c config.Provider) provider.Client {
	var scopes []string
	for _, a := range d.cfg.APIs {
		if a.BuiltIn || !slices.Contains(a.Providers, c.Name) {
			continue
		}
		for _, r := range a.Routes {
			scopes = append(scopes, append(r.Scopes, r.AnyScope...)...)
		}
	}
	slices.Sort(scopes)
	return provider.Client{
		GrantTypes: []string{oauth.ClientCredentials, oauth.AuthorizationCode}, Scope: strings.Join(slices.Compact(scopes), " "),
	}
}

// clock compares the provider's clock with this machine's.
func (d *doctor) clock(ctx context.Context, c config.Provider) provider.Finding {
	f := provider.Finding{Check: "clock", Word: provider.Unknown}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, c.Issuer, nil)
	if err != nil {
		return f
	}
	before := time.Now()
	response, err := d.env.HTTP.Do(request)
	if err != nil {
		return f // discovery says why
	}
	defer response.Body.Close()
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return f
	}
	off := time.Since(theirs).Round(time.Second)
	slack := time.Since(before) + time.Second // Date has whole seconds
	if off.Abs() <= c.Leeway+slack {
		f.Word = provider.Healthy
		return f
	}
	f.Word, f.Err = "wrong", fmt.Errorf("this machine's clock and the provider's are %v apart; %v are allowed for", off.Abs(), c.Leeway)
	return f
}

// remedy says what to do about a finding.
func remedy(c config.Provider, f provider.Finding) string {
	switch {
	case errors.Is(f.Err, provider.ErrAccessPolicy):
		return "do what it says at the provider; no client gets tokens before"
	case f.Check == "clock":
		return "set the clock; on AWS it is right, so only this machine may be wrong"
	case f.Check == "introspection" && f.Word == provider.Refused:
		return "the client in the secret " + c.Secret + " is not accepted: compare its client_id and client_secret with the provider's, and whether it may introspect"
	case f.Word == provider.Refused:
		return "the credentials in the secret " + c.AdminSecret + " are not accepted: make new ones at the provider and put them there"
	case f.Check == "discovery":
		return "open " + c.Issuer + "/.well-known/openid-configuration from here: the issuer must be exactly the iss of the tokens, and be reached"
	case f.Check == "keys":
		return "the provider's jwks_uri must be reached and have keys for " + strings.Join(c.Algorithms, ", ")
	case f.Check == "introspection":
		return "the provider's introspection endpoint must answer; is endpoints.introspection right?"
	default:
		return "the provider's registration must answer; are the URL and the rights of its administrator's credentials right?"
	}
}
