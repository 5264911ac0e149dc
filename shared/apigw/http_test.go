package apigw_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/apigw"
)

// seen is what a handler sees of a request.
type seen struct {
	Method, Path, Escaped, Query, URI, Host, Addr, Body string
	Header                                              http.Header
	Authorizer                                          map[string]string
}

func look(t *testing.T, into *seen) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		authorizer, _ := apigw.AuthorizerContext(r)
		*into = seen{
			r.Method, r.URL.Path, r.URL.EscapedPath(), r.URL.RawQuery, r.RequestURI, r.Host, r.RemoteAddr, string(body),
			r.Header, authorizer,
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func TestHTTPRequests(t *testing.T) {
	t.Parallel()
	v2 := func(rawPath, stage, domain string) events.APIGatewayV2HTTPRequest {
		return events.APIGatewayV2HTTPRequest{
			Version: "2.0", RawPath: rawPath,
			RequestContext: events.APIGatewayV2HTTPRequestContext{
				APIID: "a1b2c3d4e5", Stage: stage, DomainName: domain,
				HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: "GET", SourceIP: "192.0.2.1"},
			},
		}
	}
	const own = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
	full := v2("/prod/a%2Fb%20c", "prod", own)
	full.RawQueryString = "q=1&q=2&x=%zz"
	full.Cookies = []string{"a=1", "b=2"}
	full.Headers = map[string]string{"content-type": "text/plain", "host": "forged.example", "x-multi": "1,2", "x-gatehouse-client_id": "forged"}
	full.Body, full.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte("\x00\xff")), true
	full.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		Lambda: map[string]any{"client_id": "c", "n": 1, "list": []string{"x"}},
	}
	jwt := v2("/x", "$default", own)
	jwt.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
		JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{"client_id": "c"}},
	}
	tests := []struct {
		name  string
		event any
		want  seen
	}{
		{
			"REST: all values of headers and parameters, and the authorizer's context",
			events.APIGatewayProxyRequest{
				Path: "/orders/1", HTTPMethod: "POST",
				Headers:                         map[string]string{"X-Multi": "2", "Host": "forged.example", "X-One": "1"},
				MultiValueHeaders:               map[string][]string{"x-multi": {"1", "2"}},
				QueryStringParameters:           map[string]string{"q": "2", "s": "a b"},
				MultiValueQueryStringParameters: map[string][]string{"q": {"1", "&"}},
				Body:                            "{}",
				RequestContext: events.APIGatewayProxyRequestContext{
					APIID: "a1b2c3d4e5", Stage: "orders", DomainName: "api.example.com",
					Identity:   events.APIGatewayRequestIdentity{SourceIP: "192.0.2.1"},
					Authorizer: map[string]any{"principalId": "jane", "integrationLatency": 7, "client_id": "c"},
				},
			},
			seen{
				Method: "POST", Path: "/orders/1", Escaped: "/orders/1", Query: "q=1&q=%26&s=a+b", URI: "/orders/1?q=1&q=%26&s=a+b",
				Host: "api.example.com", Addr: "192.0.2.1", Body: "{}",
				Header:     http.Header{"X-Multi": {"1", "2"}, "X-One": {"1"}},
				Authorizer: map[string]string{"principalId": "jane", "integrationLatency": "7", "client_id": "c"},
			},
		},
		{
			"format 2.0: path and query as they came, cookies, a binary body",
			full,
			seen{
				Method: "GET", Path: "/a/b c", Escaped: "/a%2Fb%20c", Query: "q=1&q=2&x=%zz", URI: "/prod/a%2Fb%20c?q=1&q=2&x=%zz",
				Host: own, Addr: "192.0.2.1", Body: "\x00\xff",
				Header: http.Header{
					"Content-Type": {"text/plain"}, "X-Multi": {"1,2"}, "Cookie": {"a=1; b=2"}, "X-Gatehouse-Client_id": {"forged"},
				},
				Authorizer: map[string]string{"client_id": "c", "n": "1", "list": `["x"]`},
			},
		},
		{
			"a JWT authorizer is not ours", jwt,
			seen{Method: "GET", Path: "/x", Escaped: "/x", URI: "/x", Host: own, Addr: "192.0.2.1", Header: http.Header{}},
		},
		{
			"a stage alone is the root", v2("/prod", "prod", own),
			seen{Method: "GET", Path: "/", Escaped: "/", URI: "/prod", Host: own, Addr: "192.0.2.1", Header: http.Header{}},
		},
		{
			"a longer first segment is no stage", v2("/production", "prod", own),
			seen{Method: "GET", Path: "/production", Escaped: "/production", URI: "/production", Host: own, Addr: "192.0.2.1", Header: http.Header{}},
		},
		{
			"behind a custom domain name nothing is a stage", v2("/prod/x", "prod", "api.example.com"),
			seen{Method: "GET", Path: "/prod/x", Escaped: "/prod/x", URI: "/prod/x", Host: "api.example.com", Addr: "192.0.2.1", Header: http.Header{}},
		},
		{
			"a broken escape sequence is text", v2("/100%", "$default", own),
			seen{Method: "GET", Path: "/100%", Escaped: "/100%25", URI: "/100%", Host: own, Addr: "192.0.2.1", Header: http.Header{}},
		},
		{
			"format 1.0 of an HTTP API has the stage in its path",
			map[string]any{
				"version": "1.0", "path": "/prod/x", "httpMethod": "GET", "headers": map[string]string{"Host": "h.example"}, "body": nil,
				"requestContext": map[string]any{"apiId": "a1b2c3d4e5", "stage": "prod", "domainName": own, "authorizer": nil},
			},
			seen{Method: "GET", Path: "/x", Escaped: "/x", URI: "/prod/x", Host: own, Header: http.Header{}},
		},
		{
			"null maps are empty", json.RawMessage(`{"path":"/","httpMethod":"GET","headers":null,"multiValueHeaders":null,"queryStringParameters":null,` +
				`"multiValueQueryStringParameters":null,"requestContext":null,"body":null}`),
			seen{Method: "GET", Path: "/", Escaped: "/", URI: "/", Header: http.Header{}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got seen
			h := &apigw.HTTP{Handler: look(t, &got)}
			answer, err := h.Invoke(t.Context(), encode(t, test.event))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s\n%s", diff, answer)
			}
		})
	}
}

const (
	get1 = `{"path":"/x","httpMethod":"GET"}`
	get2 = `{"version":"2.0","rawPath":"/x","requestContext":{"http":{"method":"GET"}}}`
)

func TestHTTPResponses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, event string
		handler     http.HandlerFunc
		want        string
	}{
		{
			"format 1.0 keeps the values of a header apart", get1,
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Add("Set-Cookie", "a=1")
				w.Header().Add("Set-Cookie", "b=2")
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.WriteString(w, "<é>")
			},
			`{"statusCode":200,"multiValueHeaders":{"Content-Type":["text/plain"],"Set-Cookie":["a=1","b=2"]},"body":"\u003cé\u003e","isBase64Encoded":false}`,
		},
		{
			"format 2.0 joins them and has cookies apart", get2,
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Add("Set-Cookie", "a=1")
				w.Header().Add("Set-Cookie", "b=2")
				w.Header().Add("Vary", "Origin")
				w.Header().Add("Vary", "Accept")
				w.WriteHeader(http.StatusFound)
			},
			`{"statusCode":302,"headers":{"Vary":"Origin, Accept"},"cookies":["a=1","b=2"],"body":"","isBase64Encoded":false}`,
		},
		{
			"what is not text is sent as base64", get2,
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "image/png")
				_, _ = w.Write([]byte{0x89, 'P', 'N', 'G'})
			},
			`{"statusCode":200,"headers":{"Content-Type":"image/png"},"body":"iVBORw==","isBase64Encoded":true}`,
		},
		{
			"the first status and the header at that time count", get1,
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusCreated)
				w.WriteHeader(http.StatusTeapot)
				w.Header().Set("X-Late", "1")
				_, _ = io.WriteString(w, "<html>")
			},
			`{"statusCode":201,"multiValueHeaders":{"Content-Type":["text/html; charset=utf-8"]},"body":"\u003chtml\u003e","isBase64Encoded":false}`,
		},
		{
			"a handler that does nothing has answered 200", get1, func(http.ResponseWriter, *http.Request) {},
			`{"statusCode":200,"body":"","isBase64Encoded":false}`,
		},
		{
			"HEAD has no body", `{"path":"/x","httpMethod":"HEAD"}`,
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") },
			`{"statusCode":200,"multiValueHeaders":{"Content-Type":["text/plain; charset=utf-8"]},"body":"","isBase64Encoded":false}`,
		},
		{
			"204 has no body", get1,
			func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNoContent)
				if _, err := io.WriteString(w, "text"); !errors.Is(err, http.ErrBodyNotAllowed) {
					t.Errorf("write: got %v, want %v", err, http.ErrBodyNotAllowed)
				}
			},
			`{"statusCode":204,"body":"","isBase64Encoded":false}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := &apigw.HTTP{Handler: test.handler}
			got, err := h.Invoke(t.Context(), []byte(test.event))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestF28F29HTTPAnswersWhatGoesWrong(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
	tests := []struct {
		name, event string
		handler     http.HandlerFunc
		status      int
		level       string
		cause       string
	}{
		{"an event that is no JSON", `MARKED{`, echo, 400, "WARN", "an event of no known shape"},
		{"an event of another service", `{"Records":[]}`, echo, 400, "WARN", "an event of no known shape"},
		{"members of wrong types", `{"path":["MARKED"],"httpMethod":"GET"}`, echo, 400, "WARN", "an event of no known shape"},
		{"a version there is not", `{"version":"3.0","path":"/","httpMethod":"GET"}`, echo, 400, "WARN", "an event of no known shape"},
		{"no method", `{"path":"/"}`, echo, 400, "WARN", "an event of no known shape"},
		{"a method with a space", `{"path":"/","httpMethod":"GET /x"}`, echo, 400, "WARN", "an event of no known shape"},
		{"a relative path", `{"path":"x","httpMethod":"GET"}`, echo, 400, "WARN", "an event of no known shape"},
		{"a body that is not base64", `{"path":"/","httpMethod":"GET","body":"MARKED","isBase64Encoded":true}`, echo, 400, "WARN", "not base64"},
		{"more than Lambda carries", `{"path":"/","httpMethod":"GET","body":"` + strings.Repeat("x", 6<<20+100) + `"}`, echo, 413, "WARN", "too large"},
		{"a panic", get1, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic("MARKED")
		}, 500, "ERROR", "panic with string < gatehouse/shared/apigw_test.TestF28F29HTTPAnswersWhatGoesWrong"},
		{"a response that is too large", get1, func(w http.ResponseWriter, _ *http.Request) {
			for range 7 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}, 500, "ERROR", "more than Lambda can carry"},
		{"a response that is too large as JSON", get1, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 2<<20))
		}, 500, "ERROR", "more than Lambda can carry"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log, written := jsonLog()
			h := &apigw.HTTP{Handler: test.handler, Log: log}
			b, err := h.Invoke(t.Context(), []byte(test.event))
			if err != nil {
				t.Fatal(err)
			}
			var got events.APIGatewayProxyResponse
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if got.StatusCode != test.status || got.MultiValueHeaders["Content-Type"][0] != "application/problem+json" {
				t.Errorf("got %d and %v, want %d and a problem", got.StatusCode, got.MultiValueHeaders, test.status)
			}
			l := line(t, written)
			cause, _ := l["cause"].(string)
			if l["level"] != test.level || l["status"] != float64(test.status) || !strings.Contains(cause, test.cause) {
				t.Errorf("log: got %s", written)
			}
			if strings.Contains(string(b)+written.String(), "MARKED") {
				t.Errorf("got the input back: %s %s", b, written)
			}
		})
	}
}

func TestHTTPLogsOneLine(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(_ http.ResponseWriter, r *http.Request) {
		apigw.Log(r.Context(), slog.String("client_id", "c\n"))
		apigw.Log(r.Context(), slog.Int("found", 0))
		if left, ok := r.Context().Deadline(); !ok || time.Until(left) > 25*time.Second {
			t.Errorf("deadline: got %v, %v", left, ok)
		}
	})
	log, written := jsonLog()
	h := &apigw.HTTP{Handler: mux, Log: log}
	event := `{"version":"2.0","rawPath":"/orders/MARKED","rawQueryString":"access_token=MARKED","headers":{"authorization":"MARKED"},` +
		`"body":"MARKED","requestContext":{"http":{"method":"GET"}}}`
	if _, err := h.Invoke(t.Context(), []byte(event)); err != nil {
		t.Fatal(err)
	}
	l := line(t, written)
	want := map[string]any{
		"level": "INFO", "message": "request", "method": "GET", "route": "GET /orders/{id}", "status": 200.0, "client_id": "c\ufffd", "found": 0.0,
	}
	for key, value := range want {
		if l[key] != value {
			t.Errorf("%s: got %v, want %v", key, l[key], value)
		}
	}
	if strings.Contains(written.String(), "MARKED") {
		t.Errorf("the line has what the caller sent: %s", written)
	}
	apigw.Log(t.Context(), slog.String("outside", "of a request")) // does nothing
}

func TestMetricsOfRequests(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 9, 20, 57, 0, time.UTC)
	for name, c := range map[string]struct {
		serve    http.HandlerFunc
		class    string
		alarm    any
		alarms   any
		headings int // directives
	}{
		"an answer": {func(http.ResponseWriter, *http.Request) {}, "2xx", nil, nil, 2},
		"a refusal with an alarm": {func(w http.ResponseWriter, r *http.Request) {
			apigw.Log(r.Context(), slog.String("alarm", "code_reused"))
			w.WriteHeader(http.StatusBadRequest)
		}, "4xx", "code_reused", 1.0, 3},
		"two alarms are one member": {func(_ http.ResponseWriter, r *http.Request) {
			apigw.Log(r.Context(), slog.String("alarm", "wrong_verifier"), slog.String("alarm", "code_reused"))
		}, "2xx", "code_reused wrong_verifier", 2.0, 3},
		"a panic": {func(http.ResponseWriter, *http.Request) { panic("hunter2") }, "5xx", nil, nil, 2},
		"a handler that says what the line says": {func(_ http.ResponseWriter, r *http.Request) {
			for range 2 {
				apigw.Log(r.Context(), slog.String("class", "x"), slog.String("_aws", "x"), slog.Int("Requests", 7), slog.Int("status", 7),
					slog.String("function", "x"), slog.Int("Latency", 7), slog.Int("Alarms", 7), slog.String("twice", "x"))
			}
			apigw.Log(r.Context(), slog.String("cause", "of the handler"))
			panic("hunter2")
		}, "5xx", nil, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, written := jsonLog()
			h := &apigw.HTTP{Handler: c.serve, Log: log, Metrics: "Gatehouse/test", Function: "broker", Now: func() time.Time { return at }}
			if _, err := h.Invoke(t.Context(), []byte(get2)); err != nil {
				t.Fatal(err)
			}
			l := line(t, written) // refuses repeated members
			checkEMF(t, written.Bytes(), at)
			for key, want := range map[string]any{
				"function": "broker", "class": c.class, "Requests": 1.0, "Latency": 0.0, "alarm": c.alarm, "Alarms": c.alarms,
			} {
				if l[key] != want {
					t.Errorf("%s: got %v, want %v", key, l[key], want)
				}
			}
			emf, _ := l["_aws"].(map[string]any)
			if all, _ := emf["CloudWatchMetrics"].([]any); len(all) != c.headings || strings.Contains(written.String(), "hunter2") {
				t.Errorf("got %s, want %d directives", written, c.headings)
			}
		})
	}
	t.Run("nobody asked for any", func(t *testing.T) {
		t.Parallel()
		log, written := jsonLog()
		h := &apigw.HTTP{Handler: http.NotFoundHandler(), Log: log, Function: "broker"}
		if _, err := h.Invoke(t.Context(), []byte(get2)); err != nil {
			t.Fatal(err)
		}
		if l := line(t, written); l["_aws"] != nil || l["Requests"] != nil || l["Latency"] == nil {
			t.Errorf("got %s", written)
		}
	})
}

func TestWhyAFunctionDoesNotStartIsCounted(t *testing.T) {
	t.Parallel()
	log, written := jsonLog()
	apigw.NotStarted(log, "Gatehouse/test", "broker", errors.New("gatehouse.yaml:\n\x1b[31m"))
	l := line(t, written)
	if l["level"] != "ERROR" || l["message"] != "start" || l["function"] != "broker" || l["StartFailures"] != 1.0 || l["cause"] != "gatehouse.yaml:\ufffd\ufffd[31m" || l["_aws"] == nil {
		t.Errorf("got %s", written)
	}
}

// TestMetricsAreWhereCloudWatchFindsThem: in lines of JSON.
func TestMetricsAreWhereCloudWatchFindsThem(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"JSON": "Gatehouse/test", "Text": "", "": ""} {
		got := apigw.Namespace(func(name string) string {
			return map[string]string{"AWS_LAMBDA_LOG_FORMAT": format, "METRICS_NAMESPACE": "Gatehouse/test"}[name]
		})
		if got != want {
			t.Errorf("%q: got %q, want %q", format, got, want)
		}
	}
}

func FuzzHTTP(f *testing.F) {
	f.Add([]byte(get1))
	f.Add([]byte(get2))
	f.Add([]byte(`{"version":"2.0","rawPath":"/prod/%zz","rawQueryString":"a=%","cookies":["a"],"body":"AA==","isBase64Encoded":true,` +
		`"requestContext":{"stage":"prod","apiId":"a","domainName":"a.execute-api.x","http":{"method":"PUT"},"authorizer":{"lambda":{"a":1}}}}`))
	f.Add([]byte(`{"path":"/","httpMethod":"GET","multiValueHeaders":{"a":["b",null]},"multiValueQueryStringParameters":{"a":[]},"requestContext":{"authorizer":{"a":[]}}}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		var sent string
		var told map[string]string
		h := &apigw.HTTP{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			told, _ = apigw.AuthorizerContext(r)
			body, err := io.ReadAll(r.Body)
			if sent = string(body); err != nil || !strings.HasPrefix(r.RequestURI, "/") || r.URL.Host != "" {
				t.Errorf("got %s %s, %v", r.RequestURI, r.URL, err)
			}
			_, _ = w.Write(body)
		})}
		b, err := h.Invoke(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		var got events.APIGatewayV2HTTPResponse
		if err := json.Unmarshal(b, &got); err != nil || got.StatusCode != http.StatusOK && got.StatusCode != http.StatusBadRequest {
			t.Errorf("got %d, %v", got.StatusCode, err)
		}
		if got.StatusCode != http.StatusOK {
			return
		}
		checkEcho(t, event, got, sent)
		if len(told) > 0 && !bytes.Contains(bytes.ToLower(event), []byte("authorizer")) && !bytes.ContainsAny(event, `\ſ`) {
			t.Errorf("nobody has told %q", told)
		}
	})
}

// checkEcho holds a body that was sent back to what encoding/json reads of the
// event.
func checkEcho(t *testing.T, event []byte, got events.APIGatewayV2HTTPResponse, sent string) {
	t.Helper()
	var read struct {
		Body            string
		IsBase64Encoded bool
		HTTPMethod      string
		RequestContext  struct{ HTTP struct{ Method string } }
	}
	if err := json.Unmarshal(event, &read); err != nil {
		t.Fatal(err)
	}
	decoded := func(body string, encoded bool) string {
		if !encoded {
			return body
		}
		b, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if want := decoded(read.Body, read.IsBase64Encoded); sent != want {
		t.Fatalf("the handler reads %q, want %q", sent, want)
	}
	head := read.HTTPMethod == http.MethodHead || read.RequestContext.HTTP.Method == http.MethodHead
	if back := decoded(got.Body, got.IsBase64Encoded); back != sent && (back != "" || !head) {
		t.Fatalf("sent back %q, want %q", back, sent)
	}
}
