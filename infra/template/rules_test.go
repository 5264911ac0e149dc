package template_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// open are the routes without an authorizer, each with the reason.
var open = map[string]string{
	"template.yaml GatehouseHttpApi POST /register":                                       "clients register themselves; the function asks for an initial access token",
	"template.yaml GatehouseHttpApi GET /register/{client_id}":                            "the function checks the client's own token",
	"template.yaml GatehouseHttpApi PUT /register/{client_id}":                            "the function checks the client's own token",
	"template.yaml GatehouseHttpApi DELETE /register/{client_id}":                         "the function checks the client's own token",
	"template.yaml GatehouseHttpApi GET /openapi.json":                                    "a document for everyone",
	"template.yaml GatehouseHttpApi GET /portal":                                          "a page for people who have yet to sign in",
	"template.yaml GatehouseHttpApi GET /portal/{proxy+}":                                 "the function checks the person's cookie",
	"template.yaml GatehouseHttpApi POST /portal/{proxy+}":                                "the function checks the person's cookie, and where the form is from",
	"template.yaml GatehouseHttpApi OPTIONS /{proxy+}":                                    "a preflight carries no token",
	"template.yaml GatehouseHttpApi GET /.well-known/oauth-authorization-server":          "a document for everyone",
	"template.yaml GatehouseHttpApi GET /.well-known/oauth-authorization-server/{proxy+}": "a document for everyone",
	"template.yaml GatehouseHttpApi GET /.well-known/oauth-protected-resource":            "a document for everyone",
	"template.yaml GatehouseHttpApi GET /.well-known/oauth-protected-resource/{proxy+}":   "a document for everyone",
	"template.yaml GatehouseHttpApi GET /authorize":                                       "a browser that has no token yet",
	"template.yaml GatehouseHttpApi POST /authorize/consent":                              "a browser; its cookie and the sealed state are checked",
	"template.yaml GatehouseHttpApi GET /callback":                                        "a browser; its cookie and the sealed state are checked",
	"template.yaml GatehouseHttpApi POST /token":                                          "the function checks the client",
	"template.yaml GatehouseHttpApi POST /introspect":                                     "the function checks the client",
	"template.yaml GatehouseHttpApi POST /revoke":                                         "the function checks the client",
	"template.yaml GatehouseHttpApi GET /broker/openapi.json":                             "a document for everyone",
	"template.yaml OrdersRestApi GET /health":                                             "whether it is there, for everyone",
	"template.yaml OrdersHttpApi GET /health":                                             "whether it is there, for everyone",
	"template.yaml OrdersHttpApi OPTIONS /admin/{proxy+}":                                 "a preflight carries no token",
	"template.yaml OrdersRestApi OPTIONS *":                                               "SAM's own answer to a preflight, which carries no token",
	"infra/examples/private/template.yaml OrdersRestApi GET /health":                      "whether it is there, for everyone",
	"infra/examples/rest-request/template.yaml OrdersRestApi GET /health":                 "whether it is there, for everyone",
	"infra/examples/rest-request/template.yaml OrdersRestApi OPTIONS *":                   "SAM's own answer to a preflight, which carries no token",
	"infra/examples/websocket/template.yaml TalkApi $default":                             "messages of a connection, which was authorized by $connect",
	"infra/examples/mcp/template.yaml McpApi GET /mcp":                                    "always 405: clients try, and there are no streams",
	"infra/examples/mcp/template.yaml McpApi DELETE /mcp":                                 "always 405: clients try, and there are no sessions",
	"infra/examples/mcp/template.yaml McpApi OPTIONS *":                                   "SAM's own answer to a preflight, which carries no token",
}

// TestEveryRouteIsAuthorizedOrReviewed: API Gateway ignores what an OpenAPI
// document says of security at its root, so each operation says it.
func TestEveryRouteIsAuthorizedOrReviewed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, s := range stacks(t) {
		for _, id := range append(s.ids("AWS::ApiGateway::RestApi"), s.ids("AWS::ApiGatewayV2::Api")...) {
			for _, route := range s.unauthorized(id) {
				entry := s.name + " " + id + " " + route
				if open[entry] == "" {
					t.Errorf("%s has no authorizer: attach one, or give the reason in open", entry)
				}
				used[entry] = true
			}
		}
	}
	for entry := range open {
		if !used[entry] {
			t.Errorf("open has %q, which no template has any more", entry)
		}
	}
}

func (s stack) unauthorized(api string) []string {
	var routes []string
	body := every(s.resources[api].Properties["Body"])
	if len(body) == 0 {
		return s.unauthorizedRoutes(api)
	}
	paths, _ := at(body[0], "paths").(map[string]any)
	for path, item := range paths {
		for _, way := range every(item) {
			operations, _ := way.(map[string]any)
			for method, operation := range operations {
				for _, o := range every(operation) {
					schemes := text(at(o, "security"))
					mock := text(at(o, "x-amazon-apigateway-integration", "type")) == "mock"
					switch method = strings.ToUpper(method); {
					case schemes != "null" && schemes != `[{"NONE":[]}]` && schemes != "[]":
					case mock && method == "OPTIONS":
						routes = append(routes, "OPTIONS *")
					default:
						routes = append(routes, method+" "+path)
					}
				}
			}
		}
	}
	slices.Sort(routes)
	return slices.Compact(routes)
}

// unauthorizedRoutes are those of an API whose routes are resources.
func (s stack) unauthorizedRoutes(api string) []string {
	var routes []string
	for _, id := range s.ids("AWS::ApiGatewayV2::Route") {
		p := s.resources[id].Properties
		if target(p["ApiId"]) == api && (p["AuthorizationType"] == nil || text(p["AuthorizationType"]) == "NONE") {
			routes = append(routes, text(p["RouteKey"]))
		}
	}
	return routes
}

// logged are the variables of API Gateway that access logs may have. Not among
// them are paths, queries, headers, bodies and other members of what the
// authorizer says, in which tokens, codes and names of people travel.
var logged = []string{
	"requestId", "requestTime", "identity.sourceIp", "routeKey", "httpMethod", "resourcePath", "status", "error.responseType",
	"responseLatency", "integrationLatency", "authorizer.status", "authorizer.latency", "authorizer.client_id", "authorizer.application",
	"eventType", "connectionId",
}

func TestEveryStageWritesAnAccessLogOfNothingSecret(t *testing.T) {
	t.Parallel()
	variable := regexp.MustCompile(`\$\{?context\.([A-Za-z0-9_.]+)`)
	for _, s := range stacks(t) {
		for _, id := range append(s.ids("AWS::ApiGateway::Stage"), s.ids("AWS::ApiGatewayV2::Stage")...) {
			p := s.resources[id].Properties
			settings := p["AccessLogSettings"]
			if settings == nil {
				settings = p["AccessLogSetting"]
			}
			format, group := text(at(settings, "Format")), target(at(settings, "DestinationArn"))
			if s.resources[group].Type != "AWS::Logs::LogGroup" {
				t.Errorf("%s: %s logs to %q, want a log group of the template", s.name, id, group)
			}
			var line map[string]string
			if err := json.Unmarshal([]byte(format), &line); err != nil {
				t.Errorf("%s: %s: the format of its log: %v", s.name, id, err)
			}
			for _, value := range line {
				m := variable.FindStringSubmatch(value)
				if m == nil || "$context."+m[1] != value || !slices.Contains(logged, m[1]) {
					t.Errorf("%s: %s logs %s", s.name, id, value)
				}
			}
			if p["TracingEnabled"] == true {
				t.Errorf("%s: %s is traced, with the URLs of requests", s.name, id)
			}
			for _, m := range every(p["MethodSettings"]) {
				if at(m, "DataTraceEnabled") == true || at(m, "LoggingLevel") != nil && at(m, "LoggingLevel") != "OFF" {
					t.Errorf("%s: %s has an execution log: %s", s.name, id, text(m))
				}
			}
			if !strings.Contains(text(p), "ThrottlingRateLimit") {
				t.Errorf("%s: %s lets any number of requests through", s.name, id)
			}
		}
	}
}

func TestEveryLogIsKeptForATimeAndEveryFunctionHasOne(t *testing.T) {
	t.Parallel()
	for _, s := range stacks(t) {
		for _, id := range s.ids("AWS::Logs::LogGroup") {
			if s.resources[id].Properties["RetentionInDays"] == nil {
				t.Errorf("%s: %s is kept for ever", s.name, id)
			}
		}
		for _, id := range s.ids("AWS::Lambda::Function") {
			group := target(at(s.resources[id].Properties, "LoggingConfig", "LogGroup"))
			if s.resources[group].Type != "AWS::Logs::LogGroup" || at(s.resources[id].Properties, "LoggingConfig", "LogFormat") != "JSON" {
				t.Errorf("%s: %s logs to %q, want a log group of the template, in JSON", s.name, id, group)
			}
		}
	}
}

// untagged are resources that could have tags and have none, with the reason.
var untagged = map[string]string{
	"GatehouseHttpApi":                   "SAM writes the tags of an HTTP API into its OpenAPI document",
	"OrdersHttpApi":                      "SAM writes the tags of an HTTP API into its OpenAPI document",
	"ReconcilerFunctionEveryFiveMinutes": "SAM gives the rule of a schedule no tags; it has those of the stack",
}

func TestEveryResourceHasTheTagOfTheApplication(t *testing.T) {
	t.Parallel()
	for _, s := range stacks(t) {
		for _, id := range s.ids("") {
			r := s.resources[id]
			property := transformed.tags[r.Type]
			if property == "" || untagged[id] != "" {
				continue
			}
			tags := text(r.Properties[property])
			if !strings.Contains(tags, `{"Key":"application","Value":"gatehouse"}`) && !strings.Contains(tags, `"application":"gatehouse"`) {
				t.Errorf("%s: %s (%s) has the tags %s", s.name, id, r.Type, tags)
			}
		}
	}
}

func TestWhatMustNotBeLostIsKept(t *testing.T) {
	t.Parallel()
	s := mainStack(t)
	for _, id := range append(s.ids("AWS::SecretsManager::Secret"), s.ids("AWS::DynamoDB::Table")...) {
		if r := s.resources[id]; r.DeletionPolicy != "Retain" || r.UpdateReplacePolicy != "Retain" {
			t.Errorf("%s goes with the stack", id)
		}
	}
	table := s.resources["RegistryTable"].Properties
	for name, got := range map[string]any{
		"recovery to a point in time": at(table, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"),
		"protection from deletion":    table["DeletionProtectionEnabled"],
		"encryption":                  at(table, "SSESpecification", "SSEEnabled"),
		"expiry":                      at(table, "TimeToLiveSpecification", "Enabled"),
	} {
		if got != true {
			t.Errorf("the registry's table has no %s", name)
		}
	}
	for _, id := range []string{"RegistrationKeys", "BrokerKeys"} {
		if at(s.resources[id].Properties, "GenerateSecretString") == nil || s.resources[id].Properties["SecretString"] != nil {
			t.Errorf("%s is not made by Secrets Manager", id)
		}
	}
}

func TestWhatAScheduleCouldNotDoIsKept(t *testing.T) {
	t.Parallel()
	for _, s := range stacks(t) {
		for _, id := range s.ids("AWS::Events::Rule") {
			for _, one := range every(s.resources[id].Properties["Targets"]) {
				function := s.resources[target(at(one, "Arn"))].Properties
				for who, queue := range map[string]any{id: at(one, "DeadLetterConfig", "Arn"), target(at(one, "Arn")): at(function, "DeadLetterConfig", "TargetArn")} {
					if s.resources[target(queue)].Type != "AWS::SQS::Queue" {
						t.Errorf("%s: %s has no queue for what fails", s.name, who)
					}
				}
			}
		}
	}
}

// TestAChangedParameterReachesTheAlias: a version keeps its settings, and SAM
// makes none for a parameter that has another value. CloudFormation does for
// another description.
func TestAChangedParameterReachesTheAlias(t *testing.T) {
	t.Parallel()
	s := mainStack(t)
	aliases := s.ids("AWS::Lambda::Alias")
	if len(aliases) != 3 {
		t.Errorf("got the aliases %v, want those of authorizer, registration and broker", aliases)
	}
	for _, id := range aliases {
		version := target(s.resources[id].Properties["FunctionVersion"])
		if got := text(s.resources[version].Properties["Description"]); got != `{"Ref":"Release"}` {
			t.Errorf("%s: got the description %s, want the parameter Release", version, got)
		}
	}
	if !slices.Contains(transformed.replaces, "/properties/Description") {
		t.Errorf("a version is replaced for another of %v", transformed.replaces)
	}
}

// TestANewVersionGetsItsTrafficByTheAlias: what other stacks and API Gateway are
// given is the alias, and an alarm takes a version back.
func TestANewVersionGetsItsTrafficByTheAlias(t *testing.T) {
	t.Parallel()
	s := mainStack(t)
	if got := target(s.resources["AuthorizerArnParameter"].Properties["Value"]); got != "AuthorizerFunctionAliaslive" {
		t.Errorf("other stacks are given %s, want the alias", got)
	}
	for _, id := range append(s.ids("AWS::ApiGateway::RestApi"), s.ids("AWS::ApiGatewayV2::Api")...) {
		body := text(s.resources[id].Properties["Body"])
		for _, function := range []string{"AuthorizerFunction", "RegistrationFunction", "BrokerFunction"} {
			if strings.Contains(body, function+".Arn") || strings.Contains(body, `"`+function+`"`) {
				t.Errorf("%s calls %s, not its alias", id, function)
			}
		}
	}
	groups := s.ids("AWS::CodeDeploy::DeploymentGroup")
	if len(groups) != 3 {
		t.Errorf("got the deployment groups %v, want three", groups)
	}
	for _, id := range groups {
		p := s.resources[id].Properties
		if at(p, "AlarmConfiguration", "Enabled") != true || len(every(at(p, "AlarmConfiguration", "Alarms"))) < 2 ||
			!strings.Contains(text(at(p, "AutoRollbackConfiguration")), "DEPLOYMENT_STOP_ON_ALARM") {
			t.Errorf("%s: no alarm takes a version back", id)
		}
	}
}

// TestNoResourceNeedsItself by others: the alarms that take a version of a
// function back are there before its alias, which API Gateway calls.
func TestNoResourceNeedsItself(t *testing.T) {
	t.Parallel()
	for _, s := range stacks(t) {
		state := map[string]int{} // 1: being looked at, 2: done
		var look func(id string, path []string)
		look = func(id string, path []string) {
			switch r, ok := s.resources[id]; {
			case !ok || state[id] == 2:
			case state[id] == 1:
				t.Errorf("%s: %s", s.name, strings.Join(append(path, id), " needs "))
			default:
				state[id] = 1
				needs := references([]any{r.Properties, r.UpdatePolicy})
				for _, other := range every(r.DependsOn) {
					needs = append(needs, text(other))
				}
				for _, other := range needs {
					look(other, append(path, id))
				}
				state[id] = 2
			}
		}
		for _, id := range s.ids("") {
			look(id, nil)
		}
	}
}

// references are the names that v refers to.
func references(v any) []string {
	var all []string
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			all = append(all, references(e)...)
		}
	case map[string]any:
		if id := target(v); id != "" {
			return []string{id}
		}
		if sub := v["Fn::Sub"]; sub != nil {
			for _, m := range regexp.MustCompile(`\$\{([A-Za-z0-9]+)`).FindAllStringSubmatch(text(sub), -1) {
				all = append(all, m[1])
			}
		}
		for _, e := range v {
			all = append(all, references(e)...)
		}
	}
	return all
}

// Limits of CloudFormation.
func TestTheTemplatesAreSmallEnough(t *testing.T) {
	t.Parallel()
	for _, s := range stacks(t) {
		if n := len(s.resources); n > 500 {
			t.Errorf("%s has %d resources, more than 500", s.name, n)
		}
		if n := len(text(s.resources)); n > 1_000_000 {
			t.Errorf("%s has %d bytes", s.name, n)
		}
	}
}

// TestW7ADomainNameIsTheOnlyAddress: what guards the domain name would guard
// nothing if the address that API Gateway gave were open beside it.
func TestW7ADomainNameIsTheOnlyAddress(t *testing.T) {
	t.Parallel()
	const want = `"disableExecuteApiEndpoint":{"Fn::If":["HasDomain",true,false]}`
	if body := text(mainStack(t).resources["GatehouseHttpApi"].Properties["Body"]); !strings.Contains(body, want) {
		t.Errorf("got %s, want it with %s", body, want)
	}
}
