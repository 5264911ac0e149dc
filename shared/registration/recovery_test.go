package registration_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/standin"
)

func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	refusal, ok := errors.AsType[*registration.RefusalError](err)
	if !ok || refusal.Status != status {
		t.Fatalf("got %v, want a refusal with %d", err, status)
	}
}

// reconcile reconciles when every lease has ended.
func (s *site) reconcile(t *testing.T, finished, undone int) {
	t.Helper()
	s.clock.Advance(4 * time.Minute)
	all, err := s.Reconcile(t.Context())
	if err != nil || all.Finished != finished || all.Undone != undone || len(all.Left) > 0 {
		t.Fatalf("got %+v, %v, want %d finished and %d undone", all, err, finished, undone)
	}
}

// stopsAfter makes the caller lose its context when the provider has done a
// request of a method.
func (s *site) stopsAfter(t *testing.T, method string) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s.line.around = func(r *http.Request, serve func()) error {
		serve()
		if r.Method == method {
			cancel()
		}
		return nil
	}
	return ctx
}

func TestF21AClientThatCouldNotBeRecordedIsDeleted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.Register(s.stopsAfter(t, http.MethodPost), ada, service("Reports"))
	wantStatus(t, err, http.StatusServiceUnavailable)
	s.line.around = nil
	if wrong := s.problems(t); wrong != nil {
		t.Error(wrong)
	}
	s.reconcile(t, 0, 1)
	if left := s.org.Registered(""); len(left) > 0 {
		t.Errorf("got %v, want no client", left)
	}
}

func TestF22ADeletionIsFinishedWhateverItStoppedAt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made, err := s.Register(t.Context(), ada, registration.Request{
		Provider: "okta", Metadata: service("Reports").Metadata, Access: []registration.Access{{API: "orders", Tier: "trial"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, s.Delete(s.stopsAfter(t, http.MethodDelete), ada, made.Application.ID), http.StatusServiceUnavailable)
	s.line.around = nil
	if _, err := s.Store.Contract(t.Context(), made.Contracts[0].Key()); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("got %v, want the contract gone first", err)
	}
	s.reconcile(t, 1, 0)
	_, err = s.Read(t.Context(), ada, made.Application.ID)
	wantStatus(t, err, http.StatusNotFound)
}

func TestAnUpdateIsFinishedWhateverItStoppedAt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made, err := s.Register(t.Context(), ada, service("Reports"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Update(s.stopsAfter(t, http.MethodGet), ada, made.Application.ID, service("Renamed").Metadata)
	wantStatus(t, err, http.StatusServiceUnavailable)
	s.line.around = nil
	s.reconcile(t, 1, 0)
	a, err := s.Read(t.Context(), ada, made.Application.ID)
	if err != nil || a.Name != "Renamed" || len(s.org.Registered("Renamed")) != 1 {
		t.Errorf("got %+v, %v", a, err)
	}
}

// TestAServerWithoutSearch is one whose registration access token changes with
// every update, and that cannot look a client up.
func TestAServerWithoutSearch(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := service("Reports")
	r.Provider = "plain"
	made, err := s.Register(t.Context(), ada, r)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second needs the token that the first brought
		if _, err := s.Update(t.Context(), ada, made.Application.ID, service("Renamed").Metadata); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.RotateSecret(t.Context(), ada, made.Application.ID)
	wantStatus(t, err, http.StatusNotImplemented)
	if err := s.Delete(t.Context(), ada, made.Application.ID); err != nil {
		t.Fatal(err)
	}
	if left := s.plain.org.Registered(""); len(left) > 0 {
		t.Errorf("got %v, want no client", left)
	}

	s.plain.around = func(_ *http.Request, serve func()) error { serve(); return errReset }
	_, err = s.Register(t.Context(), ada, r)
	wantStatus(t, err, http.StatusServiceUnavailable)
	s.plain.around = nil
	s.clock.Advance(4 * time.Minute)
	all, err := s.Reconcile(t.Context())
	if err != nil || len(all.Left) != 1 || !errors.Is(all.Left[0].Err, registration.ErrUnfindable) {
		t.Fatalf("got %+v, %v, want it left for an administrator", all, err)
	}
	marker := all.Left[0].Intent.Marker
	if !strings.HasSuffix(s.plain.org.Registered("")[0].Name, marker) {
		t.Error("the administrator cannot find the client by its marker")
	}

	// The administrator looks, deletes it there, and says so.
	a := &api{site: s, t: t}
	a.want(403, request{method: "GET", path: "/intents", authorizer: asAda})
	a.want(403, request{method: "DELETE", path: "/intents/" + marker, authorizer: asAda})
	if got := a.want(200, request{method: "GET", path: "/intents", authorizer: asAdmin}); strings.Contains(got.text, marker) {
		t.Errorf("got %s, want what nobody is at", got.text)
	}
	s.clock.Advance(4 * time.Minute)
	if got := a.want(200, request{method: "GET", path: "/intents", authorizer: asAdmin}); !strings.Contains(got.text, `"client_name":"Reports `+marker) {
		t.Errorf("got %s, want the client's whole name", got.text)
	}
	a.want(204, request{method: "DELETE", path: "/intents/" + marker, authorizer: asAdmin})
	a.want(404, request{method: "DELETE", path: "/intents/" + marker, authorizer: asAdmin})
	if all, err := s.Reconcile(t.Context()); err != nil || len(all.Left) > 0 {
		t.Errorf("got %+v, %v, want nothing left", all, err)
	}
}

func TestOnlyWhatNobodyCanLookUpIsForgotten(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made, err := a.Register(t.Context(), ada, service("Reports"))
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, a.Delete(a.stopsAfter(t, http.MethodDelete), ada, made.Application.ID), http.StatusServiceUnavailable)
	a.line.around = nil
	a.clock.Advance(4 * time.Minute)
	open, _, err := a.Store.Unfinished(t.Context(), a.clock.Now(), registry.Page{})
	if err != nil || len(open) != 1 {
		t.Fatalf("got %v, %v", open, err)
	}
	a.want(409, request{method: "DELETE", path: "/intents/" + open[0].Marker, authorizer: asAdmin})
	a.reconcile(t, 1, 0)
}

func TestUnusedClientsAreReaped(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	registered := func(scope string) (answer, string, map[string]string) {
		t.Helper()
		got := a.want(201, request{method: "POST", path: "/register", body: strings.Replace(web, "{", `{"scope":"`+scope+`",`, 1)})
		return got, "/register/" + got.string("client_id"), map[string]string{"Authorization": "Bearer " + got.string("registration_access_token")}
	}
	unused, _, _ := registered("stock:read") // its contract waits for an owner
	_, used, bearer := registered("stock:read")
	approved, _, _ := registered("orders:read") // its tier approves itself
	a.application()                             // a developer's is never unused
	reap := func(deleted, kept, clients int) {
		t.Helper()
		all, err := a.Reap(t.Context())
		if err != nil || all.Deleted != deleted || all.Kept != kept || len(all.Left) > 0 {
			t.Errorf("got %+v, %v, want %d deleted and %d kept", all, err, deleted, kept)
		}
		a.unchanged("reaped", clients)
	}
	reap(0, 0, 4)
	a.clock.Advance(29 * 24 * time.Hour)
	a.want(200, request{method: "GET", path: used, header: bearer})
	reap(0, 0, 4)
	a.clock.Advance(2 * 24 * time.Hour)
	a.org.Break(standin.Clients, standin.Fault{Status: 500})
	if all, err := a.Reap(t.Context()); err != nil || len(all.Left) != 1 || all.Kept != 1 {
		t.Errorf("while the provider is down: got %+v, %v, want one left and one kept", all, err)
	}
	a.org.Mend()
	a.clock.Advance(4 * time.Minute)
	a.reconcile(t, 1, 0) // what was begun is finished
	reap(0, 1, 3)
	if _, err := a.Store.ApplicationByClient(t.Context(), registry.Client{Provider: "okta", ClientID: unused.string("client_id")}); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("got %v, want it gone", err)
	}

	// Without the contract nothing holds it.
	a.want(200, request{
		method: "PATCH", path: "/apis/orders/contracts/" + approved.string("client_id"), body: `{"status":"revoked"}`, authorizer: asTeam,
	})
	reap(1, 0, 2)
	a.clock.Advance(30 * 24 * time.Hour)
	reap(1, 0, 1)
}

func TestNoSecretIsAtRestInClear(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := filepath.Join(t.TempDir(), "registry.json")
	store, err := registry.Embedded{Path: path, Now: s.clock.Now}.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s.Store = store
	r := service("Reports")
	r.Provider, r.Key = "plain", "idempotency-key-of-ada"
	made, err := s.Register(t.Context(), ada, r)
	if err != nil {
		t.Fatal(err)
	}
	dynamic, err := s.RegisterDynamic(t.Context(), registration.Metadata{RedirectURIs: []string{"https://app.example.com/cb"}}, "192.0.2.7", "")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		made.Secret.Reveal(), dynamic.Secret.Reveal(), dynamic.RegistrationToken.Reveal(), r.Key, "registration_access_token",
	} {
		if text == "" || strings.Contains(string(raw), text) {
			t.Errorf("%.6s… is at rest in clear, or empty", text)
		}
	}
}

func TestAServiceWithoutKeysOrStoreIsRefused(t *testing.T) {
	t.Parallel()
	if (&registration.Service{}).Check(t.Context()) == nil {
		t.Error("the zero Service passes")
	}
	s := newSite(t)
	s.Dynamic.Provider = "none"
	if s.Check(t.Context()) == nil {
		t.Error("dynamic registration at a provider that is not there passes")
	}
	_, err := s.Register(t.Context(), registration.Caller{}, service("Reports"))
	wantStatus(t, err, http.StatusForbidden)
}
