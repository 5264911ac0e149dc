package examples_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"gatehouse/infra/local/samtemplate"
)

// example is how an example is tested, besides what is tested of all.
type example struct {
	changes func(*testing.T) changes
	special func(*testing.T, *stack)
}

// examples are those that have no test of their own in their folders.
func examples() map[string]example {
	return map[string]example{
		"rest-token":   {special: restToken},
		"rest-request": {special: restRequest},
		"http-simple":  {special: httpSimple},
		"http-1.0":     {special: http10},
		"cross-stack":  {changes: byParameterStore, special: crossStack},
		"usage-plan":   {changes: byTier, special: usagePlan},
		"private":      {changes: byEndpoint, special: private},
		"websocket":    {special: webSocket},
	}
}

// TestExamples finds the examples by their folders, so that none is forgotten.
func TestExamples(t *testing.T) {
	t.Parallel()
	known := examples()
	templates, err := filepath.Glob("*/template.yaml")
	if err != nil || len(templates) < len(known) {
		t.Fatalf("got %q, %v", templates, err)
	}
	for _, file := range templates {
		folder := filepath.Dir(file)
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			wholesome(t, folder)
			e, ok := known[folder]
			if own, _ := filepath.Glob(filepath.Join(folder, "*_test.go")); !ok && len(own) > 0 {
				return
			}
			if !ok {
				t.Fatal("nothing is tested of it: give it a row in examples()")
			}
			var c changes
			if e.changes != nil {
				c = e.changes(t)
			}
			s := newStack(t, folder, c)
			if s.api.Kind != samtemplate.WebSocket {
				s.everybody(t, folder)
			}
			e.special(t, s)
		})
	}
}

// wholesome is what the templates have alike.
func wholesome(t *testing.T, folder string) {
	t.Helper()
	template := contents(t, filepath.Join(folder, "template.yaml"))
	if !strings.Contains(contents(t, "README.md"), "]("+folder+")") {
		t.Error("README.md does not lead to it")
	}
	// A permission from every stack would fill the policy of Gatehouse's function.
	for _, pair := range [][2]string{
		{"FunctionPayloadType:", "DisableFunctionDefaultPermissions: true"},
		{"AuthorizerPayloadFormatVersion:", "EnableFunctionDefaultPermissions: false"},
	} {
		if strings.Count(template, pair[0]) != strings.Count(template, pair[1]) {
			t.Errorf("each authorizer with %s needs %s", pair[0], pair[1])
		}
	}
	var parsed struct {
		Parameters map[string]struct {
			Description string `yaml:"Description"`
		} `yaml:"Parameters"`
		Resources map[string]struct {
			Type       string               `yaml:"Type"`
			Properties map[string]yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(template), &parsed); err != nil {
		t.Fatal(err)
	}
	for name, p := range parsed.Parameters {
		if p.Description == "" {
			t.Errorf("parameter %s has no description", name)
		}
	}
	for name, r := range parsed.Resources {
		if _, ok := r.Properties["Tags"]; !ok && !slices.Contains(untagged, r.Type) {
			t.Errorf("%s has no tags", name)
		}
	}
}

// untagged are the types of resource that have no tags.
var untagged = []string{
	"AWS::ApiGateway::UsagePlanKey", "AWS::ApiGatewayV2::Authorizer", "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Route",
	"AWS::ApiGatewayV2::RouteResponse", "AWS::Lambda::Permission",
}

func contents(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// refusals are what an API says to who does not get through. It is the same for
// all APIs of a kind.
type refusals struct {
	unauthorized call // there is no token
	untrusted    call // there is one that is no good
	forbidden    call // there is a good one, but not for this route
	nowhere      call // there is no such route
}

func (s *stack) refusals(folder string) refusals {
	if s.api.Kind == samtemplate.HTTP {
		return refusals{
			unauthorized: call{status: 401, says: `{"message":"Unauthorized"}`},
			untrusted:    call{status: 403, says: `{"message":"Forbidden"}`},
			forbidden:    call{status: 403, says: `{"message":"Forbidden"}`},
			nowhere:      call{status: 404, says: `{"message":"Not Found"}`},
		}
	}
	challenge := `Bearer realm="` + folder + `"`
	return refusals{
		unauthorized: call{status: 401, challenge: challenge, says: `{"message":"Unauthorized"}`},
		untrusted:    call{status: 401, challenge: challenge, says: `{"message":"Unauthorized"}`},
		forbidden:    call{status: 403, challenge: challenge + `, error="insufficient_scope"`, says: "User is not authorized to access this resource"},
		nowhere:      call{status: 403, says: "Missing Authentication Token"},
	}
}

// everybody makes the calls that each example with orders allows and refuses.
func (s *stack) everybody(t *testing.T, folder string) {
	t.Helper()
	a := s.api.Authorizers["Gatehouse"]
	if a.TTL != s.cfg.ResultCache {
		t.Errorf("API Gateway caches for %s, Gatehouse believes for %s", a.TTL, s.cfg.ResultCache)
	}
	of := s.refusals(folder)
	but := func(name string, c, with call) call {
		c.name, c.method, c.path, c.token, c.body, c.host = name, with.method, with.path, with.token, with.body, s.host
		return c
	}
	allowed := call{status: 200, says: `"client_id":"storefront"`}
	placed := call{status: 201, says: `"item":"bell"`}
	const order = `{"item":"bell","quantity":1}`
	reads, writes := s.token(t, storefront, "orders:read", nil), s.token(t, storefront, "orders:write", nil)
	for _, c := range []call{
		but("no token", of.unauthorized, call{}),
		but("a token that is none", of.untrusted, call{token: "garbage"}),
		but("an expired token", of.untrusted, call{token: s.token(t, storefront, "orders:read", map[string]any{"exp": s.now().Add(-time.Hour).Unix()})}),
		but("a token for another audience", of.untrusted, call{token: s.token(t, storefront, "orders:read", map[string]any{"aud": "api://other"})}),
		but("a token of another issuer", of.untrusted, call{token: s.token(t, storefront, "orders:read", map[string]any{"iss": "https://other.example.com"})}),
		but("a token without the scope of the route", of.forbidden, call{token: writes}),
		but("a token that only reads places no order", of.forbidden, call{method: "POST", token: reads, body: order}),
		but("a route that gatehouse.yaml does not list", of.forbidden, call{path: "/unlisted", token: reads}),
		but("an application without a contract", of.forbidden, call{token: s.token(t, stranger, "orders:read", nil)}),
		but("a path there is not", of.nowhere, call{path: "/nothing", token: reads}),
		but("a method there is not", of.nowhere, call{method: "DELETE", token: reads}),
		but("a token that reads", allowed, call{token: reads}),
		but("a token that writes", placed, call{method: "POST", token: writes, body: order}),
	} {
		t.Run(c.name, func(t *testing.T) { s.try(t, c) })
	}
	t.Run("the backend is told who calls", func(t *testing.T) {
		told := s.told(t, "DemoApiFunction")
		for name, want := range map[string]string{
			"client_id": storefront, "application": "storefront-1", "tier": "trial", "sub": storefront, "scope": "orders:write", "iss": s.cfg.Providers[0].Issuer,
		} {
			if told[name] != want {
				t.Errorf("%s: got %v, want %s", name, told[name], want)
			}
		}
		if told["exp"] == nil || told["jti"] == nil {
			t.Errorf("got %v", told)
		}
	})
	t.Run("a token that expires while its answer is cached works as long as that", func(t *testing.T) {
		short := s.token(t, storefront, "orders:read", map[string]any{"exp": s.now().Add(time.Second).Unix()})
		s.try(t, but("before", allowed, call{token: short}))
		s.advance(s.cfg.Providers[0].Leeway + 2*time.Second + s.cfg.ResultCache)
		s.try(t, but("after", of.untrusted, call{token: short}))
	})
}
