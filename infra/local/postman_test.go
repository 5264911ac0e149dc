package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/postman"
	"gatehouse/infra/tooltest"
)

// The tests of this file hold what Postman imports to the documents, and run it
// by Newman, which is Postman's own command line.

const postmanDir = "../postman"

// newmanVersion names the cached copy; it follows package-lock.json.
const newmanVersion = "newman-6.2.2"

func TestTheCommandWritesWhatPostmanImports(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if *update {
		dir = postmanDir
	}
	args := []string{"postman", "--dir", dir, "--registration", root + "shared/registration/openapi.yaml", "--broker", root + "shared/broker/openapi.yaml"}
	if code := execute(t.Context(), args, stage{out: t.Output(), err: t.Output()}); code != 0 {
		t.Fatalf("gatehouse postman: exit status %d", code)
	}
	for _, name := range []string{postman.CollectionFile, postman.EnvironmentFile} {
		want, got := string(contents(t, filepath.Join(postmanDir, name))), string(contents(t, filepath.Join(dir, name)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is not what go run ./infra/local postman writes (-committed +written):\n%s", name, diff)
		}
	}
}

// postmanItem is a folder or a request of a collection.
type postmanItem struct {
	ID      string
	Item    []postmanItem
	Request *struct{ Description string }
	Event   []struct{ Script struct{ Exec []string } }
}

// postmanRequests are the requests of the collection, in their order.
func postmanRequests(t *testing.T) []postmanItem {
	t.Helper()
	var all postmanItem
	if err := json.Unmarshal(contents(t, filepath.Join(postmanDir, postman.CollectionFile)), &all); err != nil {
		t.Fatal(err)
	}
	var requests []postmanItem
	for _, folder := range all.Item {
		requests = append(requests, folder.Item...)
	}
	if len(requests) == 0 {
		t.Fatal("the collection has no requests")
	}
	return requests
}

func TestEveryOperationIsInTheCollection(t *testing.T) {
	t.Parallel()
	got := map[string]bool{}
	mark := regexp.MustCompile("Operation `([A-Za-z]+)` of the (.+)\\.$")
	for _, r := range postmanRequests(t) {
		if m := mark.FindStringSubmatch(r.Request.Description); m != nil {
			got[m[1]+" of the "+m[2]] = true
		}
		if r.Request.Description == "" || len(r.Event) == 0 {
			t.Errorf("%s has no description or no tests", r.ID)
		}
	}
	want := map[string]bool{}
	for name, file := range map[string]string{"registration API": "shared/registration/openapi.yaml", "authorization server": "shared/broker/openapi.yaml"} {
		for _, m := range regexp.MustCompile(`(?m)^ +operationId: (\S+)$`).FindAllStringSubmatch(string(contents(t, root+file)), -1) {
			want[m[1]+" of the "+name] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-documents +collection):\n%s", diff)
	}
}

// Every variable is in the environment, as are those of the portal's, and what is secret there is empty, but
// for what everybody knows of the stand-in. No script writes to the console.
func TestTheVariablesOfTheCollection(t *testing.T) {
	t.Parallel()
	var environment struct {
		Values []struct{ Key, Value, Type string }
	}
	if err := json.Unmarshal(contents(t, filepath.Join(postmanDir, postman.EnvironmentFile)), &environment); err != nil {
		t.Fatal(err)
	}
	text := string(contents(t, filepath.Join(postmanDir, postman.CollectionFile)))
	known := []string{userPassword, developerSecret, ownerSecret}
	there := map[string]bool{}
	for _, v := range environment.Values {
		there[v.Key] = true
		if v.Type == "secret" && v.Value != "" && !slices.Contains(known, v.Value) {
			t.Errorf("%s has a value", v.Key)
		}
		if v.Type != "secret" && regexp.MustCompile(`(secret|_token|password|code|verifier)$`).MatchString(v.Key) {
			t.Errorf("%s is not of type secret", v.Key)
		}
		if !strings.Contains(text, "{{"+v.Key+"}}") && !strings.Contains(text, `\"`+v.Key+`\"`) && !strings.Contains(text, "'"+v.Key+"'") {
			t.Errorf("%s is used by nothing", v.Key)
		}
	}
	for _, m := range regexp.MustCompile(`\{\{([a-z_]+)\}\}|environment\.set\((?:\\"|')([a-z_]+)`).FindAllStringSubmatch(text, -1) {
		if !there[m[1]+m[2]] {
			t.Errorf("%s is not in the environment", m[1]+m[2])
		}
	}
	portal := regexp.MustCompile(`\{Key: "([a-z_]+)"`).FindAllStringSubmatch(string(contents(t, root+"shared/portal/postman.go")), -1)
	for _, m := range portal {
		if !there[m[1]] {
			t.Errorf("the portal's environments have %s, this one has not", m[1])
		}
	}
	if len(portal) == 0 {
		t.Error("the portal's environments have no variables")
	}
	if strings.Contains(text, "console.") {
		t.Error("a script writes to the console")
	}
}

// newman returns its command line, which node runs.
func newman(t *testing.T) (node, program string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tooltest.Missing(t, err)
	}
	dir, err := tooltest.Cached(t.Context(), newmanVersion, func(ctx context.Context, dir string) error {
		for _, name := range []string{"package.json", "package-lock.json"} {
			if err := os.WriteFile(filepath.Join(dir, name), contents(t, "testdata/newman/"+name), 0o600); err != nil {
				return err
			}
		}
		cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		cmd.Dir = dir
		return tooltest.Run(cmd)
	})
	if err != nil {
		tooltest.Missing(t, err)
	}
	return node, filepath.Join(dir, "node_modules/newman/bin/newman.js")
}

// anypointFiles are those of this repository as a user of Anypoint wants them:
// a token in the header or in the query, so that API Gateway can have no identity
// source and no cache, and programs that register themselves.
func anypointFiles(t *testing.T) files {
	t.Helper()
	const identity = "\n            Identity:\n              Headers: [Authorization]\n              ReauthorizeEvery: !Ref AuthorizerCacheSeconds"
	dir, f := t.TempDir(), repositoryFiles()
	template := string(contents(t, f.Template))
	before, rest, ok := strings.Cut(template, "\n  OrdersRestApi:\n")
	if !ok || !strings.Contains(rest, identity) {
		t.Fatalf("%s has no OrdersRestApi with an authorizer by header", f.Template)
	}
	changed := files{Template: filepath.Join(dir, "template.yaml"), Config: filepath.Join(dir, "gatehouse.yaml")}
	configuration := string(contents(t, f.Config))
	for old, replacement := range map[string]string{
		"# dynamic: {provider: okta, open: false}":    "dynamic: {provider: okta, open: false}",
		"resultCache: ${AUTHORIZER_CACHE_SECONDS}s":   "resultCache: 0s",
		"\n  - name: orders\n    providers: [okta]\n": "\n  - name: orders\n    profile: mulesoft\n    providers: [okta]\n",
	} {
		if !strings.Contains(configuration, old) {
			t.Fatalf("%s does not have %q", f.Config, old)
		}
		configuration = strings.Replace(configuration, old, replacement, 1)
	}
	rest = strings.Replace(rest, identity, "\n            Identity: {ReauthorizeEvery: 0}", 1)
	for file, text := range map[string]string{changed.Template: before + "\n  OrdersRestApi:\n" + rest, changed.Config: configuration} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return changed
}

// newmanReport is what Newman says of a run, as far as it can be shown: what was
// sent and answered is in it, too.
type newmanReport struct {
	Run struct {
		Stats struct {
			Requests   struct{ Total, Pending, Failed int }
			Assertions struct{ Total, Failed int }
		}
		Executions []struct {
			Item     struct{ ID, Name string }
			Response *struct{ Code int }
		}
		Failures []struct {
			Source struct{ ID, Name string }
			Error  struct{ Name, Test, Message string }
		}
	}
}

func TestNewmanRunsTheCollection(t *testing.T) {
	t.Parallel()
	node, program := newman(t)
	for _, row := range []struct {
		name                      string
		files                     func(*testing.T) files
		profile, selfRegistration string
	}{
		{"as make run is", func(*testing.T) files { return repositoryFiles() }, "strict", "off"},
		{"as users of Anypoint know it, with programs that register themselves", anypointFiles, "mulesoft", "on"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, row.files(t))
			report := filepath.Join(t.TempDir(), "report.json")
			args := []string{
				program, "run", filepath.Join(postmanDir, postman.CollectionFile), "--environment", filepath.Join(postmanDir, postman.EnvironmentFile),
				"--reporters", "json", "--reporter-json-export", report, "--timeout-request", "30000",
				"--env-var", "profile=" + row.profile, "--env-var", "self_registration=" + row.selfRegistration,
			}
			for name, value := range postmanValues(r.system).URLs() {
				args = append(args, "--env-var", name+"="+value)
			}
			ran := exec.CommandContext(t.Context(), node, args...).Run() // what it prints is not for a log
			compareRun(t, report, ran)
		})
	}
}

// compareRun fails unless every request of the collection was run once, and
// all its tests have passed.
func compareRun(t *testing.T, file string, ran error) {
	t.Helper()
	var report newmanReport
	if err := json.Unmarshal(contents(t, file), &report); err != nil {
		t.Fatalf("Newman reports nothing: %v, %v", ran, err)
	}
	var want, got []string
	for _, r := range postmanRequests(t) {
		want = append(want, r.ID)
	}
	codes := map[string]int{}
	for _, e := range report.Run.Executions {
		got = append(got, e.Item.ID)
		if e.Response != nil {
			codes[e.Item.ID] = e.Response.Code
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-collection +run):\n%s", diff)
	}
	for _, f := range report.Run.Failures {
		t.Errorf("%s, answered %d: %s: %s %s", f.Source.Name, codes[f.Source.ID], f.Error.Name, f.Error.Test, f.Error.Message)
	}
	if s := report.Run.Stats; s.Requests.Total != len(want) || s.Requests.Failed+s.Assertions.Failed != 0 || s.Assertions.Total < 2*len(want) {
		t.Errorf("got %+v for %d requests", s, len(want))
	}
	if ran != nil {
		t.Error(fmt.Errorf("newman: %w", ran))
	}
}
