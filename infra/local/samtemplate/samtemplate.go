// Package samtemplate reads of a SAM template what an emulator of API Gateway
// needs: functions with their environment, and APIs with their stages, routes,
// authorizers, gateway responses and CORS answers, all intrinsics resolved.
//
// It refuses what it would otherwise have to guess or leave out: implicit APIs,
// intrinsics it does not know, properties of an API or its Auth section that
// would change who gets through (JWT and Cognito authorizers, API keys whose
// value nobody wrote down, authorizers of another stack that nobody can run
// here). An emulator that ignored those would let through what the deployed API
// refuses, or the other way round. Everything else in a template is none of its
// business and not looked at.
package samtemplate

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// maxBytes is CloudFormation's limit for a template in S3.
const maxBytes = 1 << 20

// Template is what a SAM template says about functions and APIs.
type Template struct {
	Functions map[string]Function // by logical id
	APIs      []API               // in the order of the template
	SSM       map[string]string   // parameters that the stack puts into the Parameter Store, by name
}

// Function is an AWS::Serverless::Function, Globals applied.
type Function struct {
	Handler     string
	CodeURI     string
	Timeout     time.Duration // 3 s when the template gives none, as Lambda has it
	MemorySize  int           // MB; 128 when the template gives none
	Environment map[string]string
}

// Kind tells the kinds of API apart.
type Kind string

// The kinds of API: AWS::Serverless::Api, AWS::Serverless::HttpApi, and
// AWS::ApiGatewayV2::Api with the protocol WEBSOCKET.
const (
	REST      Kind = "REST"
	HTTP      Kind = "HTTP"
	WebSocket Kind = "WebSocket"
)

// API is one API with one stage.
type API struct {
	LogicalID        string
	Kind             Kind
	Stage            string            // "v1"; an HTTP API's "$default" is not part of its URLs
	StageVariables   map[string]string // nil when there are none
	Routes           []Route
	Authorizers      map[string]Authorizer      // by name
	GatewayResponses map[string]GatewayResponse // by response type, such as UNAUTHORIZED; REST only
	CORS             *CORS                      // nil: no CORS answers
	BinaryMediaTypes []string                   // REST only

	// REST only.
	Private           bool            // reached through VPC endpoints alone
	ResourcePolicy    json.RawMessage // nil when there is none; a Resource may be short, as in "execute-api:/*"
	KeyFromAuthorizer bool            // API keys are the authorizer's usageIdentifierKey, not the header x-api-key
	UsagePlans        []UsagePlan     // those that the stage is part of

	// WebSocket only.
	RouteSelection string // "$request.body.action"
}

// Route is one method and path of an API and what serves it.
type Route struct {
	Method        string // "GET", "ANY"; "" for $default and for a WebSocket API
	Path          string // "/orders/{id}", "/admin/{proxy+}", "$default"; a WebSocket API's route key, such as "$connect"
	Function      string // logical id; "" when Preflight, and for a WebSocket route without an integration
	Authorizer    string // name; "" for none
	PayloadFormat string // "1.0" or "2.0" for an HTTP API; "" for the others
	Preflight     bool   // the mock OPTIONS method that SAM adds to each path of a REST API with Cors
	APIKey        bool   // REST: a request must come with an API key
	Responds      bool   // WebSocket: what the function answers goes to the client
}

// UsagePlan is what the requests that come with one of its keys are measured by,
// each key by itself.
type UsagePlan struct {
	ID     string   // what Ref gives: the logical id unless Options.Resources says another
	Keys   []APIKey // those of the template
	Rate   float64  // requests a second in the long run; 0: not limited
	Burst  int      // requests at once; 0: not limited
	Quota  int      // requests in each Period; 0: not limited
	Period string   // "DAY", "WEEK", "MONTH"; "" without Quota
}

// APIKey is an API key that its template gives a value.
type APIKey struct {
	LogicalID string
	Value     string
	Disabled  bool
}

// AuthorizerKind is what a Lambda authorizer is sent.
type AuthorizerKind string

// The kinds of Lambda authorizer: the token alone, or the whole request.
const (
	Token   AuthorizerKind = "TOKEN"
	Request AuthorizerKind = "REQUEST"
)

// TTLOmitted is the TTL of an HTTP API's authorizer that does not set
// ReauthorizeEvery; SAM does not say what then holds.
const TTLOmitted = time.Duration(-1)

// Authorizer is a Lambda authorizer of an API.
type Authorizer struct {
	Kind                 AuthorizerKind
	Function             string // logical id, or the ARN of one of Options.Functions
	PayloadVersion       string // "1.0" or "2.0" for an HTTP API; "" for the others
	Simple               bool   // answers {"isAuthorized": …} instead of a policy; HTTP API, payload 2.0
	IdentitySources      []IdentitySource
	ValidationExpression string        // Kind Token: what the whole token must match; "" for anything
	TTL                  time.Duration // how long an answer is cached; 0 for not at all; see TTLOmitted
	Unpermitted          bool          // nothing in the template lets API Gateway invoke the function, which is in it
}

// SourceKind is the part of a request an identity source is taken from.
type SourceKind string

// The kinds of identity source.
const (
	Header        SourceKind = "header"
	QueryString   SourceKind = "querystring"
	StageVariable SourceKind = "stageVariables"
	Context       SourceKind = "context"
)

// IdentitySource is a value a request must have before its authorizer is asked,
// and part of the key its answer is cached by.
type IdentitySource struct {
	In   SourceKind
	Name string // "Authorization"; for Context as in "routeKey" or "identity.sourceIp"
}

// GatewayResponse is the answer of a REST API to one type of refusal.
type GatewayResponse struct {
	StatusCode int               // 0: the type's own
	Headers    map[string]string // mapping expressions: 'literal', method.request.header.X, context.x
	Templates  map[string]string // by media type
}

// CORS is what a preflight is answered.
type CORS struct {
	AllowOrigins     []string
	AllowHeaders     []string
	AllowMethods     []string // empty for a REST API: those of the path
	ExposeHeaders    []string // HTTP API only
	MaxAge           string   // seconds; "" to say nothing
	AllowCredentials bool
}

// Options are what CloudFormation would know at deployment. The zero value
// stands for a made-up account.
type Options struct {
	Parameters map[string]string // override the defaults of the template
	AccountID  string            // default "123456789012"
	Region     string            // default "us-east-1"
	StackName  string            // default "gatehouse"

	// Resources gives what Ref ("Table") and Fn::GetAtt ("Table.Arn") of a
	// resource return. By default Ref returns the logical id, and Fn::GetAtt
	// knows the Arn of functions only.
	Resources map[string]string

	// Functions are ARNs of functions of other stacks that the caller can run,
	// and that their stacks let API Gateway invoke. An authorizer may be one.
	Functions []string

	// SSM are the values in the Parameter Store, by name, which parameters of the
	// type AWS::SSM::Parameter::Value<String> are given names of.
	SSM map[string]string
}

// Load reads the template at path.
func Load(path string, o Options) (*Template, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the developer's own template
	if err != nil {
		return nil, fmt.Errorf("samtemplate: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("samtemplate: %s: %w", path, err)
	}
	return Parse(data, o)
}

// Parse reads a template. An error names the first line it is about.
func Parse(data []byte, o Options) (*Template, error) {
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	r := &reader{resolver: newResolver(root, o)}
	t := r.template(root)
	if r.err != nil {
		return nil, r.err
	}
	return t, nil
}
