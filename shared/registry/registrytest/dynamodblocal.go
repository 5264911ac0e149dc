package registrytest

import (
	"bytes"
	"context"
	_ "embed" // the list of what DynamoDB Local consists of
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

//go:embed dynamodblocal/pom.xml
var pom []byte

// localVersion names the cached copy; it follows pom.xml.
const localVersion = "dynamodblocal-2.5.3"

// startTimeout bounds the start of DynamoDB Local on a busy machine.
const startTimeout = time.Minute

// DynamoDBLocal starts AWS's own DynamoDB Local, in memory, until the test
// ends, and returns its URL. The jars come from Maven Central once and stay in
// the user's cache. Where Java or Maven is missing the test is skipped, in CI
// (environment variable CI) it fails.
func DynamoDBLocal(tb testing.TB) string {
	tb.Helper()
	jars, err := localJars(tb.Context())
	if err != nil {
		missing(tb, err)
	}
	port, err := freePort(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var log bytes.Buffer
	server := exec.Command("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", //nolint:gosec,noctx // constants; it lives as long as the test, and is ended below
		"-Djava.library.path="+jars, "-cp", filepath.Join(jars, "*"),
		"com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
		"-inMemory", "-disableTelemetry", "-port", strconv.Itoa(port))
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		missing(tb, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Wait() // says only that it was killed
		close(ended)
	}()
	stop := func() {
		_ = server.Process.Kill() // by its pid; it has nothing to save
		<-ended
	}
	tb.Cleanup(stop)
	address := "http://127.0.0.1:" + strconv.Itoa(port)
	if err := answers(tb.Context(), address, ended); err != nil {
		stop() // so that nobody writes the log while it is read
		missing(tb, fmt.Errorf("%w\n%s", err, log.String()))
	}
	return address
}

// missing ends the test because DynamoDB Local cannot be had.
func missing(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv("CI") != "" { //nolint:forbidigo // test support: only CI may not go without
		tb.Fatalf("DynamoDB Local: %v", err)
	}
	tb.Skipf("DynamoDB Local: %v", err)
}

// localJars returns the directory of the jars, filled by Maven if need be.
func localJars(ctx context.Context) (string, error) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", err
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache, "gatehouse")
	jars := filepath.Join(parent, localVersion)
	if _, err := os.Stat(jars); err == nil {
		return jars, nil
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	// Filled beside its place and then renamed: what is there is complete.
	fresh, err := os.MkdirTemp(parent, localVersion+".")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	project := filepath.Join(fresh, "pom.xml")
	if err := os.WriteFile(project, pom, 0o600); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "mvn", "-B", "-q", "-f", project, //nolint:gosec // constants and our own path
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+fresh).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mvn: %w\n%s", err, out)
	}
	if err := os.Rename(fresh, jars); err != nil {
		if _, other := os.Stat(jars); other != nil { // else another test was faster
			return "", err
		}
	}
	return jars, nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// answers waits until the server speaks HTTP.
func answers(ctx context.Context, address string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errors.New("the server ended")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
