package registry_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/registry"
)

// schemaCosts compares what schema.md says of each operation with what
// DynamoDB Local charges for it.
func schemaCosts(t *testing.T) {
	schema, err := os.ReadFile("schema.md")
	if err != nil {
		t.Fatal(err)
	}
	var m meter
	s := openTable(t, registry.Dynamo{Table: newTable(t), Observe: m.observe, Timeout: time.Minute})
	measure := func(operation string, do func() error) {
		t.Helper()
		requests, units := m.cost(func() {
			if err := do(); err != nil {
				t.Errorf("%s: %v", operation, err)
			}
		})
		row := fmt.Sprintf("| `%s` | %d | %g |", operation, requests, units)
		if !strings.Contains(string(schema), row) {
			t.Errorf("schema.md lacks %s", row)
		}
	}
	lease := time.Now().Add(time.Hour)
	audit := registry.Audit{Who: "ada", What: "contract.approved", Target: "target"}
	begin := func(operation registry.Operation, a registry.Application) registry.Intent {
		var i registry.Intent
		measure("Begin "+string(operation), func() (err error) {
			i, err = s.Begin(t.Context(), registry.Intent{
				Marker: registry.NewID(), Operation: operation, Application: a, Attempt: registry.NewID(), Lease: lease,
			})
			return err
		})
		return i
	}
	complete := func(i registry.Intent, end registry.Completion) {
		end.Intent, end.Outcome = i, registry.Done
		measure("Complete "+string(i.Operation), func() error { return s.Complete(t.Context(), end) })
	}

	var claim registry.Claim
	measure("Claim", func() (err error) {
		claim, err = s.Claim(t.Context(), registry.Claim{
			Caller: "ada", Key: strings.Repeat("1", 64), Body: strings.Repeat("2", 64),
			Marker: registry.NewID(), Attempt: registry.NewID(), Lease: lease,
		})
		return err
	})
	measure("Claim, repeated", func() error { _, err := s.Claim(t.Context(), claim); return err })
	i := begin(registry.Create, registry.Application{
		ID: registry.NewID(), Kind: registry.Dynamic, Provider: "okta", Owner: "ada", Name: "reports",
		Description: strings.Repeat("x", 200), RedirectURIs: []string{"https://app.example.com/callback"},
		Alias:      "https://app.example.com/client.json",
		SecretHMAC: strings.Repeat("a", 64), Management: make([]byte, 200),
	})
	i.Application.ClientID = "client"
	measure("Advance", func() (err error) { i, err = s.Advance(t.Context(), i); return err })
	c := registry.Contract{Provider: "okta", ClientID: "client", ApplicationID: i.Application.ID, API: "orders", Status: registry.Approved}
	complete(i, registry.Completion{
		Contracts: []registry.Contract{c}, Claim: &claim, Answer: make([]byte, 400), Audits: []registry.Audit{audit},
	})

	var a registry.Application
	read := func() (err error) { a, err = s.Application(t.Context(), i.Application.ID); return err }
	measure("Application", read)
	measure("ApplicationByClient", func() error { _, err := s.ApplicationByClient(t.Context(), a.Client()); return err })
	measure("ApplicationByAlias", func() error { _, err := s.ApplicationByAlias(t.Context(), a.Alias); return err })
	measure("ApplicationsByOwner", func() error {
		_, _, err := s.ApplicationsByOwner(t.Context(), "ada", registry.Page{})
		return err
	})
	measure("Touch", func() error { _, err := s.Touch(t.Context(), a); return err })
	if err := read(); err != nil {
		t.Fatal(err)
	}
	measure("Touch, same day", func() error { _, err := s.Touch(t.Context(), a); return err })
	complete(begin(registry.Update, a), registry.Completion{Audits: []registry.Audit{audit}})
	measure("Contract", func() (err error) { c, err = s.Contract(t.Context(), c.Key()); return err })
	measure("UpdateContract", func() error {
		c.Status = registry.Revoked
		_, err := s.UpdateContract(t.Context(), c, audit)
		return err
	})
	asked := registry.Contract{Provider: "okta", ClientID: "client", ApplicationID: a.ID, API: "billing", Status: registry.Pending}
	measure("CreateContract", func() (err error) { asked, err = s.CreateContract(t.Context(), asked, audit); return err })
	measure("ContractsByClient", func() error { _, _, err := s.ContractsByClient(t.Context(), a.Client(), registry.Page{}); return err })
	measure("ContractsByAPI", func() error {
		_, _, err := s.ContractsByAPI(t.Context(), "billing", registry.Pending, registry.Page{})
		return err
	})
	measure("DeleteContract", func() error { return s.DeleteContract(t.Context(), asked, audit) })
	metered := registry.Contract{
		Provider: "okta", ClientID: "client", ApplicationID: a.ID, API: "metered", Status: registry.Approved, UsagePlan: "a1b2c3",
	}
	measure("CreateContract, usage plan", func() (err error) { metered, err = s.CreateContract(t.Context(), metered, audit); return err })
	measure("UpdateContract, usage plan", func() (err error) { metered, err = s.UpdateContract(t.Context(), metered, audit); return err })
	var usage registry.Usage
	measure("Usage", func() (err error) { usage, err = s.Usage(t.Context(), metered.Key()); return err })
	measure("Unsettled", func() error { _, _, err := s.Unsettled(t.Context(), lease, registry.Page{}); return err })
	measure("TakeUsage", func() (err error) { usage, err = s.TakeUsage(t.Context(), usage.Key(), "attempt", lease); return err })
	measure("UpdateUsage", func() (err error) { usage.Settled = true; usage, err = s.UpdateUsage(t.Context(), usage); return err })
	measure("DeleteContract, usage plan", func() error { return s.DeleteContract(t.Context(), metered, audit) })
	measure("Append", func() error { return s.Append(t.Context(), audit) })
	measure("Audits", func() error { _, _, err := s.Audits(t.Context(), "target", registry.Page{}); return err })
	if err := read(); err != nil {
		t.Fatal(err)
	}
	deleting := begin(registry.Delete, a)
	measure("Take", func() (err error) {
		deleting, err = s.Take(t.Context(), deleting.Marker, deleting.Attempt, lease)
		return err
	})
	measure("Unfinished", func() error { _, _, err := s.Unfinished(t.Context(), lease, registry.Page{}); return err })
	measure("RemoveContracts", func() error { _, err := s.RemoveContracts(t.Context(), a.ID); return err })
	complete(deleting, registry.Completion{Audits: []registry.Audit{audit}})
	measure("Barred", func() error { _, err := s.Barred(t.Context(), "ada", "orders"); return err })
	measure("Spend", func() error {
		return s.Spend(t.Context(), registry.Quota{Name: "registrations", Limit: 1, Window: time.Hour})
	})
	grant := registry.Grant{ID: "code", Provider: "okta", ClientID: "client", Tokens: make([]byte, 400), Expires: lease}
	measure("CreateGrant", func() (err error) { grant, err = s.CreateGrant(t.Context(), grant); return err })
	measure("Grant", func() error { _, err := s.Grant(t.Context(), "code"); return err })
	measure("UpdateGrant", func() error { _, err := s.UpdateGrant(t.Context(), grant); return err })
	measure("RevokeGrant", func() error { _, err := s.RevokeGrant(t.Context(), "code"); return err })
	measure("SaveAnswer", func() error {
		return s.SaveAnswer(t.Context(), registry.Answer{Key: strings.Repeat("3", 64), Sealed: make([]byte, 400), Expires: lease})
	})
	measure("Answer", func() error { _, err := s.Answer(t.Context(), strings.Repeat("3", 64)); return err })
	measure("SaveKeys", func() error { return s.SaveKeys(t.Context(), "okta", registry.Keys{Set: []byte(`{"keys":[]}`)}) })
	measure("Keys", func() error { _, err := s.Keys(t.Context(), "okta"); return err })
	measure("SaveHealth", func() error { return s.SaveHealth(t.Context(), "okta", registry.Health{}) })
	measure("Health", func() error { _, err := s.Health(t.Context(), "okta"); return err })
	measure("Unused", func() error { _, _, err := s.Unused(t.Context(), lease, registry.Page{}); return err })
	if err := read(); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
