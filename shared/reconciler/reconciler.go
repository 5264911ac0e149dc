// Package reconciler does what must be done though nobody asks for it. It is
// invoked on a schedule, runs its jobs one after the other, and says in one log
// line, and in metrics that alarms are made of, what each of them came to.
//
// A job that fails keeps no other from running; it makes the invocation fail, so
// that Lambda counts it. What a job found and could not help is no failure of
// the job: it is a number that should be zero.
package reconciler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gatehouse/shared/apigw"
)

// Job is one thing to do.
type Job struct {
	Name string // "interrupted"

	// Run returns what it came to: numbers by what they count ("finished"), and
	// what an operator should know, of which the first few are logged.
	Run func(context.Context) (counts map[string]int, notes []string, err error)
}

// Limits.
const (
	maxNotes      = 10
	margin        = 500 * time.Millisecond // of the invocation, to answer in
	defaultBudget = time.Minute
)

// Reconciler is a lambda.Handler that runs jobs, whatever the event.
type Reconciler struct {
	Jobs []Job
	Log  *slog.Logger // gets one line per invocation; nil discards it

	Metrics string           // namespace of metrics that are added to the line; "" adds none
	Now     func() time.Time // of the line; nil: time.Now
}

// Invoke runs the jobs. What comes back is what each of them counted. The error
// names the jobs that failed; their causes are in the log.
func (r *Reconciler) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	now := r.Now
	if now == nil {
		now = time.Now
	}
	start := now()
	deadline := time.Now().Add(defaultBudget)
	if end, ok := ctx.Deadline(); ok {
		deadline = end.Add(-margin)
	}
	line := apigw.Line{Message: "reconciler", Function: "reconciler", Start: start, Metrics: map[string]int{}}
	answer := map[string]map[string]int{}
	var failed []error
	for n, job := range r.Jobs {
		// Each job gets its share of what is left: one that hangs takes nobody
		// else's time.
		share := time.Until(deadline) / time.Duration(len(r.Jobs)-n)
		counts, notes, err := job.run(ctx, share)
		answer[job.Name] = counts
		for what, count := range counts {
			line.Metrics[metricName(job.Name, what)] = count
		}
		if len(notes) > 0 {
			line.Attrs = append(line.Attrs, slog.Any(job.Name, notes[:min(maxNotes, len(notes))]))
		}
		line.Metrics[metricName(job.Name, "failed")] = 0
		if err != nil {
			line.Metrics[metricName(job.Name, "failed")] = 1
			line.Attrs = append(line.Attrs, slog.String(job.Name+"_cause", err.Error()))
			failed = append(failed, errors.New(job.Name))
		}
	}
	line.Failed = len(failed) > 0
	line.Took = now().Sub(start)
	line.Write(ctx, r.Log, r.Metrics)
	if len(failed) > 0 {
		return nil, fmt.Errorf("reconciler: failed: %w", errors.Join(failed...))
	}
	return json.Marshal(answer)
}

// run runs a job within its share of the time. A panic is a failure.
func (j Job) run(ctx context.Context, share time.Duration) (counts map[string]int, notes []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = apigw.Panicked(v)
		}
	}()
	return j.Run(ctx)
}

// metricName is InterruptedLeft for the left of interrupted.
func metricName(job, what string) string { return upper(job) + upper(what) }

func upper(word string) string {
	if word == "" {
		return ""
	}
	return string(word[0]-'a'+'A') + word[1:]
}
