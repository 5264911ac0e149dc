package tooltest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Python is a virtual environment of Python in the user's cache.
type Python struct {
	Requirements string // file with the packages, their versions and hashes

	once sync.Once
	dir  string
	err  error
}

// Path is where a program of the environment is. Without Python the test ends.
func (p *Python) Path(t *testing.T, program string) string {
	t.Helper()
	p.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), fetchTimeout)
		defer cancel()
		p.dir, p.err = p.install(ctx)
	})
	if p.err != nil {
		Missing(t, p.err)
	}
	return filepath.Join(p.dir, "bin", program)
}

// install returns the environment with exactly these requirements. It is made
// where it stays, for it knows its own path, and complete when it says so.
func (p *Python) install(ctx context.Context) (string, error) {
	text, err := os.ReadFile(p.Requirements)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	dir, err := place("python-" + hex.EncodeToString(sum[:8]))
	if err != nil {
		return "", err
	}
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	if _, err := exec.LookPath("python3"); err != nil {
		return "", fmt.Errorf("python3 is needed for SAM, cfn-lint and checkov: %w", err)
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		{filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
			"--require-hashes", "--no-deps", "--requirement", p.Requirements},
	} {
		if err := Run(exec.CommandContext(ctx, args[0], args[1:]...)); err != nil { //nolint:gosec // constants and paths of the test's
			return "", err
		}
	}
	return dir, os.WriteFile(complete, nil, 0o600)
}

// Program is a command of the environment. It asks nobody for anything: not AWS,
// and not the makers of the tools.
func (p *Python) Program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.Path(t, name), args...) //nolint:gosec // the test names it
	for _, variable := range os.Environ() {                           //nolint:forbidigo // the tools need PATH and the like
		// The make that may have started this test is not to steer that of SAM.
		if !strings.HasPrefix(variable, "MAKE") && !strings.HasPrefix(variable, "MFLAGS=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "SAM_CLI_TELEMETRY=0", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"SKIP_DOWNLOAD=true", "LOG_LEVEL=ERROR", "ANSI_COLORS_DISABLED=true")
	return cmd
}
