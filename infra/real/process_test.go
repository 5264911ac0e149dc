package real_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/infra/tooltest"
)

// startTimeout is how long a server may take to start on a busy machine of two
// cores.
const startTimeout = 3 * time.Minute

// run runs a command that ends by itself.
func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// start starts a server that runs until the test ends, and waits until ready
// answers 200.
func start(t *testing.T, server *exec.Cmd, ready string) {
	t.Helper()
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		tooltest.Missing(t, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Wait() // says only that it was killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = server.Process.Kill() // by its pid; it has nothing to save
		<-ended
		if t.Failed() {
			t.Logf("%s", log.Bytes())
		}
	})
	if err := answers(t.Context(), ready, ended); err != nil {
		t.Fatalf("%s: %v", filepath.Base(server.Path), err)
	}
}

func answers(ctx context.Context, address string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errors.New("the server ended")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// freePort returns a loopback port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// newJava returns a java of this version or a newer one: JAVA_HOME's, the one in
// PATH, or one that stands where Linux distributions put them.
func newJava(ctx context.Context, oldest int) (string, error) {
	var found []string
	if home := os.Getenv("JAVA_HOME"); home != "" {
		found = append(found, filepath.Join(home, "bin", "java"))
	}
	if inPath, err := exec.LookPath("java"); err == nil {
		found = append(found, inPath)
	}
	others, err := filepath.Glob("/usr/lib/jvm/*/bin/java")
	if err != nil {
		return "", err
	}
	for _, java := range append(found, others...) {
		// "openjdk 25.0.3 2026-04-21 LTS"
		out, err := exec.CommandContext(ctx, java, "--version").Output()
		words := strings.Fields(string(out))
		if err != nil || len(words) < 2 {
			continue
		}
		major, _, _ := strings.Cut(words[1], ".")
		if n, err := strconv.Atoi(major); err == nil && n >= oldest {
			return java, nil
		}
	}
	return "", fmt.Errorf("no Java %d or newer in JAVA_HOME, PATH or /usr/lib/jvm", oldest)
}

// unpack unpacks an artifact of Maven Central, "group:artifact:version:type",
// into dir.
func unpack(ctx context.Context, dir, artifact string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return run(ctx, dir, "mvn", "-B", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack", "-Dartifact="+artifact, "-DoutputDirectory="+dir)
}

// install installs what package.json and package-lock.json in from say into dir.
func install(ctx context.Context, dir, from string) error {
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return run(ctx, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
}
