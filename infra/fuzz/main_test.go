package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// files is a module with a target for each end that there is.
var files = map[string]string{
	"go.mod": "module example\n\ngo 1.26\n",
	"good/good_test.go": `package good
import "testing"
func FuzzGood(f *testing.F) { f.Add("a"); f.Fuzz(func(*testing.T, string) {}) }
`,
	"bad/bad_test.go": `package bad
import "testing"
func FuzzFound(f *testing.F) {
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 2 { t.Fatal("too long") }
	})
}
func FuzzSeed(f *testing.F) {
	f.Add("abc")
	f.Fuzz(func(t *testing.T, s string) { t.Fatal("never right") })
}
func FuzzSkipped(f *testing.F) { f.Skip("not here") }
`,
}

func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, filter string
		wantError    string
		wantOutput   string // an expression
		wantSummary  string // an expression
	}{
		{"a target that finds nothing", "good", "", `(?s)targets: 1, in packages: 1; 3s each, 2 at once: 3s, when.*1/1 +\d+ inputs.*example/good FuzzGood.*\d+ inputs, no finding`,
			`^ *[1-9]\d*  inputs fuzzed without a finding, by 1 targets of 3s each\n$`},
		{"a target that finds something", "FuzzFound$", "1 of 1 targets failed", `(?s)FuzzFound: it found an input.*too long.*bad/testdata/fuzz/FuzzFound/\w+:\ngo test fuzz v1\nstring\(`, `^$`},
		{"a seed that breaks its target", "bad.FuzzSeed", "1 of 1 targets failed", `(?s)FAIL example/bad FuzzSeed: exit status 1.*never right`, `^$`},
		{"a target that is skipped", "FuzzSkipped", "1 of 1 targets failed", `FuzzSkipped: it was not run`, `^$`},
		{"one that fails beside one that does not", "FuzzGood|FuzzSkipped", "1 of 2 targets failed", `FuzzGood`, `^$`},
		{"no such target", "Nobody", `no fuzz target matches "Nobody"`, `^$`, `^$`},
		{"an expression that is none", "(", "-run: error parsing regexp", `^$`, `^$`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			summary := filepath.Join(t.TempDir(), "summary")
			if err := os.WriteFile(summary, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			r := runner{out: &out, dir: module(t), cache: t.TempDir(), time: 3 * time.Second, parallel: 2}
			if row.filter == "FuzzFound$" {
				r.time = time.Minute // it ends when it has
			}
			err := r.module(context.Background(), row.filter, summary)
			if (err == nil) != (row.wantError == "") || err != nil && !strings.Contains(err.Error(), row.wantError) {
				t.Errorf("got error %v, want %q", err, row.wantError)
			}
			if !regexp.MustCompile(row.wantOutput).Match(out.Bytes()) {
				t.Errorf("got %s\nwant %s", &out, row.wantOutput)
			}
			text, err := os.ReadFile(summary)
			if err != nil || !regexp.MustCompile(row.wantSummary).Match(text) {
				t.Errorf("summary: got %q, %v; want %s", text, err, row.wantSummary)
			}
		})
	}
}
