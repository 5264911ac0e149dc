package registry_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/registry"
)

func TestNothingIsAtRestInClear(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.json")
	secrets := fill(t, openFile(t, path, nil))
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, string(raw), secrets)
}

// wantNone reports an error if a secret is in raw, in clear or only encoded.
func wantNone(t *testing.T, raw string, secrets []string) {
	t.Helper()
	if !strings.Contains(raw, "reports") {
		t.Error("the application itself is not in the store")
	}
	for n, secret := range secrets {
		for _, form := range []string{
			secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))[:24],
		} {
			if strings.Contains(raw, form) {
				t.Errorf("secret %d is at rest as %.6s…", n, form)
			}
		}
	}
}

// fill uses every kind of record as registration and broker do, and returns the
// secrets that came by.
func fill(t *testing.T, s *registry.Store) []string {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	mark := func(secret string) string {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(secret))
		return hex.EncodeToString(h.Sum(nil))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(secret string) []byte { return gcm.Seal(nil, nil, []byte(secret), nil) }
	clientSecret, registrationToken, managementToken, idempotencyKey := rand.Text(), rand.Text(), rand.Text(), rand.Text()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	a := registry.Application{
		ID: registry.NewID(), Kind: registry.Dynamic, Provider: "okta", Owner: "ada", Name: "reports",
		Alias: "https://app.example.com/client.json",
	}
	claim, err := s.Claim(t.Context(), registry.Claim{
		Caller: "ada", Key: mark(idempotencyKey), Body: mark("{}"),
		Marker: registry.NewID(), Attempt: registry.NewID(), Lease: time.Now().Add(time.Minute),
	})
	must(err)
	i, err := s.Begin(t.Context(), registry.Intent{
		Marker: claim.Marker, Operation: registry.Create, Application: a, Key: claim.Key, Attempt: claim.Attempt, Lease: claim.Lease,
	})
	must(err)
	i.Application.ClientID = "client"
	i.Application.SecretHMAC, i.Application.RegistrationHMAC = mark(clientSecret), mark(registrationToken)
	i.Application.Management = seal(managementToken)
	i, err = s.Advance(t.Context(), i)
	must(err)
	a = i.Application
	c := registry.Contract{Provider: a.Provider, ClientID: a.ClientID, ApplicationID: a.ID, API: "orders", Status: registry.Pending}
	must(s.Complete(t.Context(), registry.Completion{
		Intent: i, Outcome: registry.Done, Contracts: []registry.Contract{c},
		Claim: &claim, Answer: seal(clientSecret + registrationToken),
		Audits: []registry.Audit{{Who: "ada", What: "application.created", Target: a.ID}},
	}))
	c, err = s.Contract(t.Context(), c.Key())
	must(err)
	c.Status = registry.Approved
	_, err = s.UpdateContract(t.Context(), c, registry.Audit{Who: "grace", What: "contract.approved", Target: a.ID})
	must(err)

	// One that is begun and not finished, and a claim that comes to nothing.
	a, err = s.Application(t.Context(), a.ID)
	must(err)
	_, err = s.Touch(t.Context(), a)
	must(err)
	a, err = s.Application(t.Context(), a.ID)
	must(err)
	_, err = s.Begin(t.Context(), registry.Intent{
		Marker: registry.NewID(), Operation: registry.Rotate, Application: a, Attempt: registry.NewID(), Lease: claim.Lease,
	})
	must(err)
	second, err := s.Claim(t.Context(), registry.Claim{
		Caller: "grace", Key: mark(idempotencyKey), Body: mark("{}"),
		Marker: registry.NewID(), Attempt: registry.NewID(), Lease: time.Now().Add(time.Minute),
	})
	must(err)
	must(s.Release(t.Context(), second))
	if audits, _, err := s.Audits(t.Context(), a.ID, registry.Page{}); err != nil || len(audits) != 2 {
		t.Fatalf("got audits %v, %v", audits, err)
	}
	refreshToken := rand.Text()
	grant(t, s, a.Client(), seal(refreshToken))
	return []string{clientSecret, registrationToken, managementToken, idempotencyKey, refreshToken}
}

// grant redeems, exchanges and revokes a grant.
func grant(t *testing.T, s *registry.Store, c registry.Client, sealed []byte) {
	t.Helper()
	expires := time.Now().Add(time.Hour)
	g, err := s.CreateGrant(t.Context(), registry.Grant{
		ID: registry.NewID(), Provider: c.Provider, ClientID: c.ClientID, Tokens: sealed, Expires: expires,
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Generation++
	if g, err = s.UpdateGrant(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if g, err = s.RevokeGrant(t.Context(), g.ID); err != nil || !g.Revoked || g.Generation != 1 {
		t.Fatalf("got %+v, %v; want it exchanged and revoked", g, err)
	}
	if err := s.SaveAnswer(t.Context(), registry.Answer{Key: strings.Repeat("1", 64), Sealed: sealed, Expires: expires}); err != nil {
		t.Fatal(err)
	}
}
