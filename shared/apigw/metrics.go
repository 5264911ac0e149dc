package apigw

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/shared/strictjson"
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
	if getenv("AWS_LAMBDA_LOG_FORMAT") != logJSON {
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

// decisions is the metadata of a decision. CloudWatch bills each metric for each
// combination of dimension values, so latency has only the dimensions that tell
// something.
type decisions struct {
	at        time.Time
	namespace string
}

// appendJSON appends what encoding/json would write of an emf.
func (d decisions) appendJSON(b []byte) []byte {
	b = append(b, `{"Timestamp":`...)
	b = strconv.AppendInt(b, d.at.UnixMilli(), 10)
	b = append(b, `,"CloudWatchMetrics":[{"Namespace":`...)
	b = strictjson.AppendString(b, d.namespace)
	b = append(b, `,"Dimensions":[["api","outcome"],["outcome"],["reason"]],"Metrics":[{"Name":"`+metricDecisions+`","Unit":"Count"}]},{"Namespace":`...)
	b = strictjson.AppendString(b, d.namespace)
	return append(b, `,"Dimensions":[["api","outcome"]],"Metrics":[{"Name":"`+metricLatency+`","Unit":"Milliseconds"}]}]}`...)
}

// MarshalJSON implements [encoding/json.Marshaler], for handlers that are not ours.
func (d decisions) MarshalJSON() ([]byte, error) { return d.appendJSON(nil), nil }

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
