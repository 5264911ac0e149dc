package samtemplate

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a WebSocket API is made of. SAM has a type of its own for all of it, which
// is not read here: it adds a permission to each authorizer's function.
const (
	typeWebSocket     = "AWS::ApiGatewayV2::Api"
	typeStage         = "AWS::ApiGatewayV2::Stage"
	typeAuthorizer    = "AWS::ApiGatewayV2::Authorizer"
	typeIntegration   = "AWS::ApiGatewayV2::Integration"
	typeRoute         = "AWS::ApiGatewayV2::Route"
	typeRouteResponse = "AWS::ApiGatewayV2::RouteResponse"
)

// selection is what a route selection expression may be here.
var selection = regexp.MustCompile(`^\$request\.body\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

func (r *reader) webSocketAPI(id string, n *yaml.Node) API {
	f := r.mapping(n)
	r.only(f, id, "ProtocolType", "RouteSelectionExpression", "Description", "Name", "Tags")
	if protocol := r.text(f.byID["ProtocolType"]); protocol != "WEBSOCKET" {
		r.fail(n, "%s: the ProtocolType is %q; for an HTTP API declare an %s", id, protocol, typeHTTP)
	}
	api := API{
		LogicalID: id, Kind: WebSocket, Authorizers: map[string]Authorizer{},
		RouteSelection: r.text(f.byID["RouteSelectionExpression"]),
	}
	if !selection.MatchString(api.RouteSelection) {
		r.fail(n, "%s: RouteSelectionExpression must be like $request.body.action, not %q", id, api.RouteSelection)
	}
	return api
}

// webSocketParts gives WebSocket APIs what the template says in resources of
// their own.
func (r *reader) webSocketParts(t *Template, resources fields) {
	for _, id := range resources.keys {
		n := resources.byID[id]
		if !r.present(n) {
			continue
		}
		properties := r.mapping(get(n, "Properties"))
		switch r.text(get(n, "Type")) {
		case typeStage:
			if api := r.api(t, n, properties.byID["ApiId"], typeWebSocket); api != nil {
				r.webSocketStage(id, properties, api)
			}
		case typeAuthorizer:
			if api := r.api(t, n, properties.byID["ApiId"], typeWebSocket); api != nil {
				api.Authorizers[id] = r.webSocketAuthorizer(id, properties)
			}
		case typeRoute:
			if api := r.api(t, n, properties.byID["ApiId"], typeWebSocket); api != nil {
				api.Routes = append(api.Routes, r.webSocketRoute(id, properties, resources))
			}
		}
	}
	for _, api := range t.APIs {
		if api.Kind == WebSocket && api.Stage == "" {
			r.fail(resources.byID[api.LogicalID], "%s has no stage", api.LogicalID)
		}
	}
}

func (r *reader) webSocketStage(id string, f fields, api *API) {
	r.only(f, id, "ApiId", "StageName", "StageVariables", "AutoDeploy",
		"AccessLogSettings", "DefaultRouteSettings", "Description", "RouteSettings", "Tags")
	switch {
	case api.Stage != "":
		r.fail(f.at, "%s has a stage already; one is served here", api.LogicalID)
	case !r.flag(f.byID["AutoDeploy"]):
		r.fail(f.at, "%s must have AutoDeploy: true; deployments are not read here", id)
	}
	api.Stage = r.text(f.byID["StageName"])
	api.StageVariables = r.textMap(f.byID["StageVariables"])
}

func (r *reader) webSocketAuthorizer(id string, f fields) Authorizer {
	r.only(f, id, "ApiId", "AuthorizerType", "AuthorizerUri", "AuthorizerCredentialsArn", "IdentitySource", "Name")
	a := Authorizer{
		Kind:        Request,
		Function:    r.functionOfURI(f.byID["AuthorizerUri"]),
		Unpermitted: f.byID["AuthorizerCredentialsArn"] == nil,
	}
	if kind := r.text(f.byID["AuthorizerType"]); kind != string(Request) {
		r.fail(f.at, "%s: the AuthorizerType is %q; a WebSocket API has only %s", id, kind, Request)
	}
	for _, s := range r.texts(f.byID["IdentitySource"]) {
		source, ok := identitySource(s)
		if !ok {
			r.fail(f.byID["IdentitySource"], "the identity source %q is none of route.request.header.NAME, route.request.querystring.NAME, stageVariables.NAME and context.NAME", s)
		}
		a.IdentitySources = append(a.IdentitySources, source)
	}
	return a
}

// identitySource reads an identity source of a WebSocket API.
func identitySource(s string) (IdentitySource, bool) {
	for prefix, in := range map[string]SourceKind{
		"route.request.header.": Header, "route.request.querystring.": QueryString, "stageVariables.": StageVariable, "context.": Context,
	} {
		if name, ok := strings.CutPrefix(s, prefix); ok && name != "" {
			return IdentitySource{in, name}, true
		}
	}
	return IdentitySource{}, false
}

func (r *reader) webSocketRoute(id string, f fields, resources fields) Route {
	r.only(f, id, "ApiId", "RouteKey", "AuthorizationType", "AuthorizerId", "Target", "RouteResponseSelectionExpression", "OperationName")
	route := Route{Path: r.text(f.byID["RouteKey"])}
	switch kind := r.text(f.byID["AuthorizationType"]); kind {
	case "CUSTOM":
		if route.Authorizer = r.target(f.byID["AuthorizerId"], typeAuthorizer); route.Authorizer == "" || route.Path != "$connect" {
			r.fail(f.at, "%s: AuthorizerId must be a !Ref of an %s, and only $connect has one", id, typeAuthorizer)
		}
	case "", "NONE":
	default:
		r.fail(f.at, "%s: AuthorizationType %s is not supported here", id, kind)
	}
	route.Function = r.integration(id, f.byID["Target"])
	route.Responds = r.responds(id, f.byID["RouteResponseSelectionExpression"], resources)
	return route
}

// integration returns the function that a route's Target leads to; "" without one.
func (r *reader) integration(route string, target *yaml.Node) string {
	if target == nil {
		return ""
	}
	id, _ := strings.CutPrefix(r.text(target), "integrations/")
	n := get(r.resources, id)
	if n == nil || r.text(get(n, "Type")) != typeIntegration {
		r.fail(target, "%s: Target must be !Sub integrations/${X}, where X is an %s", route, typeIntegration)
		return ""
	}
	f := r.mapping(get(n, "Properties"))
	r.only(f, id, "ApiId", "IntegrationType", "IntegrationUri", "Description", "TimeoutInMillis")
	if kind := r.text(f.byID["IntegrationType"]); kind != "AWS_PROXY" {
		r.fail(n, "%s: the IntegrationType is %q; only AWS_PROXY is supported here", id, kind)
	}
	return r.functionOfURI(f.byID["IntegrationUri"])
}

// responds reports whether what the function of a route answers goes to the
// client: the route must select a response and have one.
func (r *reader) responds(route string, selects *yaml.Node, resources fields) bool {
	if selects == nil {
		return false
	}
	for _, id := range resources.keys {
		n := resources.byID[id]
		if !r.present(n) || r.text(get(n, "Type")) != typeRouteResponse {
			continue
		}
		f := r.mapping(get(n, "Properties"))
		r.only(f, id, "ApiId", "RouteId", "RouteResponseKey")
		if r.target(f.byID["RouteId"], typeRoute) == route {
			return r.text(selects) == "$default" && r.text(f.byID["RouteResponseKey"]) == "$default"
		}
	}
	return false
}

// functionOfURI returns the function of a URI as API Gateway takes it:
// arn:…:lambda:path/2015-03-31/functions/ARN/invocations.
func (r *reader) functionOfURI(n *yaml.Node) string {
	uri := r.text(n)
	_, arn, _ := strings.Cut(uri, ":lambda:path/2015-03-31/functions/")
	arn, ok := strings.CutSuffix(arn, "/invocations")
	id := r.functionOf(arn)
	if !ok || id == "" {
		r.fail(n, "%q does not lead to a function of this template or one of Options.Functions", uri)
	}
	return id
}
