package demoapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events" //nolint:depguard // the tests call the handler as Lambda does

	"gatehouse/shared/apigw"
	"gatehouse/shared/demoapi"
)

// request is one request; its authorizer is nil on a route without one.
type request struct {
	method, path, body string
	authorizer         map[string]any
}

// call sends a request through the proxy integration of a REST API.
func call(t *testing.T, h http.Handler, r request) (*events.APIGatewayProxyResponse, map[string]any) {
	t.Helper()
	event, err := json.Marshal(events.APIGatewayProxyRequest{
		HTTPMethod: r.method, Path: r.path, Body: r.body,
		Headers:        map[string]string{"Content-Type": "application/json; charset=utf-8"},
		RequestContext: events.APIGatewayProxyRequestContext{Authorizer: r.authorizer},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&apigw.HTTP{Handler: h}).Invoke(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	response := new(events.APIGatewayProxyResponse)
	if err := json.Unmarshal(b, response); err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if response.Body != "" {
		if err := json.Unmarshal([]byte(response.Body), &members); err != nil {
			t.Fatalf("%v in %s", err, response.Body)
		}
	}
	return response, members
}

func jane() map[string]any {
	return map[string]any{"principalId": "jane", "client_id": "storefront", "sub": "jane", "scope": "orders:read", "integrationLatency": 3}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	open := demoapi.API{Open: true}
	const order = `{"item":"bell","quantity":1}`
	tests := []struct {
		name    string
		api     demoapi.API
		request request
		status  int
		text    string // in the body
	}{
		{"health is public", demoapi.API{}, request{"GET", "/health", "", nil}, 200, `"status":"ok"`},
		{"a list of orders and who asked", demoapi.API{}, request{"GET", "/orders", "", jane()}, 200, `"caller":{"client_id":"storefront","sub":"jane","scope":"orders:read"}`},
		{"one order", demoapi.API{}, request{"GET", "/orders/1002", "", jane()}, 200, `"order":{"id":"1002","item":"lantern","quantity":12}`},
		{"an order there is not", demoapi.API{}, request{"GET", "/orders/9", "", jane()}, 404, "no such order"},
		{"a new order", demoapi.API{}, request{"POST", "/orders", order, jane()}, 201, `"order":{"id":"1004","item":"bell","quantity":1}`},
		{"administration", demoapi.API{}, request{"GET", "/admin/report", "", jane()}, 200, `"page":"report","method":"GET","orders":3,"quantity":15`},
		{"administration with any method", demoapi.API{}, request{"DELETE", "/admin/cache/all", "", jane()}, 200, `"page":"cache/all","method":"DELETE"`},
		{"orders without an authorizer are refused", demoapi.API{}, request{"GET", "/orders", "", nil}, 500, "this route is not protected"},
		{"one order without an authorizer is refused", demoapi.API{}, request{"GET", "/orders/1001", "", nil}, 500, "this route is not protected"},
		{"a new order without an authorizer is refused", demoapi.API{}, request{"POST", "/orders", order, nil}, 500, "this route is not protected"},
		{"administration without an authorizer is refused", demoapi.API{}, request{"GET", "/admin/report", "", nil}, 500, "this route is not protected"},
		{"an empty context is none", demoapi.API{}, request{"GET", "/orders", "", map[string]any{}}, 500, "this route is not protected"},
		{"an open API serves without one", open, request{"GET", "/orders", "", nil}, 200, `"item":"gate latch"`},
		{"an open API tells who asked if it knows", open, request{"GET", "/orders", "", jane()}, 200, `"client_id":"storefront"`},
		{"a path there is not", demoapi.API{}, request{"GET", "/other", "", nil}, 404, "there are /orders"},
		{"a slash too many is another path", demoapi.API{}, request{"GET", "/orders/", "", jane()}, 404, "there are /orders"},
		{"a method there is not", demoapi.API{}, request{"DELETE", "/orders", "", jane()}, 405, "GET, HEAD, POST"},
		{"no JSON", demoapi.API{}, request{"POST", "/orders", "item=bell", jane()}, 400, "the body is not an order"},
		{"nothing", demoapi.API{}, request{"POST", "/orders", "", jane()}, 400, "the body is not an order"},
		{"a member twice", demoapi.API{}, request{"POST", "/orders", `{"item":"a","item":"b","quantity":1}`, jane()}, 400, "the body is not an order"},
		{"a quantity that is no integer", demoapi.API{}, request{"POST", "/orders", `{"item":"a","quantity":1.5}`, jane()}, 400, "the body is not an order"},
		{"an unknown member", demoapi.API{}, request{"POST", "/orders", `{"item":"a","quantity":1,"price":0}`, jane()}, 400, "and no others"},
		{"no item", demoapi.API{}, request{"POST", "/orders", `{"quantity":1}`, jane()}, 400, "item has 1 to 100 characters"},
		{"too many", demoapi.API{}, request{"POST", "/orders", `{"item":"a","quantity":1001}`, jane()}, 400, "quantity is an integer from 1 to 1000"},
		{"a body over 64 KiB", demoapi.API{}, request{"POST", "/orders", strings.Repeat(" ", 64<<10) + order, jane()}, 413, "at most 64 KiB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response, members := call(t, test.api.Handler(), test.request)
			if response.StatusCode != test.status || !strings.Contains(response.Body, test.text) {
				t.Errorf("got %d %s, want %d with %s", response.StatusCode, response.Body, test.status, test.text)
			}
			mediaType := "application/json"
			if test.status >= 400 {
				mediaType = "application/problem+json"
				if members["status"] != float64(test.status) || members["title"] != http.StatusText(test.status) {
					t.Errorf("problem: got %v", members)
				}
			}
			if got := response.MultiValueHeaders["Content-Type"]; len(got) != 1 || got[0] != mediaType {
				t.Errorf("Content-Type: got %q, want %q", got, mediaType)
			}
			if got := response.MultiValueHeaders["Cache-Control"]; len(got) != 1 || got[0] != "private, no-store" {
				t.Errorf("Cache-Control: got %q", got)
			}
		})
	}
}

func TestANewOrderIsWhereItsLocationSays(t *testing.T) {
	t.Parallel()
	h := demoapi.API{}.Handler()
	created, _ := call(t, h, request{"POST", "/orders", `{"item":"bell","quantity":3}`, jane()})
	location := created.MultiValueHeaders["Location"]
	if len(location) != 1 {
		t.Fatalf("Location: got %q", location)
	}
	read, members := call(t, h, request{"GET", "/" + location[0], "", jane()})
	if read.StatusCode != http.StatusOK || fmt.Sprint(members["order"]) != "map[id:1004 item:bell quantity:3]" {
		t.Errorf("got %d %s", read.StatusCode, read.Body)
	}
}

func TestOrdersAreBounded(t *testing.T) {
	t.Parallel()
	h := demoapi.API{}.Handler()
	for range 150 {
		if r, _ := call(t, h, request{"POST", "/orders", `{"item":"bell","quantity":1}`, jane()}); r.StatusCode != http.StatusCreated {
			t.Fatalf("got %d %s", r.StatusCode, r.Body)
		}
	}
	_, members := call(t, h, request{"GET", "/orders", "", jane()})
	if all, _ := members["orders"].([]any); len(all) != 100 {
		t.Errorf("got %d orders, want 100", len(all))
	}
}

func TestHeadAndMethodsThereAreNot(t *testing.T) {
	t.Parallel()
	h := demoapi.API{}.Handler()
	if r, _ := call(t, h, request{"HEAD", "/orders", "", jane()}); r.StatusCode != http.StatusOK || r.Body != "" {
		t.Errorf("HEAD: got %d %q", r.StatusCode, r.Body)
	}
	r, _ := call(t, h, request{"PUT", "/orders/1001", "{}", jane()})
	if allow := r.MultiValueHeaders["Allow"]; len(allow) != 1 || allow[0] != "GET, HEAD" {
		t.Errorf("Allow: got %q", allow)
	}
}

func TestOtherMediaTypesAreRefused(t *testing.T) {
	t.Parallel()
	b, err := (&apigw.HTTP{Handler: demoapi.API{Open: true}.Handler()}).Invoke(t.Context(),
		[]byte(`{"path":"/orders","httpMethod":"POST","headers":{"content-type":"text/plain"},"body":"{}"}`))
	if err != nil || !strings.Contains(string(b), `"statusCode":415`) {
		t.Errorf("got %s, %v, want 415", b, err)
	}
}
