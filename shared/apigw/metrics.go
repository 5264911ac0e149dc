package apigw

import "time"

// Members of the log line that hold the metrics and tell CloudWatch of them.
const (
	metricDecisions = "Decisions"
	metricLatency   = "Latency"
	metricMetadata  = "_aws"
)

// emf is the metadata of a log line in the CloudWatch embedded metric format.
// Dimensions and metrics name members of the same line.
type emf struct {
	Timestamp         int64 // milliseconds since 1970
	CloudWatchMetrics []directive
}

type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []metric
}

type metric struct {
	Name string
	Unit string
}

// directives is a constant. CloudWatch bills each metric for each combination
// of dimension values, so latency has only the dimensions that tell something.
var directives = []directive{
	{
		Namespace:  "Gatehouse",
		Dimensions: [][]string{{"api", "outcome"}, {"outcome"}, {"reason"}},
		Metrics:    []metric{{Name: metricDecisions, Unit: "Count"}},
	},
	{
		Namespace:  "Gatehouse",
		Dimensions: [][]string{{"api", "outcome"}},
		Metrics:    []metric{{Name: metricLatency, Unit: "Milliseconds"}},
	},
}

func metricsOf(t time.Time) *emf {
	return &emf{Timestamp: t.UnixMilli(), CloudWatchMetrics: directives}
}

// countsOf is the metadata of counts that stand in a line by their names.
func countsOf(t time.Time, names []string) *emf {
	d := directive{Namespace: "Gatehouse", Dimensions: [][]string{{"function"}}}
	for _, name := range names {
		d.Metrics = append(d.Metrics, metric{Name: name, Unit: "Count"})
	}
	return &emf{Timestamp: t.UnixMilli(), CloudWatchMetrics: []directive{d}}
}
