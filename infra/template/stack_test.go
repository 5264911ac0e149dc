package template_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/infra/tooltest"
)

// root is the repository.
const root = "../.."

// stack is a template after the transformation.
type stack struct {
	name      string // path in the repository
	resources map[string]resource
}

type resource struct {
	Type                string
	Condition           string
	Properties          map[string]any
	UpdatePolicy        any
	DependsOn           any
	DeletionPolicy      string
	UpdateReplacePolicy string
}

// job is a template to transform, with the parameters that have no default.
type job struct {
	Path       string            `json:"path"`
	Parameters map[string]string `json:"parameters"`
}

var transformed struct {
	once     sync.Once
	stacks   []stack
	tags     map[string]string // property with the tags, by type that can have any
	replaces []string          // properties of which another value replaces a version of a function
	err      error
}

// stacks are all templates of the repository.
func stacks(t *testing.T) []stack {
	t.Helper()
	samTools.Path(t, "python") // outside of once: it may end the test
	transformed.once.Do(func() { transformed.err = transform(t) })
	if transformed.err != nil {
		t.Fatal(transformed.err)
	}
	return transformed.stacks
}

// templates are the paths of all templates in the repository.
func templates() ([]string, error) {
	var all []string
	for _, pattern := range []string{"template.yaml", "infra/*.yaml", "infra/examples/*/template.yaml", "infra/examples/*/*/template.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			if bytes.Contains(text, []byte("\nResources:\n")) {
				all = append(all, path)
			}
		}
	}
	return all, nil
}

func transform(t *testing.T) error {
	t.Helper()
	paths, err := templates()
	if err != nil {
		return err
	}
	var jobs []job
	for _, path := range paths {
		jobs = append(jobs, job{Path: path, Parameters: map[string]string{}})
	}
	input, err := json.Marshal(jobs)
	if err != nil {
		return err
	}
	var output bytes.Buffer
	cmd := samTools.Program(t, "python", "transform.py")
	cmd.Stdin, cmd.Stdout = bytes.NewReader(input), &output
	if err := tooltest.Run(cmd); err != nil {
		return err
	}
	var got struct {
		Templates []struct{ Resources map[string]resource }
		Tags      map[string]string
		Replaces  []string
	}
	if err := json.Unmarshal(output.Bytes(), &got); err != nil {
		return err
	}
	transformed.tags, transformed.replaces = got.Tags, got.Replaces
	for n, template := range got.Templates {
		name := strings.TrimPrefix(filepath.ToSlash(jobs[n].Path), root+"/")
		transformed.stacks = append(transformed.stacks, stack{name: name, resources: template.Resources})
	}
	return nil
}

// mainStack is template.yaml.
func mainStack(t *testing.T) stack {
	t.Helper()
	for _, s := range stacks(t) {
		if s.name == "template.yaml" {
			return s
		}
	}
	t.Fatal("there is no template.yaml")
	return stack{}
}

// ids are the logical ids of the resources of a type, or of all.
func (s stack) ids(kind string) []string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(s.resources)) {
		if kind == "" || s.resources[id].Type == kind {
			all = append(all, id)
		}
	}
	return all
}

// at returns what is below names in properties; nil if there is nothing.
func at(v any, names ...string) any {
	for _, name := range names {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// every returns v, or its elements if it is a list, each way of an Fn::If, and
// nothing of AWS::NoValue.
func every(v any) []any {
	if list, ok := v.([]any); ok {
		var all []any
		for _, e := range list {
			all = append(all, every(e)...)
		}
		return all
	}
	if way, ok := at(v, "Fn::If").([]any); ok && len(way) == 3 {
		return append(every(way[1]), every(way[2])...)
	}
	if v == nil || at(v, "Ref") == "AWS::NoValue" {
		return nil
	}
	return []any{v}
}

// text is v as JSON: what it refers to is in there, too.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// target is the logical id that a Ref or an Fn::GetAtt leads to.
func target(v any) string {
	if id, ok := at(v, "Ref").(string); ok {
		return id
	}
	if pair, ok := at(v, "Fn::GetAtt").([]any); ok && len(pair) == 2 {
		id, _ := pair[0].(string)
		return id
	}
	id, _ := at(v, "Fn::GetAtt").(string)
	id, _, _ = strings.Cut(id, ".")
	return id
}
