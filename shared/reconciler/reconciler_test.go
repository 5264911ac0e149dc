package reconciler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/shared/reconciler"
)

func job(name string, run func(context.Context) (map[string]int, []string, error)) reconciler.Job {
	return reconciler.Job{Name: name, Run: run}
}

func counted(what string, n int, notes ...string) func(context.Context) (map[string]int, []string, error) {
	return func(context.Context) (map[string]int, []string, error) { return map[string]int{what: n}, notes, nil }
}

func TestEveryJobIsRunAndCounted(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := reconciler.Reconciler{
		Jobs: []reconciler.Job{
			job("interrupted", counted("left", 2, "marker a: the provider\x1b[31m", "marker b")),
			job("unused", func(context.Context) (map[string]int, []string, error) { panic("hunter2") }),
			job("keys", func(context.Context) (map[string]int, []string, error) {
				return map[string]int{"kept": 1}, nil, errors.New("the store does not answer")
			}),
			job("providers", counted("unhealthy", 0)),
		},
		Log: slog.New(slog.NewJSONHandler(&log, nil)), Metrics: "Gatehouse",
	}
	answer, err := r.Invoke(t.Context(), []byte(`{}`))
	if answer != nil || err == nil || !strings.Contains(err.Error(), "unused") || !strings.Contains(err.Error(), "keys") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %s, %v, want the failed jobs named", answer, err)
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, &log)
	}
	for name, want := range map[string]any{
		"level": "ERROR", "msg": "reconciler", "function": "reconciler", "InterruptedLeft": 2.0, "InterruptedFailed": 0.0, "UnusedFailed": 1.0,
		"KeysKept": 1.0, "KeysFailed": 1.0, "ProvidersUnhealthy": 0.0, "ProvidersFailed": 0.0, "keys_cause": "the store does not answer",
	} {
		if line[name] != want {
			t.Errorf("%s: got %v, want %v", name, line[name], want)
		}
	}
	if notes, ok := line["interrupted"].([]any); !ok || len(notes) != 2 || strings.Contains(log.String(), "u001b") || strings.Contains(log.String(), "hunter2") {
		t.Errorf("got %s", &log)
	}
	metrics, err := json.Marshal(line["_aws"])
	if err != nil || !strings.Contains(string(metrics), `"Dimensions":[["function"]]`) || !strings.Contains(string(metrics), `"InterruptedLeft"`) {
		t.Errorf("got %s, %v", metrics, err)
	}
}

func TestWhatTheJobsCountedIsTheAnswer(t *testing.T) {
	t.Parallel()
	r := reconciler.Reconciler{Jobs: []reconciler.Job{job("keys", counted("kept", 3))}}
	answer, err := r.Invoke(t.Context(), nil)
	if err != nil || string(answer) != `{"keys":{"kept":3}}` {
		t.Errorf("got %s, %v", answer, err)
	}
}

// TestOneThatHangsTakesItsShare: the others have theirs.
func TestOneThatHangsTakesItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30500*time.Millisecond)
		defer cancel()
		var ran []time.Duration
		start := time.Now()
		hangs := func(ctx context.Context) (map[string]int, []string, error) {
			<-ctx.Done()
			return nil, nil, ctx.Err()
		}
		last := func(ctx context.Context) (map[string]int, []string, error) {
			end, _ := ctx.Deadline()
			ran = append(ran, time.Since(start), time.Until(end))
			return nil, nil, nil
		}
		r := reconciler.Reconciler{Jobs: []reconciler.Job{job("a", hangs), job("b", hangs), job("c", last)}}
		if _, err := r.Invoke(ctx, nil); err == nil {
			t.Error("got no error, want the two that hung")
		}
		if len(ran) != 2 || ran[0] != 20*time.Second || ran[1] != 10*time.Second {
			t.Errorf("the last began after %v, want 20s and 10s left", ran)
		}
	})
}
