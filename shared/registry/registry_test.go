package registry_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/registry"
)

// register makes an application as registration would.
func register(t *testing.T, s *registry.Store, now time.Time) registry.Application {
	t.Helper()
	i, err := s.Begin(t.Context(), registry.Intent{
		Marker: registry.NewID(), Operation: registry.Create, Attempt: registry.NewID(), Lease: now.Add(time.Minute),
		Application: registry.Application{
			ID: registry.NewID(), Kind: registry.Dynamic, Provider: "okta", Owner: "ada", Name: "reports",
			SecretHMAC: strings.Repeat("a", 64),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	i.Application.ClientID = "client-" + i.Application.ID
	if err := s.Complete(t.Context(), registry.Completion{Intent: i, Outcome: registry.Done}); err != nil {
		t.Fatal(err)
	}
	a, err := s.Application(t.Context(), i.Application.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// writeForever adds audits and reports each on a line, until it is killed.
func writeForever(path string) int {
	s, err := registry.Embedded{Path: path}.Open()
	if err != nil {
		_, _ = io.WriteString(os.Stderr, err.Error())
		return 1
	}
	for {
		if err := s.Append(context.Background(), registry.Audit{Who: "writer", What: "wrote", Target: "target"}); err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			return 1
		}
		if _, err := io.WriteString(os.Stdout, "done\n"); err != nil {
			return 1
		}
	}
}

// FuzzCursor wants every text to be a cursor or to be refused as none. A cursor
// leads on in its own list alone.
func FuzzCursor(f *testing.F) {
	s, err := registry.Embedded{}.Open()
	if err != nil {
		f.Fatal(err)
	}
	for range 2 {
		if err := s.Append(context.Background(), registry.Audit{Who: "ada", What: "x", Target: "y"}); err != nil {
			f.Fatal(err)
		}
	}
	_, cursor, err := s.Audits(context.Background(), "y", registry.Page{Limit: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cursor)
	f.Add("")
	f.Add("AAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		got, next, err := s.Audits(t.Context(), "y", registry.Page{After: text})
		if err != nil && (!errors.Is(err, registry.ErrCursor) || len(got) > 0 || next != "") {
			t.Errorf("got %v, %q, %v; want ErrCursor", got, next, err)
		}
		for _, a := range got {
			if a.Target != "y" {
				t.Errorf("got %v of another list", a)
			}
		}
		if _, _, other := s.Audits(t.Context(), "z", registry.Page{After: text}); text != "" && err == nil && !errors.Is(other, registry.ErrCursor) {
			t.Errorf("%q is a cursor of two lists: %v", text, other)
		}
	})
}
