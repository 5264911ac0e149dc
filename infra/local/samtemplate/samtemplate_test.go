package samtemplate_test

import (
	"bytes"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/samtemplate"
)

// parameters are those the template of this repository has no defaults for.
func parameters(more map[string]string) map[string]string {
	m := map[string]string{"OidcIssuer": "https://id.example.com/oauth2/default", "OidcAudience": "api://default"}
	maps.Copy(m, more)
	return m
}

func load(t *testing.T, more map[string]string) *samtemplate.Template {
	t.Helper()
	tpl, err := samtemplate.Load("../../../template.yaml", samtemplate.Options{Parameters: parameters(more)})
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

func TestTheTemplateOfThisRepository(t *testing.T) {
	t.Parallel()
	tpl := load(t, map[string]string{"AuthorizerCacheSeconds": "90"})

	environment := map[string]string{
		"GATEHOUSE_CONFIG":                 "gatehouse.yaml",
		"OIDC_ISSUER":                      "https://id.example.com/oauth2/default",
		"OIDC_AUDIENCE":                    "api://default",
		"PROVIDER_SECRET":                  "",
		"ADMIN_SECRET":                     "",
		"SIGN_IN_GROUP":                    "",
		"ORDERS_RESOURCE":                  "",
		"ORDERS_URL":                       "",
		"PORTAL_SECRET":                    "",
		"REGISTRATION_KEYS":                "RegistrationKeys",
		"BROKER_KEYS":                      "BrokerKeys",
		"REGISTRY_TABLE":                   "RegistryTable",
		"METRICS_NAMESPACE":                "Gatehouse/gatehouse",
		"PUBLIC_URL":                       "",
		"AUTHORIZER_CACHE_SECONDS":         "90",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": "",
		"AWS_ENDPOINT_URL_DYNAMODB":        "",
		"AWS_ENDPOINT_URL_API_GATEWAY":     "",
	}
	function := func(timeout time.Duration, memory int) samtemplate.Function {
		return samtemplate.Function{Handler: "bootstrap", CodeURI: ".", Timeout: timeout, MemorySize: memory, Environment: environment}
	}
	functions := map[string]samtemplate.Function{
		"AuthorizerFunction": function(5*time.Second, 256), "RegistrationFunction": function(29*time.Second, 256),
		"BrokerFunction": function(29*time.Second, 256), "ReconcilerFunction": function(2*time.Minute, 256), "DemoApiFunction": function(5*time.Second, 128),
	}
	if diff := cmp.Diff(functions, tpl.Functions); diff != "" {
		t.Errorf("functions, -want +got:\n%s", diff)
	}
	if len(tpl.APIs) != 3 || tpl.APIs[0].LogicalID != "GatehouseHttpApi" {
		t.Fatalf("got %d APIs, want 3, Gatehouse's own first", len(tpl.APIs))
	}
	tpl.APIs = tpl.APIs[1:]

	route := func(method, path, authorizer, payload string) samtemplate.Route {
		return samtemplate.Route{Method: method, Path: path, Function: "DemoApiFunction", Authorizer: authorizer, PayloadFormat: payload}
	}
	preflight := func(path string) samtemplate.Route {
		return samtemplate.Route{Method: "OPTIONS", Path: path, Preflight: true}
	}
	identity := []samtemplate.IdentitySource{{In: samtemplate.Header, Name: "Authorization"}}

	rest := tpl.APIs[0]
	noStore := map[string]string{"Cache-Control": "'no-store'", "Access-Control-Allow-Origin": "'*'"}
	challenge := func(value string) map[string]string {
		m := maps.Clone(noStore)
		m["WWW-Authenticate"] = value
		m["Access-Control-Expose-Headers"] = "'WWW-Authenticate'"
		return m
	}
	retry := maps.Clone(noStore)
	retry["Retry-After"] = "'5'"
	unavailable := samtemplate.GatewayResponse{
		StatusCode: 503, Headers: retry, Templates: map[string]string{"application/json": `{"message":"Service Unavailable"}`},
	}
	wantREST := samtemplate.API{
		LogicalID: "OrdersRestApi", Kind: samtemplate.REST, Stage: "v1", StageVariables: map[string]string{"gatehouse": "orders"},
		Routes: []samtemplate.Route{
			route("GET", "/orders", "Gatehouse", ""), route("GET", "/orders/{id}", "Gatehouse", ""), route("POST", "/orders", "Gatehouse", ""),
			route("ANY", "/admin/{proxy+}", "Gatehouse", ""), route("GET", "/health", "", ""),
			preflight("/admin/{proxy+}"), preflight("/health"), preflight("/orders"), preflight("/orders/{id}"),
		},
		Authorizers: map[string]samtemplate.Authorizer{"Gatehouse": {
			Kind: samtemplate.Request, Function: "AuthorizerFunction", IdentitySources: identity, TTL: 90 * time.Second,
		}},
		GatewayResponses: map[string]samtemplate.GatewayResponse{
			"UNAUTHORIZED": {StatusCode: 401, Headers: challenge(`'Bearer realm="orders"'`), Templates: map[string]string{
				"application/json": `{"message":$context.error.messageString,"detail":"Send an access token as Authorization: Bearer. One in the ` +
					`address (?access_token=) counts only for an API in profile mulesoft, for addresses end up in logs and histories."}`,
			}},
			"ACCESS_DENIED":                  {StatusCode: 403, Headers: challenge(`'Bearer realm="orders", error="insufficient_scope"'`)},
			"AUTHORIZER_FAILURE":             unavailable,
			"AUTHORIZER_CONFIGURATION_ERROR": unavailable,
			"DEFAULT_4XX":                    {Headers: noStore},
			"DEFAULT_5XX":                    {Headers: noStore},
		},
		CORS: &samtemplate.CORS{AllowOrigins: []string{"*"}, AllowHeaders: []string{"Authorization", "Content-Type"}, MaxAge: "600"},
	}
	if diff := cmp.Diff(wantREST, rest); diff != "" {
		t.Errorf("REST API, -want +got:\n%s", diff)
	}

	wantHTTP := samtemplate.API{
		LogicalID: "OrdersHttpApi", Kind: samtemplate.HTTP, Stage: "$default", StageVariables: map[string]string{"gatehouse": "orders"},
		Routes: []samtemplate.Route{
			route("GET", "/orders", "Gatehouse", "2.0"), route("GET", "/orders/{id}", "Gatehouse", "2.0"), route("POST", "/orders", "Gatehouse", "2.0"),
			route("ANY", "/admin/{proxy+}", "Gatehouse", "2.0"), route("OPTIONS", "/admin/{proxy+}", "", "2.0"), route("GET", "/health", "", "2.0"),
		},
		Authorizers: map[string]samtemplate.Authorizer{"Gatehouse": {
			Kind: samtemplate.Request, Function: "AuthorizerFunction", PayloadVersion: "2.0", IdentitySources: identity, TTL: 90 * time.Second,
		}},
		CORS: &samtemplate.CORS{
			AllowOrigins: []string{"*"}, AllowHeaders: []string{"authorization", "content-type"},
			AllowMethods: []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"}, MaxAge: "600",
		},
	}
	if diff := cmp.Diff(wantHTTP, tpl.APIs[1]); diff != "" {
		t.Errorf("HTTP API, -want +got:\n%s", diff)
	}
}

// TestParametersOfTheTemplate: what CloudFormation would refuse is refused here.
func TestParametersOfTheTemplate(t *testing.T) {
	t.Parallel()
	const secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:okta-AbCdEf"
	if got := load(t, map[string]string{"ProviderSecretArn": secret}).Functions["AuthorizerFunction"].Environment["PROVIDER_SECRET"]; got != secret {
		t.Errorf("got PROVIDER_SECRET %q, want %q", got, secret)
	}
	for name, c := range map[string]struct {
		parameter, value, want string
	}{
		"an issuer must be https":              {"OidcIssuer", "http://id.example.com", "parameter OidcIssuer"},
		"an issuer has no query":               {"OidcIssuer", "https://id.example.com/?a", "parameter OidcIssuer"},
		"a secret is named by its whole ARN":   {"ProviderSecretArn", "okta", "parameter ProviderSecretArn"},
		"the cache is bounded at 300 s":        {"AuthorizerCacheSeconds", "301", "more than MaxValue 300"},
		"the cache cannot be negative":         {"AuthorizerCacheSeconds", "-1", "less than MinValue 0"},
		"the cache is a number":                {"AuthorizerCacheSeconds", "1m", "not a number"},
		"retention is one CloudWatch offers":   {"LogRetentionDays", "2", "AllowedValues"},
		"an unknown parameter is a mistake":    {"Issuer", "x", "parameter Issuer, which the template does not have"},
		"the origin cannot end its own quotes": {"AllowedOrigin", "https://a'", "parameter AllowedOrigin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := samtemplate.Load("../../../template.yaml", samtemplate.Options{Parameters: parameters(map[string]string{c.parameter: c.value})})
			wantError(t, err, c.want)
		})
	}
	t.Run("a parameter without default must be given", func(t *testing.T) {
		t.Parallel()
		_, err := samtemplate.Load("../../../template.yaml", samtemplate.Options{})
		wantError(t, err, "parameter OidcIssuer has no default")
	})
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}

// template is a template around the pieces a test is about.
func template(resources string) string {
	return "Transform: AWS::Serverless-2016-10-31\n" + resources
}

const function = `
  F: {Type: AWS::Serverless::Function}
`

func TestIntrinsics(t *testing.T) {
	t.Parallel()
	const sections = `
Parameters:
  Name: {Type: String, Default: orders}
  Size: {Type: Number, Default: 3}
Conditions:
  Orders: !Equals [!Ref Name, orders]
  Not: !Not [{Condition: Orders}]
  Both: !And [!Condition Orders, !Equals [1, 1]]
  Either: {"Fn::Or": [{Condition: Not}, {"Fn::Equals": [{Ref: Size}, "3"]}]}
Resources:
  Table: {Type: AWS::DynamoDB::Table}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {V: `
	for name, c := range map[string]struct{ expression, want string }{
		"Ref of a parameter, short":           {`!Ref Name`, "orders"},
		"Ref of a parameter, long":            {`{Ref: Name}`, "orders"},
		"Ref of a pseudo parameter":           {`!Ref AWS::Region`, "eu-west-1"},
		"Ref of a resource is its id":         {`!Ref F`, "F"},
		"Ref of a resource the caller named":  {`!Ref Table`, "table-1"},
		"GetAtt, short":                       {`!GetAtt F.Arn`, "arn:aws:lambda:eu-west-1:123456789012:function:F"},
		"GetAtt, list":                        {`{"Fn::GetAtt": [F, Arn]}`, "arn:aws:lambda:eu-west-1:123456789012:function:F"},
		"GetAtt the caller gave":              {`!GetAtt Table.Arn`, "arn:table"},
		"Sub":                                 {`!Sub "${Name}/${AWS::AccountId}/${F.Arn}"`, "orders/123456789012/arn:aws:lambda:eu-west-1:123456789012:function:F"},
		"Sub keeps what is marked as literal": {`!Sub "${!Name} $ {x}"`, "${Name} $ {x}"},
		"Sub with names of its own":           {`{"Fn::Sub": ["${a}${Name}", {a: !Ref Size}]}`, "3orders"},
		"Join":                                {`!Join ["-", [a, !Ref Name, {"Fn::Sub": "${Size}"}]]`, "a-orders-3"},
		"If":                                  {`!If [Orders, !Ref Name, no]`, "orders"},
		"If not":                              {`{"Fn::If": [Not, yes, {Ref: Size}]}`, "3"},
		"And":                                 {`!If [Both, yes, no]`, "yes"},
		"Or":                                  {`!If [Either, yes, no]`, "yes"},
		"a number stays as it is written":     {`007`, "007"},
		"NoValue leaves the value empty":      {`!If [Not, x, !Ref AWS::NoValue]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tpl, err := samtemplate.Parse([]byte(template(sections+c.expression+"}}")), samtemplate.Options{
				Region:    "eu-west-1",
				Resources: map[string]string{"Table": "table-1", "Table.Arn": "arn:table"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := tpl.Functions["F"].Environment["V"]; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	environment := func(expression string) string {
		return "Resources:\n  T: {Type: AWS::DynamoDB::Table}\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Environment: {Variables: {V: " + expression + "}}"
	}
	rest := func(auth string) string {
		return "Resources:" + function + "  A:\n    Type: AWS::Serverless::Api\n    Properties: {StageName: v1, Auth: " + auth + "}"
	}
	http := func(auth string) string {
		return "Resources:" + function + "  A:\n    Type: AWS::Serverless::HttpApi\n    Properties: {Auth: " + auth + "}"
	}
	event := func(e string) string {
		return "Resources:\n  A: {Type: AWS::Serverless::Api, Properties: {StageName: v1}}\n  H: {Type: AWS::Serverless::HttpApi}\n" +
			"  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Events: {E: " + e + "}"
	}
	for name, c := range map[string]struct{ template, want string }{
		"an unknown intrinsic is named with its line":      {environment("!ImportValue x"), "line 7: Fn::ImportValue is not supported"},
		"the long form of an unknown intrinsic too":        {environment(`{"Fn::FindInMap": [a, b, c]}`), "line 7: Fn::FindInMap is not supported"},
		"a Ref to nothing":                                 {environment("!Ref Nothing"), `"Nothing" is neither`},
		"a Sub of nothing":                                 {environment(`!Sub "${Nothing}"`), `"Nothing" is neither`},
		"a Sub that does not end":                          {environment(`!Sub "${Nothing"`), "${ without }"},
		"an attribute that is not known":                   {environment("!GetAtt T.Arn"), "Options.Resources"},
		"an attribute of nothing":                          {environment("!GetAtt N.Arn"), "no resource"},
		"a condition that does not exist":                  {environment("!If [Nothing, a, b]"), `no condition "Nothing"`},
		"a list where a value should be":                   {environment("[a]"), "single value"},
		"a condition that depends on itself":               {"Conditions: {A: !Not [!Condition A]}\n" + environment("!If [A, a, b]"), "depends on itself"},
		"a name given twice":                               {"Resources:\n  F: {}\n  F: {}", "line 4: F is given twice"},
		"an alias":                                         {"Resources: &a\n  F: *a", "anchors and aliases"},
		"a missing value":                                  {"Resources:\n  F:", "value is missing"},
		"globals of an API":                                {"Globals: {Api: {}}", "Api of Globals is not supported"},
		"an implicit REST API":                             {event(`{Type: Api, Properties: {Path: /a, Method: GET}}`), "implicit APIs"},
		"an implicit HTTP API":                             {event(`{Type: HttpApi, Properties: {Path: /a, Method: GET}}`), "implicit APIs"},
		"a REST event on an HTTP API":                      {event(`{Type: Api, Properties: {RestApiId: !Ref H, Path: /a, Method: GET}}`), "!Ref of an AWS::Serverless::Api"},
		"a path without a slash":                           {event(`{Type: Api, Properties: {RestApiId: !Ref A, Path: a, Method: GET}}`), "does not begin with /"},
		"a method that does not exist":                     {event(`{Type: Api, Properties: {RestApiId: !Ref A, Path: /a, Method: FETCH}}`), `"FETCH" is none of`},
		"a $default route of a REST API":                   {event(`{Type: Api, Properties: {RestApiId: !Ref A, Path: $default, Method: ANY}}`), "no $default route"},
		"the same route twice":                             {event(`{Type: HttpApi, Properties: {ApiId: !Ref H, Path: /a, Method: GET}}, G: {Type: HttpApi, Properties: {ApiId: !Ref H, Path: /a, Method: get}}`), "given twice"},
		"an authorizer that does not exist":                {event(`{Type: Api, Properties: {RestApiId: !Ref A, Path: /a, Method: GET, Auth: {Authorizer: X}}}`), `no authorizer "X"`},
		"an API key on a route of an HTTP API":             {event(`{Type: HttpApi, Properties: {ApiId: !Ref H, Path: /a, Method: GET, Auth: {ApiKeyRequired: true}}}`), "ApiKeyRequired"},
		"a payload format that does not exist":             {event(`{Type: HttpApi, Properties: {ApiId: !Ref H, Path: /a, Method: GET, PayloadFormatVersion: "3.0"}}`), "PayloadFormatVersion"},
		"a usage plan that SAM makes":                      {rest(`{UsagePlan: {CreateUsagePlan: PER_API}}`), "UsagePlan of Auth of A is not supported"},
		"a resource policy in SAM's words":                 {rest(`{ResourcePolicy: {SourceVpcWhitelist: [vpce-1]}}`), "SourceVpcWhitelist"},
		"a private API without a resource policy":          {"Resources:\n  A: {Type: AWS::Serverless::Api, Properties: {StageName: v1, EndpointConfiguration: {Type: PRIVATE}}}", "no resource policy"},
		"a source of API keys that does not exist":         {"Resources:\n  A: {Type: AWS::Serverless::Api, Properties: {StageName: v1, ApiKeySourceType: QUERY}}", "HEADER or AUTHORIZER"},
		"a Cognito authorizer":                             {rest(`{Authorizers: {X: {UserPoolArn: a}}}`), "UserPoolArn"},
		"an authorizer of another stack":                   {rest(`{Authorizers: {X: {FunctionArn: "arn:aws:lambda:us-east-1:1:function:x"}}}`), "FunctionArn must be"},
		"a cached REQUEST authorizer without identity":     {rest(`{Authorizers: {X: {FunctionArn: !GetAtt F.Arn, FunctionPayloadType: REQUEST}}}`), "needs an identity source"},
		"a TTL beyond an hour":                             {rest(`{Authorizers: {X: {FunctionArn: !GetAtt F.Arn, Identity: {ReauthorizeEvery: 3601}}}}`), "from 0 to 3600"},
		"a validation expression that is none":             {rest(`{Authorizers: {X: {FunctionArn: !GetAtt F.Arn, Identity: {ValidationExpression: "("}}}}`), "ValidationExpression"},
		"a payload type that does not exist":               {rest(`{Authorizers: {X: {FunctionArn: !GetAtt F.Arn, FunctionPayloadType: HEADER}}}`), "TOKEN or REQUEST"},
		"a JWT authorizer":                                 {http(`{Authorizers: {X: {JwtConfiguration: {}}}}`), "JwtConfiguration"},
		"an HTTP authorizer without payload version":       {http(`{Authorizers: {X: {FunctionArn: !GetAtt F.Arn}}}`), "AuthorizerPayloadFormatVersion"},
		"simple answers with payload 1.0":                  {http(`{Authorizers: {X: {FunctionArn: !GetAtt F.Arn, AuthorizerPayloadFormatVersion: "1.0", EnableSimpleResponses: true}}}`), "'2.0'"},
		"an API with its own definition":                   {"Resources:\n  A: {Type: AWS::Serverless::Api, Properties: {StageName: v1, DefinitionUri: x}}", "DefinitionUri of A"},
		"an API of which nothing is said":                  {"Resources:\n  A: {Type: AWS::Serverless::Api}", "A has no StageName"},
		"a WebSocket API of which nothing is said":         {"Resources:\n  A: {Type: AWS::ApiGatewayV2::Api}", "A: the ProtocolType is"},
		"a REST API without a stage":                       {"Resources:\n  A: {Type: AWS::Serverless::Api, Properties: {}}", "no StageName"},
		"a CORS origin without inner quotes":               {"Resources:\n  A: {Type: AWS::Serverless::Api, Properties: {StageName: v1, Cors: '*'}}", "single quotes"},
		"an authorizer function its condition leaves out ": {"Conditions: {No: !Equals [a, b]}\nResources:\n  F: {Type: AWS::Serverless::Function, Condition: No}\n  A:\n    Type: AWS::Serverless::Api\n    Properties: {StageName: v1, Auth: {Authorizers: {X: {FunctionArn: !GetAtt F.Arn}}}}", "left out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := samtemplate.Parse([]byte(template(c.template)), samtemplate.Options{})
			wantError(t, err, c.want)
		})
	}
	t.Run("a template that is not SAM", func(t *testing.T) {
		t.Parallel()
		_, err := samtemplate.Parse([]byte("Resources: {}"), samtemplate.Options{})
		wantError(t, err, "Transform must be")
	})
	t.Run("two documents", func(t *testing.T) {
		t.Parallel()
		_, err := samtemplate.Parse([]byte("a: b\n---\nc: d"), samtemplate.Options{})
		wantError(t, err, "more than one")
	})
	t.Run("too much", func(t *testing.T) {
		t.Parallel()
		_, err := samtemplate.Parse(make([]byte, 2<<20), samtemplate.Options{})
		wantError(t, err, "larger than")
	})
}

// TestPermission: an authorizer nothing may invoke makes every request fail.
func TestPermission(t *testing.T) {
	t.Parallel()
	api := func(kind, authorizer string) string {
		return "\n  A:\n    Type: AWS::Serverless::" + kind + "\n    Properties:\n      StageName: v1\n      Auth: {Authorizers: {X: {FunctionArn: !GetAtt F.Arn, " + authorizer + "}}}"
	}
	const permission = "\n  P: {Type: AWS::Lambda::Permission, Properties: {FunctionName: !Ref F, Principal: apigateway.amazonaws.com}}"
	const http = `AuthorizerPayloadFormatVersion: "2.0"`
	for name, c := range map[string]struct {
		resources string
		want      bool
	}{
		"a REST API permits itself":                           {api("Api", "Identity: {}"), false},
		"a REST API may be told not to":                       {api("Api", "DisableFunctionDefaultPermissions: true"), true},
		"a permission of the template stands in":              {api("Api", "DisableFunctionDefaultPermissions: true") + permission, false},
		"an HTTP API does not permit itself":                  {api("HttpApi", http), true},
		"an HTTP API may be told to":                          {api("HttpApi", http+", EnableFunctionDefaultPermissions: true"), false},
		"an HTTP API may use a role":                          {api("HttpApi", http+", FunctionInvokeRole: arn"), false},
		"a permission of the template serves an HTTP API too": {api("HttpApi", http) + permission, false},
		"one for the alias that SAM makes counts too":         {api("HttpApi", http) + strings.ReplaceAll(permission, "!Ref F", "!Ref F.Alias"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tpl, err := samtemplate.Parse([]byte(template("Resources:"+function+c.resources)), samtemplate.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := tpl.APIs[0].Authorizers["X"].Unpermitted; got != c.want {
				t.Errorf("got Unpermitted %t, want %t", got, c.want)
			}
		})
	}
}

func TestAuthorizersAndRoutes(t *testing.T) {
	t.Parallel()
	tpl, err := samtemplate.Parse([]byte(template(`
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        One: {Type: Api, Properties: {RestApiId: {Ref: A}, Path: /a, Method: get}}
        Own: {Type: Api, Properties: {RestApiId: !Ref A, Path: /a, Method: options, Auth: {Authorizer: Other}}}
        Two: {Type: Api, Properties: {RestApiId: !Ref A, Path: /b, Method: any}}
        All: {Type: HttpApi, Properties: {ApiId: !Ref H}}
        Any: {Type: HttpApi, Properties: {ApiId: !Ref H, Path: /a, Method: x-amazon-apigateway-any-method, PayloadFormatVersion: "1.0"}}
        Tick: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
  A:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      BinaryMediaTypes: [image~1png]
      Cors: {AllowOrigin: "'https://a.example'", AllowMethods: "'GET, PUT'", AllowCredentials: true}
      Auth:
        DefaultAuthorizer: Token
        Authorizers:
          Token: {FunctionArn: !GetAtt F.Arn, Identity: {Header: X-Token, ValidationExpression: "Bearer .+", ReauthorizeEvery: 0}}
          Other: {FunctionArn: !GetAtt F.Arn, FunctionPayloadType: REQUEST, Identity: {Headers: [A, B], QueryStrings: [q], StageVariables: [s], Context: [identity.sourceIp]}}
  H:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: test
      Auth:
        Authorizers:
          Simple: {FunctionArn: !GetAtt F.Arn, AuthorizerPayloadFormatVersion: "2.0", EnableSimpleResponses: true, EnableFunctionDefaultPermissions: true}
`)), samtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []samtemplate.API{
		{
			LogicalID: "A", Kind: samtemplate.REST, Stage: "v1",
			BinaryMediaTypes: []string{"image/png"},
			GatewayResponses: map[string]samtemplate.GatewayResponse{},
			CORS:             &samtemplate.CORS{AllowOrigins: []string{"https://a.example"}, AllowMethods: []string{"GET", "PUT"}, AllowCredentials: true},
			Routes: []samtemplate.Route{
				{Method: "GET", Path: "/a", Function: "F", Authorizer: "Token"},
				{Method: "OPTIONS", Path: "/a", Function: "F", Authorizer: "Other"},
				{Method: "ANY", Path: "/b", Function: "F", Authorizer: "Token"},
				{Method: "OPTIONS", Path: "/b", Authorizer: "Token", Preflight: true}, // SAM's default
			},
			Authorizers: map[string]samtemplate.Authorizer{
				"Token": {
					Kind: samtemplate.Token, Function: "F", ValidationExpression: "Bearer .+",
					IdentitySources: []samtemplate.IdentitySource{{In: samtemplate.Header, Name: "X-Token"}},
				},
				"Other": {
					Kind: samtemplate.Request, Function: "F", TTL: 300 * time.Second,
					IdentitySources: []samtemplate.IdentitySource{
						{In: samtemplate.Header, Name: "A"},
						{In: samtemplate.Header, Name: "B"},
						{In: samtemplate.QueryString, Name: "q"},
						{In: samtemplate.StageVariable, Name: "s"},
						{In: samtemplate.Context, Name: "identity.sourceIp"},
					},
				},
			},
		},
		{
			LogicalID: "H", Kind: samtemplate.HTTP, Stage: "test",
			Routes: []samtemplate.Route{
				{Path: "$default", Function: "F", PayloadFormat: "2.0"},
				{Method: "ANY", Path: "/a", Function: "F", PayloadFormat: "1.0"},
			},
			Authorizers: map[string]samtemplate.Authorizer{
				"Simple": {Kind: samtemplate.Request, Function: "F", PayloadVersion: "2.0", Simple: true, TTL: samtemplate.TTLOmitted},
			},
		},
	}
	if diff := cmp.Diff(want, tpl.APIs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzParse: no template makes the parser panic or hang, and what it accepts
// names only functions and authorizers that exist.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(template("Resources:" + function)))
	f.Add([]byte(template(metered)))
	f.Add([]byte(template(webSocket)))
	f.Add([]byte(template("Conditions: {A: !And [!Condition B, !Condition B], B: !Or [!Equals [a, b], !Condition A]}\nResources: {F: {Type: AWS::Serverless::Function, Condition: A}}")))
	f.Add([]byte("---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o samtemplate.Options
		if bytes.Contains(data, []byte("OidcIssuer:")) {
			o.Parameters = parameters(nil)
		}
		tpl, err := samtemplate.Parse(data, o)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "samtemplate: ") {
				t.Errorf("got error %q, want one that begins with the package", err)
			}
			return
		}
		for _, api := range tpl.APIs {
			for _, route := range api.Routes {
				if _, ok := tpl.Functions[route.Function]; !ok && !route.Preflight && (route.Function != "" || api.Kind != samtemplate.WebSocket) {
					t.Errorf("%s %s: there is no function %q", route.Method, route.Path, route.Function)
				}
				if _, ok := api.Authorizers[route.Authorizer]; !ok && route.Authorizer != "" {
					t.Errorf("%s %s: there is no authorizer %q", route.Method, route.Path, route.Authorizer)
				}
			}
		}
	})
}
