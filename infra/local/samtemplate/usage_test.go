package samtemplate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/local/samtemplate"
)

const metered = `
Parameters:
  GoldKey: {Type: String, Default: gold-0123456789}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Read: {Type: Api, Properties: {RestApiId: !Ref A, Path: /a, Method: get}}
        Health: {Type: Api, Properties: {RestApiId: !Ref A, Path: /health, Method: get, Auth: {ApiKeyRequired: false}}}
  A:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      ApiKeySourceType: AUTHORIZER
      Cors: "'*'"
      Auth: {ApiKeyRequired: true}
  Gold: {Type: AWS::ApiGateway::ApiKey, Properties: {Enabled: true, Value: !Ref GoldKey}}
  Old: {Type: AWS::ApiGateway::ApiKey, Properties: {Value: old-0123456789}}
  Plan:
    Type: AWS::ApiGateway::UsagePlan
    Properties:
      ApiStages: [{ApiId: !Ref A, Stage: !Ref A.Stage}]
      Throttle: {RateLimit: 10, BurstLimit: 20}
      Quota: {Limit: 1000, Period: DAY}
  GoldInPlan: {Type: AWS::ApiGateway::UsagePlanKey, Properties: {KeyId: !Ref Gold, KeyType: API_KEY, UsagePlanId: !Ref Plan}}
  OldInPlan: {Type: AWS::ApiGateway::UsagePlanKey, Properties: {KeyId: !Ref Old, KeyType: API_KEY, UsagePlanId: !Ref Plan}}
`

func TestUsagePlans(t *testing.T) {
	t.Parallel()
	tpl, err := samtemplate.Parse([]byte(template(metered)), samtemplate.Options{Resources: map[string]string{"Plan": "plan-1"}})
	if err != nil {
		t.Fatal(err)
	}
	api := tpl.APIs[0]
	want := []samtemplate.UsagePlan{{
		ID: "plan-1", Rate: 10, Burst: 20, Quota: 1000, Period: "DAY",
		Keys: []samtemplate.APIKey{
			{LogicalID: "Gold", Value: "gold-0123456789"},
			{LogicalID: "Old", Value: "old-0123456789", Disabled: true},
		},
	}}
	if diff := cmp.Diff(want, api.UsagePlans); diff != "" {
		t.Errorf("plans, -want +got:\n%s", diff)
	}
	if !api.KeyFromAuthorizer {
		t.Error("the key is the authorizer's")
	}
	routes := []samtemplate.Route{
		{Method: "GET", Path: "/a", Function: "F", APIKey: true},
		{Method: "GET", Path: "/health", Function: "F"},
		{Method: "OPTIONS", Path: "/a", Preflight: true, APIKey: true}, // SAM's default
		{Method: "OPTIONS", Path: "/health", Preflight: true, APIKey: true},
	}
	if diff := cmp.Diff(routes, api.Routes); diff != "" {
		t.Errorf("routes, -want +got:\n%s", diff)
	}
}

func TestUsagePlanRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, changed, want string }{
		"a key that API Gateway makes up":     {"{Value: old-0123456789}", "{Enabled: true}", "Old has no Value"},
		"a key of another stack":              {"KeyId: !Ref Old", "KeyId: a1b2c3", "KeyId must be a !Ref"},
		"a stage there is not":                {"Stage: !Ref A.Stage", "Stage: v2", `A has no stage "v2"`},
		"an API of another stack":             {"ApiId: !Ref A, Stage", "ApiId: a1b2c3, Stage", "want a !Ref"},
		"limits of single methods":            {"Stage: !Ref A.Stage", "Stage: !Ref A.Stage, Throttle: {}", "Throttle of a stage of Plan is not supported"},
		"a rate without a burst":              {"RateLimit: 10, ", "", "needs both or none"},
		"a quota for a period there is not":   {"Period: DAY", "Period: HOUR", "DAY, WEEK or MONTH"},
		"a quota that starts with a discount": {"Period: DAY", "Period: DAY, Offset: 1", "Offset of Quota is not supported"},
		"a key that stages name":              {"Enabled: true, ", "StageKeys: [], ", "StageKeys of Gold is not supported"},
		"the stage of what is no API":         {"!Ref A.Stage", "!Ref F.Stage", `"F.Stage" is neither`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.Replace(metered, c.old, c.changed, 1)
			if changed == metered {
				t.Fatalf("the template does not have %q", c.old)
			}
			_, err := samtemplate.Parse([]byte(template(changed)), samtemplate.Options{})
			wantError(t, err, c.want)
		})
	}
}

func TestResourcePolicy(t *testing.T) {
	t.Parallel()
	tpl, err := samtemplate.Parse([]byte(template(`
Parameters:
  Endpoint: {Type: String, Default: vpce-1}
Resources:
  A:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      EndpointConfiguration: {Type: PRIVATE, VPCEndpointIds: [!Ref Endpoint]}
      Auth:
        ResourcePolicy:
          CustomStatements:
            - Effect: Deny
              Principal: "*"
              Action: execute-api:Invoke
              Resource: execute-api:/*
              Condition: {StringNotEquals: {aws:SourceVpce: [!Ref Endpoint]}}
`)), samtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Statement":[{"Action":"execute-api:Invoke","Condition":{"StringNotEquals":{"aws:SourceVpce":["vpce-1"]}},` +
		`"Effect":"Deny","Principal":"*","Resource":"execute-api:/*"}],"Version":"2012-10-17"}`
	if api := tpl.APIs[0]; !api.Private || string(api.ResourcePolicy) != want {
		t.Errorf("got private %t and the policy %s, want %s", api.Private, api.ResourcePolicy, want)
	}
}

func TestFunctionsAndValuesOfOtherStacks(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:gatehouse-authorizer"
	const text = `
Parameters:
  Authorizer: {Type: "AWS::SSM::Parameter::Value<String>", Default: /gatehouse/authorizer-arn}
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {AutoPublishAlias: live}}
  Own: {Type: AWS::SSM::Parameter, Properties: {Name: !Sub "/${AWS::StackName}/f", Value: !GetAtt F.Arn}}
  Alias: {Type: AWS::SSM::Parameter, Properties: {Name: !Sub "/${AWS::StackName}/alias", Value: !Ref F.Alias}}
  Others: {Type: AWS::SSM::Parameter, Properties: {Name: x, Value: !GetAtt F.Version}}
  A:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      Auth: {Authorizers: {X: {FunctionArn: !Ref Authorizer, DisableFunctionDefaultPermissions: true}}}
`
	stored := map[string]string{"/gatehouse/authorizer-arn": arn}
	tpl, err := samtemplate.Parse([]byte(template(text)), samtemplate.Options{Functions: []string{arn}, SSM: stored})
	if err != nil {
		t.Fatal(err)
	}
	if a := tpl.APIs[0].Authorizers["X"]; a.Function != arn || a.Unpermitted {
		t.Errorf("got %+v", a)
	}
	want := map[string]string{
		"/gatehouse/f":     "arn:aws:lambda:us-east-1:123456789012:function:F",
		"/gatehouse/alias": "arn:aws:lambda:us-east-1:123456789012:function:F:live",
	}
	if diff := cmp.Diff(want, tpl.SSM); diff != "" {
		t.Errorf("SSM, -want +got:\n%s", diff)
	}
	_, err = samtemplate.Parse([]byte(template(text)), samtemplate.Options{SSM: stored})
	wantError(t, err, "FunctionArn must be")
	_, err = samtemplate.Parse([]byte(template(text)), samtemplate.Options{Functions: []string{arn}})
	wantError(t, err, "Options.SSM has no value of /gatehouse/authorizer-arn")
}
