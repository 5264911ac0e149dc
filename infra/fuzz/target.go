package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// slack is what a target may take beyond its time, on a busy machine: to make its
// keys and servers, to run the inputs that are known, and to end.
const slack = 5 * time.Minute

// maxOutput is how much of what a target says is kept, in bytes.
const maxOutput = 64 << 10

// target is one fuzz test.
type target struct {
	Package, Name string

	dir    string // of the package
	binary string // its tests, instrumented
}

// result is what became of a target.
type result struct {
	began       bool // it ran what is known, and went on
	inputs      int64
	interesting int64 // those that reached something new
	output      []byte
}

var (
	progress = regexp.MustCompile(`^fuzz: elapsed: [^,]+, (?:.*, (now fuzzing)|execs: (\d+) .*new interesting: (\d+))?`)
	written  = regexp.MustCompile(`Failing input written to (\S+)`)
)

// targets returns the fuzz tests that are matched, "package.Name", in the order
// of their packages.
func (r *runner) targets(ctx context.Context, matching *regexp.Regexp) ([]target, error) {
	out, err := r.goCommand(ctx, "list", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles", "./...")
	if err != nil {
		return nil, err
	}
	var all []target
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		for _, file := range append(p.TestGoFiles, p.XTestGoFiles...) {
			names, err := fuzzTests(filepath.Join(p.Dir, file))
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				if matching.MatchString(p.ImportPath + "." + name) {
					all = append(all, target{Package: p.ImportPath, Name: name, dir: p.Dir})
				}
			}
		}
	}
}

// fuzzTests returns the names of the fuzz tests of a file.
func fuzzTests(file string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range f.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
			names = append(names, f.Name.Name)
		}
	}
	return names, nil
}

// fuzz runs the target for a time, with one worker.
func (t target) fuzz(ctx context.Context, cache string, d time.Duration) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, d+slack)
	defer cancel()
	// What reaches something new is made smaller in a hundred tries at most: in
	// the minute that it may take by default a slow target does nothing else.
	cmd := exec.CommandContext(ctx, t.binary, "-test.run=^$", "-test.fuzz=^"+t.Name+"$", "-test.parallel=1", //nolint:gosec // what was built
		"-test.fuzzcachedir="+filepath.Join(cache, t.Package), "-test.fuzzminimizetime=100x", "-test.fuzztime="+(d+slack).String())
	cmd.Dir = t.dir
	cmd.WaitDelay = 10 * time.Second
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	exited := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_ = w.Close()
		exited <- err
	}()
	// An interrupt ends it. -test.fuzztime does if nobody is left to interrupt it:
	// Go 1.26 may make a failure of that, "context deadline exceeded"
	// (https://go.dev/issue/75804).
	got := read(r, func() *time.Timer {
		return time.AfterFunc(d, func() { _ = cmd.Process.Signal(os.Interrupt) })
	})
	err := <-exited
	switch path := written.FindSubmatch(got.output); {
	case path != nil:
		file := filepath.Join(t.dir, string(path[1]))
		input, _ := os.ReadFile(file) //nolint:gosec // the fuzzer names it; if it cannot be read, the path says enough
		got.output = fmt.Appendf(got.output, "%s:\n%.*s\n", file, maxOutput, input)
		return got, errors.New("it found an input that breaks it")
	case ctx.Err() != nil:
		return got, fmt.Errorf("it did not end after %s: %w", d+slack, ctx.Err())
	case err != nil:
		return got, err
	case !got.began:
		return got, errors.New("it was not run")
	}
	return got, nil
}

// read reads what the fuzzer says, to its end. The clock is started when it has
// run the inputs that are known.
func read(r io.Reader, start func() *time.Timer) result {
	var got result
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		switch found := progress.FindSubmatch(line); {
		case found == nil:
			got.output = append(got.output, line[:min(len(line), maxOutput-len(got.output))]...)
		case found[1] != nil && !got.began:
			got.began = true
			defer start().Stop()
		case found[2] != nil:
			got.inputs, _ = strconv.ParseInt(string(found[2]), 10, 64) // they are digits
			got.interesting, _ = strconv.ParseInt(string(found[3]), 10, 64)
		}
		if err != nil {
			return got
		}
	}
}
