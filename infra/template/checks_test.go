package template_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/samtemplate"
	"gatehouse/infra/tooltest"
)

// TestSAMAndCfnLintFindNothing: sam validate --lint looks at one template alone,
// so the others are cfn-lint's, which it lints with.
func TestSAMAndCfnLintFindNothing(t *testing.T) {
	t.Parallel()
	paths, err := templates()
	if err != nil {
		t.Fatal(err)
	}
	if err := tooltest.Run(samTools.Program(t, "cfn-lint", append([]string{"--format", "parseable", "--"}, paths...)...)); err != nil {
		t.Error(err)
	}
	if err := tooltest.Run(samTools.Program(t, "sam", "validate", "--lint", "--template-file", filepath.Join(root, "template.yaml"))); err != nil {
		t.Error(err)
	}
}

// waiver is why findings of checkov stay: of one check, at some resources.
type waiver struct {
	reason    string
	resources string // logical ids with spaces in between
}

// waived are the findings that stay, by check. Those in the examples have the
// reasons of the same checks here.
var waived = map[string]waiver{
	"CKV_AWS_26": {"what alarms say holds names and numbers; a topic with a key of your own can be given (AlarmTopicArn)", "AlarmTopic"},
	"CKV_AWS_27": {"checkov looks for a KMS key; SqsManagedSseEnabled encrypts the queue", "ReconcilerDeadLetters"},
	"CKV_AWS_73": {"traces of a stage have the URLs of requests, and a token may be in their query", "OrdersRestApiv1Stage"},
	"CKV_AWS_115": {"called by one schedule, or for the walk-through only; the others have a parameter, which a new account may be too small for",
		"ReconcilerFunction DemoApiFunction"},
	"CKV_AWS_116": {"called by API Gateway, which waits for the answer: there is nothing to keep",
		"AuthorizerFunction RegistrationFunction BrokerFunction DemoApiFunction"},
	"CKV_AWS_117": {"they reach providers, DynamoDB and Secrets Manager without a network of ours to look after",
		"AuthorizerFunction RegistrationFunction BrokerFunction ReconcilerFunction DemoApiFunction"},
	"CKV_AWS_119": {"encrypted by the key that DynamoDB has in the account; secrets in it are sealed by keys of our own before", "RegistryTable"},
	"CKV_AWS_120": {"what the backend answers depends on the caller; API Gateway keeps the authorizer's answers", "OrdersRestApiv1Stage"},
	"CKV_AWS_158": {"CloudWatch encrypts logs by itself, and they hold no secrets",
		"AuthorizerLogs RegistrationLogs BrokerLogs ReconcilerLogs DemoApiLogs GatehouseAccessLogs OrdersRestAccessLogs OrdersHttpAccessLogs Logs"},
	"CKV_AWS_173": {"variables hold names and ARNs, never secrets",
		"AuthorizerFunction RegistrationFunction BrokerFunction ReconcilerFunction DemoApiFunction"},
}

// TestCheckovFindsOnlyWhatIsWaived in what the templates come to.
func TestCheckovFindsOnlyWhatIsWaived(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, s := range stacks(t) {
		b, err := json.Marshal(map[string]any{"AWSTemplateFormatVersion": "2010-09-09", "Resources": s.resources})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(s.name, "/", "_")+".json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var output bytes.Buffer
	cmd := checkov.Program(t, "checkov", "--directory", dir, "--framework", "cloudformation", "--quiet", "--compact", "--output", "json", "--skip-download")
	cmd.Stdout = &output
	if err := tooltest.Run(cmd); err != nil && !found(cmd) {
		t.Fatal(err)
	}
	var report struct {
		Summary struct {
			Passed        int `json:"passed"`
			ParsingErrors int `json:"parsing_errors"`
		} `json:"summary"`
		Results struct {
			Failed []struct {
				ID       string `json:"check_id"`
				Name     string `json:"check_name"`
				File     string `json:"file_path"`
				Resource string `json:"resource"`
			} `json:"failed_checks"`
		} `json:"results"`
	}
	if err := json.Unmarshal(output.Bytes(), &report); err != nil {
		t.Fatalf("%v in %.500s", err, output.Bytes())
	}
	if report.Summary.Passed < 100 || report.Summary.ParsingErrors > 0 {
		t.Errorf("got %+v: it did not look at everything", report.Summary)
	}
	stale := map[string]bool{}
	for check, w := range waived {
		for id := range strings.FieldsSeq(w.resources) {
			stale[check+" "+id] = true
		}
	}
	for _, f := range report.Results.Failed {
		w, known := waived[f.ID]
		id := f.Resource[strings.LastIndex(f.Resource, ".")+1:]
		example := known && strings.HasPrefix(f.File, "/infra_examples_")
		if !example && !slices.Contains(strings.Fields(w.resources), id) {
			t.Errorf("%s %s: %s: %s", f.ID, f.File, f.Resource, f.Name)
		}
		delete(stale, f.ID+" "+id)
	}
	for entry := range stale {
		t.Errorf("waived has %s, which checkov does not find any more", entry)
	}
}

// TestSAMBuildsWhatMakeBuilds, byte for byte.
func TestSAMBuildsWhatMakeBuilds(t *testing.T) {
	t.Parallel()
	sam, made := t.TempDir(), t.TempDir()
	build := samTools.Program(t, "sam", "build", "--template-file", filepath.Join(root, "template.yaml"), "--build-dir", sam)
	if err := tooltest.Run(build); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "make", "--directory", root, "build", "BUILD="+made)
	cmd.Env = build.Env
	if err := tooltest.Run(cmd); err != nil {
		t.Fatal(err)
	}
	want, got := files(t, made), files(t, sam)
	functions := 0
	for function, packed := range got {
		if packed["bootstrap"] == "" && packed["template.yaml"] != "" {
			continue // a template within the template
		}
		functions++
		if diff := cmp.Diff(want["build-"+function], packed); diff != "" {
			t.Errorf("%s (-make +sam):\n%s", function, diff)
		}
	}
	if functions != 5 || len(got) != 10 {
		t.Errorf("sam built %d functions and %d templates, want five of each", functions, len(got)-functions)
	}
}

// TestTheSettingsOfSAMFitTheTemplate: each parameter in samconfig.toml is one of
// the template, with a value that it takes.
func TestTheSettingsOfSAMFitTheTemplate(t *testing.T) {
	t.Parallel()
	const script = `import json, sys, tomllib; print(json.dumps({k: v["deploy"]["parameters"] for k, v in tomllib.load(open(sys.argv[1], "rb")).items() if k != "version"}))`
	var output bytes.Buffer
	cmd := samTools.Program(t, "python", "-c", script, filepath.Join(root, "samconfig.toml"))
	cmd.Stdout = &output
	if err := tooltest.Run(cmd); err != nil {
		t.Fatal(err)
	}
	var environments map[string]struct {
		Capabilities []string `json:"capabilities"`
		Overrides    []string `json:"parameter_overrides"`
		S3           bool     `json:"resolve_s3"`
	}
	if err := json.Unmarshal(output.Bytes(), &environments); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(environments)); !slices.Equal(got, []string{"default", "prod"}) {
		t.Errorf("got the environments %v, want default and prod", got)
	}
	for name, e := range environments {
		parameters := map[string]string{"OidcIssuer": "https://example.okta.com/oauth2/default", "OidcAudience": "api://default"}
		for _, override := range e.Overrides {
			parameter, value, ok := strings.Cut(override, "=")
			if !ok {
				t.Errorf("%s: %q is no parameter", name, override)
			}
			parameters[parameter] = value
		}
		if _, err := samtemplate.Load(filepath.Join(root, "template.yaml"), samtemplate.Options{Parameters: parameters}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !e.S3 || !slices.Contains(e.Capabilities, "CAPABILITY_IAM") || !slices.Contains(e.Capabilities, "CAPABILITY_AUTO_EXPAND") {
			t.Errorf("%s: got %+v, want a bucket, and leave for roles and nested templates", name, e)
		}
	}
}
