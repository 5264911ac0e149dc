package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatehouse": main})
}

// TestScript runs what people type. Each script starts in a folder with
// template.yaml and infra/gatehouse.yaml, where the commands look by default.
// $BUSY is a port that is taken.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			for from, to := range map[string]string{
				"../../template.yaml": "template.yaml", "../gatehouse.yaml": "infra/gatehouse.yaml",
				"../gatehouse.schema.json": "infra/gatehouse.schema.json",
			} {
				text, err := os.ReadFile(from)
				if err != nil {
					return err
				}
				if err := os.MkdirAll(filepath.Join(e.WorkDir, "infra"), 0o750); err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(e.WorkDir, to), text, 0o600); err != nil {
					return err
				}
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Defer(func() { l.Close() })
			_, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil {
				return err
			}
			e.Setenv("BUSY", port)
			return nil
		},
	})
}

// A command that fails is not a command line that is wrong.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		args []string
		want int
	}{
		{"help", []string{"--help"}, 0},
		{"the schema", []string{"schema"}, 0},
		{"a file that is not there", []string{"check", "--config", "nowhere.yaml"}, 1},
		{"a flag that there is not", []string{"check", "--confg", "x"}, 2},
		{"a command that there is not", []string{"fly"}, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := execute(t.Context(), row.args, stage{out: io.Discard, err: io.Discard, env: os.LookupEnv}); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
		})
	}
}
