package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/config"
)

// The tests of this file hold docs/ to what it speaks of.

const root = "../../"

// documents are those of docs/ by their path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), "docs", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && path.Ext(name) == ".md" {
			all[name] = string(contents(t, root+name))
		}
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("docs/: %d documents, %v", len(all), err)
	}
	return all
}

// fence is a block of code in a document.
type fence struct {
	language, text string
	line           int // of its first line
}

var closing = regexp.MustCompile("^ *```$")

// fences cuts a document into its blocks of code and what is around them.
func fences(document string) (blocks []fence, prose string) {
	var rest strings.Builder
	open := false
	lines := bufio.NewScanner(strings.NewReader(document))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch language, begins := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case open && closing.MatchString(line):
			open = false
		case open:
			blocks[len(blocks)-1].text += line + "\n"
		case begins:
			open = true
			blocks = append(blocks, fence{language: language, line: n + 1})
		default:
			rest.WriteString(line + "\n")
		}
	}
	return blocks, rest.String()
}

func TestEveryLinkInTheDocumentsLeadsSomewhere(t *testing.T) {
	t.Parallel()
	all := documents(t)
	for _, name := range []string{"README.md", "infra/examples/README.md", "infra/examples/mcp/README.md", "shared/registry/schema.md"} {
		all[name] = string(contents(t, root+name))
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for name, document := range all {
		_, prose := fences(document)
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue // another site
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, err := os.Stat(root + file); err != nil {
				t.Errorf("%s: %s: %v", name, m[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(string(contents(t, root+file))), anchor) {
				t.Errorf("%s: %s: there is no such heading", name, m[1])
			}
		}
	}
}

// anchors are those that GitHub makes of a document's headings.
func anchors(document string) []string {
	_, prose := fences(document)
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(prose, -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, m[1]))
	}
	return all
}

// A block that begins with "# gatehouse.yaml" may leave out its providers, as an
// API that is added to others does, or its APIs.
func TestTheConfigurationsInTheDocumentsCanBeUsed(t *testing.T) {
	t.Parallel()
	found := 0
	for name, document := range documents(t) {
		blocks, _ := fences(document)
		for _, block := range blocks {
			if block.language != "yaml" || !strings.HasPrefix(block.text, "# gatehouse.yaml\n") {
				continue
			}
			found++
			if _, err := config.Parse(whole(t, block.text), func(string) (string, bool) { return "", false }); err != nil {
				t.Errorf("%s:%d: %v", name, block.line, err)
			}
		}
	}
	if found == 0 {
		t.Error("no block begins with # gatehouse.yaml")
	}
}

func whole(t *testing.T, text string) []byte {
	t.Helper()
	var has struct {
		Providers []struct{ Name string }
		APIs      []any `yaml:"apis"`
	}
	if err := yaml.Unmarshal([]byte(text), &has); err != nil {
		t.Fatal(err)
	}
	if has.Providers == nil {
		text += "\nproviders: [{name: okta, type: okta, issuer: https://example.okta.com/oauth2/default, audiences: [api://default]}]\n"
	}
	if has.APIs == nil {
		text += fmt.Sprintf("\napis: [{name: orders, providers: [%s], routes: [{route: GET /orders}]}]\n", has.Providers[0].Name)
	}
	return []byte(text)
}

// resources is what is compared of a template.
type resources struct {
	Parameters map[string]struct {
		Default yaml.Node `yaml:"Default"`
	} `yaml:"Parameters"`
	Outputs   map[string]yaml.Node `yaml:"Outputs"`
	Resources map[string]struct {
		Properties struct {
			AlarmName string `yaml:"AlarmName"`
		} `yaml:"Properties"`
	} `yaml:"Resources"`
}

func readResources(t *testing.T, file string) resources {
	t.Helper()
	var r resources
	if err := yaml.Unmarshal(contents(t, root+file), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDeployHasTheParametersAndOutputsOfTheTemplate(t *testing.T) {
	t.Parallel()
	template := readResources(t, "template.yaml")
	deploy := string(contents(t, root+"docs/deploy.md"))
	want := map[string]string{}
	for name, p := range template.Parameters {
		want[name] = p.Default.Value
	}
	got := map[string]string{}
	_, table, _ := strings.Cut(deploy, "\n| parameter | default | meaning |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| (?:`([^`]+)` |empty |)\\|").FindAllStringSubmatch(table, -1) {
		got[m[1]] = m[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters (-template.yaml +docs/deploy.md):\n%s", diff)
	}
	_, table, _ = strings.Cut(deploy, "\n| output | SSM parameter | what |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for name := range template.Outputs {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("docs/deploy.md does not have the output %s", name)
		}
	}
}

func TestTheRunbookHasEveryAlarmAndNoOther(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, file := range []string{"template.yaml", "infra/alarms.yaml"} {
		for _, r := range readResources(t, file).Resources {
			if _, name, ok := strings.Cut(r.Properties.AlarmName, "}-"); ok {
				want[name] = true
			}
		}
	}
	_, table, _ := strings.Cut(string(contents(t, root+"docs/runbook.md")), "\n| alarm | what happened | first step |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	got := map[string]bool{}
	for row := range strings.SplitSeq(table, "\n") {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), " |")
		for _, m := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(first, -1) {
			got[m[1]] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alarms (-templates +docs/runbook.md):\n%s", diff)
	}
}

// Reasons are the words by which callers' troubles are told apart in the log.
func TestTheRunbookHasEveryReasonAndNoOther(t *testing.T) {
	t.Parallel()
	reason := regexp.MustCompile(`(?:refusalError|requestError)\("([a-z_]+)"\)|^\t(?:NotListed|Refused|MissingScope|MissingClaim) += "([a-z_]+)"|` +
		`return (?:terms\{\}, )?"(no_client_id|no_contract|contract_[a-z]+)"|l\.fail\(\w+, "([a-z_]+)"`)
	want := map[string]bool{}
	for _, file := range []string{"token/token.go", "authorizer/authorizer.go", "authorizer/contract.go", "policy/requirement.go", "apigw/authorizer.go"} {
		for line := range strings.Lines(string(contents(t, root+"shared/"+file))) {
			if m := reason.FindStringSubmatch(line); m != nil {
				want[strings.Join(m[1:], "")] = true
			}
		}
	}
	delete(want, "keys_unavailable") // is the cause of unavailable, never a reason of the line
	_, sections, _ := strings.Cut(string(contents(t, root+"docs/runbook.md")), "\n### 401\n")
	got := map[string]bool{}
	for _, table := range strings.Split(sections, "\n| `reason` |")[1:] {
		table, _, _ = strings.Cut(table, "\n\n")
		for _, row := range strings.Split(table, "\n")[1:] {
			first, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), " |")
			for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(first, -1) {
				got[m[1]] = true
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-code +docs/runbook.md):\n%s", diff)
	}
}

// elsewhere are names in the documents that are others', of AWS, providers or
// the commands there.
var elsewhere = []string{
	"fromFunctionAttributes", "skipPermissions", "RequestAuthorizer", "HttpLambdaAuthorizer", "HttpLambdaResponseType", "resultsCacheTtl", // CDK
	"aws_api_gateway_authorizer", "aws_apigatewayv2_authorizer", "aws_lambda_permission", "authorizer_payload_format_version",
	"enable_simple_responses", "authorizer_uri", "invoke_arn", // Terraform
	"ApplicationLogLevel", "AuthorizationScopes", "metadataPublish", // Lambda, API Gateway, Okta
	"interrupted_cause", "unused_cause", "providers_cause", "usage_cause", // package reconciler puts them together
}

// A name in code font is one of the project's: a parameter, resource, variable,
// metric, member or file. So it stands somewhere outside docs/, too.
func TestEveryNameInTheDocumentsExists(t *testing.T) {
	t.Parallel()
	known := names(t)
	for _, name := range elsewhere {
		if known[name] {
			t.Errorf("%s need not be listed: the repository has it", name)
		}
		known[name] = true
	}
	code := regexp.MustCompile("`([^`\n]+)`")
	file := regexp.MustCompile(`^(?:shared|infra|functions|events|docs)/[a-z0-9/._-]+$`)
	for name, document := range documents(t) {
		if name == "docs/standards.md" {
			continue // its names are of tests, and have a test of their own
		}
		_, prose := fences(document)
		for _, m := range code.FindAllStringSubmatch(prose, -1) {
			if file.MatchString(m[1]) {
				if _, err := os.Stat(root + m[1]); err != nil && m[1] != "infra/prod.yaml" {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			for _, word := range identifier.FindAllString(m[1], -1) {
				if distinct(word) && !known[word] {
					t.Errorf("%s: %s in `%s` stands nowhere else in the repository", name, word, m[1])
				}
			}
		}
	}
}

var identifier = regexp.MustCompile(`[A-Za-z][A-Za-z0-9_]+`)

// distinct reports whether a word is a name and no English: BrokerKeys,
// adminSecret, REGISTRY_TABLE, no_contract.
func distinct(word string) bool {
	return strings.Contains(word, "_") || strings.ContainsFunc(word[1:], unicode.IsUpper) && strings.ContainsFunc(word, unicode.IsLower)
}

// names are the distinct words of all sources but docs/ and this file.
func names(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "docs" || name != "." && strings.HasPrefix(name, ".") || name == "build" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Base(name) == "docs_test.go":
			return nil
		case !slices.Contains([]string{".go", ".yaml", ".toml", ".md", ".json", ""}, path.Ext(name)):
			return nil
		}
		for _, word := range identifier.FindAll(contents(t, root+name), -1) {
			if distinct(string(word)) {
				all[string(word)] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEveryQueryInTheRunbookIsSaved(t *testing.T) {
	t.Parallel()
	queries := string(contents(t, root+"infra/queries.yaml"))
	named := regexp.MustCompile(`(?:^|[^-])[Qq]uery "([^"]+)"|query: ([a-z ]+)\}`)
	for name, document := range documents(t) {
		for _, m := range named.FindAllStringSubmatch(document, -1) {
			if query := m[1] + m[2]; !strings.Contains(queries, "${Name}/"+query+"\n") {
				t.Errorf("%s speaks of the query %q, which infra/queries.yaml does not have", name, query)
			}
		}
	}
}

func TestTheCommandsInTheDocumentsCanBeRead(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		tooltest.Missing(t, err)
	}
	for name, document := range documents(t) {
		blocks, _ := fences(document)
		for _, block := range blocks {
			if block.language != "sh" {
				continue
			}
			cmd := exec.CommandContext(t.Context(), bash, "-n")
			cmd.Stdin = strings.NewReader(block.text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", name, block.line, err, bytes.TrimSpace(out))
			}
		}
	}
}

// Mermaid itself is a program of Node's; this finds what goes wrong in an edit.
func TestTheDiagramsInTheDocumentsAreWhole(t *testing.T) {
	t.Parallel()
	found := 0
	for name, document := range documents(t) {
		blocks, _ := fences(document)
		for _, block := range blocks {
			if block.language == "mermaid" {
				found++
				for _, problem := range diagram(block.text) {
					t.Errorf("%s:%d: %s", filepath.ToSlash(name), block.line, problem)
				}
			}
		}
	}
	if found == 0 {
		t.Error("there is no diagram")
	}
}

// diagram returns what is wrong with a diagram.
func diagram(text string) (problems []string) {
	first, rest, _ := strings.Cut(text, "\n")
	kind, _, _ := strings.Cut(first, " ")
	message := regexp.MustCompile(`^(\w+) *-->>|^(\w+) *->>`)
	declared, open := map[string]bool{}, 0
	for line := range strings.Lines(rest) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "subgraph", "alt", "opt", "loop", "par":
			open++
		case "end":
			open--
		case "participant", "actor":
			declared[words[1]] = true
		}
		if kind == "sequenceDiagram" && strings.Contains(line, ">>") {
			from := message.FindStringSubmatch(strings.TrimSpace(line))
			to := regexp.MustCompile(`>>[+-]?(\w+): .`).FindStringSubmatch(line)
			if from == nil || to == nil || !declared[from[1]+from[2]] || !declared[to[1]] {
				problems = append(problems, "no message between two participants: "+strings.TrimSpace(line))
			}
		}
		if strings.Contains(line, ";") {
			problems = append(problems, "a semicolon ends a line there: "+strings.TrimSpace(line))
		}
		for _, pair := range []string{"()", "[]", "{}"} {
			if strings.Count(line, pair[:1]) != strings.Count(line, pair[1:]) {
				problems = append(problems, "a bracket that is not closed: "+strings.TrimSpace(line))
			}
		}
	}
	if kind != "flowchart" && kind != "sequenceDiagram" {
		problems = append(problems, "it is a "+kind)
	}
	if open != 0 {
		problems = append(problems, "something is not ended")
	}
	return problems
}

func TestEveryDocumentIsInTheIndex(t *testing.T) {
	t.Parallel()
	all := documents(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		place := strings.TrimPrefix(name, "docs/")
		if place != "README.md" && !strings.Contains(all["docs/README.md"], "]("+place+")") {
			t.Errorf("docs/README.md does not lead to %s", place)
		}
	}
	if !strings.Contains(string(contents(t, root+"README.md")), "](docs/README.md)") {
		t.Error("README.md does not lead to docs/README.md")
	}
}
