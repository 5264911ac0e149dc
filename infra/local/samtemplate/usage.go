package samtemplate

import (
	"cmp"
	"encoding/json"
	"slices"

	"go.yaml.in/yaml/v3"
)

const (
	typeUsagePlan    = "AWS::ApiGateway::UsagePlan"
	typeUsagePlanKey = "AWS::ApiGateway::UsagePlanKey"
	typeAPIKey       = "AWS::ApiGateway::ApiKey"
)

// keyFromAuthorizer reads ApiKeySourceType.
func (r *reader) keyFromAuthorizer(n *yaml.Node) bool {
	switch s := r.text(n); s {
	case "AUTHORIZER":
		return true
	case "", "HEADER":
		return false
	default:
		r.fail(n, "ApiKeySourceType is %q; it can be HEADER or AUTHORIZER", s)
		return false
	}
}

// keyRequired reports whether a route of api with this Auth needs an API key:
// what it says, or else what the API does.
func (r *reader) keyRequired(api *API, auth fields) bool {
	if n := auth.byID["ApiKeyRequired"]; n != nil {
		return r.flag(n)
	}
	return r.flag(get(get(get(get(r.resources, api.LogicalID), "Properties"), "Auth"), "ApiKeyRequired"))
}

// usagePlans gives the APIs the plans that their stages are part of.
func (r *reader) usagePlans(t *Template, resources fields) {
	for _, id := range resources.keys {
		n := resources.byID[id]
		if !r.present(n) || r.text(get(n, "Type")) != typeUsagePlan {
			continue
		}
		f := r.mapping(get(n, "Properties"))
		r.only(f, id, "ApiStages", "Quota", "Throttle", "Description", "Tags", "UsagePlanName")
		plan := r.usagePlan(id, f)
		plan.Keys = r.keysOf(id, resources)
		for _, e := range r.list(f.byID["ApiStages"]) {
			stage := r.mapping(e)
			r.only(stage, "a stage of "+id, "ApiId", "Stage")
			if api := r.api(t, e, stage.byID["ApiId"], typeREST); api != nil {
				if s := r.text(stage.byID["Stage"]); s != api.Stage {
					r.fail(e, "%s has no stage %q", api.LogicalID, s)
				}
				api.UsagePlans = append(api.UsagePlans, plan)
			}
		}
	}
}

func (r *reader) usagePlan(id string, f fields) UsagePlan {
	throttle, quota := r.mapping(f.byID["Throttle"]), r.mapping(f.byID["Quota"])
	r.only(throttle, "Throttle", "BurstLimit", "RateLimit")
	r.only(quota, "Quota", "Limit", "Period")
	plan := UsagePlan{
		ID:     cmp.Or(r.physical[id], id),
		Rate:   float64(r.number(throttle.byID["RateLimit"], 0, 1e6)),
		Burst:  r.number(throttle.byID["BurstLimit"], 0, 1e6),
		Quota:  r.number(quota.byID["Limit"], 0, 1e9),
		Period: r.text(quota.byID["Period"]),
	}
	if (plan.Rate == 0) != (plan.Burst == 0) {
		r.fail(throttle.at, "%s has one of RateLimit and BurstLimit; here it needs both or none", id)
	}
	if (plan.Quota > 0) != slices.Contains([]string{"DAY", "WEEK", "MONTH"}, plan.Period) {
		r.fail(quota.at, "%s needs a Limit and a Period of DAY, WEEK or MONTH, or no Quota", id)
	}
	return plan
}

// keysOf returns the keys of a plan.
func (r *reader) keysOf(plan string, resources fields) []APIKey {
	var keys []APIKey
	for _, id := range resources.keys {
		n := resources.byID[id]
		if !r.present(n) || r.text(get(n, "Type")) != typeUsagePlanKey {
			continue
		}
		f := r.mapping(get(n, "Properties"))
		r.only(f, id, "KeyId", "KeyType", "UsagePlanId")
		if r.target(f.byID["UsagePlanId"], typeUsagePlan) != plan {
			continue
		}
		key := r.target(f.byID["KeyId"], typeAPIKey)
		if key == "" {
			r.fail(n, "%s: KeyId must be a !Ref of an %s of this template", id, typeAPIKey)
			continue
		}
		keys = append(keys, r.apiKey(key, resources.byID[key]))
	}
	return keys
}

func (r *reader) apiKey(id string, n *yaml.Node) APIKey {
	f := r.mapping(get(n, "Properties"))
	r.only(f, id, "Enabled", "Value", "Description", "Name", "Tags")
	key := APIKey{LogicalID: id, Value: r.text(f.byID["Value"]), Disabled: !r.flag(f.byID["Enabled"])}
	if key.Value == "" {
		r.fail(n, "%s has no Value; one that API Gateway makes up is not known here", id)
	}
	return key
}

// private reports whether an EndpointConfiguration makes an API private.
func (r *reader) private(n *yaml.Node) bool {
	v := r.shallow(n)
	if v == nil {
		return false
	}
	if v.Kind == yaml.MappingNode {
		return r.text(get(v, "Type")) == "PRIVATE"
	}
	return r.text(v) == "PRIVATE"
}

// resourcePolicy returns the policy document of a ResourcePolicy, nil for none.
// SAM's lists of addresses, accounts and VPCs stand for statements that it adds,
// an Allow of everything among them: they have to be written out.
func (r *reader) resourcePolicy(n *yaml.Node) json.RawMessage {
	f := r.mapping(n)
	r.only(f, "ResourcePolicy", "CustomStatements")
	if r.err != nil || f.byID["CustomStatements"] == nil {
		return nil
	}
	document, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": r.value(f.byID["CustomStatements"])})
	if err != nil {
		r.fail(n, "ResourcePolicy: %w", err)
	}
	return document
}

// value returns what n stands for, all the way down, as package json takes it.
func (r *reader) value(n *yaml.Node) any {
	v := r.shallow(n)
	switch {
	case v == nil:
		return nil
	case v.Kind == yaml.MappingNode:
		f, m := r.mapping(v), map[string]any{}
		for _, key := range f.keys {
			m[key] = r.value(f.byID[key])
		}
		return m
	case v.Kind == yaml.SequenceNode:
		list := []any{}
		for _, e := range r.list(v) {
			list = append(list, r.value(e))
		}
		return list
	default:
		return v.Value
	}
}
