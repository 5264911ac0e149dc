// Package functions_test holds what is true of the Lambda functions as they are
// deployed: what is linked into them, and that they answer as Lambda runs them.
package functions_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite deps.txt")

// TestThirdPartyModules makes each new module in a function a line of a diff
// that somebody has to approve.
func TestThirdPartyModules(t *testing.T) {
	t.Parallel()
	got := "# Third-party modules in each function. go test ./functions -update writes this file.\n"
	for _, name := range functions(t) {
		var modules []string
		for _, p := range linked(t, name) {
			if p.module != "" {
				modules = append(modules, "\t"+p.module+"\n")
			}
		}
		slices.Sort(modules)
		got += "\n" + name + "\n" + strings.Join(slices.Compact(modules), "")
	}
	if *update {
		if err := os.WriteFile("deps.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile("deps.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant what deps.txt has; go test ./functions -update writes it anew\n%s", got, want)
	}
}

// TestWhatNoFunctionHas holds it by the linker: what is not there cannot be
// reached, nor make a cold start longer.
func TestWhatNoFunctionHas(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, words, reason string }{
		{"", "jwe", "nothing here decrypts tokens"},
		{"", "testing", "it is for tests"},
		{"", "httptest", "it is for tests"},
		{"", "net/rpc", "it serves a runtime of the past; build with -tags lambda.norpc"},
		{"", "gatehouse/shared/standin", "it issues tokens to whoever asks"},
		{"", "gatehouse/infra", "it is for the laptop"},
		{"authorizer", "gatehouse/shared/demoapi", "it is what others protect"},
		{"authorizer", "gatehouse/shared/registration", "it registers nobody, and must not be able to"},
		{"authorizer", "gatehouse/shared/seal", "what is sealed is none of its business"},
		{"registration", "gatehouse/shared/authorizer", "it decides about no request"},
		{"", "libopenapi", "documents are validated in tests"},
		{"demoapi", "gatehouse/shared/token", "tokens are the authorizer's business"},
		{"demoapi", "aws-sdk-go-v2", "it has no use for AWS"},
	}
	for _, name := range functions(t) {
		for _, p := range linked(t, name) {
			for _, test := range tests {
				if (test.in == "" || test.in == name) && strings.Contains(p.path, test.words) {
					t.Errorf("%s is linked with %s: %s", name, p.path, test.reason)
				}
			}
		}
	}
}

// functions are the names of the functions: a folder each.
func functions(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		t.Fatal("there are no functions")
	}
	return names
}

// linkedPackage is a package that is part of a function.
type linkedPackage struct {
	path   string
	module string // "" for the standard library and for our own
}

// linked are the packages of a function as the Makefile builds it.
func linked(t *testing.T, name string) []linkedPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "lambda.norpc",
		"-f", "{{.ImportPath}} {{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./"+name)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []linkedPackage
	for line := range strings.Lines(string(out)) {
		path, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		packages = append(packages, linkedPackage{path, module})
	}
	if len(packages) < 50 {
		t.Fatalf("%s is linked with %d packages only", name, len(packages))
	}
	return packages
}

// missing skips a test for what this machine lacks. In CI it is an error:
// there everything has to run.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is needed", what)
	}
	t.Skipf("%s is needed", what)
}

// command returns the path of a program.
func command(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, fmt.Sprintf("the command %s", name))
	}
	return path
}
