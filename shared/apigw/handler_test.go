package apigw_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/apigw"
)

// What the handler writes by itself reads as what the handler of slog writes,
// and whatever it cannot write it leaves to that one.
func TestLinesReadAsThoseOfSlog(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 9, 20, 57, 123456789, time.FixedZone("", 3600))
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "8286a188-ba32-4475-8077-530cd35c09a9"})
	for name, row := range map[string]struct {
		at      time.Time
		ctx     context.Context //nolint:containedctx // what a row varies
		attrs   []slog.Attr
		another bool // left to the handler within, which knows of no invocation
	}{
		"texts": {at, ctx, []slog.Attr{
			slog.String("a", "plain"), slog.String(`quo"te`, "\"\\\n\t\x00\x7f\u2028é😀<&>"), slog.String("broken", "\xff"), slog.String("", "no name"),
		}, true},
		"texts of every kind":   {at, ctx, []slog.Attr{slog.String(`quo"te`, "\"\\\n\t\x00\x7f\u2028é😀<&>"), slog.String("broken", "\xff")}, false},
		"numbers":               {at, ctx, []slog.Attr{slog.Int("n", -7), slog.Float64("f", 0.25), slog.Float64("g", 1e21), slog.Bool("b", true)}, false},
		"no invocation":         {at, t.Context(), []slog.Attr{slog.Int("n", 1)}, false},
		"a group":               {at, ctx, []slog.Attr{slog.Group("g", slog.Int("n", 1), slog.Group("h", slog.String("s", "x")))}, false},
		"an empty group":        {at, ctx, []slog.Attr{slog.Group("g"), slog.Int("n", 1)}, false},
		"a list":                {at, ctx, []slog.Attr{slog.Int("n", 1), slog.Any("list", []string{"a"})}, true},
		"an error":              {at, ctx, []slog.Attr{slog.Any("cause", errors.New("x"))}, true},
		"a credential":          {at, ctx, []slog.Attr{slog.Any("c", apigw.Credential{})}, true},
		"a duration in a group": {at, ctx, []slog.Attr{slog.Group("g", slog.Duration("d", time.Second))}, true},
		"no number":             {at, ctx, []slog.Attr{slog.Float64("f", math.Inf(1))}, true},
		"no time":               {time.Time{}, ctx, []slog.Attr{slog.Int("n", 1)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want, got bytes.Buffer
			options := &slog.HandlerOptions{ReplaceAttr: lambdacontext.ReplaceAttr}
			record := slog.NewRecord(row.at, slog.LevelWarn, "mess\"age", 0)
			record.AddAttrs(row.attrs...)
			ours := &apigw.LineHandler{Handler: slog.NewJSONHandler(&got, options), Writer: &got}
			if err := ours.Handle(row.ctx, record.Clone()); err != nil {
				t.Fatal(err)
			}
			if invocation, ok := lambdacontext.FromContext(row.ctx); ok && !row.another {
				record.AddAttrs(slog.String("requestId", invocation.AwsRequestID))
			}
			if err := slog.NewJSONHandler(&want, options).Handle(row.ctx, record); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(members(t, want.Bytes()), members(t, got.Bytes())); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
			if !strings.HasSuffix(got.String(), "}\n") || strings.Count(got.String(), "\n") != 1 {
				t.Errorf("got %q; want one line", got.String())
			}
		})
	}
}

func members(t *testing.T, line []byte) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(line, &all); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return all
}

func TestLinesKeepTheLevelAndTheAttributesOfTheirHandler(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	log := slog.New(&apigw.LineHandler{Handler: slog.NewJSONHandler(&got, &slog.HandlerOptions{Level: slog.LevelWarn}), Writer: &got})
	log.Info("not written")
	log.With(slog.String("a", "b")).WithGroup("g").Warn("written", slog.Int("n", 1))
	all := members(t, got.Bytes())
	if diff := cmp.Diff(map[string]any{"n": 1.0}, all["g"]); diff != "" || all["a"] != "b" {
		t.Errorf("got %s", got.String())
	}
}
