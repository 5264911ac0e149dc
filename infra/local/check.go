package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatehouse/infra/local/samtemplate"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/config/schema"
	"gatehouse/shared/policy"
)

// checkCommand reads a configuration and says what it means.
type checkCommand struct {
	files
}

// configuration reads both files. Variables come from the environment or else
// from what the template gives the authorizer.
func (f files) configuration(s stage) (*samtemplate.Template, *config.Config, error) {
	template, err := load(f)
	if err != nil {
		return nil, nil, err
	}
	given := lookup(template.Functions[authorizerFunction].Environment)
	cfg, err := config.Load(f.Config, func(name string) (string, bool) {
		if value, ok := s.env(name); ok {
			return value, true
		}
		return given(name)
	})
	return template, cfg, err
}

// Run implements the command.
func (c *checkCommand) Run(s stage) error {
	template, cfg, err := c.configuration(s)
	if err != nil {
		return err
	}
	r := &reporter{out: s.out}
	r.printf("%s\n", c.Config)
	for _, p := range cfg.Providers {
		r.provider(p)
	}
	for _, a := range cfg.APIs {
		r.api(cfg, a, template)
	}
	r.registration(cfg)
	r.broker(cfg)
	r.times(cfg)
	for _, w := range cfg.Warnings {
		r.warn("%s", w)
	}
	return r.end()
}

// schemaCommand prints the JSON Schema.
type schemaCommand struct{}

// Run implements the command.
func (*schemaCommand) Run(s stage) error {
	text, err := schema.JSON()
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}

// reporter prints a report and collects what is wrong.
type reporter struct {
	out      io.Writer
	warnings []string
	problems []error
}

func (r *reporter) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

func (r *reporter) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// end prints the warnings; what is wrong becomes the error.
func (r *reporter) end() error {
	if len(r.warnings) > 0 {
		r.printf("\nWarnings\n")
		for _, w := range r.warnings {
			r.printf("  - %s\n", w)
		}
	}
	if err := errors.Join(r.problems...); err != nil {
		return err
	}
	r.printf("\nThe configuration can be used.\n")
	return nil
}

func (r *reporter) provider(p config.Provider) {
	r.printf("\nProvider %s (%s)\n", p.Name, p.Type)
	audiences := strings.Join(p.Audiences, ", ")
	if p.InsecureAnyAudience {
		audiences = "any (insecure)"
	}
	r.table([][]string{
		{"issuer", p.Issuer},
		{"audiences", audiences},
		{"tokens", tokens(p)},
		{"client id", "claim " + strings.Join(p.ClientIDClaims, ", else ")},
		{"scopes", "claim " + strings.Join(p.ScopeClaims, ", else ")},
		{"clients", clients(p)},
	})
}

func clients(p config.Provider) string {
	switch {
	case p.OpenRegistration:
		return "are registered there by whoever asks"
	case p.AdminSecret != "":
		return "are registered there"
	default:
		return "are not registered there"
	}
}

func tokens(p config.Provider) string {
	keys := "JWTs by keys (" + strings.Join(p.Algorithms, ", ") + ")"
	switch {
	case p.Tokens == config.Introspect:
		return "all by introspection"
	case p.Tokens == config.Auto && p.Secret != "":
		return keys + ", others by introspection"
	default:
		return keys + ", no others"
	}
}

func (r *reporter) api(cfg *config.Config, a config.API, template *samtemplate.Template) {
	own := ""
	if a.BuiltIn {
		own = "; Gatehouse's own"
	}
	r.printf("\nAPI %s (%s; tokens of %s; contract %s%s)\n", a.Name, a.Profile, strings.Join(a.Providers, ", "), a.Contract, own)
	table, err := policy.NewTable(a.Rules())
	if err != nil {
		r.problems = append(r.problems, err)
		return
	}
	report := table.Report()
	rows := [][]string{{"ROUTE", "METHODS", "NEEDS"}}
	for _, row := range report.Rows {
		rows = append(rows, []string{row.Route, strings.Join(row.Methods, " "), row.Needs})
	}
	r.table(rows)
	if a.RequiresContract() {
		r.access(a)
	}
	r.printf("  The largest policy document has %d of %d bytes.\n", report.Size, report.Limit)
	r.judge(cfg, a, report)
	r.unlisted(a, table, template)
}

// access says how an application gets access.
func (r *reporter) access(a config.API) {
	var tiers []string
	for _, t := range a.Tiers {
		text := t.Name
		text += limit(t)
		if t.AutoApprove {
			text += ", which approves itself"
		}
		tiers = append(tiers, text)
	}
	if tiers != nil {
		r.printf("  Tiers: %s.\n", strings.Join(tiers, "; "))
	}
	r.printf("  Access is decided by %s.\n", strings.Join(append(slices.Clone(a.Owners), "administrators"), ", "))
}

// limit says what a tier allows, and who sees to it.
func limit(t config.Tier) string {
	held := "told and not enforced"
	if t.UsagePlan != "" {
		held = "enforced by usage plan " + t.UsagePlan
	}
	switch {
	case t.Requests > 0:
		return fmt.Sprintf(" (%d requests in %v, %s)", t.Requests, t.Per, held)
	case t.UsagePlan != "":
		return " (" + held + ")"
	default:
		return ""
	}
}

// registration says who registers applications, and how.
func (r *reporter) registration(cfg *config.Config) {
	if !cfg.Registers() {
		r.printf("\nApplications are not registered here.\n")
		return
	}
	g := cfg.Registration
	own := "is not possible"
	if g.Dynamic.Provider != "" {
		own = fmt.Sprintf("at %s, with an initial access token", g.Dynamic.Provider)
		if g.Dynamic.Open {
			own = fmt.Sprintf("at %s, open to everyone: %d in an hour, %d of one address", g.Dynamic.Provider, g.Dynamic.PerHour, g.Dynamic.PerAddress)
		}
	}
	rows := [][]string{
		{"developers, owners and administrators sign in with", g.SignIn},
		{"their groups are in", "claim " + g.GroupsClaim},
		{"registration by clients themselves", own},
	}
	if g.Dynamic.Provider != "" {
		rows = append(rows, []string{"such a client is deleted when unused for", g.Dynamic.UnusedLife.String()})
	}
	r.printf("\nRegistration\n")
	r.table(rows)
}

func (r *reporter) broker(cfg *config.Config) {
	if !cfg.Brokers() {
		r.printf("\nThere is no broker: clients ask the providers for tokens.\n")
		return
	}
	issuer, documents, cached := cfg.PublicURL, "are not let in", "are never given twice"
	if issuer == "" {
		issuer = "the address that API Gateway gives it"
	}
	if cfg.Broker.ClientMetadata {
		documents = "are registered at " + cfg.Registration.Dynamic.Provider
	}
	if d := cfg.Broker.CacheClientCredentials; d > 0 {
		cached = fmt.Sprintf("are given again for %v", d)
	}
	r.printf("\nBroker\n")
	r.table([][]string{
		{"the issuer that clients see", issuer},
		{"clients that are known by the URL of their metadata", documents},
		{"tokens that clients get for themselves", cached},
	})
}

// maxConflicts is how many pairs of routes are printed: templates that begin
// with parameters can make thousands.
const maxConflicts = 10

// judge says what a document cannot do.
func (r *reporter) judge(cfg *config.Config, a config.API, report policy.Report) {
	cached := "while API Gateway caches another answer of the same token, it is refused"
	if cfg.ResultCache == 0 {
		cached = "harmless as long as results are not cached"
	}
	if report.Size > report.Limit {
		r.tooLong(a, report, cfg.ResultCache > 0)
	}
	for n, c := range report.Conflicts {
		if n == maxConflicts {
			r.warn("api %s: and %d more pairs of routes like these", a.Name, len(report.Conflicts)-n)
			break
		}
		r.warn("api %s: no policy document can allow %s and refuse %s; requests for the former get an answer of their own (%s)",
			a.Name, c.Allowed, c.Refused, cached)
	}
	if report.HeadApart {
		r.warn("api %s: the document has no room for HEAD beside every GET; list the HEAD routes you need (%s)", a.Name, cached)
	}
}

// tooLong says that no document has room for all routes, which nobody notices
// where results are not cached.
func (r *reporter) tooLong(a config.API, report policy.Report, cached bool) { //nolint:revive // a fact, not a mode
	var most []string
	for _, c := range report.Costs[:min(3, len(report.Costs))] {
		most = append(most, fmt.Sprintf("%s (%d bytes)", c.Route, c.Bytes))
	}
	text := fmt.Sprintf("api %s: a policy document for all routes would have %d bytes, and API Gateway takes %d beside the context; the routes that cost most: %s. Each route gets an answer of its own",
		a.Name, report.Size, report.Limit, strings.Join(most, ", "))
	if !cached {
		r.warn("%s (harmless as long as results are not cached)", text)
		return
	}
	r.problems = append(r.problems, errors.New(text+
		", so while API Gateway caches one, the other routes are refused to the same token: do not cache results (resultCache: 0s), or make several APIs of this one"))
}

// unlisted compares with the APIs of the template that name this API: a route
// that uses the authorizer and is not listed lies open to a neighbour's
// wildcard in a cached answer.
func (r *reporter) unlisted(a config.API, table *policy.Table, template *samtemplate.Template) {
	for _, api := range template.APIs {
		if api.StageVariables["gatehouse"] != a.Match.StageVariable || a.Match.StageVariable == "" {
			continue
		}
		missing := map[string]bool{}
		for _, route := range api.Routes {
			if route.Authorizer == "" || route.Path == "$default" {
				continue
			}
			method := route.Method
			if method == "ANY" {
				method = "GET"
			}
			if _, ok := table.Routed(method, route.Path); !ok {
				missing[route.Method+" "+route.Path] = true
			}
		}
		for _, route := range slices.Sorted(maps.Keys(missing)) {
			r.warn("%s: %s uses the authorizer but api %s does not list it; list it, with refuse: true if nobody may call it",
				api.LogicalID, route, a.Name)
		}
	}
}

// times prints how long things work after they should not.
func (r *reporter) times(cfg *config.Config) {
	r.printf("\nTimes\n")
	rows := [][]string{{"API Gateway caches answers for", cfg.ResultCache.String()}}
	for _, p := range cfg.Providers {
		rows = append(rows, []string{"an expired token of " + p.Name + " works at most", (p.Leeway + cfg.ResultCache).String() + " longer"})
		if p.Tokens != config.JWT && p.Secret != "" {
			remembered := time.Minute
			if p.CacheMax > 0 {
				remembered = min(remembered, p.CacheMax)
			}
			if p.CacheEntries == 0 {
				remembered = 0
			}
			rows = append(rows, []string{"a revoked opaque token of " + p.Name, (remembered + cfg.ResultCache).String() + " longer"})
		}
		if p.Tokens != config.Introspect && !p.KeysOnly {
			rows = append(rows, []string{"a key that " + p.Name + " withdrew", (10*time.Minute + cfg.ResultCache).String() + " longer"})
		}
	}
	for _, a := range cfg.APIs {
		if a.RequiresContract() {
			rows = append(rows, []string{"a revoked contract with " + a.Name, (authorizer.ContractCache + cfg.ResultCache).String() + " longer"})
		}
	}
	r.table(rows)
}

func (r *reporter) table(rows [][]string) {
	w := tabwriter.NewWriter(r.out, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil {
		r.problems = append(r.problems, err)
	}
}
