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
	token, tried, want := "", 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "# "):
			want = regexp.MustCompile(`^# (\d\d\d):`).ReplaceAllString(line, "$1:")
		case strings.HasPrefix(line, "TOKEN="):
			token = line
		case strings.HasPrefix(line, "curl"):
			tried++
			got := shell(t, token+"\n"+line)
			code, _, told := strings.Cut(want, ":")
			if !told || strings.HasPrefix(code, "#") {
				code = "20"
			}
			if strings.Contains(line, " -i ") && !strings.HasPrefix(got, "HTTP/1.1 "+code) {
				t.Errorf("%s\n%s\ngot %s", want, line, got)
			}
		}
	}
	if tried != 5 || token == "" {
		t.Errorf("found %d curl lines in\n%s", tried, text)
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
	for standard, base := range map[string]string{"8080": r.REST, "8081": r.HTTP, "8082": r.IDP} {
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
	if want := "[401 200 403]"; fmt.Sprint(statuses) != want {
		t.Errorf("got %v, want %s", statuses, want)
	}
}

// needCurl skips a test on machines without curl, which are not those of CI.
func needCurl(t *testing.T) {
	t.Helper()
	for _, program := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skipf("the commands cannot be tried: %v", err)
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
