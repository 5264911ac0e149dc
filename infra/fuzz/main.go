// Command fuzz has every fuzz target of the module look for inputs that break
// it, several targets at once and each in one process of its own. It fails with
// what a target said and the input that it found. A target that was not run is
// a failure, too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

func main() {
	r := runner{out: os.Stdout}
	flag.DurationVar(&r.time, "time", 30*time.Second, "how long each target is run")
	flag.IntVar(&r.parallel, "parallel", runtime.NumCPU(), "how many targets are run at once")
	filter := flag.String("run", "", "only targets whose `expression` matches, such as shared/token or oauth.FuzzParseBearer$")
	summary := flag.String("summary", "", "file to add a line with the number of inputs to")
	flag.Parse()
	if err := r.module(context.Background(), *filter, *summary); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// runner runs targets.
type runner struct {
	out      io.Writer
	dir      string        // a folder of the module; empty: the current one
	cache    string        // folder of inputs found earlier; empty: that of the go command
	time     time.Duration // for each target
	parallel int           // targets at once
}

// module runs the targets of the module that the filter matches.
func (r *runner) module(ctx context.Context, filter, summary string) error {
	if r.time <= 0 || r.parallel < 1 {
		return errors.New("-time and -parallel must be positive; -time is a duration such as 30s")
	}
	matching, err := regexp.Compile(filter)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	all, err := r.targets(ctx, matching)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("no fuzz target matches %q", filter)
	}
	bin, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	if err := r.build(ctx, bin, all); err != nil {
		return err
	}
	inputs, err := r.fuzz(ctx, all)
	if err != nil || summary == "" {
		return err
	}
	return count(summary, inputs, fmt.Sprintf("inputs fuzzed without a finding, by %d targets of %s each", len(all), r.time))
}

// count adds a line to the summary that CI ends with.
func count(file string, n int64, what string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the file that make names
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%12d  %s\n", n, what)
	return errors.Join(err, f.Close())
}

// build compiles the tests of each package once, instrumented for fuzzing.
func (r *runner) build(ctx context.Context, bin string, all []target) error {
	binaries := map[string]string{} // by package
	var packages []string
	for i, t := range all {
		if binaries[t.Package] == "" {
			binaries[t.Package] = filepath.Join(bin, strings.ReplaceAll(t.Package, "/", ".")+".test")
			packages = append(packages, t.Package)
		}
		all[i].binary = binaries[t.Package]
	}
	rounds := (len(all) + r.parallel - 1) / r.parallel
	fmt.Fprintf(r.out, "targets: %d, in packages: %d; %s each, %d at once: %s, when they are compiled\n",
		len(all), len(packages), r.time, r.parallel, time.Duration(rounds)*r.time)
	var mu sync.Mutex
	var problems []error // guarded by mu
	each(r.parallel, packages, func(p string) {
		if _, err := r.goCommand(ctx, "test", "-c", "-fuzz=.", "-o", binaries[p], p); err != nil {
			mu.Lock()
			defer mu.Unlock()
			problems = append(problems, err)
		}
	})
	return errors.Join(problems...)
}

// fuzz runs the targets. It returns how many inputs they were given.
func (r *runner) fuzz(ctx context.Context, all []target) (int64, error) {
	cache := r.cache
	if cache == "" {
		out, err := r.goCommand(ctx, "env", "GOCACHE")
		if err != nil {
			return 0, err
		}
		cache = filepath.Join(strings.TrimSpace(string(out)), "fuzz")
	}
	var mu sync.Mutex // guards what follows, and the output
	var done, failed int
	var inputs int64
	each(r.parallel, all, func(t target) {
		got, err := t.fuzz(ctx, cache, r.time)
		mu.Lock()
		defer mu.Unlock()
		done++
		inputs += got.inputs
		fmt.Fprintf(r.out, "%3d/%d %10d inputs, %4d of them new  %s %s\n", done, len(all), got.inputs, got.interesting, t.Package, t.Name)
		if err != nil {
			failed++
			fmt.Fprintf(r.out, "FAIL %s %s: %v\n%s", t.Package, t.Name, err, got.output)
		}
	})
	if failed > 0 {
		return inputs, fmt.Errorf("%d of %d targets failed", failed, len(all))
	}
	fmt.Fprintf(r.out, "%d inputs, no finding\n", inputs)
	return inputs, nil
}

// each calls do with every item, n of them at once.
func each[T any](n int, items []T, do func(T)) {
	next := make(chan T)
	var wg sync.WaitGroup
	for range min(n, len(items)) {
		wg.Go(func() {
			for item := range next {
				do(item)
			}
		})
	}
	for _, item := range items {
		next <- item
	}
	close(next)
	wg.Wait()
}

// goCommand returns what the go command writes to standard output.
func (r *runner) goCommand(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // packages of this module
	cmd.Dir = r.dir
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("go %s: %w\n%s%s", strings.Join(args, " "), err, out, exit.Stderr)
	}
	return out, err
}
