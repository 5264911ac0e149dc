package samtemplate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/samtemplate"
)

const webSocket = `
Resources:
  F: {Type: AWS::Serverless::Function}
  A:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref A, StageName: live, AutoDeploy: true, StageVariables: {gatehouse: talk}}
  Gate:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref A
      Name: gate
      AuthorizerType: REQUEST
      AuthorizerUri: !Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations
      IdentitySource: [route.request.header.Authorization, route.request.querystring.t, stageVariables.gatehouse, context.identity.sourceIp]
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref A, RouteKey: $connect, AuthorizationType: CUSTOM, AuthorizerId: !Ref Gate}
  Echo:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref A, RouteKey: echo, Target: !Sub "integrations/${Talk}", RouteResponseSelectionExpression: $default}
  EchoResponse:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref A, RouteId: !Ref Echo, RouteResponseKey: $default}
  Mute:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref A, RouteKey: $default, AuthorizationType: NONE, Target: !Sub "integrations/${Talk}", RouteResponseSelectionExpression: $default}
  Talk:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref A
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations
`

func TestWebSocket(t *testing.T) {
	t.Parallel()
	tpl, err := samtemplate.Parse([]byte(template(webSocket)), samtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []samtemplate.API{{
		LogicalID: "A", Kind: samtemplate.WebSocket, Stage: "live", StageVariables: map[string]string{"gatehouse": "talk"},
		RouteSelection: "$request.body.action",
		Routes: []samtemplate.Route{
			{Path: "$connect", Authorizer: "Gate"},
			{Path: "echo", Function: "F", Responds: true},
			{Path: "$default", Function: "F"}, // it selects a response and has none
		},
		Authorizers: map[string]samtemplate.Authorizer{"Gate": {
			Kind: samtemplate.Request, Function: "F", Unpermitted: true,
			IdentitySources: []samtemplate.IdentitySource{
				{In: samtemplate.Header, Name: "Authorization"},
				{In: samtemplate.QueryString, Name: "t"},
				{In: samtemplate.StageVariable, Name: "gatehouse"},
				{In: samtemplate.Context, Name: "identity.sourceIp"},
			},
		}},
	}}
	if diff := cmp.Diff(want, tpl.APIs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWebSocketRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, changed, want string }{
		"an HTTP API in these words":              {"ProtocolType: WEBSOCKET", "ProtocolType: HTTP", "declare an AWS::Serverless::HttpApi"},
		"a route selection expression of headers": {"$request.body.action}", "$request.header.x}", "RouteSelectionExpression must be like"},
		"API keys":                              {"RouteKey: echo", "RouteKey: echo, ApiKeyRequired: true", "ApiKeyRequired of Echo is not supported"},
		"a stage that must be deployed by hand": {"AutoDeploy: true", "AutoDeploy: false", "AutoDeploy: true"},
		"a second stage":                        {"  Gate:", "  Other:\n    Type: AWS::ApiGatewayV2::Stage\n    Properties: {ApiId: !Ref A, StageName: b, AutoDeploy: true}\n  Gate:", "has a stage already"},
		"no stage":                              {"Type: AWS::ApiGatewayV2::Stage", "Type: AWS::Logs::LogGroup", "A has no stage"},
		"a stage of another stack's API":        {"{ApiId: !Ref A, StageName", "{ApiId: a1b2c3, StageName", "want a !Ref of an AWS::ApiGatewayV2::Api"},
		"a JWT authorizer":                      {"AuthorizerType: REQUEST", "AuthorizerType: JWT", `the AuthorizerType is "JWT"`},
		"an identity source of a REST API":      {"route.request.header.Authorization", "method.request.header.Authorization", "is none of"},
		"an authorizer that is not $connect's":  {"RouteKey: $connect", "RouteKey: join", "only $connect has one"},
		"an authorizer there is not":            {"AuthorizerId: !Ref Gate", "AuthorizerId: a1b2c3", "AuthorizerId must be a !Ref"},
		"authorization by IAM":                  {"AuthorizationType: NONE", "AuthorizationType: AWS_IAM", "AWS_IAM is not supported"},
		"an integration that is no function":    {"IntegrationType: AWS_PROXY", "IntegrationType: MOCK", "only AWS_PROXY"},
		"an integration there is not":           {`Target: !Sub "integrations/${Talk}"`, "Target: integrations/a1b2c3", "Target must be"},
		"a function of another stack":           {"functions/${F.Arn}/", "functions/arn:aws:lambda:us-east-1:1:function:x/", "does not lead to a function"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.Replace(webSocket, c.old, c.changed, 1)
			if changed == webSocket {
				t.Fatalf("the template does not have %q", c.old)
			}
			_, err := samtemplate.Parse([]byte(template(changed)), samtemplate.Options{})
			wantError(t, err, c.want)
		})
	}
}
