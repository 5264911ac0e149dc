package postman_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/infra/local/postman"
)

const (
	registration = "../../../shared/registration/openapi.yaml"
	broker       = "../../../shared/broker/openapi.yaml"
)

// A document that changes changes the collection, or is refused.
func TestACollectionCannotDrift(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name         string
		old, changed string // of the registration API's document
		want         string // the error; "": the collection has what was changed
	}{
		{"another description", "The members that are sent are changed", "The members that are sent change", ""},
		{"another example", "client_name: Monthly reports, client_uri: null", "client_name: Weekly reports, client_uri: null", ""},
		{"another path", "  /providers:\n", "  /identity-providers:\n", ""},
		{
			"an operation that the story leaves out", "operationId: listIntents", "operationId: listInterrupted",
			"there is no operation listIntents in the document of the registration API",
		},
		{
			"a new operation", "  /intents:\n", "  /news:\n    get: {operationId: listNews, responses: {}}\n  /intents:\n",
			"the story leaves out listNews of the registration API",
		},
		{"another status", "'204': {description: The intent has ended.}", "'200': {description: The intent has ended.}", "the document has no answer 204 of forgetIntent"},
		{"a parameter of another name", "name: status\n", "name: state\n", "listRequests has no parameter status"},
		{"an example without what is changed", "contracts:\n                - {api: orders, tier: gold, reason: the monthly reports}", "contracts: []", "createApplication: the example has no contracts.0.api"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(registration)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), row.old) {
				t.Fatalf("the document does not have %q", row.old)
			}
			file := filepath.Join(t.TempDir(), "openapi.yaml")
			if err := os.WriteFile(file, []byte(strings.Replace(string(text), row.old, row.changed, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			was, err := postman.Collection(postman.Documents{Registration: registration, Broker: broker})
			if err != nil {
				t.Fatal(err)
			}
			is, err := postman.Collection(postman.Documents{Registration: file, Broker: broker})
			switch {
			case row.want == "" && err != nil, row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got the error %v, want %q", err, row.want)
			case row.want == "" && string(is) == string(was):
				t.Error("the collection does not change")
			}
		})
	}
}
