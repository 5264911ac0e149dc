package token_test

import (
	"os/exec"
	"strings"
	"testing"
)

// linked are the packages whose dependencies must not be able to decrypt.
func linked() []string { return []string{"gatehouse/shared/token"} }

// J7 and J10, held by the linker: what is not there cannot be reached.
func TestJ7_noCodeThatDecrypts(t *testing.T) {
	t.Parallel()
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err) // the tests are run with it
	}
	out, err := exec.CommandContext(t.Context(), goCommand, append([]string{"list", "-deps"}, linked()...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 50 {
		t.Fatalf("go list names %d packages", len(packages))
	}
	for _, p := range packages {
		if strings.Contains(p, "jwe") {
			t.Errorf("%s is linked", p)
		}
	}
}
