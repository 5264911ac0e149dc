package config_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
)

// minimal is the shortest file that is of any use.
const minimal = `providers:
  - name: okta
    type: okta
    issuer: https://example.okta.com/oauth2/default
    audiences: ["api://default"]
apis:
  - name: orders
    providers: [okta]
    routes:
      - route: GET /orders
        scopes: [orders:read]
`

// edit returns minimal with one piece replaced.
func edit(tb testing.TB, before, after string) string {
	tb.Helper()
	if strings.Count(minimal, before) == 0 {
		tb.Fatalf("%q is not in the file", before)
	}
	return strings.Replace(minimal, before, after, 1)
}

// refusal is a file that is not to be used.
type refusal struct {
	name     string
	old, new string // what is replaced in minimal; "" for old: all of it
	want     string // without the name of the file
	schema   bool   // an editor sees it, too
}

func (r refusal) text(tb testing.TB) string {
	tb.Helper()
	if r.old == "" {
		return r.new
	}
	return edit(tb, r.old, r.new)
}

// variables are set while files are refused.
var variables = map[string]string{"EMPTY": "", "BREAK": "a\nb", "PASSWORD": "hunter2", "LONG": strings.Repeat("x", 8<<10+1)}

// Whether the schema refuses the file as well.
const (
	seen   = true
	unseen = false
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, row := range slices.Concat(formRefusals, meaningRefusals) {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Parse([]byte(row.text(t)), environment(variables))
			if cfg != nil {
				t.Errorf("got a configuration, want none")
			}
			problems, ok := errors.AsType[*config.Problems](err)
			if !ok {
				t.Fatalf("got %v, want problems", err)
			}
			got := strings.ReplaceAll(problems.Error(), "gatehouse.yaml:", "")
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

func TestMoreRoutesThanMayBeAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	var routes strings.Builder
	for i := range 5001 {
		fmt.Fprintf(&routes, "      - route: GET /%d\n", i)
	}
	_, err := config.Parse([]byte(strings.Replace(minimal, "      - route: GET /orders\n        scopes: [orders:read]\n", routes.String(), 1)), nil)
	want := "gatehouse.yaml:10:7: apis[0].routes: 5001 routes are listed; at most 5000 are read"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNoMessageShowsWhatAVariableHolds(t *testing.T) {
	t.Parallel()
	const everywhere = `resultCache: "${V}"
providers:
  - {name: "${V}", type: "${V}", issuer: "${V}", secret: "${V}", tokens: "${V}", audiences: ["${V}"], algorithms: ["${V}"],
     tokenTypes: ["${V}"], endpoints: {jwks: "${V}"}, keysFile: "../${V}", keysOnly: "${V}", cacheEntries: "${V}"}
  - {name: "${V}", type: okta, issuer: "${V}", audiences: [any]}
apis:
  - {name: "${V}", providers: ["${V}", "a${V}"], match: {stageVariable: "${V}", apiIds: ["${V}"], domains: ["${V}"]},
     profile: "${V}", tokenIn: ["${V}"], exposeClaims: ["${V}", "${V}"], routes: [{route: "${V}"}, {route: "GET /{${V}"},
     {route: "GET /{${V}}"}, {route: "GET /{x}"}]}
  - {name: "${V}", providers: [okta], match: {stageVariable: "${V}"}, routes: [{route: GET /a, scopes: ["${V}"], anyScope: ["${V}"],
     claims: {a: "${V}"}, refuse: "${V}"}, {route: GET /a, scopes: ["${V}"]}]}
`
	for _, value := range []string{
		"hunter2", "https://user:hunter2@example.com/?hunter2", "http://hunter2", "hunter2 and\nmore", "GET /hunter2/{hunter2", `{"a":"hunter2"}`,
	} {
		_, err := config.Parse([]byte(everywhere), environment(map[string]string{"V": value}))
		if err == nil {
			t.Errorf("%q: got no error", value)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q is shown:\n%v", value, err)
		}
	}
}

func noContracts(context.Context, registry.ContractKey) (registry.Contract, error) {
	return registry.Contract{}, registry.ErrNotFound
}

// FuzzParse: a file is taken, and then the authorizer starts with it, or all that
// is wrong with it is said, and what variables hold is not.
func FuzzParse(f *testing.F) {
	for _, row := range slices.Concat(formRefusals, meaningRefusals) {
		f.Add([]byte(row.text(f)))
	}
	f.Add([]byte(minimal))
	f.Add(readFile(f, "testdata/complete.yaml"))
	f.Add(readFile(f, "../../infra/gatehouse.yaml"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const value = "hunter2"
		env := func(string) (string, bool) { return value, true }
		cfg, err := config.Parse(data, env)
		config.Variables(data)
		if err == nil {
			if len(cfg.Providers) == 0 || len(cfg.APIs) == 0 {
				t.Errorf("accepted without providers or without APIs")
			}
			checkProblems(t, cfg.Warnings)
			// Files that it names are read at the start, and are other parsers' concern.
			named := slices.ContainsFunc(cfg.Providers, func(p config.Provider) bool { return p.KeysFile != "" })
			if _, err := authorizer.New(cfg, provider.Environment{HTTP: http.DefaultClient, Secrets: &secret.Manager{}}, noContracts); err != nil && !named {
				t.Errorf("accepted, and the authorizer does not start: %v", err)
			}
			return
		}
		problems, ok := errors.AsType[*config.Problems](err)
		if !ok || cfg != nil || len(problems.List) == 0 {
			t.Fatalf("got %v, %v, want problems alone", cfg, err)
		}
		checkProblems(t, problems.List)
		if strings.Contains(err.Error(), value) && !strings.Contains(string(data), value) {
			t.Errorf("what a variable holds is shown:\n%v", err)
		}
	})
}

// checkProblems checks what people and editors rely on: a position, one line
// each, in the order of the file.
func checkProblems(t *testing.T, list []config.Problem) {
	t.Helper()
	for i, p := range list {
		if p.Line < 1 || p.Column < 1 || p.Message == "" || strings.ContainsAny(p.String(), "\r\n") {
			t.Errorf("got the problem %+v", p)
		}
		if i > 0 && (p.Line < list[i-1].Line || p.Line == list[i-1].Line && p.Column < list[i-1].Column) {
			t.Errorf("%s stands behind %s", p, list[i-1])
		}
	}
}
