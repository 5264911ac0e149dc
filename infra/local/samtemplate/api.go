package samtemplate

import (
	"cmp"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (r *reader) restAPI(id string, n *yaml.Node) API {
	f := r.mapping(n)
	r.only(f, id, "StageName", "Variables", "Auth", "Cors", "GatewayResponses", "BinaryMediaTypes", "ApiKeySourceType",
		"AccessLogSetting", "AlwaysDeploy", "Description", "EndpointConfiguration", "FailOnWarnings", "MethodSettings",
		"Name", "OpenApiVersion", "PropagateTags", "Tags", "TracingEnabled")
	api := API{
		LogicalID:        id,
		Kind:             REST,
		Stage:            r.text(f.byID["StageName"]),
		StageVariables:   r.textMap(f.byID["Variables"]),
		Authorizers:      map[string]Authorizer{},
		GatewayResponses: map[string]GatewayResponse{},
		CORS:             r.restCORS(f.byID["Cors"]),
		BinaryMediaTypes: r.texts(f.byID["BinaryMediaTypes"]),
	}
	for i, m := range api.BinaryMediaTypes {
		api.BinaryMediaTypes[i] = strings.ReplaceAll(m, "~1", "/")
	}
	if api.Stage == "" {
		r.fail(n, "%s has no StageName", id)
	}
	auth := r.mapping(f.byID["Auth"])
	r.only(auth, "Auth of "+id, "DefaultAuthorizer", "AddDefaultAuthorizerToCorsPreflight", "Authorizers",
		"ApiKeyRequired", "AddApiKeyRequiredToCorsPreflight", "ResourcePolicy")
	authorizers := r.mapping(auth.byID["Authorizers"])
	for _, name := range authorizers.keys {
		api.Authorizers[name] = r.restAuthorizer(authorizers.byID[name])
	}
	api.KeyFromAuthorizer = r.keyFromAuthorizer(f.byID["ApiKeySourceType"])
	api.ResourcePolicy = r.resourcePolicy(auth.byID["ResourcePolicy"])
	if api.Private = r.private(f.byID["EndpointConfiguration"]); api.Private && api.ResourcePolicy == nil {
		r.fail(n, "%s is private and has no resource policy, without which API Gateway deploys none", id)
	}
	responses := r.mapping(f.byID["GatewayResponses"])
	for _, name := range responses.keys {
		api.GatewayResponses[name] = r.gatewayResponse(responses.byID[name])
	}
	return api
}

func (r *reader) restAuthorizer(n *yaml.Node) Authorizer {
	f := r.mapping(n)
	r.only(f, "an authorizer", "FunctionArn", "FunctionInvokeRole", "FunctionPayloadType", "DisableFunctionDefaultPermissions", "Identity")
	identity := r.mapping(f.byID["Identity"])
	a := Authorizer{
		Kind:        AuthorizerKind(cmp.Or(r.text(f.byID["FunctionPayloadType"]), string(Token))),
		Function:    r.authorizerFunction(n, f),
		TTL:         r.seconds(identity.byID["ReauthorizeEvery"], 300, 3600),
		Unpermitted: r.flag(f.byID["DisableFunctionDefaultPermissions"]) && f.byID["FunctionInvokeRole"] == nil,
	}
	switch a.Kind {
	case Token:
		r.only(identity, "a TOKEN authorizer's Identity", "Header", "ValidationExpression", "ReauthorizeEvery")
		a.IdentitySources = []IdentitySource{{Header, cmp.Or(r.text(identity.byID["Header"]), "Authorization")}}
		a.ValidationExpression = r.text(identity.byID["ValidationExpression"])
		if _, err := regexp.Compile(a.ValidationExpression); err != nil {
			r.fail(identity.byID["ValidationExpression"], "ValidationExpression: %w", err)
		}
	case Request:
		a.IdentitySources = r.identitySources(identity)
		if len(a.IdentitySources) == 0 && a.TTL > 0 {
			r.fail(n, "a REQUEST authorizer whose answers are cached needs an identity source (Identity)")
		}
	default:
		r.fail(f.byID["FunctionPayloadType"], "FunctionPayloadType is %q; it can be TOKEN or REQUEST", a.Kind)
	}
	return a
}

func (r *reader) identitySources(identity fields) []IdentitySource {
	r.only(identity, "an authorizer's Identity", "Headers", "QueryStrings", "StageVariables", "Context", "ReauthorizeEvery")
	var sources []IdentitySource
	for _, part := range []struct {
		key string
		in  SourceKind
	}{{"Headers", Header}, {"QueryStrings", QueryString}, {"StageVariables", StageVariable}, {"Context", Context}} {
		for _, name := range r.texts(identity.byID[part.key]) {
			sources = append(sources, IdentitySource{part.in, name})
		}
	}
	return sources
}

// authorizerFunction returns the function of an authorizer. One that cannot be
// called here must not be skipped.
func (r *reader) authorizerFunction(n *yaml.Node, f fields) string {
	id := r.target(f.byID["FunctionArn"], typeFunction)
	if id == "" {
		id = r.functionOf(r.text(f.byID["FunctionArn"]))
	}
	if id == "" {
		r.fail(n, "FunctionArn must be a !GetAtt of the Arn or a !Ref of the Alias of an %s of this template, or one of Options.Functions", typeFunction)
	}
	return id
}

// functionOf returns the function with an ARN: its logical id, the ARN itself for
// one of another stack, "" for one that cannot be run here.
func (r *reader) functionOf(arn string) string {
	if slices.Contains(r.foreign, arn) {
		return arn
	}
	id := arn[strings.LastIndex(arn, ":")+1:]
	t := get(get(r.resources, id), "Type")
	if t == nil || t.Value != typeFunction || arn != r.functionARN(id) {
		return ""
	}
	return id
}

func (r *reader) gatewayResponse(n *yaml.Node) GatewayResponse {
	f := r.mapping(n)
	r.only(f, "a gateway response", "StatusCode", "ResponseParameters", "ResponseTemplates")
	parameters := r.mapping(f.byID["ResponseParameters"])
	r.only(parameters, "ResponseParameters", "Headers")
	return GatewayResponse{
		StatusCode: r.number(f.byID["StatusCode"], 0, 599),
		Headers:    r.textMap(parameters.byID["Headers"]),
		Templates:  r.textMap(f.byID["ResponseTemplates"]),
	}
}

// restCORS reads Cors, whose values are mapping expressions: literals in quotes.
func (r *reader) restCORS(n *yaml.Node) *CORS {
	v := r.shallow(n)
	switch {
	case v == nil:
		return nil
	case v.Kind == yaml.ScalarNode:
		return &CORS{AllowOrigins: []string{r.quoted(v)}}
	}
	f := r.mapping(v)
	r.only(f, "Cors", "AllowOrigin", "AllowHeaders", "AllowMethods", "MaxAge", "AllowCredentials")
	return &CORS{
		AllowOrigins:     []string{r.quoted(f.byID["AllowOrigin"])},
		AllowHeaders:     commaList(r.quoted(f.byID["AllowHeaders"])),
		AllowMethods:     commaList(r.quoted(f.byID["AllowMethods"])),
		MaxAge:           r.quoted(f.byID["MaxAge"]),
		AllowCredentials: r.flag(f.byID["AllowCredentials"]),
	}
}

func (r *reader) quoted(n *yaml.Node) string {
	s := r.text(n)
	if s == "" {
		return ""
	}
	if len(s) < 2 || s[0] != '\'' || s[len(s)-1] != '\'' {
		r.fail(n, "%q must be in single quotes inside the YAML string", s)
		return ""
	}
	return s[1 : len(s)-1]
}

func commaList(s string) []string {
	if s == "" {
		return nil
	}
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

func (r *reader) httpAPI(id string, n *yaml.Node) API {
	f := r.mapping(n)
	r.only(f, id, "StageName", "StageVariables", "Auth", "CorsConfiguration",
		"AccessLogSettings", "DefaultRouteSettings", "Description", "DisableExecuteApiEndpoint", "FailOnWarnings", "Name", "PropagateTags", "RouteSettings", "Tags")
	api := API{
		LogicalID:      id,
		Kind:           HTTP,
		Stage:          cmp.Or(r.text(f.byID["StageName"]), "$default"),
		StageVariables: r.textMap(f.byID["StageVariables"]),
		Authorizers:    map[string]Authorizer{},
	}
	if f.byID["CorsConfiguration"] != nil {
		c := r.mapping(f.byID["CorsConfiguration"])
		r.only(c, "CorsConfiguration", "AllowOrigins", "AllowHeaders", "AllowMethods", "ExposeHeaders", "MaxAge", "AllowCredentials")
		api.CORS = &CORS{
			AllowOrigins:     r.texts(c.byID["AllowOrigins"]),
			AllowHeaders:     r.texts(c.byID["AllowHeaders"]),
			AllowMethods:     r.texts(c.byID["AllowMethods"]),
			ExposeHeaders:    r.texts(c.byID["ExposeHeaders"]),
			MaxAge:           r.text(c.byID["MaxAge"]),
			AllowCredentials: r.flag(c.byID["AllowCredentials"]),
		}
	}
	auth := r.mapping(f.byID["Auth"])
	r.only(auth, "Auth of "+id, "DefaultAuthorizer", "Authorizers")
	authorizers := r.mapping(auth.byID["Authorizers"])
	for _, name := range authorizers.keys {
		api.Authorizers[name] = r.httpAuthorizer(authorizers.byID[name])
	}
	return api
}

func (r *reader) httpAuthorizer(n *yaml.Node) Authorizer {
	f := r.mapping(n)
	r.only(f, "an authorizer", "FunctionArn", "FunctionInvokeRole", "AuthorizerPayloadFormatVersion", "EnableSimpleResponses",
		"EnableFunctionDefaultPermissions", "Identity")
	identity := r.mapping(f.byID["Identity"])
	a := Authorizer{
		Kind:            Request,
		Function:        r.authorizerFunction(n, f),
		PayloadVersion:  r.text(f.byID["AuthorizerPayloadFormatVersion"]),
		Simple:          r.flag(f.byID["EnableSimpleResponses"]),
		IdentitySources: r.identitySources(identity),
		TTL:             TTLOmitted,
		Unpermitted:     !r.flag(f.byID["EnableFunctionDefaultPermissions"]) && f.byID["FunctionInvokeRole"] == nil,
	}
	if ttl := identity.byID["ReauthorizeEvery"]; ttl != nil {
		a.TTL = r.seconds(ttl, 0, 3600)
	}
	switch {
	case a.PayloadVersion != "1.0" && a.PayloadVersion != "2.0":
		r.fail(n, "AuthorizerPayloadFormatVersion must be '1.0' or '2.0', in quotes")
	case a.Simple && a.PayloadVersion == "1.0":
		r.fail(f.byID["EnableSimpleResponses"], "simple responses need AuthorizerPayloadFormatVersion '2.0'")
	}
	return a
}

// finish gives the routes of api what depends on the whole template: their
// authorizers, the preflight routes, and who may be invoked.
func (r *reader) finish(t *Template, api *API, resource *yaml.Node, permitted []string) {
	if r.err != nil {
		return
	}
	for name, a := range api.Authorizers {
		a.Unpermitted = a.Unpermitted && !slices.Contains(permitted, a.Function)
		if slices.Contains(r.foreign, a.Function) {
			a.Unpermitted = false // its own stack sees to that
		} else if _, ok := t.Functions[a.Function]; !ok {
			r.fail(resource, "authorizer %s: function %s is left out by its condition", name, a.Function)
		}
		api.Authorizers[name] = a
	}
	auth := r.mapping(get(get(resource, "Properties"), "Auth"))
	byDefault := r.text(auth.byID["DefaultAuthorizer"])
	preflight := ""
	if r.otherwiseTrue(auth.byID["AddDefaultAuthorizerToCorsPreflight"]) {
		preflight = byDefault
	}
	for i := range api.Routes {
		api.Routes[i].Authorizer = cmp.Or(api.Routes[i].Authorizer, byDefault)
		if api.Routes[i].Authorizer == "NONE" {
			api.Routes[i].Authorizer = ""
		}
	}
	if api.Kind == REST && api.CORS != nil {
		key := r.flag(auth.byID["ApiKeyRequired"]) && r.otherwiseTrue(auth.byID["AddApiKeyRequiredToCorsPreflight"])
		api.Routes = append(api.Routes, preflights(api.Routes, Route{Authorizer: preflight, APIKey: key})...)
	}
	for _, route := range api.Routes {
		if _, ok := api.Authorizers[route.Authorizer]; route.Authorizer != "" && !ok {
			r.fail(resource, "%s %s: there is no authorizer %q", route.Method, route.Path, route.Authorizer)
		}
		if _, ok := t.Functions[route.Function]; route.Function != "" && !ok {
			r.fail(resource, "%s %s: function %s is not one that can be run here", route.Method, route.Path, route.Function)
		}
	}
}

// preflights returns an OPTIONS route like the given one for each path of routes
// that has none.
func preflights(routes []Route, like Route) []Route {
	paths := map[string]bool{} // whether OPTIONS is missing, by path
	for _, route := range routes {
		missing, seen := paths[route.Path]
		paths[route.Path] = route.Method != http.MethodOptions && (missing || !seen)
	}
	var added []Route
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if paths[path] {
			like.Method, like.Path, like.Preflight = http.MethodOptions, path, true
			added = append(added, like)
		}
	}
	return added
}
