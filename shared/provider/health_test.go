package provider_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	o := newOrg(t, "")
	made, err := o.CreateClient(t.Context(), service("gateway"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "introspection.json")
	introspects := func(secretText string) {
		t.Helper()
		if err := os.WriteFile(file, fmt.Appendf(nil, `{"client_id":%q,"client_secret":%q}`, made.ClientID, secretText), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	well := map[string]string{
		"discovery": provider.Healthy, "keys": provider.Healthy, "introspection": provider.Healthy, "registration": provider.Healthy,
	}
	for name, row := range map[string]struct {
		spoil   func()
		differs map[string]string
	}{
		"all is well": {func() {}, nil},
		"the administrator's token is revoked": {
			func() { o.setSecret("SSWS other") }, map[string]string{"registration": provider.Refused},
		},
		"the client that introspects has another secret": {
			func() { introspects("other") }, map[string]string{"introspection": provider.Refused},
		},
		"introspection calls every token active": {
			func() { o.Break(standin.Introspect, standin.Fault{Status: 200, Body: `{"active":true}`}) },
			map[string]string{"introspection": provider.Unavailable},
		},
		"the keys are garbage": {
			func() { o.Break(standin.Keys, standin.Fault{Status: 200, Body: `{"keys":[]}`}) }, map[string]string{"keys": provider.Unavailable},
		},
		"discovery fails": {
			func() { o.Break(standin.Metadata, standin.Fault{Status: 503}) }, map[string]string{"discovery": provider.Unavailable},
		},
		"registration fails": {
			func() { o.Break(standin.Clients, standin.Fault{Status: 500}) }, map[string]string{"registration": provider.Unavailable},
		},
	} {
		o.Mend()
		o.setSecret("SSWS 00token")
		introspects(made.Secret.Reveal())
		row.spoil()
		c := config.Provider{
			Name: "idp", Type: config.Okta, Issuer: o.url + "/oauth2/default", Audiences: []string{"api://default"}, Algorithms: []string{"RS256"},
			Secret: "file:" + file, AdminSecret: "file:" + o.secret, Tokens: config.Auto, RequestTimeout: 2 * time.Second,
		}
		env := provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}}
		p, err := provider.New(c, env)
		if err == nil {
			err = p.EnableRegistration(c, env)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := maps.Clone(well)
		maps.Copy(want, row.differs)
		if diff := cmp.Diff(want, p.Health(t.Context())); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	if clients := o.Registered(""); len(clients) != 1 {
		t.Errorf("checking has left clients: %v", clients)
	}
}

func TestHealthOfWhatCannotBeAsked(t *testing.T) {
	t.Parallel()
	want := map[string]string{"discovery": provider.Healthy, "registration": provider.Unknown}
	if diff := cmp.Diff(want, newPlain(t, standin.Quirks{}).Health(t.Context())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
