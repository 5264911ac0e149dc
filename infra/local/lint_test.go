package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"gatehouse/shared/config"
	"gatehouse/shared/config/schema"
	"gatehouse/shared/registry"
)

// The tests of this file hold what no linter knows of: that files which speak of
// each other agree.

func TestTheTemplateSetsEveryVariableOfTheConfiguration(t *testing.T) {
	t.Parallel()
	template, err := load(files{Template: "../../template.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	variables := config.Variables(contents(t, "../gatehouse.yaml"))
	if len(variables) == 0 {
		t.Error("infra/gatehouse.yaml has no variables: do template.yaml's parameters reach it?")
	}
	for _, name := range variables {
		if _, ok := template.Functions[authorizerFunction].Environment[name]; !ok {
			t.Errorf("infra/gatehouse.yaml uses ${%s}; the environment of %s in template.yaml does not have it", name, authorizerFunction)
		}
	}
}

func TestEveryMakeTargetInTheDocumentsExists(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Za-z-]+):`).FindAllSubmatch(contents(t, "../../Makefile"), -1) {
		targets[string(m[1])] = true
	}
	mention := regexp.MustCompile("(?m)(?:^|[`(])make ([a-z-]+)")
	for _, document := range []string{"../../README.md", "../../events/README.md"} {
		for _, m := range mention.FindAllSubmatch(contents(t, document), -1) {
			if !targets[string(m[1])] {
				t.Errorf("%s speaks of make %s, which there is not", document, m[1])
			}
		}
	}
}

// TestReadmeHasTheSettings compares the table of settings in README.md with the
// types that gatehouse.yaml is read into and their descriptions.
func TestReadmeHasTheSettings(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- settings -->\n", "<!-- /settings -->\n"
	readme := string(contents(t, "../../README.md"))
	before, rest, ok := strings.Cut(readme, begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("README.md has no %s… %s", begin, end)
	}
	want := settings(t)
	if *update {
		if err := os.WriteFile("../../README.md", []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the settings in README.md are not what gatehouse.yaml has; go test ./infra/local -run Settings -update (-want +got):\n%s", diff)
	}
}

// schemaNode is a key in the JSON Schema.
type schemaNode struct {
	Description string
	Default     any
	Enum        []string
	Required    []string
	AnyOf       []*schemaNode
	Items       *schemaNode
	Properties  map[string]*schemaNode
}

// settings returns a table of all keys in the order of the types.
func settings(t *testing.T) string {
	t.Helper()
	text, err := schema.JSON()
	if err != nil {
		t.Fatal(err)
	}
	root := new(schemaNode)
	if err := json.Unmarshal(text, root); err != nil {
		t.Fatal(err)
	}
	rows := root.rows(t, reflect.TypeFor[config.Config](), "")
	return "\n| key | default | meaning |\n|---|---|---|\n" + strings.Join(rows, "") + "\n"
}

// rows returns a row for each key below n, which describes a struct.
func (n *schemaNode) rows(t *testing.T, of reflect.Type, path string) []string {
	t.Helper()
	var rows []string
	for f := range of.Fields() {
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		child, kind := n.Properties[key], f.Type
		if child == nil {
			t.Fatalf("the schema does not have %s%s", path, key)
		}
		below := path + key + "."
		if kind.Kind() == reflect.Slice {
			kind, below = kind.Elem(), path+key+"[]."
		}
		rows = append(rows, fmt.Sprintf("| `%s%s` | %s | %s |\n", path, key, child.otherwise(slices.Contains(n.Required, key)), child.meaning()))
		switch {
		case child.Items != nil && child.Items.Properties != nil:
			rows = append(rows, child.Items.rows(t, kind, below)...)
		case child.Properties != nil:
			rows = append(rows, child.rows(t, kind, below)...)
		}
	}
	return rows
}

// otherwise says what a key is when it is not there.
func (n *schemaNode) otherwise(required bool) string {
	switch {
	case required:
		return "required"
	case n.Default == nil:
		return ""
	default:
		return fmt.Sprintf("`%v`", n.Default)
	}
}

func (n *schemaNode) meaning() string {
	values := n.values()
	text := strings.ReplaceAll(n.Description, "|", `\|`)
	if slices.ContainsFunc(values, func(v string) bool { return !strings.Contains(text, v) }) {
		text += " Values: `" + strings.Join(values, "`, `") + "`."
	}
	return text
}

// values returns those that a key, or an element of its list, can have.
func (n *schemaNode) values() []string {
	if n.Items != nil {
		n = n.Items
	}
	for _, one := range append(n.AnyOf, n) {
		if one.Enum != nil {
			return one.Enum
		}
	}
	return nil
}

func contents(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestTheTemplateHasTheRoutesOfGatehousesOwnAPI: each route is there, and only
// those that everyone may ask have no authorizer.
func TestTheTemplateHasTheRoutesOfGatehousesOwnAPI(t *testing.T) {
	t.Parallel()
	template, err := load(repositoryFiles())
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load("../gatehouse.yaml", lookup(template.Functions[registrationFunction].Environment))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{ // whether there is an authorizer
		"POST /register": false, "GET /register/{client_id}": false, "PUT /register/{client_id}": false, "DELETE /register/{client_id}": false,
		"GET /openapi.json": false, "OPTIONS /{proxy+}": false,
		"GET /portal": false, "GET /portal/{proxy+}": false, "POST /portal/{proxy+}": false,
	}
	for _, operation := range operations(t, "../../shared/broker/openapi.yaml") {
		want[operation] = false
	}
	for _, route := range cfg.APIs[len(cfg.APIs)-1].Routes {
		want[route.Route] = true
	}
	got := map[string]bool{}
	for _, api := range template.APIs {
		if api.StageVariables["gatehouse"] != config.BuiltInAPI {
			continue
		}
		for _, route := range api.Routes {
			got[route.Method+" "+route.Path] = route.Authorizer != ""
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// operations are those of an OpenAPI document, as API Gateway writes them.
func operations(t *testing.T, file string) []string {
	t.Helper()
	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(contents(t, file), &document); err != nil {
		t.Fatal(err)
	}
	var all []string
	for path, item := range document.Paths {
		for method := range item {
			if method = strings.ToUpper(method); method == http.MethodGet || method == http.MethodPost {
				all = append(all, method+" "+strings.ReplaceAll(path, "{path}", "{proxy+}"))
			}
		}
	}
	return all
}

// TestTheTableIsWhatTheRegistryNeeds compares the template's table with the one
// that the registry's tests make.
func TestTheTableIsWhatTheRegistryNeeds(t *testing.T) {
	t.Parallel()
	var template struct {
		Resources struct {
			RegistryTable struct {
				Properties struct {
					BillingMode          string     `yaml:"BillingMode"`
					AttributeDefinitions []attr     `yaml:"AttributeDefinitions"`
					KeySchema            []schemaOf `yaml:"KeySchema"`
					Indexes              []struct {
						IndexName  string     `yaml:"IndexName"`
						KeySchema  []schemaOf `yaml:"KeySchema"`
						Projection struct {
							ProjectionType string `yaml:"ProjectionType"`
						} `yaml:"Projection"`
					} `yaml:"GlobalSecondaryIndexes"`
					TimeToLive struct {
						AttributeName string `yaml:"AttributeName"`
						Enabled       bool   `yaml:"Enabled"`
					} `yaml:"TimeToLiveSpecification"`
				} `yaml:"Properties"`
			} `yaml:"RegistryTable"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(contents(t, "../../template.yaml"), &template); err != nil {
		t.Fatal(err)
	}
	p, want := template.Resources.RegistryTable.Properties, registry.TableDefinition("")
	var got, wanted []string
	got = append(got, p.BillingMode, p.TimeToLive.AttributeName, fmt.Sprint(p.TimeToLive.Enabled))
	wanted = append(wanted, string(want.BillingMode), registry.TTLAttribute, "true")
	for _, a := range p.AttributeDefinitions {
		got = append(got, a.AttributeName+a.AttributeType)
	}
	for _, a := range want.AttributeDefinitions {
		wanted = append(wanted, *a.AttributeName+string(a.AttributeType))
	}
	for _, k := range p.KeySchema {
		got = append(got, k.AttributeName+k.KeyType)
	}
	for _, k := range want.KeySchema {
		wanted = append(wanted, *k.AttributeName+string(k.KeyType))
	}
	for _, i := range p.Indexes {
		got = append(got, i.IndexName, i.Projection.ProjectionType)
		for _, k := range i.KeySchema {
			got = append(got, k.AttributeName+k.KeyType)
		}
	}
	for _, i := range want.GlobalSecondaryIndexes {
		wanted = append(wanted, *i.IndexName, string(i.Projection.ProjectionType))
		for _, k := range i.KeySchema {
			wanted = append(wanted, *k.AttributeName+string(k.KeyType))
		}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("template.yaml's table (-want +got):\n%s", diff)
	}
}

type attr struct {
	AttributeName string `yaml:"AttributeName"`
	AttributeType string `yaml:"AttributeType"`
}

type schemaOf struct {
	AttributeName string `yaml:"AttributeName"`
	KeyType       string `yaml:"KeyType"`
}
