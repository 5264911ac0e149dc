// Command bench measures what a decision of the authorizer costs, as a ratio of
// the signature check that no authorizer can do without. Absolute times say
// something about a machine only; ratios of one run on one machine carry over.
//
// Each subject takes turns with the bare check, a millisecond each, and the
// median of the ratios of neighbours counts: whatever else the machine does
// meets both. Then it measures what the broker adds to a token request.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"
)

func main() {
	count := flag.Int("count", 5, "rounds of a hundred turns")
	flag.Parse()
	err := run(os.Stdout, os.Stderr, *count)
	if err == nil {
		err = measureBroker(context.Background(), os.Stdout, os.Stderr, *count)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// subject is one thing that is measured.
type subject struct {
	name  string
	bound float64 // at most this many times the first subject; 0: no bound
	run   func() error
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

func run(out, progress io.Writer, count int) error {
	if count < 1 {
		return errors.New("-count must be at least 1")
	}
	subjects, err := newSubjects()
	if err != nil {
		return err
	}
	results := make([]result, len(subjects))
	for n, s := range subjects {
		fmt.Fprintf(progress, "\r\x1b[K%d of %d: %s", n+1, len(subjects), s.name)
		if results[n], err = measure(subjects[0], s, count*turns); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	fmt.Fprint(progress, "\r\x1b[K")
	return report(out, subjects, results)
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
		if err != nil || nanos*float64(n) >= float64(turn)/2 {
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
	return float64(time.Since(start).Nanoseconds()) / float64(times), nil
}

func report(out io.Writer, subjects []subject, results []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ttime\tratio\tbound\tallocs\t")
	var missed []error
	for n, s := range subjects {
		r, bound := results[n], ""
		if s.bound > 0 {
			bound = fmt.Sprintf("%.2f", s.bound)
			if r.ratio > s.bound {
				bound += " missed"
				missed = append(missed, fmt.Errorf("%s costs %.2f × bare RS256, more than %.2f", s.name, r.ratio, s.bound))
			}
		}
		took := time.Duration(r.nanos).Round(10 * time.Nanosecond)
		fmt.Fprintf(w, "%s\t%v\t%.2f\t%s\t%.0f\t\n", s.name, took, r.ratio, bound, r.allocs)
	}
	return errors.Join(append(missed, w.Flush())...)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
