package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Lengths of the measurement of whole functions, in one round.
const (
	warmTurn  = 300 // invocations
	slowTurn  = 150 // invocations at the CPU share, with idle between them
	idle      = 10 * time.Millisecond
	coldTurns = 6
)

// sample is what was measured of one function.
type sample struct {
	first    []time.Duration // from spawning to the first answer
	slow     []time.Duration // the same at the CPU share
	medians  []time.Duration // of an invocation, by round
	all      []time.Duration
	ratios   []float64       // of the medians, to those of the no-op in the same round
	cpu      time.Duration   // of an invocation
	shared   []time.Duration // invocations at the CPU share
	peak     int64           // bytes
	firstCPU []time.Duration // CPU time to the first answer
}

// harness measures functions in turn.
type harness struct {
	functions []*function
	samples   map[*function]*sample
	event     []byte
	share     bool // each process has the CPU share of a 128 MB function
	progress  io.Writer
}

// chosen is which functions are measured.
type chosen func([]*function) []*function

func every(all []*function) []*function { return all }

// named are the functions whose name matches pattern.
func named(pattern *regexp.Regexp) chosen {
	return func(all []*function) []*function {
		return slices.DeleteFunc(all, func(f *function) bool { return !pattern.MatchString(f.name) })
	}
}

func names(functions []*function) string {
	var all []string
	for _, f := range functions {
		all = append(all, f.name)
	}
	return strings.Join(all, "; ")
}

// variants are the authorizer with settings of the Go runtime, and the no-op.
func variants(all []*function) []*function {
	kept := slices.DeleteFunc(all, func(f *function) bool { return f.name != nameNoop && f.name != nameOurs })
	for _, env := range []string{"GOMAXPROCS=1", "GOMAXPROCS=2", "GOGC=200", "GOGC=400", "GOMAXPROCS=1 GOGC=200", "GOMAXPROCS=1 GOGC=400"} {
		f := *kept[1]
		f.name, f.env = env, append(slices.Clone(f.env), strings.Fields(env)...)
		kept = append(kept, &f)
	}
	return kept
}

// measureFunctions measures whole functions in turn. notes says what could not
// be measured here.
func measureFunctions(ctx context.Context, progress io.Writer, rounds int, which chosen) (h *harness, notes string, err error) {
	dir, err := os.MkdirTemp("", "gatehouse-bench")
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, "", err
	}
	var said strings.Builder
	fmt.Fprint(progress, "\r\x1b[Kbuilding the functions")
	h = &harness{samples: map[*function]*sample{}, progress: progress}
	var keys *keyServer
	if h.functions, keys, err = newFunctions(ctx, dir, key, &said); err != nil {
		return nil, "", err
	}
	defer keys.Close()
	there := names(h.functions)
	if h.functions = which(h.functions); len(h.functions) == 0 {
		return nil, "", errors.New("-functions matches none of: " + there)
	}
	if h.event, err = eventOf(key); err != nil {
		return nil, "", err
	}
	for _, f := range h.functions {
		h.samples[f] = &sample{}
	}
	shares := []bool{false, true}
	if err := canShare(); err != nil {
		fmt.Fprintln(&said, "The CPU share of a 128 MB function is not measured:", err)
		shares = shares[:1]
	}
	for _, h.share = range shares {
		for _, step := range []func(context.Context, int) error{h.warm, h.cold} {
			if err := step(ctx, rounds); err != nil {
				return nil, "", err
			}
		}
	}
	fmt.Fprint(progress, "\r\x1b[K")
	return h, said.String(), nil
}

// cold measures how long fresh processes take to their first answer.
func (h *harness) cold(ctx context.Context, rounds int) error {
	for round := range rounds * coldTurns {
		for _, f := range h.functions {
			if !f.cold || h.share && round%2 == 1 { // which takes Node two seconds
				continue
			}
			fmt.Fprintf(h.progress, "\r\x1b[Kcold%s, %d of %d: %s", h.at(), round+1, rounds*coldTurns, f.name)
			p, err := h.start(ctx, f)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			if err = p.waiting(); err == nil {
				_, err = p.invoke(h.event)
			}
			took := time.Since(p.began)
			cpu, stopErr := p.stop()
			if err = errors.Join(err, stopErr); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			s := h.samples[f]
			if h.share {
				s.slow = append(s.slow, took)
				continue
			}
			s.first, s.firstCPU = append(s.first, took), append(s.firstCPU, cpu)
		}
	}
	return nil
}

// start starts a function, by itself in a control group: what others do in the
// background is not to be paid from its share.
func (h *harness) start(ctx context.Context, f *function) (p *process, err error) {
	var group string
	if h.share {
		if group, err = newGroup(); err != nil {
			return nil, err
		}
	}
	if p, err = start(ctx, f, group); err != nil {
		return nil, errors.Join(err, removeGroup(group))
	}
	return p, nil
}

func (h *harness) at() string {
	if !h.share {
		return ""
	}
	return " at the share of 128 MB"
}

// warm measures invocations of processes that live through all rounds.
func (h *harness) warm(ctx context.Context, rounds int) (err error) {
	running := map[*function]*process{}
	defer func() {
		for _, p := range running {
			_, stopErr := p.stop()
			err = errors.Join(err, stopErr)
		}
	}()
	for _, f := range h.functions {
		if !f.warm {
			continue
		}
		p, err := h.start(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		running[f] = p
		for range 20 {
			if _, err := h.once(p, 0); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	for round := range rounds {
		var base time.Duration
		for n, f := range h.functions {
			p := running[f]
			if p == nil {
				continue
			}
			fmt.Fprintf(h.progress, "\r\x1b[Kwarm%s, %d of %d: %s", h.at(), round+1, rounds, f.name)
			took, cpu, err := h.turn(p)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			s := h.samples[f]
			s.peak = max(s.peak, p.measured().peak)
			if h.share {
				s.shared = append(s.shared, took...)
				continue
			}
			median := quantile(took, 0.5)
			if n == 0 {
				base = median
			}
			s.medians, s.all = append(s.medians, median), append(s.all, took...)
			s.ratios = append(s.ratios, float64(median)/float64(base))
			s.cpu += cpu / time.Duration(rounds*warmTurn)
		}
	}
	return nil
}

// turn invokes a function many times, and returns how long each took and the CPU
// time of them all.
func (h *harness) turn(p *process) (took []time.Duration, cpu time.Duration, err error) {
	times, pause := warmTurn, time.Duration(0)
	if h.share {
		times, pause = slowTurn, idle
	}
	before := p.measured().cpu
	for range times {
		one, err := h.once(p, pause)
		if err != nil {
			return nil, 0, err
		}
		took = append(took, one)
	}
	return took, p.measured().cpu - before, nil
}

func (h *harness) once(p *process, pause time.Duration) (time.Duration, error) {
	if err := p.waiting(); err != nil {
		return 0, err
	}
	time.Sleep(pause)
	return p.invoke(h.event)
}

func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// target is something to reach: measured is to be at most bound. measured is 0
// where it could not be measured.
type target struct {
	what            string
	measured, bound float64
}

func (t target) String() string {
	switch {
	case t.measured == 0:
		return "not measured"
	case t.measured <= t.bound:
		return "met"
	default:
		return fmt.Sprintf("missed by %.0f %%", 100*(t.measured/t.bound-1))
	}
}

func (h *harness) of(name string) *sample {
	for _, f := range h.functions {
		if f.name == name {
			return h.samples[f]
		}
	}
	return &sample{}
}

// over is a ratio, 0 if one of the two was not measured.
func over[T ~int64 | ~float64](a, b T) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func (h *harness) targets() []target {
	ours, uncached, fetching, noop := h.of(nameOurs), h.of(nameUncached), h.of(nameFetch), h.of(nameNoop)
	jwx, node, nodeGet := h.of(nameJWX), h.of(nameNode), h.of(nameNodeGet)
	slow := func(s *sample) time.Duration { return quantile(s.slow, 0.5) }
	ratio := func(s *sample) float64 {
		if len(s.ratios) == 0 {
			return 0
		}
		return median(s.ratios)
	}
	var zip int64
	for _, f := range h.functions {
		if f.name == nameOurs {
			zip = f.size
		}
	}
	return []target{
		{"warm p50 ÷ no-op", ratio(ours), 1.0},
		{"warm p50 ÷ no-op, without token cache", ratio(uncached), 1.0},
		{"warm p50 ÷ aws-jwt-verify", over(ratio(ours), ratio(node)), 0.65},
		{"at the share of 128 MB: p99 ÷ p50", over(quantile(ours.shared, 0.99), quantile(ours.shared, 0.5)), 3},
		{"cold, keys at hand ÷ no-op", over(quantile(ours.first, 0.5), quantile(noop.first, 0.5)), 2},
		{"cold at the share of 128 MB, keys fetched ÷ jwx/v2", over(slow(fetching), slow(jwx)), 0.3},
		{"cold at the share of 128 MB, keys fetched ÷ aws-jwt-verify", over(slow(fetching), slow(nodeGet)), 0.06},
		{"peak memory ÷ aws-jwt-verify", over(ours.peak, node.peak), 0.3},
		{"zip, MB", float64(zip) / 1e6, 5},
	}
}

// report writes the table of whole functions and all targets.
func (h *harness) report(out io.Writer, targets []target) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\n\tcold\tcold CPU\tcold, 128 MB\twarm p50\twarm p99\t÷ no-op\tCPU\t128 MB p50\t128 MB p99\tpeak MB\tzip MB\t")
	for _, row := range h.rows() {
		fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	if err := w.Flush(); err != nil || len(targets) == 0 {
		return err
	}
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\ntarget\tmeasured\tat most\t")
	for _, t := range targets {
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%s\n", t.what, t.measured, t.bound, t)
	}
	return w.Flush()
}

// rows are the table of whole functions.
func (h *harness) rows() (rows [][]string) {
	shown := func(d time.Duration) string {
		switch {
		case d == 0:
			return ""
		case d < 10*time.Millisecond:
			return d.Round(time.Microsecond).String()
		default:
			return d.Round(100 * time.Microsecond).String()
		}
	}
	for _, f := range h.functions {
		s := h.samples[f]
		ratio, peak := "", ""
		if len(s.ratios) > 0 {
			ratio, peak = fmt.Sprintf("%.2f", median(s.ratios)), fmt.Sprintf("%.1f", float64(s.peak)/1e6)
		}
		rows = append(rows, []string{
			f.name, shown(quantile(s.first, 0.5)), shown(quantile(s.firstCPU, 0.5)), shown(quantile(s.slow, 0.5)),
			shown(quantile(s.medians, 0.5)), shown(quantile(s.all, 0.99)), ratio, shown(s.cpu),
			shown(quantile(s.shared, 0.5)), shown(quantile(s.shared, 0.99)), peak, fmt.Sprintf("%.1f", float64(f.size)/1e6),
		})
	}
	return rows
}
