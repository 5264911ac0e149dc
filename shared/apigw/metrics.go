package apigw

import (
	"slices"
	"strings"
	"time"
)

// Members of the log line that hold the metrics and tell CloudWatch of them.
const (
	metricDecisions = "Decisions"
	metricRequests  = "Requests"
	metricAlarms    = "Alarms"
	metricLatency   = "Latency"
	metricMetadata  = "_aws"
)

// Namespace returns where the metrics of a Lambda function belong, as its
// METRICS_NAMESPACE says; "", for no metrics, where log lines are text, in which
// CloudWatch finds none.
func Namespace(getenv func(string) string) string {
	if getenv("AWS_LAMBDA_LOG_FORMAT") != "JSON" {
		return ""
	}
	return getenv("METRICS_NAMESPACE")
}

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

// decisionsOf is the metadata of a decision. CloudWatch bills each metric for
// each combination of dimension values, so latency has only the dimensions that
// tell something.
func decisionsOf(t time.Time, namespace string) *emf {
	return &emf{Timestamp: t.UnixMilli(), CloudWatchMetrics: []directive{
		{
			Namespace:  namespace,
			Dimensions: [][]string{{"api", "outcome"}, {"outcome"}, {"reason"}},
			Metrics:    []metric{{Name: metricDecisions, Unit: "Count"}},
		},
		{
			Namespace:  namespace,
			Dimensions: [][]string{{"api", "outcome"}},
			Metrics:    []metric{{Name: metricLatency, Unit: "Milliseconds"}},
		},
	}}
}

// countsOf is the metadata of counts that stand in a line by their names.
func countsOf(t time.Time, namespace string, names []string) *emf {
	d := directive{Namespace: namespace, Dimensions: [][]string{{"function"}}}
	for _, name := range names {
		d.Metrics = append(d.Metrics, metric{Name: name, Unit: "Count"})
	}
	return &emf{Timestamp: t.UnixMilli(), CloudWatchMetrics: []directive{d}}
}

// requestsOf is the metadata of a request.
func requestsOf(t time.Time, namespace string, alarmed bool) *emf { //nolint:revive // a fact, not a mode
	e := &emf{Timestamp: t.UnixMilli(), CloudWatchMetrics: []directive{
		{
			Namespace:  namespace,
			Dimensions: [][]string{{"function", "class"}},
			Metrics:    []metric{{Name: metricRequests, Unit: "Count"}},
		},
		{
			Namespace:  namespace,
			Dimensions: [][]string{{"function"}},
			Metrics:    []metric{{Name: metricLatency, Unit: "Milliseconds"}},
		},
	}}
	if alarmed {
		e.CloudWatchMetrics = append(e.CloudWatchMetrics, directive{
			Namespace:  namespace,
			Dimensions: [][]string{{"function", "alarm"}, {"function"}},
			Metrics:    []metric{{Name: metricAlarms, Unit: "Count"}},
		})
	}
	return e
}

// joined is the one text of several alarms.
func joined(alarms []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(alarms))), " ")
}
