// Package standin is an identity provider for tests and for the laptop: it
// behaves as an Okta organisation does, or as PingFederate, OpenAM, Keycloak or
// a plain RFC 7591 server do, quirks and error bodies included, and breaks on
// command.
//
// It is split in two. The core (clients, users, grants, tokens, keys, login,
// registration, faults) is plain OAuth; what only one vendor does (paths,
// metadata, claims, the words of its errors) is in the files named after it.
//
// A server needs to know its own address before it exists, so under httptest it
// is started in three steps:
//
//	hs := httptest.NewUnstartedServer(nil)
//	srv, err := standin.New(standin.Okta{Org: "http://" + hs.Listener.Addr().String()})
//	hs.Config.Handler = srv
//	hs.Start()
//
// It refuses to be an identity provider for anyone real: passwords and secrets
// are kept in clear, everything is in memory, nothing is logged, there are no
// browser sessions, and all its authorization servers share one set of keys.
package standin

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"
)

// maxBody is how much of a request's body or query is read, in bytes.
const maxBody = 64 << 10

// Endpoint names a kind of endpoint, whichever authorization server it belongs
// to, or one exact path such as "/oauth2/default/v1/keys".
type Endpoint string

// The kinds of endpoint.
const (
	Metadata   Endpoint = "metadata" // both discovery documents in all their places
	Keys       Endpoint = "keys"
	Authorize  Endpoint = "authorize" // the login page and what is posted from it
	Token      Endpoint = "token"
	Introspect Endpoint = "introspect"
	Revoke     Endpoint = "revoke"
	Clients    Endpoint = "clients" // registration and management of clients
	Admin      Endpoint = "admin"   // the vendor's other administration
)

func kinds() []Endpoint {
	return []Endpoint{Metadata, Keys, Authorize, Token, Introspect, Revoke, Clients, Admin}
}

// Server is a running stand-in. [New] makes one; it is safe for concurrent use.
type Server struct {
	vendor  personality
	servers []*authServer // those of the vendor
	clients register
	users   map[string]User // keyed by login
	now     func() time.Time
	pages   *template.Template
	mux     *http.ServeMux
	keys    keyring
	grants  grants
	faults  faults
	base    string // URL of the server

	showSecrets bool // whenever a client is read

	mu       sync.Mutex       // guards the fields below
	counts   map[Endpoint]int // requests seen, by kind and by path
	minted   int              // how often Claims was called, and clients created
	apiToken string           // of administrators
}

// ServeHTTP answers r as the vendor would, or as a fault says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r)
}

// Requests returns how many requests e has had since the server was made,
// those that met a fault included.
func (s *Server) Requests(e Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[e]
}

func (s *Server) count(kind, path Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[kind]++
	s.counts[path]++
}

func (s *Server) allCounts() map[Endpoint]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// Claims returns the claims of the access token that the first authorization
// server would issue to clientID by client credentials, for a test to edit and
// to [Server.Mint]. The client need not exist. The jti is different each time
// and yet depends only on the order of the calls, so that with fixed Keys and
// Now the same calls mint the same bytes.
func (s *Server) Claims(clientID string, scopes ...string) map[string]any {
	s.mu.Lock()
	s.minted++
	n := s.minted
	s.mu.Unlock()
	claims := s.vendor.accessClaims(&grant{as: s.servers[0], client: Client{ID: clientID}, scopes: scopes}, s.now())
	claims["jti"] = s.vendor.countedID(n)
	return claims
}

// Mint signs claims by RS256 with the current key, whatever they say. The
// members of header are added to {"alg":"RS256","kid":"…"} or replace them; a
// nil value removes one. The signature is RS256 even when the header lies.
func (s *Server) Mint(claims, header map[string]any) (string, error) {
	return s.keys.sign(claims, header)
}

// RotateKeys adds a signing key, the given one or a new one, and goes on
// publishing the old ones. The last of several given keys signs.
func (s *Server) RotateKeys(next ...Key) error {
	return s.keys.rotate(next)
}

// DropOldKeys stops publishing every key but the one that signs.
func (s *Server) DropOldKeys() {
	s.keys.dropOld()
}

// Revoke makes introspection call the token with this jti inactive. It is not
// undone.
func (s *Server) Revoke(jti string) {
	s.grants.revoke(jti, s.now())
}

// personality is what one vendor does differently from the core.
type personality interface {
	// words returns the vendor's wording of a refusal.
	words(error) wording
	refuse(http.ResponseWriter, error)
	fail(w http.ResponseWriter, status int)

	randomID() string
	countedID(int) string
	accessClaims(*grant, time.Time) map[string]any
	idClaims(*grant, time.Time) map[string]any
	clientOf(claims map[string]any) string
	// mayAsk reports whether a client is told about the token with these claims.
	mayAsk(c Client, claims map[string]any) bool
	introspection(claims map[string]any) map[string]any
	refreshIntrospection(refreshToken) map[string]any
}

// server returns the authorization server that r's path names, the one without
// an ID if it names none.
func (s *Server) server(r *http.Request) (*authServer, error) {
	id := r.PathValue("as")
	for _, as := range s.servers {
		if as.ID == id {
			return as, nil
		}
	}
	return nil, refusal{reason: noServer, detail: id}
}

// endpoint is one kind of endpoint of every authorization server.
type endpoint struct {
	kind    Endpoint
	methods []string
	serve   func(http.ResponseWriter, *http.Request, *authServer)
}

// guard returns the handler of e: the body is bounded and read, the request
// counted, and a fault played if one is set.
func (s *Server) guard(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		as, err := s.server(r)
		if err != nil {
			s.vendor.refuse(w, err)
			return
		}
		s.count(e.kind, Endpoint(r.URL.Path))
		// Read before any delay: net/http notices that a client went away only
		// once the body has been read to its end.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil || len(r.URL.RawQuery) > maxBody {
			s.vendor.refuse(w, refusal{reason: malformedBody})
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		own := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !allowed(e.methods, r.Method) {
				s.vendor.refuse(w, refusal{reason: wrongMethod})
				return
			}
			e.serve(w, r, as)
		})
		if f, ok := s.faults.take(e.kind, Endpoint(r.URL.Path)); ok {
			s.play(f, w, r, own)
			return
		}
		own(w, r)
	})
}

func allowed(methods []string, method string) bool {
	for _, m := range methods {
		if m == method || m == http.MethodGet && method == http.MethodHead {
			return true
		}
	}
	return false
}

// writeJSON answers w. A body that does not encode cannot happen for the maps
// and structs of this package; a client that has gone cannot be told.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// random returns 43 characters of base64url's alphabet.
func random() string {
	b := make([]byte, 32)
	// Read never returns an error (crypto/rand).
	_, _ = rand.Read(b)
	return encode(b)
}

// refusal is why the core refuses a request; the vendor has its own words for it.
type refusal struct {
	reason reason
	detail string // what the vendor's words name: a scope, a parameter, a grant type
}

// Error returns the name of the reason.
func (r refusal) Error() string { return string(r.reason) }

// asRefusal returns the refusal in err, or the one for a fault of our own.
func asRefusal(err error) refusal {
	if r, ok := errors.AsType[refusal](err); ok {
		return r
	}
	return refusal{reason: broken}
}

// reason names a refusal.
type reason string

// The reasons for which the core refuses a request.
const (
	broken         reason = "broken" // the stand-in's own fault
	rateLimited    reason = "rate_limited"
	unavailable    reason = "unavailable"
	notFound       reason = "not_found"
	noServer       reason = "no_authorization_server"
	wrongMethod    reason = "wrong_method"
	wrongMedia     reason = "wrong_media_type"
	badAPIToken    reason = "bad_api_token"
	noClient       reason = "no_such_client"
	invalidInput   reason = "invalid_input"
	badMetadata    reason = "bad_client_metadata"
	badManagement  reason = "bad_registration_token"
	scopeForbidden reason = "scope_not_allowed"
	malformedBody  reason = "malformed_body"

	repeatedParameter reason = "repeated_parameter"
	missingParameter  reason = "missing_parameter"

	unknownClient      reason = "unknown_client"
	unknownMetaClient  reason = "unknown_client_in_discovery"
	noCredentials      reason = "no_credentials"
	badBasic           reason = "bad_basic_credentials"
	wrongSecret        reason = "wrong_secret"
	wrongAuthMethod    reason = "wrong_auth_method"
	manyCredentials    reason = "many_credentials"
	queryCredentials   reason = "credentials_in_query"
	grantNotOfClient   reason = "grant_not_of_client"
	unknownGrantType   reason = "unknown_grant_type"
	noGrantType        reason = "no_grant_type"
	serviceGrantAtOrg  reason = "client_credentials_at_org"
	noScopes           reason = "no_scopes"
	unknownScope       reason = "unknown_scope"
	userScope          reason = "user_scope_without_user"
	openidMissing      reason = "openid_scope_missing"
	someScopesDenied   reason = "some_scopes_denied"
	allScopesDenied    reason = "all_scopes_denied"
	refreshScopeDenied reason = "refresh_scope_denied"
	noPolicy           reason = "no_policy"
	userNotAssigned    reason = "user_not_assigned"
	userDenied         reason = "user_denied"
	noSession          reason = "no_session"

	badRedirectMetadata reason = "bad_redirect_uri_metadata"

	badRedirect      reason = "bad_redirect_uri"
	badState         reason = "bad_state"
	badResponseType  reason = "bad_response_type"
	badResponseMode  reason = "bad_response_mode"
	badCode          reason = "bad_code"
	foreignCode      reason = "foreign_code"
	otherRedirect    reason = "other_redirect_uri"
	badRefreshToken  reason = "bad_refresh_token"
	noChallenge      reason = "no_code_challenge"
	badChallenge     reason = "bad_code_challenge"
	badMethod        reason = "bad_code_challenge_method"
	noVerifier       reason = "no_code_verifier"
	strayVerifier    reason = "verifier_without_challenge"
	mismatchVerifier reason = "verifier_mismatch"
)
