package template_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/infra/tooltest"
)

// Two environments, for their requirements contradict each other.
var (
	samTools = &tooltest.Python{Requirements: "requirements.txt"} // SAM, its translator, cfn-lint
	checkov  = &tooltest.Python{Requirements: "checkov.txt"}
)

// found reports whether a program ended with the status that says that it has
// something to report.
func found(cmd *exec.Cmd) bool { return cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 1 }

// files are the SHA-256 of the files in dir, by path, by the folder they are in
// at the top.
func files(t *testing.T, dir string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		top, rest, below := strings.Cut(path, "/")
		if err != nil || e.IsDir() || !below {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		if all[top] == nil {
			all[top] = map[string]string{}
		}
		sum := sha256.Sum256(text)
		all[top][rest] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
