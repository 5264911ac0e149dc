package samlocal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/infra/tooltest"
)

// How long things may take on a busy machine of two cores.
const (
	startTimeout = 2 * time.Minute
	endTimeout   = 30 * time.Second
)

// samImage is what SAM takes the container of the runtime from.
const samImage = "public.ecr.aws/lambda/provided"

// engine is a Docker engine in namespaces of its own.
type engine struct {
	pid    int
	socket string
}

// programs are those that the engine and its image need.
func programs() []string {
	return []string{"dockerd", "debootstrap", "tar", "mount", "ip", "nsenter", "curl"}
}

// startEngine starts an engine that runs until the test ends, and has the image.
func startEngine(t *testing.T) engine {
	t.Helper()
	if os.Geteuid() != 0 {
		tooltest.Missing(t, errors.New("a Docker engine of its own takes root"))
	}
	for _, name := range programs() {
		if _, err := exec.LookPath(name); err != nil {
			tooltest.Missing(t, fmt.Errorf("%w (Debian's packages docker.io, debootstrap, iproute2, util-linux and curl have what is needed)", err))
		}
	}
	image, err := tooltest.Cached(t.Context(), "debian-bookworm-"+runtime.GOARCH, debian)
	if err != nil {
		tooltest.Missing(t, err)
	}
	e := engine{socket: filepath.Join(t.TempDir(), "docker.sock")}
	e.start(t)
	if err := e.importImage(t.Context(), filepath.Join(image, imageFile)); err != nil {
		t.Fatal(err)
	}
	return e
}

// imageFile is the root file system in the cache.
const imageFile = "root.tar"

// debian makes the root file system: a shell, for SAM has its emulator of the
// runtime made executable, and what that takes. vfs copies it for each container,
// so what nobody reads there is left out.
func debian(ctx context.Context, dir string) error {
	root := filepath.Join(dir, "root")
	if err := tooltest.Run(exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "bookworm", root)); err != nil {
		return err
	}
	tar := exec.CommandContext(ctx, "tar", "--create", "--file", filepath.Join(dir, imageFile), "--directory", root,
		"--exclude=./var/cache", "--exclude=./var/lib/apt", "--exclude=./var/log", "--exclude=./usr/share", "--exclude=./dev/*", ".")
	if err := tooltest.Run(tar); err != nil {
		return err
	}
	return os.RemoveAll(root)
}

// start starts the engine as the first process of its namespaces: what it
// started, mounted and connected ends with it.
func (e *engine) start(t *testing.T) {
	t.Helper()
	const script = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
ip link set lo up
exec dockerd --storage-driver vfs --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" --host "unix://$1/docker.sock" \
	--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$2"`
	groups := fmt.Sprintf("gatehouse-%d", os.Getpid())
	var log bytes.Buffer
	cmd := exec.Command("sh", "-c", script, "sh", filepath.Dir(e.socket), groups)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		tooltest.Missing(t, fmt.Errorf("namespaces of its own: %w", err))
	}
	e.pid = cmd.Process.Pid
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // says only that it was ended
		close(ended)
	}()
	t.Cleanup(func() {
		end(t, cmd.Process, ended)
		removeGroups(t, groups)
		if t.Failed() {
			t.Logf("dockerd: %s", log.Bytes())
		}
	})
	if err := wait(t.Context(), ended, func() bool { return e.call(t.Context(), http.MethodGet, "/_ping", nil) == nil }); err != nil {
		t.Fatalf("dockerd: %v", err)
	}
}

// end asks a process to end, and makes it if it does not.
func end(t *testing.T, process *os.Process, ended <-chan struct{}) {
	t.Helper()
	_ = process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-ended:
	case <-time.After(endTimeout):
		t.Errorf("process %d does not end", process.Pid)
		_ = process.Kill()
		<-ended
	}
}

// removeGroups removes the control groups that the containers were in.
func removeGroups(t *testing.T, name string) {
	t.Helper()
	for _, pattern := range []string{name, "*/" + name} { // version 2, version 1
		found, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range found {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
	}
}

// wait waits until ready says so.
func wait(ctx context.Context, ended <-chan struct{}, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !ready() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errors.New("it ended")
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// importImage makes the image of a tar.
func (e engine) importImage(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return e.call(ctx, http.MethodPost, "/images/create?"+url.Values{
		"fromSrc": {"-"}, "repo": {samImage}, "tag": {"al2023-" + architecture()},
	}.Encode(), f)
}

// call calls the engine's API.
func (e engine) call(ctx context.Context, method, path string, body io.Reader) error {
	client := http.Client{Timeout: startTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", e.socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	// An import that fails half-way says so behind a 200.
	if resp.StatusCode != http.StatusOK || bytes.Contains(said, []byte(`"error"`)) {
		return fmt.Errorf("docker: %s: %s: %s", path, resp.Status, said)
	}
	return nil
}

// architecture is what SAM calls that of this machine.
func architecture() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

// inside makes cmd run in the engine's network, where the ports of containers
// are. It sees the engine, and no account of AWS or other settings of the user's.
func (e engine) inside(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	args := append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", e.pid), "--", cmd.Path}, cmd.Args[1:]...)
	in := exec.Command("nsenter", args...)
	for _, variable := range cmd.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		own := name == "AWS_DEFAULT_REGION" || name == "AWS_EC2_METADATA_DISABLED"
		if own || !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "DOCKER_") && !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			in.Env = append(in.Env, variable)
		}
	}
	home := t.TempDir()
	in.Env = append(in.Env, "HOME="+home, "TMPDIR="+home, "DOCKER_HOST=unix://"+e.socket)
	return in
}
