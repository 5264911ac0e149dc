package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"gatehouse/infra/tooltest"
)

// firstText hands on the first text that is written.
type firstText chan string

// Write hands p on, if it is the first.
func (f firstText) Write(p []byte) (int, error) {
	select {
	case f <- string(p):
	default:
	}
	return len(p), nil
}

// What `make run` prints is pasted into a terminal, so each line must do there
// what the comment above it says.
func TestTheCommandsThatRunPrints(t *testing.T) {
	t.Parallel()
	needCurl(t)
	ctx, stop := context.WithCancel(t.Context())
	printed, status := make(firstText, 1), make(chan int, 1)
	var complaints journal
	go func() {
		status <- execute(ctx, []string{"run", "--port", "0", "--template", "../../template.yaml", "--config", "../gatehouse.yaml"},
			stage{out: printed, err: &complaints, env: os.LookupEnv})
	}()
	t.Cleanup(func() {
		stop()
		if got := <-status; got != 0 || complaints.String() != "" {
			t.Errorf("run ended with %d: %s", got, complaints.String())
		}
	})
	var text string
	select {
	case text = <-printed:
	case got := <-status:
		status <- got
		t.Fatalf("run ended with %d: %s", got, complaints.String())
	}
	var script strings.Builder
	var wants []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(line, "# "); ok {
			script.WriteString("echo '=== '\n")
			wants = append(wants, comment)
		} else if strings.HasPrefix(line, "curl") || strings.Contains(line, "=$(") {
			script.WriteString(line + "\n")
		}
	}
	got := shell(t, script.String())
	said := strings.Split(got, "=== ")[1:]
	if len(said) != len(wants) || len(wants) < 9 {
		t.Fatalf("%d comments, %d answers:\n%s", len(wants), len(said), got)
	}
	for n, want := range wants {
		code, _, told := strings.Cut(want, ":")
		if status := regexp.MustCompile(`HTTP/1.1 (\d+)`).FindStringSubmatch(said[n]); len(code) == 3 && told && (status == nil || status[1] != code) {
			t.Errorf("%s: got %s", want, said[n])
		}
	}
}

// The commands of the README's first page, on other ports.
func TestTheCommandsOfTheREADME(t *testing.T) {
	t.Parallel()
	needCurl(t)
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```sh\ncurl")
	block, _, found := strings.Cut(block, "```")
	if !found {
		t.Fatal("no shell commands in README.md")
	}
	r := start(t, repositoryFiles())
	script := "curl" + block
	for standard, base := range map[string]string{"8080": r.REST, "8081": r.HTTP, "8082": r.IDP, "8083": r.Own} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		script = strings.ReplaceAll(script, "localhost:"+standard, u.Host)
	}
	got := regexp.MustCompile(`HTTP/1.1 (\d+)`).FindAllStringSubmatch(shell(t, script), -1)
	var statuses []string
	for _, match := range got {
		statuses = append(statuses, match[1])
	}
	if want := "[401 201 200 403]"; fmt.Sprint(statuses) != want {
		t.Errorf("got %v, want %s", statuses, want)
	}
}

// needCurl skips a test on machines without curl, which are not those of CI.
func needCurl(t *testing.T) {
	t.Helper()
	for _, program := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(program); err != nil {
			tooltest.Missing(t, fmt.Errorf("the commands cannot be tried: %w", err))
		}
	}
}

func shell(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}
