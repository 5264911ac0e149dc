package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"gatehouse/shared/config/schema"
)

const schemaFile = "../../infra/gatehouse.schema.json"

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	text, err := schema.JSON()
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("gatehouse.schema.json", document); err != nil {
		return nil, err
	}
	return c.Compile("gatehouse.schema.json")
})

// schemaAccepts reports whether an editor would have nothing to say. What is
// not YAML, or has a key twice, every editor marks by itself.
func schemaAccepts(t *testing.T, text []byte) bool {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		return false
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		return false
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	s, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(document) == nil
}

func TestTheSchemaIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := schema.JSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date; write it anew: go run ./infra/local schema > infra/gatehouse.schema.json", schemaFile)
	}
}

func TestTheSchemaAcceptsGoodFiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"minimal":  minimal,
		"complete": string(readFile(t, "testdata/complete.yaml")),
		"deployed": string(readFile(t, "../../infra/gatehouse.yaml")),
	}
	for _, provider := range []string{"pingfederate", "openam", "keycloak", "rfc7591", "${TYPE}"} {
		files[provider] = strings.Replace(minimal, "type: okta", "type: "+provider, 1)
	}
	for _, line := range []string{
		"cacheEntries: ${N}", "keysOnly: ${B}", "requestTimeout: ${T}s", "leeway: 1m", "tokens: ${TOKENS}", "keysFile: ''",
		"algorithms: ['${A}', ES256]", "tokenTypes: ['']",
	} {
		files[line] = strings.Replace(minimal, "    type: okta", "    type: okta\n    "+line, 1)
	}
	for name, text := range files {
		if !schemaAccepts(t, []byte(text)) {
			t.Errorf("%s: refused, want accepted", name)
		}
	}
}

func TestTheSchemaRefusesWhatItCanSee(t *testing.T) {
	t.Parallel()
	for _, row := range slices.Concat(formRefusals, meaningRefusals) {
		if got := !schemaAccepts(t, []byte(row.text(t))); got != row.schema {
			t.Errorf("%s: refused by the schema: got %t, want %t", row.name, got, row.schema)
		}
	}
}
