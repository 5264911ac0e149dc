package gateway

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gatehouse/infra/local/samtemplate"
)

// refusal is an answer of the gateway itself.
type refusal struct {
	// REST API.
	responseType string // of gateway responses; "" for one that only the defaults cover
	errorType    string // x-amzn-ErrorType
	status       int
	message      string // "": null

	// HTTP API, WebSocket handshake.
	httpStatus  int
	httpMessage string
}

// What the gateway refuses with. The texts are AWS's.
var (
	noRoute = refusal{
		"MISSING_AUTHENTICATION_TOKEN", "MissingAuthenticationTokenException", http.StatusForbidden, "Missing Authentication Token",
		http.StatusNotFound, "Not Found",
	}
	unauthorized = refusal{
		"UNAUTHORIZED", "UnauthorizedException", http.StatusUnauthorized, "Unauthorized",
		http.StatusUnauthorized, "Unauthorized",
	}
	notAllowed = refusal{
		"ACCESS_DENIED", "AccessDeniedException", http.StatusForbidden, "User is not authorized to access this resource",
		http.StatusForbidden, "Forbidden",
	}
	denied = refusal{
		"ACCESS_DENIED", "AccessDeniedException", http.StatusForbidden, "User is not authorized to access this resource with an explicit deny",
		http.StatusForbidden, "Forbidden",
	}
	authorizerFailed = refusal{
		"AUTHORIZER_FAILURE", "AuthorizerConfigurationException", http.StatusInternalServerError, "",
		http.StatusInternalServerError, "Internal Server Error",
	}
	authorizerMisconfigured = refusal{
		"AUTHORIZER_CONFIGURATION_ERROR", "AuthorizerConfigurationException", http.StatusInternalServerError, "",
		http.StatusInternalServerError, "Internal Server Error",
	}
	integrationFailed = refusal{
		"", "InternalServerErrorException", http.StatusBadGateway, "Internal server error",
		http.StatusInternalServerError, "Internal Server Error",
	}
	// A handshake whose function does not answer as it should. A choice, too.
	badGateway = refusal{
		"", "", http.StatusBadGateway, "Internal server error",
		http.StatusBadGateway, "Internal server error",
	}
	integrationTimedOut = refusal{
		"INTEGRATION_TIMEOUT", "InternalServerErrorException", http.StatusGatewayTimeout, "Endpoint request timed out",
		http.StatusServiceUnavailable, "Service Unavailable",
	}
	bodyTooLarge = refusal{
		"REQUEST_TOO_LARGE", "RequestTooLargeException", http.StatusRequestEntityTooLarge,
		"HTTP content length exceeded " + strconv.Itoa(maxBodyBytes) + " bytes.",
		http.StatusRequestEntityTooLarge, "Request Entity Too Large",
	}
	eventTooLarge = refusal{
		"REQUEST_TOO_LARGE", "RequestTooLargeException", http.StatusRequestEntityTooLarge, "Request Too Long",
		http.StatusRequestEntityTooLarge, "Request Entity Too Large",
	}
	invalidKey = refusal{
		"INVALID_API_KEY", "ForbiddenException", http.StatusForbidden, "Forbidden",
		http.StatusForbidden, "Forbidden",
	}
	throttled = refusal{
		"THROTTLED", "TooManyRequestsException", http.StatusTooManyRequests, "Too Many Requests",
		http.StatusTooManyRequests, "Too Many Requests",
	}
	quotaExceeded = refusal{
		"QUOTA_EXCEEDED", "LimitExceededException", http.StatusTooManyRequests, "Limit Exceeded",
		http.StatusTooManyRequests, "Limit Exceeded",
	}
	// Choices: that a private API does not answer the Internet is documented, and
	// that a WebSocket API has one path and takes handshakes, but not what who
	// tries is told.
	unreachable = refusal{
		"", "ForbiddenException", http.StatusForbidden, "Forbidden",
		http.StatusForbidden, "Forbidden",
	}
	upgradeRequired = refusal{
		"", "", http.StatusUpgradeRequired, "Upgrade Required",
		http.StatusUpgradeRequired, "Upgrade Required",
	}
	// The status is a choice: the documentation gives the limit, not the answer.
	headersTooLarge = refusal{
		"", "RequestHeaderFieldsTooLargeException", http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large",
		http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large",
	}
	arnTooLong = refusal{
		"", "RequestURITooLongException", http.StatusRequestURITooLong, "URI Too Long",
		http.StatusRequestURITooLong, "URI Too Long",
	}
)

// refuse renders r for the client.
func (g *Gateway) refuse(q *request, r refusal) *reply {
	if g.api.Kind != samtemplate.REST {
		return &reply{
			status: r.httpStatus,
			header: http.Header{"Content-Type": {"application/json"}},
			body:   []byte(`{"message":` + quoted(r.httpMessage) + `}`),
		}
	}
	response, used, configured := g.gatewayResponse(r)
	g.trace.step(q, "gateway response %s", used)
	a := &reply{
		status: cmp.Or(response.StatusCode, r.status),
		header: http.Header{"Content-Type": {"application/json"}, "X-Amzn-Errortype": {r.errorType}},
	}
	media, template := "application/json", `{"message":$context.error.messageString}`
	if !configured && r.responseType == "ACCESS_DENIED" && !g.cfg.Unsettled.LowerCaseDeniedMessage {
		template = `{"Message":$context.error.messageString}`
	}
	if t, ok := response.Templates[media]; ok {
		template = t
	} else if len(response.Templates) > 0 {
		media = slices.Sorted(maps.Keys(response.Templates))[0]
		template = response.Templates[media]
	}
	a.header.Set("Content-Type", media)
	a.body = []byte(g.substitute(q, r, template))
	for name, expression := range response.Headers {
		if v := g.mapped(q, r, expression); v != "" {
			a.header.Set(name, v)
		}
	}
	return a
}

// gatewayResponse returns the API's answer for r: that of its type, else that
// of its class, else the built-in one, which is not configured.
func (g *Gateway) gatewayResponse(r refusal) (response samtemplate.GatewayResponse, used string, configured bool) {
	if response, ok := g.api.GatewayResponses[r.responseType]; ok && r.responseType != "" {
		return response, r.responseType, true
	}
	class := "DEFAULT_" + strconv.Itoa(r.status/100) + "XX"
	if response, ok := g.api.GatewayResponses[class]; ok {
		return response, class + " for " + cmp.Or(r.responseType, "an error without a type"), true
	}
	return samtemplate.GatewayResponse{}, "built in for " + cmp.Or(r.responseType, "an error without a type"), false
}

// reference is what a template may refer to; it is no template language, only
// replacement. What a reference does not find is replaced by nothing.
var reference = regexp.MustCompile(`\$(context|stageVariables|method\.request\.(?:header|path|querystring))\.([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)`)

// substitute replaces the references in a template.
func (g *Gateway) substitute(q *request, r refusal, template string) string {
	return reference.ReplaceAllStringFunc(template, func(s string) string {
		m := reference.FindStringSubmatch(s)
		return g.lookup(q, r, m[1]+"."+m[2])
	})
}

// mapped evaluates the expression of a header: a literal in single quotes, or
// a reference without $.
func (g *Gateway) mapped(q *request, r refusal, expression string) string {
	if len(expression) >= 2 && expression[0] == '\'' && expression[len(expression)-1] == '\'' {
		return expression[1 : len(expression)-1]
	}
	// A header made of a request's value must not become two.
	return strings.NewReplacer("\r", "", "\n", "").Replace(g.lookup(q, r, expression))
}

// lookup returns the value of a reference, "" for one that is not known.
func (g *Gateway) lookup(q *request, r refusal, name string) string {
	where, key, _ := strings.Cut(name, ".")
	switch where {
	case "stageVariables":
		return g.api.StageVariables[key]
	case "context":
		switch key {
		case "error.message":
			return r.message
		case "error.messageString":
			return quoted(r.message)
		case "error.responseType":
			return r.responseType
		default:
			return g.variable(q, key)
		}
	case "method":
		key = strings.TrimPrefix(key, "request.")
		in, key, _ := strings.Cut(key, ".")
		if in == "path" {
			return q.params[key]
		}
		return g.source(q, samtemplate.IdentitySource{In: samtemplate.SourceKind(in), Name: key})
	default:
		return ""
	}
}

// quoted is s as a JSON string, null for none.
func quoted(s string) string {
	if s == "" {
		return "null"
	}
	b, _ := json.Marshal(s) // a string always can
	return string(b)
}
