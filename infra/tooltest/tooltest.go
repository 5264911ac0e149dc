// Package tooltest gets tests the tools of others, and keeps them in the user's
// cache. A test that cannot have one is skipped, in CI (environment variable CI)
// it fails.
package tooltest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fetchTimeout is how long a tool may take to arrive on a busy machine of two
// cores.
const fetchTimeout = 5 * time.Minute

// Missing ends the test because a tool cannot be had.
func Missing(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv("CI") != "" { //nolint:forbidigo // test support: only CI may not go without
		tb.Fatal(err)
	}
	tb.Skip(err)
}

// Cached returns the directory of this name in the user's cache. If there is
// none, fill fills one beside it that is then renamed: what is there is
// complete.
func Cached(ctx context.Context, name string, fill func(ctx context.Context, dir string) error) (string, error) {
	dir, err := place(name)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), name+".")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if err := fill(ctx, fresh); err != nil {
		return "", err
	}
	if err := os.Rename(fresh, dir); err != nil {
		if _, other := os.Stat(dir); other != nil { // else another test was faster
			return "", err
		}
	}
	return dir, nil
}

// place is where the cache has what is called name.
func place(name string) (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "gatehouse", name), err
}

// Run runs a command that ends by itself. Its error has what it said.
func Run(cmd *exec.Cmd) error {
	_, err := Said(cmd)
	return err
}

// Said is [Run] that returns what the command said, too: what it wrote to
// standard error, and to standard output unless that is taken.
func Said(cmd *exec.Cmd) (string, error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	if cmd.Stdout == nil {
		cmd.Stdout = &said
	}
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return said.String(), nil
}
