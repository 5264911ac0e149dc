package template_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reviewed are the permissions with a wildcard or a policy of AWS's own, each
// with the reason why there is no narrower one.
var reviewed = map[string]string{
	"AuthorizerRole xray:PutTelemetryRecords on *":                              "traces have no ARNs",
	"AuthorizerRole xray:PutTraceSegments on *":                                 "traces have no ARNs",
	"RegistrationRole xray:PutTelemetryRecords on *":                            "traces have no ARNs",
	"RegistrationRole xray:PutTraceSegments on *":                               "traces have no ARNs",
	"BrokerRole xray:PutTelemetryRecords on *":                                  "traces have no ARNs",
	"BrokerRole xray:PutTraceSegments on *":                                     "traces have no ARNs",
	"ReconcilerRole xray:PutTelemetryRecords on *":                              "traces have no ARNs",
	"ReconcilerRole xray:PutTraceSegments on *":                                 "traces have no ARNs",
	"DemoApiRole xray:PutTelemetryRecords on *":                                 "traces have no ARNs",
	"DemoApiRole xray:PutTraceSegments on *":                                    "traces have no ARNs",
	"RegistrationRole apigateway:DELETE on " + inRegion("/apikeys/*"):           "the id of a contract's key is not known before",
	"RegistrationRole apigateway:GET on " + inRegion("/apikeys/*"):              "the id of a contract's key is not known before",
	"RegistrationRole apigateway:PATCH on " + inRegion("/apikeys/*"):            "the id of a contract's key is not known before; the limits are not the key's",
	"RegistrationRole apigateway:GET on " + inRegion("/usageplans/*"):           "which plans a key is in; plans are other stacks'",
	"RegistrationRole apigateway:POST on " + inRegion("/usageplans/*/keys"):     "puts keys into plans, which are other stacks'; cannot change a plan",
	"RegistrationRole apigateway:DELETE on " + inRegion("/usageplans/*/keys/*"): "takes keys out of plans, which are other stacks'; cannot change a plan",
	"ReconcilerRole apigateway:DELETE on " + inRegion("/apikeys/*"):             "the id of a contract's key is not known before",
	"ReconcilerRole apigateway:GET on " + inRegion("/apikeys/*"):                "the id of a contract's key is not known before",
	"ReconcilerRole apigateway:PATCH on " + inRegion("/apikeys/*"):              "the id of a contract's key is not known before; the limits are not the key's",
	"ReconcilerRole apigateway:GET on " + inRegion("/usageplans/*"):             "which plans a key is in; plans are other stacks'",
	"ReconcilerRole apigateway:POST on " + inRegion("/usageplans/*/keys"):       "puts keys into plans, which are other stacks'; cannot change a plan",
	"ReconcilerRole apigateway:DELETE on " + inRegion("/usageplans/*/keys/*"):   "takes keys out of plans, which are other stacks'; cannot change a plan",
	"ApiGatewayLogs has service-role/AmazonAPIGatewayPushToCloudWatchLogs":      "API Gateway's own role, for whatever log groups the account's APIs have",
	"CodeDeployServiceRole has service-role/AWSCodeDeployRoleForLambda":         "CodeDeploy's own role; AWS keeps it in step with what CodeDeploy does",
}

// inRegion is what API Gateway's control API has at a path.
func inRegion(path string) string {
	return `{"Fn::Sub":"arn:${AWS::Partition}:apigateway:${AWS::Region}::` + path + `"}`
}

// TestNoPermissionIsWiderThanReviewed: no wildcard in an action or a resource,
// no Not, no policy of AWS's, in a role or a resource's policy, beyond the list.
func TestNoPermissionIsWiderThanReviewed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, s := range stacks(t) {
		for _, found := range s.wide(t) {
			if reviewed[found] == "" {
				t.Errorf("%s: %s: narrow it, or give the reason in reviewed", s.name, found)
			}
			used[found] = true
		}
	}
	for entry := range reviewed {
		if !used[entry] {
			t.Errorf("reviewed has %q, which no template has any more", entry)
		}
	}
}

// wide are the permissions of s that want a reason.
func (s stack) wide(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, id := range s.ids("") {
		r := s.resources[id]
		for _, arn := range every(r.Properties["ManagedPolicyArns"]) {
			_, name, _ := strings.Cut(strings.Trim(text(arn), `"{}`), ":policy/")
			found = append(found, id+" has "+strings.Trim(name, `"}`))
		}
		for _, document := range policies(r) {
			for _, st := range every(at(document, "Statement")) {
				if at(st, "Effect") != "Allow" {
					continue
				}
				for _, not := range []string{"NotAction", "NotResource", "NotPrincipal"} {
					if at(st, not) != nil {
						found = append(found, id+" uses "+not)
					}
				}
				if who := text(at(st, "Principal")); strings.Contains(who, "*") {
					found = append(found, id+" is for "+who)
				}
				for _, action := range every(at(st, "Action")) {
					for _, on := range append(every(at(st, "Resource")), "") {
						if strings.Contains(text(action), "*") || strings.Contains(text(on), "*") {
							found = append(found, id+" "+text(action)+" on "+text(on))
						}
					}
				}
			}
		}
	}
	return found
}

// policies are the documents that permit something in r.
func policies(r resource) []any {
	all := []any{r.Properties["PolicyDocument"], r.Properties["AssumeRolePolicyDocument"], r.Properties["ResourcePolicy"],
		r.Properties["KeyPolicy"], r.Properties["Policy"]}
	for _, p := range every(r.Properties["Policies"]) {
		all = append(all, at(p, "PolicyDocument"))
	}
	return all
}

func TestEachFunctionHasARoleThatLambdaAloneTakes(t *testing.T) {
	t.Parallel()
	for _, s := range stacks(t) {
		functions := map[string]string{} // by role
		for _, id := range s.ids("AWS::Lambda::Function") {
			role := target(s.resources[id].Properties["Role"])
			if other := functions[role]; role == "" || other != "" {
				t.Errorf("%s: %s has the role %q, as %q has", s.name, id, role, other)
			}
			functions[role] = id
			for _, st := range every(at(s.resources[role].Properties, "AssumeRolePolicyDocument", "Statement")) {
				if got := text(at(st, "Principal")); !slices.Contains([]string{`{"Service":"lambda.amazonaws.com"}`, `{"Service":["lambda.amazonaws.com"]}`}, got) {
					t.Errorf("%s: %s is for %s, want Lambda alone", s.name, role, got)
				}
			}
		}
	}
}

// TestEachSecretIsReadByThoseThatNeedItAlone: only two roles read what registers
// clients.
func TestEachSecretIsReadByThoseThatNeedItAlone(t *testing.T) {
	t.Parallel()
	s := mainStack(t)
	got := map[string][]string{}
	for _, id := range s.ids("AWS::IAM::Role") {
		for _, document := range policies(s.resources[id]) {
			for _, st := range every(at(document, "Statement")) {
				if !strings.Contains(text(at(st, "Action")), "secretsmanager:") {
					continue
				}
				if text(at(st, "Action")) != "secretsmanager:GetSecretValue" {
					t.Errorf("%s may do %s", id, text(at(st, "Action")))
				}
				for _, on := range every(at(st, "Resource")) {
					got[target(on)] = append(got[target(on)], id)
				}
			}
		}
	}
	want := map[string][]string{
		"AdminSecretArn":    {"ReconcilerRole", "RegistrationRole"},
		"RegistrationKeys":  {"ReconcilerRole", "RegistrationRole"},
		"BrokerKeys":        {"BrokerRole", "ReconcilerRole", "RegistrationRole"},
		"PortalSecretArn":   {"RegistrationRole"},
		"ProviderSecretArn": {"AuthorizerRole", "BrokerRole", "ReconcilerRole", "RegistrationRole"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who reads which secret (-want +got):\n%s", diff)
	}
}

// TestAPIKeysAreManagedOnlyForUsagePlans, by those that keep contracts: without
// the parameter UsagePlans nobody may, and with it nobody may change a plan.
func TestAPIKeysAreManagedOnlyForUsagePlans(t *testing.T) {
	t.Parallel()
	s := mainStack(t)
	got := map[string][]string{} // roles by what they may
	for _, id := range s.ids("AWS::IAM::Role") {
		policies, _ := s.resources[id].Properties["Policies"].([]any)
		for _, policy := range policies {
			if !strings.Contains(text(policy), "apigateway:") {
				continue
			}
			if choice, _ := at(policy, "Fn::If").([]any); len(choice) != 3 || choice[0] != "HasUsagePlans" || text(choice[2]) != `{"Ref":"AWS::NoValue"}` {
				t.Errorf("%s may %s without the parameter UsagePlans", id, text(policy))
			}
			for _, chosen := range every(policy) {
				for _, st := range every(at(chosen, "PolicyDocument", "Statement")) {
					for _, action := range every(at(st, "Action")) {
						for _, on := range every(at(st, "Resource")) {
							_, path, _ := strings.Cut(text(on), "::/")
							entry := text(action) + " /" + strings.TrimRight(path, `"}`)
							got[entry] = append(got[entry], id)
						}
					}
				}
			}
		}
	}
	want := map[string][]string{}
	for _, entry := range []string{
		"apigateway:DELETE /apikeys/*", "apigateway:DELETE /usageplans/*/keys/*", "apigateway:GET /apikeys", "apigateway:GET /apikeys/*",
		"apigateway:GET /usageplans", "apigateway:GET /usageplans/*", "apigateway:PATCH /apikeys/*", "apigateway:POST /apikeys",
		"apigateway:POST /usageplans/*/keys",
	} {
		want[entry] = []string{"ReconcilerRole", "RegistrationRole"}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who manages API keys (-want +got):\n%s", diff)
	}
}

// TestTheAuthorizerReadsTheRegistryOnly, and nobody scans it.
func TestTheAuthorizerReadsTheRegistryOnly(t *testing.T) {
	t.Parallel()
	s := mainStack(t)
	got := map[string]bool{}
	for _, document := range policies(s.resources["AuthorizerRole"]) {
		for _, st := range every(at(document, "Statement")) {
			for _, action := range every(at(st, "Action")) {
				got[text(action)] = true
			}
		}
	}
	want := []string{"dynamodb:GetItem", "kms:Decrypt", "logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue",
		"sts:AssumeRole", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, id := range s.ids("AWS::IAM::Role") {
		for _, document := range policies(s.resources[id]) {
			if strings.Contains(text(document), "dynamodb:Scan") {
				t.Errorf("%s may scan", id)
			}
		}
	}
}

// TestNobodyMayInvokeAFunctionButItsCallers: a permission names whose event it
// is, and those of functions with an alias are the alias's.
func TestNobodyMayInvokeAFunctionButItsCallers(t *testing.T) {
	t.Parallel()
	// The authorizers of all APIs of the account: one statement for each would
	// outgrow the function's policy.
	const everyAuthorizer = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:*/authorizers/*"
	for _, s := range stacks(t) {
		for _, id := range s.ids("AWS::Lambda::Permission") {
			p := s.resources[id].Properties
			source := text(p["SourceArn"])
			if principal := text(p["Principal"]); principal != "apigateway.amazonaws.com" && principal != "events.amazonaws.com" {
				t.Errorf("%s: %s is for %s", s.name, id, principal)
			}
			if strings.Contains(source, everyAuthorizer) {
				if text(p["SourceAccount"]) != `{"Ref":"AWS::AccountId"}` || s.name != "template.yaml" {
					t.Errorf("%s: %s is for the authorizers of any account", s.name, id)
				}
			} else if p["SourceArn"] == nil || strings.Contains(source, ":*/") || strings.Contains(source, "/*/*") {
				t.Errorf("%s: %s is for %s", s.name, id, source)
			}
			name := text(p["FunctionName"])
			for _, function := range s.ids("AWS::Lambda::Alias") {
				if unqualified := target(s.resources[function].Properties["FunctionName"]); target(p["FunctionName"]) == unqualified {
					t.Errorf("%s: %s is for %s, want its alias", s.name, id, name)
				}
			}
		}
		for _, id := range s.ids("AWS::Lambda::Url") {
			t.Errorf("%s: %s: a function URL goes around API Gateway", s.name, id)
		}
	}
}
