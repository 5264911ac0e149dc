package functions_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestThePortalIsServedWhereItIsConfigured starts the registration as it is
// deployed, without a client for the portal and with one.
func TestThePortalIsServedWhereItIsConfigured(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "portal.json")
	if err := os.WriteFile(path, []byte(`{"client_id":"portal","client_secret":"portal-secret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name      string
		variables []string
		status    int
		text      string
	}{
		{"without a client there is no portal", nil, 404, "there is nothing at this path"},
		{"with one people can sign in", []string{"PORTAL_SECRET=file:" + path}, 200, "Here you ask for access to APIs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := newOrganisation(t)
			o.variables = append(o.variables, test.variables...)
			var answer struct {
				StatusCode int
				Body       string
			}
			event := `{"version":"2.0","rawPath":"/portal","requestContext":{"http":{"method":"GET","sourceIp":"192.0.2.7"}}}`
			if err := json.Unmarshal(o.start(t, "RegistrationFunction").send(t, []byte(event)), &answer); err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != test.status || !strings.Contains(answer.Body, test.text) {
				t.Errorf("got %d %s, want %d with %q", answer.StatusCode, answer.Body, test.status, test.text)
			}
		})
	}
}
