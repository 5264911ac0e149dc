package template_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/shared/apigw"
	"gatehouse/shared/reconciler"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
)

// namespace is that of the lines below, in the place of Gatehouse/<stack>.
const namespace = "Gatehouse/stack"

// written are the log lines of the functions, one of each kind.
func written(t *testing.T) []byte {
	t.Helper()
	var lines bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&lines, nil))
	ctx := t.Context()
	gate := &apigw.Authorizer{Log: log, Metrics: namespace, Decide: func(context.Context, *apigw.Request) (apigw.Decision, error) {
		return apigw.Decision{}, errors.New("the provider is down")
	}}
	if _, err := gate.Invoke(ctx, []byte(`{"type":"TOKEN","authorizationToken":"x","methodArn":"arn:aws:execute-api:us-east-1:123456789012:a/v1/GET/orders"}`)); err == nil {
		t.Error("want no answer")
	}
	for _, function := range []string{"registration", "broker"} {
		h := &apigw.HTTP{Log: log, Metrics: namespace, Function: function, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			apigw.Log(r.Context(), slog.String("alarm", "code_reused"))
			w.WriteHeader(http.StatusServiceUnavailable)
		})}
		if _, err := h.Invoke(ctx, []byte(`{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET"}}}`)); err != nil {
			t.Error(err)
		}
	}
	for _, function := range []string{"authorizer", "registration", "broker", "reconciler"} {
		apigw.NotStarted(log, namespace, function, errors.New("gatehouse.yaml"))
	}
	store, err := (registry.Embedded{}).Open()
	if err != nil {
		t.Fatal(err)
	}
	service := &registration.Service{Store: store}
	r := &reconciler.Reconciler{Log: log, Metrics: namespace, Jobs: []reconciler.Job{ // as in functions/reconciler
		{Name: "interrupted", Run: service.FinishInterrupted},
		{Name: "unused", Run: service.ReapUnused},
		{Name: "usage", Run: service.KeepUsagePlans},
		{Name: "providers", Run: service.LookAtProviders},
		reconciler.KeepKeys(nil, store),
	}}
	if _, err := r.Invoke(ctx, nil); err != nil {
		t.Error(err)
	}
	return lines.Bytes()
}

// metrics are those of the lines: "Requests class=5xx function=broker".
func metrics(t *testing.T, lines []byte) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for text := range bytes.Lines(lines) {
		var line map[string]any
		var metadata struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name string }
				}
			} `json:"_aws"`
		}
		if err := errors.Join(json.Unmarshal(text, &line), json.Unmarshal(text, &metadata)); err != nil {
			t.Fatal(err)
		}
		for _, d := range metadata.AWS.CloudWatchMetrics {
			for _, set := range d.Dimensions {
				for _, m := range d.Metrics {
					var values []string
					for _, name := range set {
						value, _ := line[name].(string)
						values = append(values, name+"="+value)
					}
					all[metricName(m.Name, values)] = true
				}
			}
		}
	}
	return all
}

func metricName(name string, dimensions []string) string {
	slices.Sort(dimensions)
	return strings.Join(append([]string{name}, dimensions...), " ")
}

// named is a stack of the repository.
func named(t *testing.T, name string) stack {
	t.Helper()
	for _, s := range stacks(t) {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no %s", name)
	return stack{}
}

// alarms are the properties of those of the stack, by logical id.
func alarms(t *testing.T) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, s := range []stack{mainStack(t), named(t, "infra/alarms.yaml")} {
		for _, id := range s.ids("AWS::CloudWatch::Alarm") {
			all[id] = s.resources[id].Properties
		}
	}
	return all
}

// TestEveryAlarmIsOnAMetricThatIsWritten: a name with a slip in it would be an
// alarm that never rings.
func TestEveryAlarmIsOnAMetricThatIsWritten(t *testing.T) {
	t.Parallel()
	there := metrics(t, written(t))
	own := 0
	for id, p := range alarms(t) {
		if len(every(p["AlarmActions"])) == 0 || text(p["AlarmActions"]) != text(p["OKActions"]) || p["AlarmDescription"] == nil {
			t.Errorf("%s tells nobody, or not what to do", id)
		}
		if missing := text(p["TreatMissingData"]); missing == "null" {
			t.Errorf("%s does not say what no data means", id)
		}
		if !strings.Contains(text(p["Namespace"]), "Gatehouse/${Name}") {
			continue
		}
		own++
		var dimensions []string
		for _, d := range every(p["Dimensions"]) {
			dimensions = append(dimensions, text(at(d, "Name"))+"="+text(at(d, "Value")))
		}
		if name := metricName(text(p["MetricName"]), dimensions); !there[name] {
			t.Errorf("%s is on %q, which no function writes", id, name)
		}
	}
	if own < 8 {
		t.Errorf("got %d alarms on our own metrics", own)
	}
}

// TestTheDashboardShowsWhatThereIs: alarms and metrics that there are.
func TestTheDashboardShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	there := metrics(t, written(t))
	shapes := map[string]bool{} // metric and names of dimensions
	for name := range there {
		shapes[regexp.MustCompile(`=\S*`).ReplaceAllString(name, "")] = true
	}
	body := text(at(named(t, "infra/dashboard.yaml").resources["Dashboard"].Properties, "DashboardBody", "Fn::Sub"))
	body = strings.ReplaceAll(body, "${Name}", "stack")
	var dashboard struct {
		Widgets []struct {
			Properties struct {
				Title   string
				Alarms  []string
				Metrics [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &dashboard); err != nil {
		t.Fatal(err)
	}
	shown, metricsShown := map[string]bool{}, 0
	for _, w := range dashboard.Widgets {
		for _, arn := range w.Properties.Alarms {
			shown[arn[strings.LastIndex(arn, ":stack-")+len(":stack-"):]] = true
		}
		for _, m := range w.Properties.Metrics {
			metricsShown++
			if shape := shapeOf(m); shape != "" && !shapes[shape] && !there[shape] {
				t.Errorf("%s shows %q, which no function writes", w.Properties.Title, shape)
			}
		}
	}
	for _, p := range alarms(t) {
		name := strings.TrimLeft(regexp.MustCompile(`\$\{.*\}`).ReplaceAllString(text(at(p, "AlarmName", "Fn::Sub")), ""), "-")
		if !shown[name] {
			t.Errorf("the dashboard does not show the alarm %s", name)
		}
		delete(shown, name)
	}
	if len(shown) > 0 || metricsShown < 20 {
		t.Errorf("the dashboard shows the alarms %v, which there are not, and %d metrics", shown, metricsShown)
	}
}

// shapeOf is what a widget asks of our own metrics; "" if it asks of others.
func shapeOf(m []any) string {
	if search, ok := at(m[0], "expression").(string); ok {
		found := regexp.MustCompile(`\{` + namespace + `,([a-z,]+)\}.*MetricName="(\w+)"`).FindStringSubmatch(search)
		if found == nil {
			return search
		}
		return metricName(found[2], strings.Split(found[1], ","))
	}
	if m[0] != namespace {
		return ""
	}
	var dimensions []string
	for n := 2; n+1 < len(m); n += 2 {
		dimensions = append(dimensions, text(m[n])+"="+text(m[n+1]))
	}
	return metricName(text(m[1]), dimensions)
}

// TestTheQueriesAskForWhatIsLogged: each word of a query is a member of a log
// line or one of the language's.
func TestTheQueriesAskForWhatIsLogged(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for word := range strings.FieldsSeq("fields filter stats sort limit by as asc desc and or not in like count latest max pct bin coalesce ispresent 5m " +
		"timestamp message requestId level") {
		known[word] = true
	}
	member := regexp.MustCompile(`slog\.\w+\("([a-z_]+)"`)
	err := filepath.WalkDir(filepath.Join(root, "shared"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range member.FindAllSubmatch(text, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for text := range bytes.Lines(written(t)) {
		var line map[string]any
		if err := json.Unmarshal(text, &line); err != nil {
			t.Fatal(err)
		}
		for key := range line {
			known[key] = true
		}
	}
	for _, key := range []string{"time", "route", "status"} { // of access logs
		known[key] = true
	}
	quoted := regexp.MustCompile(`(?m)'[^']*'|/(?:[^/\\]|\\.)*/|^#.*$`)
	word := regexp.MustCompile(`@?[A-Za-z_][A-Za-z0-9_]*`)
	renamed := regexp.MustCompile(`\bas (\w+)`)
	s := named(t, "infra/queries.yaml")
	ids := s.ids("AWS::Logs::QueryDefinition")
	for _, id := range ids {
		query := text(s.resources[id].Properties["QueryString"])
		own := map[string]bool{"@timestamp": true}
		for _, m := range renamed.FindAllStringSubmatch(query, -1) {
			own[m[1]] = true
		}
		for _, w := range word.FindAllString(quoted.ReplaceAllString(query, ""), -1) {
			if !known[w] && !own[w] && w != "m" {
				t.Errorf("%s asks for %q, which no line has", id, w)
			}
		}
		if len(every(s.resources[id].Properties["LogGroupNames"])) == 0 {
			t.Errorf("%s asks no log", id)
		}
	}
	if len(ids) < 6 {
		t.Errorf("got %d queries", len(ids))
	}
}
