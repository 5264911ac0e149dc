// Package postman writes what Postman imports: a collection that tells the story
// of a protected API, request by request, and an environment for it. Requests,
// their descriptions, examples and answers are those of the OpenAPI documents, so
// that they cannot say otherwise. An operation that the story leaves out, and one
// that no document has, is an error.
package postman

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Names of the files.
const (
	CollectionFile  = "gatehouse.postman_collection.json"
	EnvironmentFile = "gatehouse.postman_environment.json"
)

// Callback is where Postman on a desktop has people sent back to.
// See https://learning.postman.com/docs/sending-requests/authorization/oauth-20/.
const Callback = "https://oauth.pstmn.io/v1/callback"

// Documents are the files of the OpenAPI documents.
type Documents struct{ Registration, Broker string }

// Collection returns the collection.
func Collection(files Documents) ([]byte, error) {
	registration, err := read("registration API", files.Registration)
	if err != nil {
		return nil, err
	}
	broker, err := read("authorization server", files.Broker)
	if err != nil {
		return nil, err
	}
	var c collection
	c.Info.ID = "6f1f4e0a-7c55-4b0e-9d5e-2a8f0c9b7d31" // a second import takes the place of the first
	c.Info.Name, c.Info.Schema = "Gatehouse", schema
	c.Info.Description = "A developer requests access to an API, gets a client and a token, and calls it; a person signs in; a program registers itself. " +
		"Folders and requests are in the order of the story: run them one after the other, or all at once. " +
		"Scripts keep ids, secrets and tokens in the environment; choose *Gatehouse: make run* first.\n\n" +
		"Written by `go run ./infra/local postman` from `/openapi.json` and `/broker/openapi.json`; do not change it by hand."
	b := &builder{told: map[string]int{}}
	for _, f := range story(registration, broker) {
		made, err := b.folder(f)
		if err != nil {
			return nil, err
		}
		c.Item = append(c.Item, made)
	}
	if err := b.complete(registration, broker); err != nil {
		return nil, err
	}
	return encode(c)
}

// complete reports the operations that the story leaves out.
func (b *builder) complete(documents ...*document) error {
	var missing []error
	for _, d := range documents {
		for id := range d.operations {
			if b.told[d.name+" "+id] == 0 {
				missing = append(missing, fmt.Errorf("postman: the story leaves out %s of the %s", id, d.name))
			}
		}
	}
	slices.SortFunc(missing, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(missing...)
}

// Client is somebody who was set up by an administrator.
type Client struct{ ID, Secret string }

// Values are what an environment begins with.
type Values struct {
	Name                                 string // of the environment
	Gatehouse, REST, HTTP, ProviderToken string // base URLs, and the provider's token endpoint
	Developer, Owner, Admin              Client
	Username, Password                   string // of a person at the stand-in
	Profile                              string // strict or mulesoft
	SelfRegistration                     string // on or off
}

// URLs are the variables that say where things are.
func (v Values) URLs() map[string]string {
	return map[string]string{
		"gatehouse_url": v.Gatehouse, "api_url": v.REST, "http_api_url": v.HTTP, "provider_token_url": v.ProviderToken,
		"authorize_url": v.Gatehouse + "/authorize", "token_url": v.Gatehouse + "/token",
	}
}

// Environment returns the environment. The variables that the portal's
// environments have are called as there.
func Environment(v Values) ([]byte, error) {
	e := environment{ID: "b1e0b8f4-2f0d-4f0c-8a54-93c1d6f7a9e2", Name: v.Name, Scope: "environment"}
	add := func(kind string, pairs ...string) {
		for n := 0; n+1 < len(pairs); n += 2 {
			e.Values = append(e.Values, setting{Key: pairs[n], Value: pairs[n+1], Type: kind, Enabled: true})
		}
	}
	urls := v.URLs()
	for _, name := range []string{"gatehouse_url", "api_url", "http_api_url", "provider_token_url", "authorize_url", "token_url"} {
		add("default", name, urls[name])
	}
	add("default", "redirect_uri", Callback, "scope", "orders:read", "provider", "okta", "api", "orders", "tier", "gold", "other_tier", "trial",
		profile, v.Profile, selfRegistration, v.SelfRegistration, "intent", "none", "username", v.Username)
	add("secret", "password", v.Password)
	for _, who := range []struct {
		name string
		Client
	}{{"developer", v.Developer}, {"owner", v.Owner}, {"admin", v.Admin}} {
		add("default", who.name+"_client_id", who.ID)
		add("secret", who.name+"_client_secret", who.Secret)
	}
	// What the scripts fill in.
	add("default", "application_id", "", "client_id", "", "registered_client_id", "none", "idempotency_key", "", "state", "", "code_challenge", "", "sign_in_url", "")
	for _, name := range []string{
		"client_secret", "developer_token", "owner_token", "admin_token", "access_token", "broker_token", "person_token", "refresh_token", "revoked_token",
		"code_verifier", "code", "provider_state", "provider_code", "browser_cookie", "consent_request", "initial_access_token", "registration_access_token",
	} {
		add("secret", name, "")
	}
	return encode(e)
}
