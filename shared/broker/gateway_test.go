package broker_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gatehouse/shared/apigw"
)

// lines are what was logged.
type lines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns what was logged since the last time.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	l.text.Reset()
	return text
}

// logged puts API Gateway in front of the site, which logs from then on: an HTTP
// API with payload format 2.0, or a REST API.
func (s *site) logged(rest bool) *lines {
	s.t.Helper()
	l := &lines{}
	s.net.set("gatehouse.test", gateway{
		t: s.t, rest: rest,
		HTTP: &apigw.HTTP{Handler: s.own(), Log: slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))},
	})
	return l
}

// gateway is API Gateway.
type gateway struct {
	*apigw.HTTP

	t    *testing.T
	rest bool
}

// ServeHTTP implements [http.Handler].
func (g gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	event, err := json.Marshal(g.event(r))
	if err != nil {
		g.t.Error(err)
	}
	raw, err := g.Invoke(r.Context(), event)
	if err != nil {
		g.t.Error(err)
	}
	var got struct {
		StatusCode        int
		Headers           map[string]string
		MultiValueHeaders map[string][]string
		Cookies           []string
		Body              string
		IsBase64Encoded   bool
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		g.t.Error(err)
	}
	for name, value := range got.Headers {
		w.Header().Set(name, value)
	}
	maps.Copy(w.Header(), got.MultiValueHeaders)
	for _, cookie := range got.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(got.StatusCode)
	_, _ = io.WriteString(w, got.Body)
}

func (g gateway) event(r *http.Request) map[string]any {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Error(err)
	}
	e := map[string]any{"body": base64.StdEncoding.EncodeToString(body), "isBase64Encoded": true}
	context := map[string]any{"apiId": "a1b2c3d4e5", "domainName": "gatehouse.test"}
	e["requestContext"] = context
	if g.rest {
		e["path"], e["httpMethod"], e["multiValueHeaders"], e["multiValueQueryStringParameters"] = r.URL.Path, r.Method, r.Header, r.URL.Query()
		context["stage"], context["identity"] = "prod", map[string]any{"sourceIp": r.RemoteAddr}
		return e
	}
	headers, cookies := map[string]string{}, []string{}
	for name, values := range r.Header {
		if name == "Cookie" {
			cookies = strings.Split(values[0], "; ")
			continue
		}
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	e["version"], e["rawPath"], e["rawQueryString"], e["headers"], e["cookies"] = "2.0", r.URL.EscapedPath(), r.URL.RawQuery, headers, cookies
	context["stage"], context["http"] = "$default", map[string]any{"method": r.Method, "sourceIp": r.RemoteAddr}
	return e
}
