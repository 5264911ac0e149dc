package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// This file plays the Lambda Runtime API to one process of a function at a time.

// patience is how long a function may take for anything: Node at the CPU share of
// 128 MB takes two seconds to start.
const patience = 30 * time.Second

// process is a function that runs.
type process struct {
	cmd    *exec.Cmd
	server *http.Server
	ready  chan struct{} // it asked for the next event
	events chan []byte
	answer chan answered
	began  time.Time
	group  string // control group that ends with it, "" for none
}

type answered struct {
	at   time.Time
	body string
	ok   bool
}

// start starts a function. group is a control group's folder, for this process
// alone, "" for none.
func start(ctx context.Context, f *function, group string) (*process, error) {
	l, url, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	p := &process{ready: make(chan struct{}, 1), events: make(chan []byte), answer: make(chan answered, 1), group: group}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", p.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", p.answered)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 4<<10)) // what there is of it
		p.answer <- answered{body: string(text)}
	})
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	go func() { _ = p.server.Serve(l) }() // until it is closed

	command := f.command
	if group != "" {
		command = append([]string{"sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, group}, command...)
	}
	p.cmd = exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // our own functions
	p.cmd.Dir = f.dir
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir, //nolint:forbidigo // handed on
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(url, "http://"),
		"AWS_LAMBDA_FUNCTION_NAME=bench", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "AWS_LAMBDA_FUNCTION_VERSION=1",
		"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/bench", "AWS_LAMBDA_LOG_STREAM_NAME=bench", "AWS_REGION=eu-west-1", "LAMBDA_TASK_ROOT=" + f.dir, "METRICS_NAMESPACE=Gatehouse",
	}, f.env...)
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, p.server.Close())
	}
	return p, nil
}

func (p *process) next(w http.ResponseWriter, r *http.Request) {
	p.ready <- struct{}{}
	select {
	case event := <-p.events:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", "8286a188-ba32-4475-8077-530cd35c09a9")
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(patience).UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:bench")
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0")
		_, _ = w.Write(event) // what becomes of it shows in the answer
	case <-r.Context().Done():
	}
}

func (p *process) answered(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	p.answer <- answered{time.Now(), string(body), err == nil && r.PathValue("kind") == "response"}
	w.WriteHeader(http.StatusAccepted)
}

// invoke sends an event and returns how long the answer took.
func (p *process) invoke(event []byte) (time.Duration, error) {
	began := time.Now()
	select {
	case p.events <- event:
	case <-time.After(patience):
		return 0, errors.New("the function takes no event")
	}
	select {
	case a := <-p.answer:
		if !a.ok || !strings.Contains(a.body, `"Allow"`) {
			return 0, fmt.Errorf("the function answered %.300s", a.body)
		}
		return a.at.Sub(began), nil
	case <-time.After(patience):
		return 0, errors.New("the function does not answer")
	}
}

// waiting waits until the function asks for an event.
func (p *process) waiting() error {
	select {
	case <-p.ready:
		return nil
	case a := <-p.answer:
		return fmt.Errorf("the function does not start: %.300s", a.body)
	case <-time.After(patience):
		return errors.New("the function does not ask for an event")
	}
}

// used is what a process has used: CPU time so far, and its largest memory.
type used struct {
	cpu  time.Duration
	peak int64 // bytes
}

// measured reads what the process has used so far from /proc, 0 where there is
// none. The kernel counts the time of processes in hundredths of a second.
func (p *process) measured() (u used) {
	dir := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	status, _ := os.ReadFile(filepath.Join(dir, "status")) //nolint:gosec // of our own process
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			u.peak = kib << 10
		}
	}
	stat, _ := os.ReadFile(filepath.Join(dir, "stat")) //nolint:gosec // of our own process
	if fields := strings.Fields(string(stat)); len(fields) > 14 {
		user, _ := strconv.Atoi(fields[13])
		system, _ := strconv.Atoi(fields[14])
		u.cpu = time.Duration(user+system) * 10 * time.Millisecond
	}
	return u
}

// stop ends the process and its control group, and returns the CPU time of its
// whole life.
func (p *process) stop() (time.Duration, error) {
	_ = p.cmd.Process.Kill() // it may be dead
	_ = p.cmd.Wait()         // killed
	_ = p.server.Close()     // nobody is left to talk to
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), removeGroup(p.group)
}
