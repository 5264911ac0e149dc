// Package config reads gatehouse.yaml: the identity providers, the APIs and
// what each route of them asks of a token.
//
// A file is read once, at the start, and reports everything that is wrong with
// it at once, each problem with its line and column ([Problems]). ${NAME} in a
// value stands for an environment variable; $${ is written for a literal ${.
// What a variable holds stays the value it stands in: it never adds keys, list
// elements or other structure.
//
// The package refuses what could be read in two ways: unknown and repeated
// keys, anchors, aliases, merge keys, tags and further documents. It holds no
// secret, only the name of one, and no message of it repeats what a variable
// holds. It fetches nothing: that an issuer exists is found out elsewhere.
package config

import (
	"time"

	"gatehouse/shared/policy"
)

// The tags of the types below are all that the decoder and the JSON Schema
// (package schema) know about a key:
//
//	yaml      its name
//	required  it must be there and not be empty
//	default   what it is when it is not there
//	enum      the values there are, separated by spaces
//	min, max  bounds, both included
//	blank     elements of the list may be empty
//	example   a value to show

// Config is gatehouse.yaml with every default filled in.
type Config struct {
	// PublicURL is the base URL of Gatehouse's own API as clients see it, without
	// a slash at its end; "": whatever address API Gateway was called at.
	PublicURL string `yaml:"publicURL" example:"https://gatehouse.example.com"`

	// ResultCache is how long API Gateway reuses an answer of the authorizer, in
	// whole seconds; 0: not at all. It repeats what the authorizer is attached
	// with (ReauthorizeEvery, AuthorizerResultTtlInSeconds), which no event tells.
	ResultCache time.Duration `yaml:"resultCache" default:"60s" min:"0s" max:"1h"`
	Providers   []Provider    `yaml:"providers" required:"true"`
	APIs        []API         `yaml:"apis" required:"true"`

	Registration Registration `yaml:"registration"`
	Broker       Broker       `yaml:"broker"`

	// Warnings are what the file may say but perhaps does not mean, in the order
	// of the file.
	Warnings []Problem
}

// ProviderType says which identity provider it is, and with that how its
// tokens call things.
type ProviderType string

// The types of identity provider.
const (
	Okta         ProviderType = "okta"
	PingFederate ProviderType = "pingfederate"
	OpenAM       ProviderType = "openam"   // OpenAM, ForgeRock AM, PingAM
	Keycloak     ProviderType = "keycloak" // Keycloak, Red Hat build of Keycloak
	RFC7591      ProviderType = "rfc7591"  // any other server that follows RFC 7591 and RFC 9068
)

// TokenKind says how access tokens of a provider are verified.
type TokenKind string

// The kinds of token.
const (
	JWT        TokenKind = "jwt"        // by the provider's keys
	Introspect TokenKind = "introspect" // by asking the provider (RFC 7662)
	Auto       TokenKind = "auto"       // JWTs by keys, all others by introspection
)

// ResourceUse says what becomes of the resource indicators of an application
// (RFC 8707) when the broker asks the provider for its tokens.
type ResourceUse string

// The uses of a resource indicator.
const (
	PassResource       ResourceUse = "pass"     // as resource
	DropResource       ResourceUse = "drop"     // not at all
	ResourceAsAudience ResourceUse = "audience" // as audience, as some servers call it
)

// Provider is an identity provider and what its access tokens must satisfy.
type Provider struct {
	// Name is what APIs, logs and metrics call the provider.
	Name string       `yaml:"name" required:"true" example:"okta"`
	Type ProviderType `yaml:"type" required:"true" enum:"okta pingfederate openam keycloak rfc7591" example:"okta"`

	// Issuer is compared with iss byte for byte and therefore kept as it is
	// written, a trailing slash and a ":443" included.
	Issuer string `yaml:"issuer" required:"true" example:"https://example.okta.com/oauth2/default"`

	// Secret names the secret {"client_id", "client_secret"} that introspects: an
	// ARN or name in Secrets Manager or, on a laptop, "file:" and a path. "" is
	// none.
	Secret string `yaml:"secret" example:"arn:aws:secretsmanager:eu-west-1:123456789012:secret:okta-AbCdEf"`

	// AdminSecret names the secret with which clients are registered:
	// {"authorization": "SSWS …"}, and for OpenAM {"username", "password"} of an
	// administrator and perhaps {"client_id", "client_secret"} of a client whose
	// token registers. "": clients are not registered there. The authorizer never
	// reads it.
	AdminSecret string `yaml:"adminSecret" example:"arn:aws:secretsmanager:eu-west-1:123456789012:secret:okta-admin-AbCdEf"`

	// OpenRegistration is a provider that registers clients for whoever asks.
	OpenRegistration bool `yaml:"openRegistration"`

	AfterCreate AfterCreate `yaml:"afterCreate"`

	// Tokens is Auto when there is a secret and JWT when there is none, unless
	// the file says it. Auto without a secret refuses opaque tokens.
	Tokens TokenKind `yaml:"tokens" enum:"jwt introspect auto"`

	// Audiences are the values of which aud must have one (RFC 7519 §4.1.3), of
	// JWTs and of introspection answers. Only InsecureAnyAudience can be instead.
	Audiences []string `yaml:"audiences" example:"api://default"`

	// InsecureAnyAudience accepts tokens that the issuer made for anyone.
	InsecureAnyAudience bool `yaml:"insecureAnyAudience"`

	// Algorithms are the accepted values of alg; RS256 when the file is silent.
	Algorithms []string `yaml:"algorithms" enum:"RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519"`

	// ClientIDClaims and ScopeClaims are the claims of a JWT that may hold the
	// client id and the scopes, the best first. When the file is silent they are
	// what the type of provider is known to issue; see [ProviderType].
	ClientIDClaims []string `yaml:"clientIDClaims" example:"cid"`
	ScopeClaims    []string `yaml:"scopeClaims" example:"scp"`

	// TokenTypes are the accepted values of the JWT's typ header, "" for none,
	// without regard to case and to a leading "application/". Only rfc7591 is
	// held to at+jwt (RFC 9068 §4) when the file is silent: the others issue
	// access tokens whose typ is JWT or missing.
	TokenTypes []string `yaml:"tokenTypes" blank:"true" example:"at+jwt"`

	// RequiredClaims must be in a JWT besides iss, exp and aud. When the file is
	// silent they are, for rfc7591, those of RFC 9068 §2.2, and none for others.
	RequiredClaims []string `yaml:"requiredClaims" example:"jti"`

	// RequestTimeout bounds each request to the provider.
	RequestTimeout time.Duration `yaml:"requestTimeout" default:"3s" min:"100ms" max:"10s"`
	Endpoints      Endpoints     `yaml:"endpoints"`

	// Resource is what the provider is known to bear when the file is silent: rfc7591
	// and pingfederate are passed what the application names; the others do not know
	// the parameter, and Keycloak refuses to see it twice.
	Resource ResourceUse `yaml:"resource" enum:"pass drop audience"`

	// KeysFile is a JWK set packed with the function, a path relative to its
	// root, which is its working directory, or absolute: used until the first
	// fetch or, with KeysOnly, instead.
	KeysFile string `yaml:"keysFile" example:"keys/okta.json"`
	KeysOnly bool   `yaml:"keysOnly"`

	// MaxLifetime is the longest exp - iat of a token. A century is its own limit:
	// it is there for milliseconds that were written as seconds.
	MaxLifetime time.Duration `yaml:"maxLifetime" default:"24h" min:"1m" max:"876000h"`

	// Leeway is the clock skew allowed for exp, nbf and iat. It is never 0.
	Leeway time.Duration `yaml:"leeway" default:"60s" min:"1s" max:"60s"`

	// CacheEntries is how many verified tokens are remembered; 0: none.
	CacheEntries int `yaml:"cacheEntries" default:"1000" min:"0" max:"100000"`

	// CacheMax is the longest a verified token is remembered, at most until its
	// exp and, when introspected, 60 s. 0, when the file is silent, sets no
	// further limit.
	CacheMax time.Duration `yaml:"cacheMax" min:"1s" max:"720h"`
}

// Endpoints are URLs that replace those of the provider's discovery document;
// "" keeps them.
type Endpoints struct {
	JWKS          string `yaml:"jwks" example:"https://sso.example.com/ext/keys"`
	Introspection string `yaml:"introspection" example:"https://sso.example.com/as/introspect.oauth2"`
	Registration  string `yaml:"registration" example:"https://sso.example.com/as/clients.oauth2"`
	Authorization string `yaml:"authorization" example:"https://sso.example.com/as/authorization.oauth2"`
	Token         string `yaml:"token" example:"https://sso.example.com/as/token.oauth2"`
	Revocation    string `yaml:"revocation" example:"https://sso.example.com/as/revoke_token.oauth2"`
}

// AfterCreate is what is done with a client that was registered, Okta only.
type AfterCreate struct {
	// AssignGroup is the name of the group whose members may sign in to it; "":
	// nobody but whom an administrator assigns. client_credentials needs none.
	AssignGroup string `yaml:"assignGroup" example:"Everyone"`
}

// Profile says whose rules an API follows where there are two.
type Profile string

// The profiles.
const (
	Strict   Profile = "strict"   // OAuth 2.1 and MCP
	MuleSoft Profile = "mulesoft" // what a user of Anypoint expects
)

// Place is where in a request an access token may be.
type Place string

// The places.
const (
	Header Place = "header" // Authorization: Bearer (RFC 6750 §2.1)
	Query  Place = "query"  // ?access_token= (RFC 6750 §2.3)
)

// Answer is what an HTTP API with payload format 2.0 expects of its authorizer.
type Answer string

// The answers.
const (
	IAM    Answer = "iam"    // a policy document
	Simple Answer = "simple" // isAuthorized
)

// Contract says whether an application must have been given access to an API.
type Contract string

// The rules about contracts.
const (
	Required Contract = "required" // an approved contract of the token's client with the API
	None     Contract = "none"     // the token alone decides
)

// API is a protected API.
type API struct {
	// Name is what logs and metrics call the API.
	Name string `yaml:"name" required:"true" example:"orders"`

	// Providers are the names of those whose tokens the API accepts.
	Providers []string `yaml:"providers" required:"true" example:"okta"`
	Match     Match    `yaml:"match"`
	Profile   Profile  `yaml:"profile" enum:"strict mulesoft" default:"strict"`

	// TokenIn is Header when the file is silent, and in profile mulesoft Header
	// and Query.
	TokenIn []Place `yaml:"tokenIn" enum:"header query" example:"header"`

	// HTTPAnswer must say how the authorizer is attached to the HTTP API
	// (EnableSimpleResponses), for the event does not.
	HTTPAnswer Answer `yaml:"httpAnswer" enum:"iam simple" default:"iam"`

	// Contract is Required unless the file says otherwise, and then there must be
	// a registry.
	Contract Contract `yaml:"contract" enum:"required none" default:"required"`

	// Resource is what clients call the API (RFC 8707, RFC 9728): a URL.
	Resource string `yaml:"resource" example:"https://api.example.com/orders"`

	// URL is where the API is called, stage included, without a slash at its end:
	// for the portal, which shows it and tries it. "": nobody is told.
	URL string `yaml:"url" example:"https://api.example.com/v1"`

	// Owners decide who gets access: subjects of tokens, or "group:" and a group.
	// Administrators decide, too.
	Owners []string `yaml:"owners" example:"group:orders-team"`

	// Tiers are the terms there are; a request for access that names none is for
	// the first. Without any an owner decides on every request.
	Tiers []Tier `yaml:"tiers"`

	// IntrospectedBy are the client_ids of those that may ask the broker about
	// tokens of the API's clients (RFC 7662): backends that check for themselves.
	IntrospectedBy []string `yaml:"introspectedBy" example:"0oa1b2c3d4e5f6g7h8i9"`

	// ExposeClaims are further claims that the backend is given.
	ExposeClaims []string `yaml:"exposeClaims" example:"email"`
	Routes       []Route  `yaml:"routes" required:"true"`

	// BuiltIn is Gatehouse's own API, which no file lists.
	BuiltIn bool
}

// Tier is the terms of a contract.
type Tier struct {
	Name        string        `yaml:"name" required:"true" example:"trial"`
	AutoApprove bool          `yaml:"autoApprove"`                          // nobody need decide
	Requests    int           `yaml:"requests" min:"1" max:"10000000"`      // as many in each Per; 0: not limited
	Per         time.Duration `yaml:"per" min:"1s" max:"720h" example:"1m"` // 0 without Requests

	// UsagePlan is the id of a usage plan of API Gateway that limits the requests
	// of each contract: its limits hold, those above only say them. "": nothing
	// does.
	UsagePlan string `yaml:"usagePlan" example:"a1b2c3"`
}

// Match tells the API from the others by properties of the event: any of the
// values, of any kind. An API that is alone needs none.
type Match struct {
	StageVariable string   `yaml:"stageVariable" example:"orders"`           // value of the stage variable "gatehouse"
	APIIDs        []string `yaml:"apiIds" example:"a1b2c3d4e5"`              // API Gateway's ids
	Domains       []string `yaml:"domains" example:"orders.api.example.com"` // host names that callers use
}

// Route is what one route asks of a token, besides being valid.
type Route struct {
	Route    string         `yaml:"route" required:"true" example:"GET /orders/{id}"` // as API Gateway writes it
	Scopes   []string       `yaml:"scopes" example:"orders:read"`                     // all of them
	AnyScope []string       `yaml:"anyScope" example:"orders:read"`                   // at least one of them
	Claims   []policy.Claim `yaml:"claims" example:"groups: platform"`                // all of them, in the order of the file
	Refuse   bool           `yaml:"refuse"`                                           // never allowed
}

// Rules returns the API's routes as package policy takes them.
func (a API) Rules() []policy.Rule {
	rules := make([]policy.Rule, len(a.Routes))
	for i, r := range a.Routes {
		rules[i] = r.rule()
	}
	return rules
}

// RequiresContract reports whether the token's client must have a
// contract. It must for an API that says nothing of contracts.
func (a API) RequiresContract() bool { return a.Contract != None }

func (r Route) rule() policy.Rule {
	return policy.Rule{Route: r.Route, Requirement: policy.Requirement{
		Scopes: r.Scopes, AnyScope: r.AnyScope, Claims: r.Claims, Refuse: r.Refuse,
	}}
}
