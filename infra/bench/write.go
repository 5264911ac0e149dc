package main

import (
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// write writes the results for people: what was printed, and a plot of it.
func (h *harness) write(folder, printed string) error {
	text := fmt.Sprintf("# Results\n\nWritten by `make bench RESULTS=docs/performance`: %s, %s/%s, %d CPUs.\n\n```text\n%s```\n\n![The same as a plot](results.svg)\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), trimLines(printed))
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "results.md"), []byte(text), 0o644),      //nolint:gosec // a document
		os.WriteFile(filepath.Join(folder, "results.svg"), []byte(h.plot()), 0o644), //nolint:gosec // a document
	)
}

func trimLines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// Sizes of the plot, in pixels.
const (
	barHeight  = 18
	labelWidth = 340
	barsWidth  = 420
)

// plot is a bar for each function in each of three charts, as SVG.
func (h *harness) plot() string {
	var b strings.Builder
	y := 0
	for _, chart := range []struct {
		title string
		of    func(*sample) time.Duration
	}{
		{"From a cold start to the first answer, median", func(s *sample) time.Duration { return quantile(s.first, 0.5) }},
		{"The same at the CPU share of 128 MB", func(s *sample) time.Duration { return quantile(s.slow, 0.5) }},
		{"A warm invocation, median", func(s *sample) time.Duration { return quantile(s.medians, 0.5) }},
	} {
		var most time.Duration
		for _, s := range h.samples {
			most = max(most, chart.of(s))
		}
		if most == 0 {
			continue
		}
		y += 2 * barHeight
		fmt.Fprintf(&b, `<text x="8" y="%d" font-weight="bold">%s</text>`+"\n", y, chart.title)
		for _, f := range h.functions {
			value := chart.of(h.samples[f])
			if value == 0 {
				continue
			}
			y += barHeight
			width := max(1, barsWidth*float64(value)/float64(most))
			colour := "#9aa5b1"
			if strings.HasPrefix(f.name, "Gatehouse") {
				colour = "#1f6feb"
			}
			fmt.Fprintf(&b, `<text x="8" y="%d">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.0f" y="%d">%v</text>`+"\n",
				y, html.EscapeString(f.name), labelWidth, y-barHeight+6, width, barHeight-4, colour, labelWidth+width+6, y, value.Round(value/100+1))
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n"+
		`<rect width="100%%" height="100%%" fill="white"/>`+"\n%s</svg>\n", labelWidth+barsWidth+90, y+barHeight, b.String())
}
