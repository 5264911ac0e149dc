package tooltest

import (
	"fmt"
	"os"
	"testing"
)

// Count adds a line to the summary that CI ends with, the file in the environment
// variable SUMMARY: what was counted, and how many.
func Count(t *testing.T, what string, n int64) {
	t.Helper()
	t.Logf("%s: %d", what, n)
	name := os.Getenv("SUMMARY") //nolint:forbidigo // test support, as in [Missing]
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the file that make names
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(f, "%12d  %s\n", n, what)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		t.Fatal(err)
	}
}
