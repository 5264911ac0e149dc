package registration_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/standin"
)

// TestChoresCountWhatTheyDid: alarms are made of these numbers.
func TestChoresCountWhatTheyDid(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made, err := a.Register(t.Context(), ada, service("Reports"))
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, a.Delete(a.stopsAfter(t, http.MethodDelete), ada, made.Application.ID), http.StatusServiceUnavailable)
	a.line.around = nil
	a.want(201, request{method: "POST", path: "/register", body: strings.Replace(web, "{", `{"scope":"stock:read",`, 1)})
	a.clock.Advance(31 * 24 * time.Hour)
	want := func(what string, counts map[string]int, notes []string, wanted map[string]int, word string) {
		t.Helper()
		if !maps.Equal(counts, wanted) || (word == "") != (notes == nil) || !strings.Contains(strings.Join(notes, "; "), word) {
			t.Errorf("%s: got %v, %q, want %v and %q", what, counts, notes, wanted, word)
		}
	}
	a.org.Break(standin.Clients, standin.Fault{Status: 500})
	counts, notes, err := a.FinishInterrupted(t.Context())
	if err != nil {
		t.Error(err)
	}
	want("interrupted, the provider down", counts, notes, map[string]int{"finished": 0, "undone": 0, "left": 1}, "delete ")
	counts, notes, err = a.LookAtProviders(t.Context())
	if err != nil {
		t.Error(err)
	}
	want("providers, one down", counts, notes, map[string]int{"healthy": 1, "unhealthy": 1}, "okta: registration: unavailable")
	a.org.Mend()
	a.clock.Advance(4 * time.Minute)
	counts, notes, err = a.FinishInterrupted(t.Context())
	if err != nil {
		t.Error(err)
	}
	want("interrupted", counts, notes, map[string]int{"finished": 1, "undone": 0, "left": 0}, "")
	counts, notes, err = a.ReapUnused(t.Context())
	if err != nil {
		t.Error(err)
	}
	want("unused", counts, notes, map[string]int{"deleted": 1, "kept": 0, "left": 0}, "")
	counts, notes, err = a.LookAtProviders(t.Context())
	if err != nil {
		t.Error(err)
	}
	want("providers", counts, notes, map[string]int{"healthy": 2, "unhealthy": 0}, "")
}
