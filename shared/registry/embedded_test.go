package registry_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/registry"
	"gatehouse/shared/registry/registrytest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("REGISTRY_TEST_WRITER"); path != "" {
		os.Exit(writeForever(path))
	}
	os.Exit(m.Run())
}

func TestEmbeddedFile(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, func(t *testing.T, now func() time.Time) *registry.Store {
		t.Helper()
		return openFile(t, filepath.Join(t.TempDir(), "registry.json"), now)
	})
}

func TestEmbeddedMemory(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, func(t *testing.T, now func() time.Time) *registry.Store {
		t.Helper()
		return openFile(t, "", now)
	})
}

func openFile(t *testing.T, path string, now func() time.Time) *registry.Store {
	t.Helper()
	s, err := registry.Embedded{Path: path, Now: now}.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.json")
	clock := registrytest.NewClock()
	s := openFile(t, path, clock.Now)
	a := register(t, s, clock.Now())
	if _, err := (registry.Embedded{Path: path}).Open(); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second writer gets %v, want to be told that another process has the file", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openFile(t, path, clock.Now)
	b, err := s.Application(t.Context(), a.ID)
	if err != nil || b.Name != a.Name || b.Version != a.Version {
		t.Errorf("got %+v, %v; want %+v", b, err, a)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestDamagedFileIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty":            ``,
		"cut short":        `{"gatehouse_registry":1,"records":[{"pk":"a","sk":"b"`,
		"something else":   `{"name":"package"}`,
		"another format":   `{"gatehouse_registry":2,"records":[]}`,
		"two documents":    `{"gatehouse_registry":1,"records":[]}{}`,
		"a record twice":   `{"gatehouse_registry":1,"records":[{"pk":"a","sk":"b","v":1,"d":{}},{"pk":"a","sk":"b","v":1,"d":{}}]}`,
		"no version":       `{"gatehouse_registry":1,"records":[{"pk":"a","sk":"b","d":{}}]}`,
		"a record without": `{"gatehouse_registry":1,"records":[{"pk":"a","sk":"b","v":1}]}`,
	} {
		path := filepath.Join(t.TempDir(), "registry.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the lock must not stay either
			_, err := registry.Embedded{Path: path}.Open()
			if !errors.Is(err, registry.ErrCorrupt) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: got %v, want ErrCorrupt and the name of the file", name, err)
			}
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != content {
			t.Errorf("%s: the file is now %q, %v", name, left, err)
		}
	}
}

func TestAFailedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := openFile(t, filepath.Join(dir, "registry.json"), nil)
	a := register(t, s, time.Now())
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	_, err := s.Begin(t.Context(), registry.Intent{
		Marker: "m", Operation: registry.Delete, Application: a, Attempt: "a", Lease: time.Now().Add(time.Minute),
	})
	if !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if b, err := s.Application(t.Context(), a.ID); err != nil || b.State != registry.Active || b.Version != a.Version {
		t.Errorf("got %+v, %v; want it unchanged", b, err)
	}
}

// TestKilledWriter kills a process that writes as fast as it can, at any
// instant, and wants every change that it reported.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.json")
	reported := 0
	for round := range 20 {
		writer := exec.Command(os.Args[0])
		writer.Env = append(os.Environ(), "REGISTRY_TEST_WRITER="+path)
		out, err := writer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 3+round && lines.Scan(); n++ {
			reported++
		}
		if err := writer.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // reported between our reading and its end
			reported++
		}
		_ = writer.Wait()
		s, err := registry.Embedded{Path: path}.Open()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		found := 0
		page := registry.Page{Limit: 100}
		for {
			audits, next, err := s.Audits(t.Context(), "target", page)
			if err != nil {
				t.Fatal(err)
			}
			found += len(audits)
			if page.After = next; next == "" {
				break
			}
		}
		// One change may have been made and not reported.
		if found < reported || found > reported+1 {
			t.Fatalf("round %d: %d changes in the file, %d reported", round, found, reported)
		}
		reported = found
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if reported < 100 {
		t.Errorf("only %d changes were made", reported)
	}
}
