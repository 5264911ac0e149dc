package functions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/samtemplate"
	"gatehouse/shared/registry/registrytest"
)

// TestPackedFunctions packs each function as sam build does, runs it as Lambda
// does, and sends it its events.
func TestPackedFunctions(t *testing.T) {
	t.Parallel()
	dynamo := registrytest.DynamoDBLocal(t)
	for id, name := range map[string]string{
		"AuthorizerFunction": "authorizer", "RegistrationFunction": "registration", "BrokerFunction": "broker", "ReconcilerFunction": "reconciler", "DemoApiFunction": "demoapi",
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			// The identity provider of the events is nowhere, and must not be looked
			// for: there may be one of that name.
			nowhere := "HTTPS_PROXY=http://127.0.0.1:1"
			variables := append(environment(t, id), registrytest.NewTable(t, dynamo).Environment()...)
			run := start(t, pack(t, id), append(variables, nowhere))
			events, err := filepath.Glob(filepath.Join("..", "events", name, "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			sent := 0
			for _, event := range events {
				if !strings.HasSuffix(event, ".want.json") {
					run.answers(t, event, strings.TrimSuffix(event, ".json")+".want.json")
					sent++
				}
			}
			if sent == 0 {
				t.Fatalf("there are no events of %s", name)
			}
			run.stop()
			checkLines(t, id, run.stdout.String(), sent)
			if said := run.stdout.String() + run.stderr.String(); strings.Contains(said, "eyJ") {
				t.Errorf("there is a token in\n%s", said)
			}
		})
	}
}

// TestAFunctionWithoutConfigurationDoesNotStart because it would answer each
// request with an error, and the deployment would look fine.
func TestAFunctionWithoutConfigurationDoesNotStart(t *testing.T) {
	t.Parallel()
	dir := pack(t, "AuthorizerFunction")
	if err := os.Remove(filepath.Join(dir, "gatehouse.yaml")); err != nil {
		t.Fatal(err)
	}
	doesNotStart(t, dir, environment(t, "AuthorizerFunction"), "gatehouse.yaml")
}

// TestAnAuthorizerWithoutTheContractsItRequiresDoesNotStart because everybody
// would be refused, or nobody.
func TestAnAuthorizerWithoutTheContractsItRequiresDoesNotStart(t *testing.T) {
	t.Parallel()
	dir := pack(t, "AuthorizerFunction")
	requireContracts(t, dir)
	doesNotStart(t, dir, append(environment(t, "AuthorizerFunction"), "REGISTRY_TABLE="), "api orders: requires contracts", "set REGISTRY_TABLE", "contract: none")
}

// TestTheAuthorizerReadsContracts in the table that it is told.
func TestTheAuthorizerReadsContracts(t *testing.T) {
	t.Parallel()
	dir := pack(t, "AuthorizerFunction")
	requireContracts(t, dir)
	asked := make(chan string, 10)
	table := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- r.Header.Get("X-Amz-Target") + " " + string(body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, "{}") // there is no such item
	}))
	t.Cleanup(table.Close)
	run := start(t, dir, append(environment(t, "AuthorizerFunction"), "REGISTRY_TABLE=the-table",
		"AWS_ENDPOINT_URL_DYNAMODB="+table.URL, "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=key"))
	reply := run.exchange(t, filepath.Join("..", "events", "authorizer", "rest-request-allow.json"))
	if !bytes.Contains(reply, []byte(`"no_contract"`)) || bytes.Contains(reply, []byte(`"Allow"`)) {
		t.Fatalf("got %s, want no_contract", reply)
	}
	if got := <-asked; !strings.Contains(got, "GetItem") || !strings.Contains(got, `"the-table"`) {
		t.Errorf("asked for %s", got)
	}
}

// requireContracts takes contract: none out of a packed configuration.
func requireContracts(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "gatehouse.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	required := bytes.ReplaceAll(text, []byte("    contract: none\n"), nil)
	if bytes.Equal(required, text) {
		t.Fatal("the events' configuration requires contracts")
	}
	if err := os.WriteFile(path, required, 0o600); err != nil {
		t.Fatal(err)
	}
}

// doesNotStart wants one line that has the words, and an end.
func doesNotStart(t *testing.T, dir string, environment []string, words ...string) {
	t.Helper()
	run := start(t, dir, environment)
	select {
	case <-run.exited:
	case <-run.ctx.Done():
		t.Fatal("it started")
	}
	if code := run.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit status: got %d, want 1", code)
	}
	var line struct{ Level, Message, Cause string }
	if err := json.Unmarshal(run.stdout.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, &run.stdout)
	}
	if line.Level != "ERROR" || line.Message != "start" {
		t.Errorf("got %+v, want the ERROR start", line)
	}
	for _, word := range words {
		if !strings.Contains(line.Cause, word) {
			t.Errorf("got %q, want %s in it", line.Cause, word)
		}
	}
}

// checkLines checks the log lines of a function that was sent some events. The
// authorizer's hold the metrics that alarms are made of.
func checkLines(t *testing.T, id, stdout string, events int) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != events {
		t.Fatalf("got %d lines for %d events:\n%s", len(lines), events, stdout)
	}
	for n, text := range lines {
		var line struct {
			Level, Message, RequestID, Outcome, Reason string

			Decisions int
			Latency   *float64
			Metrics   *struct {
				CloudWatchMetrics []struct{ Namespace string }
			} `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if line.RequestID != requestID(n+1) || line.Level == "" || line.Message == "" {
			t.Errorf("want level, message and the requestId %s in %s", requestID(n+1), text)
		}
		if id != "DemoApiFunction" && line.Metrics == nil {
			t.Errorf("want metrics in %s", text)
		}
		if id != "AuthorizerFunction" {
			continue
		}
		m := line.Metrics
		if m == nil || len(m.CloudWatchMetrics) == 0 || m.CloudWatchMetrics[0].Namespace != "Gatehouse/gatehouse" ||
			line.Decisions != 1 || line.Latency == nil || line.Outcome == "" || line.Reason == "" {
			t.Errorf("want metrics, outcome and reason in %s", text)
		}
	}
}

// pack returns a folder with what sam build makes of a function.
func pack(t *testing.T, id string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		missing(t, "Linux, which Lambda functions are for,")
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), command(t, "make"), "--directory=..", "build-"+id,
		"ARTIFACTS_DIR="+dir, "CONFIG=events/gatehouse.yaml", "ARCH="+runtime.GOARCH)
	for _, variable := range os.Environ() {
		// The make that may have started this test is not to steer this one.
		if !strings.HasPrefix(variable, "MAKE") && !strings.HasPrefix(variable, "MFLAGS=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make build-%s: %v\n%s", id, err, out)
	}
	return dir
}

// environment returns the variables that the template gives a function.
func environment(t *testing.T, id string) []string {
	t.Helper()
	template, err := samtemplate.Load("../template.yaml", samtemplate.Options{Parameters: map[string]string{
		"OidcIssuer": "https://example.okta.com/oauth2/default", "OidcAudience": "api://default",
	}})
	if err != nil {
		t.Fatal(err)
	}
	// What Lambda adds, as far as it matters.
	variables := []string{"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_REGION=us-east-1", "PATH=/usr/bin"}
	for name, value := range template.Functions[id].Environment {
		variables = append(variables, name+"="+value)
	}
	return variables
}

// process is a function under Lambda's Runtime API.
type process struct {
	cmd             *exec.Cmd
	ctx             context.Context // of the process
	timeout         time.Duration   // of the function
	stop            func()          // ends the process and waits for it
	exited          chan struct{}   // closed when the process has ended
	stdout, stderr  bytes.Buffer    // to be read after that
	events, replies chan []byte
}

// start runs the function in dir.
func start(t *testing.T, dir string, environment []string) *process {
	t.Helper()
	p := &process{timeout: 5 * time.Second, exited: make(chan struct{}), events: make(chan []byte), replies: make(chan []byte)}
	api := httptest.NewServer(p.runtimeAPI())
	t.Cleanup(api.Close)
	var cancel func()
	p.ctx, cancel = context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	p.stop = func() { cancel(); <-p.exited }
	t.Cleanup(p.stop)

	p.cmd = exec.CommandContext(p.ctx, filepath.Join(dir, "bootstrap"))
	p.cmd.Dir = dir
	p.cmd.Env = append(environment, "AWS_LAMBDA_RUNTIME_API="+api.Listener.Addr().String())
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // its exit status stays in ProcessState
	}()
	return p
}

// runtimeAPI is the API by which Lambda speaks to functions:
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (p *process) runtimeAPI() http.Handler {
	const invocation = "/2018-06-01/runtime/invocation/"
	n := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+invocation+"next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case event := <-p.events:
			n++
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", requestID(n))
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(p.timeout).UnixMilli(), 10))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:gatehouse")
			_, _ = w.Write(event)
		case <-r.Context().Done():
		}
	})
	reply := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte(`"half an answer"`)
		}
		select {
		case p.replies <- body:
		case <-p.ctx.Done():
		}
	}
	mux.HandleFunc("POST "+invocation+"{id}/response", reply)
	mux.HandleFunc("POST "+invocation+"{id}/error", reply)
	return mux
}

func requestID(n int) string { return "request-" + strconv.Itoa(n) }

// answers sends an event and compares the answer with a file.
func (p *process) answers(t *testing.T, eventFile, wantFile string) {
	t.Helper()
	want, err := os.ReadFile(wantFile)
	if err != nil {
		t.Fatal(err)
	}
	reply := p.exchange(t, eventFile)
	var got bytes.Buffer
	if err := json.Indent(&got, bytes.TrimSpace(reply), "", "  "); err != nil {
		t.Fatalf("%v in %s", err, reply)
	}
	if diff := cmp.Diff(string(want), got.String()+"\n"); diff != "" {
		t.Errorf("%s (-want +got):\n%s", eventFile, diff)
	}
}

// exchange sends an event and returns the answer.
func (p *process) exchange(t *testing.T, eventFile string) []byte {
	t.Helper()
	event, err := os.ReadFile(eventFile)
	if err != nil {
		t.Fatal(err)
	}
	return p.send(t, event)
}

func (p *process) send(t *testing.T, event []byte) []byte {
	t.Helper()
	select {
	case p.events <- event:
	case <-p.exited:
		t.Fatalf("it ended, and said\n%s%s", &p.stdout, &p.stderr)
	case <-p.ctx.Done():
		t.Fatal("it asks for no event")
	}
	select {
	case reply := <-p.replies:
		return reply
	case <-p.exited:
		t.Fatalf("%s: it ended, and said\n%s%s", event, &p.stdout, &p.stderr)
	case <-p.ctx.Done():
		t.Fatalf("%s: no answer", event)
	}
	return nil
}
