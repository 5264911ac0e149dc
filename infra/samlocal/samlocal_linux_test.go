package samlocal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"gatehouse/infra/tooltest"
)

const (
	root      = "../.."
	eventsDir = root + "/events"
)

// sam is SAM, as the tests of the templates have it.
var sam = &tooltest.Python{Requirements: "../template/requirements.txt"}

func TestSAMLocal(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	b := build(t)
	template := b.variant(t, "template", func(map[string]any) {})
	// The image of the functions is made once, by whoever comes first.
	answers(t, e, template, event{"AuthorizerFunction", "authorizer/rest-request-allow"})
	for _, ev := range events(t) {
		t.Run("invoke/"+ev.name, func(t *testing.T) {
			t.Parallel()
			answers(t, e, template, ev)
		})
	}
	testAPIs(t, e, b)
}

// built is what sam build made.
type built struct {
	dir string
}

// build builds the functions as they are to answer the events: with their keys,
// and for the processor of this machine.
func build(t *testing.T) built {
	t.Helper()
	b := built{dir: t.TempDir()}
	cmd := sam.Program(t, "sam", "build", "--template-file", filepath.Join(root, "template.yaml"), "--build-dir", b.dir)
	cmd.Env = append(cmd.Env, "CONFIG=events/gatehouse.yaml", "ARCH="+runtime.GOARCH)
	if err := tooltest.Run(cmd); err != nil {
		t.Fatal(err)
	}
	return b
}

// variant writes the built template with other resources, for this machine's
// processor: a container of another takes an emulator.
func (b built) variant(t *testing.T, name string, change func(resources map[string]any)) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var template map[string]any
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	set(t, template, []any{architecture()}, "Globals", "Function", "Architectures")
	resources, ok := template["Resources"].(map[string]any)
	if !ok {
		t.Fatal("the template has no resources")
	}
	change(resources)
	if text, err = yaml.Marshal(template); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.dir, name+"-variant.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// set replaces the value at a path.
func set(t *testing.T, v map[string]any, value any, path ...string) {
	t.Helper()
	for _, name := range path[:len(path)-1] {
		next, ok := v[name].(map[string]any)
		if !ok {
			t.Fatalf("the template has no %s of %v", name, path)
		}
		v = next
	}
	v[path[len(path)-1]] = value
}

// event is what a function is invoked with, and what it answers.
type event struct {
	function string
	name     string // such as "authorizer/rest-token-allow"
}

// events are all those of the authorizer and of the demo API, and of the others
// one that needs no registry. With one, package functions sends them all.
func events(t *testing.T) []event {
	t.Helper()
	all := []event{{"RegistrationFunction", "registration/http-2.0-no-authorizer"}, {"BrokerFunction", "broker/http-2.0-metadata"}}
	for function, dir := range map[string]string{"AuthorizerFunction": "authorizer", "DemoApiFunction": "demoapi"} {
		files, err := filepath.Glob(filepath.Join(eventsDir, dir, "*.want.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("events of %s: %d, %v", dir, len(files), err)
		}
		for _, file := range files {
			all = append(all, event{function, dir + "/" + strings.TrimSuffix(filepath.Base(file), ".want.json")})
		}
	}
	return all
}

// invoke invokes a function as a person would. Once in some hundreds of times SAM
// ends well and has written nothing, which no function here answers. Why is not
// known; SAM sends an event again whose connection broke, which its emulator may
// take for one too many. A person would try again, too; the log says it happened.
func invoke(t *testing.T, e engine, template string, ev event) []byte {
	t.Helper()
	for range 3 {
		answer, log := invokeOnce(t, e, template, ev)
		if len(bytes.TrimSpace(answer)) > 0 {
			return answer
		}
		t.Logf("sam local invoke %s answers nothing:\n%s", ev.function, log)
	}
	t.Fatalf("%s: three times no answer", ev.name)
	return nil
}

// invokeOnce returns what the function answers, and what SAM says beside.
func invokeOnce(t *testing.T, e engine, template string, ev event) (answer []byte, log string) {
	t.Helper()
	file := filepath.Join(eventsDir, ev.name+".json")
	cmd := e.inside(t, sam.Program(t, "sam", "local", "invoke", ev.function, "--event", file, "--template-file", template, "--skip-pull-image"))
	var out bytes.Buffer
	cmd.Stdout = &out
	log, err := tooltest.Said(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), log
}

// answers compares what a function answers with what stands beside the event.
func answers(t *testing.T, e engine, template string, ev event) {
	t.Helper()
	answer := invoke(t, e, template, ev)
	text, err := os.ReadFile(filepath.Join(eventsDir, ev.name+".want.json"))
	if err != nil {
		t.Fatal(err)
	}
	// SAM writes the JSON anew, so what it says is compared, not how.
	var got, want any
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the answer differs from %s.want.json (-want +got):\n%s", ev.name, diff)
	}
}

// token is what an event of the authorizer's carries in its header.
func token(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(eventsDir, "authorizer", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var sent struct {
		Headers struct{ Authorization string }
	}
	if err := json.Unmarshal(text, &sent); err != nil || sent.Headers.Authorization == "" {
		t.Fatalf("%s carries no token: %v", name, err)
	}
	return sent.Headers.Authorization
}

// run starts a program that ends with the test. What it writes is in the file
// that run returns.
func run(t *testing.T, cmd *exec.Cmd) (log string, ended <-chan struct{}) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // says only that it was ended
		close(done)
	}()
	t.Cleanup(func() {
		end(t, cmd.Process, done)
		if t.Failed() {
			t.Log(fmt.Sprintln(cmd.Args), said(t, log))
		}
	})
	return log, done
}

// said is what a program has written so far.
func said(t *testing.T, log string) string {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// command is a program of this machine.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), name, args...)
}

// wantsLines is wants of what a function writes, but perhaps for the first line:
// SAM begins to listen when the container runs, and a function may be faster.
func wantsLines(t *testing.T, log, text string, lines int) {
	t.Helper()
	if got := linesWith(log, text); got != lines && got != lines-1 {
		t.Errorf("got %q in %d lines, want %d, or one less", text, got, lines)
	}
}

// wants is a text that is in so many lines of a log.
func wants(t *testing.T, log, text string, lines int) {
	t.Helper()
	if got := linesWith(log, text); got != lines {
		t.Errorf("got %q in %d lines, want %d", text, got, lines)
	}
}

// linesWith counts the lines with a text. SAM repeats a line now and then: it
// counts once.
func linesWith(log, text string) int {
	got := map[string]bool{}
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			got[line] = true
		}
	}
	return len(got)
}
