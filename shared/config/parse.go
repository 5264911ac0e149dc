package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the most bytes of a file.
const MaxSize = 1 << 20

// Path returns where the file is: where GATEHOUSE_CONFIG says, else gatehouse.yaml
// in the working directory.
func Path(getenv func(string) string) string {
	return cmp.Or(getenv("GATEHOUSE_CONFIG"), "gatehouse.yaml")
}

// Load reads the file at path as [Parse] does.
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	f, err := os.Open(path) //nolint:gosec // G304: the operator says which file
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	cfg, err := Parse(data, env)
	if problems, ok := errors.AsType[*Problems](err); ok {
		problems.File = path
	}
	return cfg, err
}

// Parse reads a file of at most [MaxSize] bytes, with variables from env, which
// has the signature of os.LookupEnv; a nil env has none. Any error is a
// [*Problems] that lists everything that is wrong.
func Parse(data []byte, env func(string) (string, bool)) (*Config, error) {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	d := newDecoder(env)
	cfg := &Config{}
	if root := d.read(data); root != nil {
		d.structure(root, "")
		d.decodeRoot(root, cfg)
		d.check(cfg)
	}
	if len(d.problems) > 0 {
		sortProblems(d.problems)
		return nil, &Problems{File: "gatehouse.yaml", List: d.problems}
	}
	sortProblems(d.warnings)
	cfg.Warnings = d.warnings
	return cfg, nil
}

// Variables returns the names of the environment variables that a file uses,
// sorted. A file that is not YAML uses none.
func Variables(data []byte) []string {
	d := newDecoder(nil)
	root := d.read(data)
	if root == nil {
		return nil
	}
	var names []string
	eachValue(root, func(text string) {
		// Whatever is wrong with a variable, Parse reports.
		_, _ = expand(text, func(name string) (string, bool) {
			names = append(names, name)
			return "", true
		})
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// eachValue calls f with the text of every scalar below n that is no key.
func eachValue(n *yaml.Node, f func(string)) {
	if n.Kind == yaml.ScalarNode {
		f(n.Value)
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			eachValue(child, f)
		}
	}
}

// read returns the node of the one document, or nil after a problem.
func (d *decoder) read(data []byte) *yaml.Node {
	start := position{1, 1}
	if len(data) > MaxSize {
		d.problemAt(start, "", "is larger than %d KiB", MaxSize>>10)
		return nil
	}
	var document, next yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && document.Content[0].ShortTag() == "!!null" {
		d.problemAt(start, "", "is empty; it needs providers and apis")
		return nil
	}
	if err == nil {
		err = dec.Decode(&next)
		if err == nil {
			d.problemAt(nodePosition(&next), "", "holds a second document; write one, without a further ---")
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		d.syntax(data, err)
		return nil
	}
	return document.Content[0]
}

// syntax reports what the YAML parser says, which names a line at most.
func (d *decoder) syntax(data []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if name, ok := strings.CutPrefix(message, "unknown anchor '"); ok {
		name = strings.TrimSuffix(name, "' referenced")
		before, _, _ := strings.Cut(string(data), "*"+name)
		line := before[strings.LastIndexByte(before, '\n')+1:]
		d.problemAt(position{1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(line)}, "",
			"is not YAML: an alias of nothing; write the value out")
		return
	}
	at := position{1, 1}
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		number, text, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			at.line, message = max(n, 1), text
		}
		if parserError(text) {
			at.line++ // counted from 0, unlike the scanner's
			message += " in what begins here"
		}
	}
	lines := strings.Split(string(data), "\n")
	hint := ""
	if at.line <= len(lines) && (strings.Contains(lines[at.line-1], "${") || strings.Contains(lines[at.line-1], "/{")) {
		hint = `; inside [ ] and { }, quote what has braces: "${NAME}", "GET /orders/{id}"`
	}
	d.problemAt(at, "", "is not YAML: %s%s", message, hint)
}

// parserError tells the messages of YAML's parser from those of its scanner.
func parserError(message string) bool {
	expected, ok := strings.CutPrefix(message, "did not find expected ")
	return ok && slices.Contains([]string{"node content", "key", "'-' indicator", "',' or ']'", "',' or '}'", "<document start>"}, expected)
}

// structure reports the YAML that the package refuses wherever it occurs.
func (d *decoder) structure(n *yaml.Node, path string) {
	at := nodePosition(n)
	switch {
	case n.Kind == yaml.AliasNode:
		d.problemAt(at, path, "is an alias; write the value out")
		return
	case n.Anchor != "":
		d.problemAt(at, path, "has an anchor; remove it and write values out where they are needed")
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.problemAt(at, path, "has a tag; remove it, the key says what kind of value it is")
	}
	for i, child := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			d.structure(child, element(path, i))
		case i%2 == 0:
			d.structureOfKey(child, path)
		case n.Content[i-1].ShortTag() != "!!merge":
			d.structure(child, member(path, n.Content[i-1].Value))
		}
	}
}

func (d *decoder) structureOfKey(key *yaml.Node, path string) {
	if key.ShortTag() == "!!merge" {
		d.problemAt(nodePosition(key), path, "has a merge key (<<); write the keys out")
		return
	}
	d.structure(key, member(path, key.Value))
}
