// Command bench measures what a decision of the authorizer costs, as a ratio of
// the signature check that no authorizer can do without. Absolute times say
// something about a machine only; ratios of one run on one machine carry over.
//
// Each subject takes turns with the bare check, a millisecond each, and the
// median of the ratios of neighbours counts: whatever else the machine does
// meets both. Then it measures what the broker adds to a token request, and
// whole functions and their peers, for which it plays the Lambda Runtime API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

func main() {
	count := flag.Int("count", 5, "rounds of a hundred turns")
	check := flag.Bool("check", false, "only compare the parts with the bounds that CI holds them to")
	results := flag.String("o", "", "folder to write the results to, as results.md and results.svg")
	runtimes := flag.Bool("variants", false, "only compare settings of the Go runtime for the authorizer")
	functions := flag.String("functions", "", "only measure the functions whose name matches this regular expression")
	flag.Parse()
	ctx := context.Background()
	var err error
	switch {
	case *runtimes:
		err = some(ctx, os.Stdout, os.Stderr, *count, variants)
	case *functions != "":
		var pattern *regexp.Regexp
		if pattern, err = regexp.Compile(*functions); err == nil {
			err = some(ctx, os.Stdout, os.Stderr, *count, named(pattern))
		}
	case *check:
		_, err = run(os.Stdout, os.Stderr, *count, true)
	default:
		err = all(ctx, os.Stdout, os.Stderr, *count, *results)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// some measures some functions, without targets.
func some(ctx context.Context, out, progress io.Writer, count int, which chosen) error {
	h, notes, err := measureFunctions(ctx, progress, count, which)
	if err != nil {
		return err
	}
	fmt.Fprint(out, notes)
	return h.report(out, nil)
}

// all measures everything. A target that is missed is reported, not an error.
func all(ctx context.Context, stdout, progress io.Writer, count int, folder string) error {
	var text strings.Builder
	out := io.MultiWriter(stdout, &text)
	if folder != "" {
		if err := os.MkdirAll(folder, 0o750); err != nil { // before the minutes that it takes to fill it
			return err
		}
	}
	parts, err := run(out, progress, count, false)
	if err != nil {
		return err
	}
	if err := measureBroker(ctx, out, progress, count); err != nil {
		return err
	}
	h, notes, err := measureFunctions(ctx, progress, count, every)
	if err != nil {
		return err
	}
	targets := append(parts, h.targets()...)
	if err := h.report(out, targets); err != nil {
		return err
	}
	fmt.Fprint(out, notes)
	if folder == "" {
		return nil
	}
	return h.write(folder, text.String())
}

// subject is one thing that is measured.
type subject struct {
	name   string
	base   int     // the place of what it is compared with
	target float64 // at most this many times its base; 0: none
	bound  float64 // the same with room for a noisy machine, for CI; 0: none
	allocs float64 // at most, for CI; 0: no matter
	share  float64 // of a run counts as one: how many things it does, by how many CPUs; 0: 1
	run    func() error
}

// result is what measuring a subject gave.
type result struct {
	nanos  float64 // median
	ratio  float64 // median
	allocs float64
}

// Lengths of a measurement.
const (
	turn  = time.Millisecond
	turns = 100
)

func run(out, progress io.Writer, count int, check bool) ([]target, error) { //nolint:revive // a fact, not a mode
	if count < 1 {
		return nil, errors.New("-count must be at least 1")
	}
	subjects, err := newSubjects()
	if err != nil {
		return nil, err
	}
	results := make([]result, len(subjects))
	for n, s := range subjects {
		fmt.Fprintf(progress, "\r\x1b[K%d of %d: %s", n+1, len(subjects), s.name)
		if results[n], err = measure(subjects[s.base], s, count*turns); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fmt.Fprint(progress, "\r\x1b[K")
	targets, missed := report(out, subjects, results)
	if check {
		return targets, missed
	}
	return targets, nil
}

func measure(base, s subject, rounds int) (result, error) {
	baseBatch, err := batch(base)
	if err != nil {
		return result{}, err
	}
	ownBatch, err := batch(s)
	if err != nil {
		return result{}, err
	}
	var nanos, ratios []float64
	for range rounds {
		bare, err := repeat(base, baseBatch)
		if err != nil {
			return result{}, err
		}
		own, err := repeat(s, ownBatch)
		if err != nil {
			return result{}, err
		}
		nanos, ratios = append(nanos, own), append(ratios, own/bare)
	}
	allocs := testing.AllocsPerRun(200, func() { err = errors.Join(err, s.run()) })
	return result{nanos: median(nanos), ratio: median(ratios), allocs: allocs}, err
}

// batch is how many times s runs in a turn.
func batch(s subject) (int, error) {
	for n := 1; ; n *= 2 {
		nanos, err := repeat(s, n)
		if err != nil || nanos*max(s.share, 1)*float64(n) >= float64(turn)/2 {
			return n, err
		}
	}
}

// repeat returns the nanoseconds of one run.
func repeat(s subject, times int) (float64, error) {
	start := time.Now()
	for range times {
		if err := s.run(); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(start).Nanoseconds()) / float64(times) / max(s.share, 1), nil
}

// report writes a table. Its error is about the bounds that CI holds.
func report(out io.Writer, subjects []subject, results []result) (targets []target, missed error) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ttime\tratio\ttarget\tbound in CI\tallocs\tbound in CI\t")
	number := func(format string, f float64) string {
		if f == 0 {
			return ""
		}
		return fmt.Sprintf(format, f)
	}
	for n, s := range subjects {
		r := results[n]
		if s.target > 0 {
			targets = append(targets, target{s.name, r.ratio, s.target})
		}
		if s.bound > 0 && r.ratio > s.bound {
			missed = errors.Join(missed, fmt.Errorf("%s costs %.2f × %s, more than %.2f", s.name, r.ratio, subjects[s.base].name, s.bound))
		}
		if s.allocs > 0 && r.allocs > s.allocs {
			missed = errors.Join(missed, fmt.Errorf("%s makes %.0f allocations, more than %.0f", s.name, r.allocs, s.allocs))
		}
		took := time.Duration(r.nanos).Round(10 * time.Nanosecond)
		fmt.Fprintf(w, "%s\t%v\t%.2f\t%s\t%s\t%.0f\t%s\t\n",
			s.name, took, r.ratio, number("%.2f", s.target), number("%.2f", s.bound), r.allocs, number("%.0f", s.allocs))
	}
	return targets, errors.Join(missed, w.Flush())
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
