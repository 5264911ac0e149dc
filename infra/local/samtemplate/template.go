package samtemplate

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	transform = "AWS::Serverless-2016-10-31"

	typeFunction   = "AWS::Serverless::Function"
	typeREST       = "AWS::Serverless::Api"
	typeHTTP       = "AWS::Serverless::HttpApi"
	typePermission = "AWS::Lambda::Permission"
	typeSSM        = "AWS::SSM::Parameter"
)

func (r *reader) template(root *yaml.Node) *Template {
	t := &Template{Functions: map[string]Function{}, SSM: map[string]string{}}
	if s := r.text(get(root, "Transform")); s != transform {
		r.fail(root, "Transform must be %s", transform)
	}
	r.checkParameters(root)
	globals := r.mapping(get(root, "Globals"))
	r.only(globals, "Globals", "Function")
	var permitted []string
	resources := r.mapping(get(root, "Resources"))
	for _, id := range resources.keys {
		n := resources.byID[id]
		if !r.present(n) {
			continue
		}
		properties := get(n, "Properties")
		switch r.text(get(n, "Type")) {
		case typeFunction:
			t.Functions[id] = r.function(globals.byID["Function"], properties)
		case typeREST:
			t.APIs = append(t.APIs, r.restAPI(id, properties))
		case typeHTTP:
			t.APIs = append(t.APIs, r.httpAPI(id, properties))
		case typeWebSocket:
			t.APIs = append(t.APIs, r.webSocketAPI(id, properties))
		case typeSSM:
			r.store(t, properties)
		case typePermission:
			if get(properties, "Principal") != nil && r.text(get(properties, "Principal")) == "apigateway.amazonaws.com" {
				permitted = append(permitted, r.target(get(properties, "FunctionName"), typeFunction))
			}
		}
	}
	for _, id := range resources.keys {
		if _, ok := t.Functions[id]; ok {
			r.events(t, id, get(get(resources.byID[id], "Properties"), "Events"))
		}
	}
	r.webSocketParts(t, resources)
	r.usagePlans(t, resources)
	for i := range t.APIs {
		r.finish(t, &t.APIs[i], resources.byID[t.APIs[i].LogicalID], permitted)
	}
	return t
}

// store notes what the stack puts into the Parameter Store. What cannot be told
// here nobody finds there.
func (r *reader) store(t *Template, properties *yaml.Node) {
	if r.err != nil || get(properties, "Name") == nil || get(properties, "Value") == nil {
		return
	}
	name, err := r.resolver.text(get(properties, "Name"))
	if err != nil {
		return
	}
	if value, err := r.resolver.text(get(properties, "Value")); err == nil {
		t.SSM[name] = value
	}
}

// present reports whether the resource n is part of the stack.
func (r *reader) present(n *yaml.Node) bool {
	name := get(n, "Condition")
	if name == nil || r.err != nil {
		return true
	}
	yes, err := r.condition(name)
	if err != nil {
		r.err = err
	}
	return yes
}

// checkParameters finds values that CloudFormation would not deploy with.
func (r *reader) checkParameters(root *yaml.Node) {
	declared := r.mapping(r.parameters)
	for _, name := range declared.keys {
		if _, err := r.parameter(name, declared.byID[name]); err != nil && r.err == nil {
			r.err = err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.given)) {
		if declared.byID[name] == nil {
			r.fail(root, "a value was given for parameter %s, which the template does not have", name)
		}
	}
}

// function reads a function's own properties over those of Globals.
func (r *reader) function(globals, own *yaml.Node) Function {
	pick := func(key string) *yaml.Node {
		if n := get(own, key); n != nil {
			return n
		}
		return get(globals, key)
	}
	f := Function{
		Handler:     r.text(pick("Handler")),
		CodeURI:     r.text(pick("CodeUri")),
		Timeout:     r.seconds(pick("Timeout"), 3, 900),
		MemorySize:  r.number(pick("MemorySize"), 128, 10240),
		Environment: map[string]string{},
	}
	for _, n := range []*yaml.Node{globals, own} {
		environment := r.mapping(get(n, "Environment"))
		maps.Copy(f.Environment, r.textMap(environment.byID["Variables"]))
	}
	return f
}

// methods are those a route may have.
var methods = []string{"ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// events adds the routes of function id to the APIs they name.
func (r *reader) events(t *Template, id string, n *yaml.Node) {
	events := r.mapping(n)
	for _, name := range events.keys {
		event := r.mapping(events.byID[name])
		properties := r.mapping(event.byID["Properties"])
		var route Route
		var api *API
		switch r.text(event.byID["Type"]) {
		case "Api":
			r.only(properties, "an Api event", "Path", "Method", "RestApiId", "Auth")
			api = r.api(t, events.byID[name], properties.byID["RestApiId"], typeREST)
			route = Route{Method: r.text(properties.byID["Method"]), Path: r.text(properties.byID["Path"])}
		case "HttpApi":
			r.only(properties, "an HttpApi event", "Path", "Method", "ApiId", "Auth", "PayloadFormatVersion")
			api = r.api(t, events.byID[name], properties.byID["ApiId"], typeHTTP)
			route = r.httpRoute(properties)
		default:
			continue
		}
		if api == nil || r.err != nil {
			return
		}
		route.Function = id
		route.Method = strings.ToUpper(route.Method)
		r.checkRoute(events.byID[name], api, route)
		auth := r.mapping(properties.byID["Auth"])
		if api.Kind == REST {
			r.only(auth, "an event's Auth", "Authorizer", "ApiKeyRequired")
			route.APIKey = r.keyRequired(api, auth)
		} else {
			r.only(auth, "an event's Auth", "Authorizer")
		}
		route.Authorizer = r.text(auth.byID["Authorizer"])
		api.Routes = append(api.Routes, route)
	}
}

func (r *reader) httpRoute(properties fields) Route {
	route := Route{
		Method:        r.text(properties.byID["Method"]),
		Path:          r.text(properties.byID["Path"]),
		PayloadFormat: r.text(properties.byID["PayloadFormatVersion"]),
	}
	if strings.EqualFold(route.Method, "x-amazon-apigateway-any-method") {
		route.Method = "ANY"
	}
	switch route.PayloadFormat {
	case "":
		route.PayloadFormat = "2.0"
	case "1.0", "2.0":
	default:
		r.fail(properties.byID["PayloadFormatVersion"], "PayloadFormatVersion is %q; it can be '1.0' or '2.0'", route.PayloadFormat)
	}
	if route.Path == "" && route.Method == "" || route.Path == "$default" {
		route.Path, route.Method = "$default", ""
	}
	return route
}

// api returns the API that an event at n names by ref.
func (r *reader) api(t *Template, n, ref *yaml.Node, kind string) *API {
	if ref == nil {
		r.fail(n, "the event names no API; implicit APIs are not supported here, declare one and !Ref it")
		return nil
	}
	id := r.target(ref, kind)
	for i := range t.APIs {
		if t.APIs[i].LogicalID == id {
			return &t.APIs[i]
		}
	}
	r.fail(ref, "want a !Ref of an %s of this template", kind)
	return nil
}

func (r *reader) checkRoute(n *yaml.Node, api *API, route Route) {
	if route.Path == "$default" {
		if api.Kind == REST {
			r.fail(n, "a REST API has no $default route")
		}
	} else if !strings.HasPrefix(route.Path, "/") {
		r.fail(n, "the path %q does not begin with /", route.Path)
	} else if !slices.Contains(methods, route.Method) {
		r.fail(n, "the method %q is none of %s", route.Method, strings.Join(methods, " "))
	}
	for _, other := range api.Routes {
		if other.Method == route.Method && other.Path == route.Path {
			r.fail(n, "%s %s of %s is given twice", route.Method, route.Path, api.LogicalID)
		}
	}
}
