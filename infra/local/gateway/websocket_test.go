package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
)

// talkAPI is a WebSocket API whose $connect has an authorizer.
func talkAPI() samtemplate.API {
	return samtemplate.API{
		LogicalID: "Talk", Kind: samtemplate.WebSocket, Stage: "live", StageVariables: map[string]string{"gatehouse": "talk"},
		RouteSelection: "$request.body.action",
		Routes: []samtemplate.Route{
			{Path: "$connect", Function: "Connect", Authorizer: "Auth"},
			{Path: "$disconnect", Function: "Disconnect"},
			{Path: "echo", Function: "Echo", Responds: true},
			{Path: "silent", Function: "Echo"},
			{Path: "broken", Function: "Broken", Responds: true},
		},
		Authorizers: map[string]samtemplate.Authorizer{"Auth": {Kind: samtemplate.Request, Function: "Authorizer", IdentitySources: bearer}},
	}
}

// talk is a gateway of talkAPI on a real address. Echo says what it was sent.
func talk(t *testing.T, authorizer lambda, change func(*gateway.Config)) (*world, string) {
	t.Helper()
	w := newWorld(t, talkAPI(), authorizer, func(c *gateway.Config) {
		invoke := c.Invoke
		c.Invoke = func(ctx context.Context, function string, event []byte) ([]byte, error) {
			answer, err := invoke(ctx, function, event)
			switch function {
			case "Echo":
				body, _ := json.Marshal(string(event))
				return []byte(`{"statusCode":200,"body":` + string(body) + `}`), nil
			case "Broken":
				return []byte(`{}`), nil
			}
			return answer, err
		}
		if change != nil {
			change(c)
		}
	})
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	return w, server.URL
}

// dial connects with a token.
func dial(t *testing.T, url string, protocols ...string) *websocket.Conn {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{ //nolint:bodyclose // there is none to close, says Dial
		HTTPHeader: http.Header{"Authorization": {"Bearer abc"}}, Subprotocols: protocols,
	})
	if err != nil {
		t.Fatalf("got %v, %v", resp, err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// exchange sends a message and returns the next.
func exchange(t *testing.T, conn *websocket.Conn, message string) string {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	_, answer, err := conn.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

const connectARN = "arn:aws:execute-api:eu-west-1:123456789012:abc123/live/$connect"

var allowsConnect = policyWith(`{"sub":"ada","n":1}`, statement("Allow", connectARN))

func TestHandshakes(t *testing.T) {
	t.Parallel()
	refuses := func(answer string) func(*gateway.Config) {
		return func(c *gateway.Config) {
			invoke := c.Invoke
			c.Invoke = func(ctx context.Context, function string, event []byte) ([]byte, error) {
				if function == "Connect" {
					return []byte(answer), nil
				}
				return invoke(ctx, function, event)
			}
		}
	}
	for name, c := range map[string]struct {
		path, token string
		authorizer  lambda
		change      func(*gateway.Config)
		status      int
		body        string
	}{
		"allowed":                             {"/live", "Bearer abc", says(allowsConnect), nil, 101, ""},
		"no identity source":                  {"/live", "", says(allowsConnect), nil, 401, bodyUnauthorized},
		"an error Unauthorized is 401":        {"/live", "Bearer abc", fails("Unauthorized"), nil, 401, bodyUnauthorized},
		"any other error is 500":              {"/live", "Bearer abc", fails("boom"), nil, 500, bodyInternal},
		"an explicit deny":                    {"/live", "Bearer abc", says(policy(statement("Deny", "*"))), nil, 403, bodyForbidden},
		"nothing allows it":                   {"/live", "Bearer abc", says(policy(statement("Allow", strings.Replace(connectARN, "$connect", "GET/", 1)))), nil, 403, bodyForbidden},
		"a simple answer is none":             {"/live", "Bearer abc", says(`{"isAuthorized":true}`), nil, 500, bodyInternal},
		"a nested context":                    {"/live", "Bearer abc", says(policyWith(`{"a":[]}`, statement("Allow", "*"))), nil, 500, bodyInternal},
		"a path below the stage":              {"/live/x", "Bearer abc", says(allowsConnect), nil, 403, bodyForbidden},
		"another stage":                       {"/test", "Bearer abc", says(allowsConnect), nil, 403, bodyForbidden},
		"the function of $connect refuses":    {"/live", "Bearer abc", says(allowsConnect), refuses(`{"statusCode":409}`), 409, ""},
		"the function of $connect is broken":  {"/live", "Bearer abc", says(allowsConnect), refuses(`{}`), 502, `{"message":"Internal server error"}`},
		"the authorizer is not attached here": {"/live", "", fails("boom"), func(c *gateway.Config) { c.Open = true }, 101, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := talk(t, c.authorizer, c.change)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+c.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{
				"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
			}
			if c.token != "" {
				req.Header.Set("Authorization", c.token)
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body := make([]byte, 100)
			if resp.StatusCode != http.StatusSwitchingProtocols {
				n, _ := resp.Body.Read(body)
				body = body[:n]
			} else {
				body = nil
			}
			if resp.StatusCode != c.status || string(body) != c.body {
				t.Errorf("got %d %s, want %d %s", resp.StatusCode, body, c.status, c.body)
			}
		})
	}
}

func TestAWebSocketAPITakesHandshakesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, talkAPI(), says(allowsConnect), nil)
	check(t, w.send(request(http.MethodGet, "/live")), http.StatusUpgradeRequired, `{"message":"Upgrade Required"}`)
	check(t, w.send(request(http.MethodPost, "/live")), http.StatusForbidden, bodyForbidden)
	if w.asked("Authorizer") > 0 {
		t.Error("the authorizer was asked")
	}
}

func TestTheEventOfAHandshake(t *testing.T) {
	t.Parallel()
	w, url := talk(t, says(allowsConnect), nil)
	dial(t, url+"/live?a=1&a=2")
	event := object(t, w.event(t, "Authorizer"))
	context, _ := event["requestContext"].(map[string]any)
	headers, _ := event["headers"].(map[string]any)
	query, _ := event["queryStringParameters"].(map[string]any)
	variables, _ := event["stageVariables"].(map[string]any)
	for name, pair := range map[string][2]any{
		"type":         {event["type"], "REQUEST"},
		"methodArn":    {event["methodArn"], connectARN},
		"routeKey":     {context["routeKey"], "$connect"},
		"eventType":    {context["eventType"], "CONNECT"},
		"stage":        {context["stage"], "live"},
		"apiId":        {context["apiId"], "abc123"},
		"authorizer":   {context["authorizer"], nil},
		"httpMethod":   {event["httpMethod"], nil},
		"parameters":   {event["pathParameters"], nil},
		"a header":     {headers["Authorization"], "Bearer abc"},
		"the upgrade":  {headers["Upgrade"], "websocket"},
		"a query":      {query["a"], "2"},
		"the variable": {variables["gatehouse"], "talk"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
	if id, _ := context["connectionId"].(string); id == "" {
		t.Error("there is no connectionId")
	}
	connect := object(t, w.event(t, "Connect"))
	if headers, _ := connect["headers"].(map[string]any); headers["Authorization"] != "Bearer abc" || headers["Upgrade"] != nil {
		t.Errorf("the function of $connect got %v", headers)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	w, url := talk(t, says(allowsConnect), nil)
	conn := dial(t, url+"/live")

	echo := object(t, []byte(exchange(t, conn, `{"action":"echo","text":"hi"}`)))
	context, _ := echo["requestContext"].(map[string]any)
	authorizer, _ := context["authorizer"].(map[string]any)
	if echo["body"] != `{"action":"echo","text":"hi"}` || context["eventType"] != "MESSAGE" || context["routeKey"] != "echo" || context["messageId"] == nil {
		t.Errorf("got %v", echo)
	}
	if authorizer["sub"] != "ada" || authorizer["n"] != "1" || authorizer["principalId"] != "user" {
		t.Errorf("the function was told of the caller: %v", authorizer)
	}
	if echo["headers"] != nil {
		t.Error("a message has no headers")
	}
	for _, message := range []string{`{"action":"nobody"}`, `{}`, `hello`, `{"action":"$connect"}`} {
		if answer := exchange(t, conn, message); !strings.HasPrefix(answer, `{"message":"Forbidden","connectionId":"`) {
			t.Errorf("%s: got %s", message, answer)
		}
	}
	if answer := exchange(t, conn, `{"action":"broken"}`); !strings.HasPrefix(answer, `{"message":"Internal server error","connectionId":"`) {
		t.Errorf("got %s", answer)
	}
	// What a route without a response says nobody hears: the next answer is the next.
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"action":"silent"}`)); err != nil {
		t.Fatal(err)
	}
	if answer := exchange(t, conn, `{"action":"echo","text":"still there"}`); !strings.Contains(answer, "still there") {
		t.Errorf("got %s", answer)
	}
	if n := w.asked("Authorizer"); n != 1 {
		t.Errorf("the authorizer was asked %d times; messages have none", n)
	}
}

func TestADefaultRouteTakesWhatNoOtherDoes(t *testing.T) {
	t.Parallel()
	_, url := talk(t, says(allowsConnect), func(c *gateway.Config) {
		c.API.Routes = append(c.API.Routes, samtemplate.Route{Path: "$default", Function: "Echo", Responds: true})
	})
	conn := dial(t, url+"/live")
	if answer := exchange(t, conn, "hello"); !strings.Contains(answer, `"routeKey":"$default"`) {
		t.Errorf("got %s", answer)
	}
}

func TestAConnectionEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    func(*testing.T, *websocket.Conn)
		status float64
		reason string
	}{
		"the client says goodbye": {func(t *testing.T, conn *websocket.Conn) {
			t.Helper()
			_ = conn.Close(websocket.StatusNormalClosure, "enough")
		}, 1000, "enough"},
		"the client is gone": {func(t *testing.T, conn *websocket.Conn) {
			t.Helper()
			_ = conn.CloseNow()
		}, 1006, ""},
		"a binary frame is refused": {func(t *testing.T, conn *websocket.Conn) {
			t.Helper()
			_ = conn.Write(t.Context(), websocket.MessageBinary, []byte{1})
			if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
				t.Errorf("got %v", err)
			}
		}, 1003, "binary frames are not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := make(chan []byte, 1)
			_, url := talk(t, says(allowsConnect), func(c *gateway.Config) {
				invoke := c.Invoke
				c.Invoke = func(ctx context.Context, function string, event []byte) ([]byte, error) {
					if function == "Disconnect" {
						told <- event
					}
					return invoke(ctx, function, event)
				}
			})
			c.end(t, dial(t, url+"/live"))
			select {
			case event := <-told:
				context, _ := object(t, event)["requestContext"].(map[string]any)
				reason, _ := context["disconnectReason"].(string)
				if context["eventType"] != "DISCONNECT" || context["disconnectStatusCode"] != c.status || reason != c.reason {
					t.Errorf("got %v", context)
				}
			case <-time.After(10 * time.Second):
				t.Error("the function of $disconnect was not told")
			}
		})
	}
}

func TestASubprotocolIsTheFunctions(t *testing.T) {
	t.Parallel()
	_, url := talk(t, says(allowsConnect), func(c *gateway.Config) {
		invoke := c.Invoke
		c.Invoke = func(ctx context.Context, function string, event []byte) ([]byte, error) {
			if function == "Connect" {
				return []byte(`{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"two"}}`), nil
			}
			return invoke(ctx, function, event)
		}
	})
	if got := dial(t, url+"/live", "one", "two").Subprotocol(); got != "two" {
		t.Errorf("got the subprotocol %q", got)
	}
}
