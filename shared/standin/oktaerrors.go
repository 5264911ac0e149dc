package standin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// wording is a vendor's wording of a refusal: an OAuth error, or one in Okta's
// envelope.
type wording struct {
	status   int
	code     string
	text     string // may have one %s, for the detail
	envelope bool
}

// oktaErrorFor returns Okta's wording of r. Sources: the error code tables and
// the OpenAPI documents that Okta publishes.
func oktaErrorFor(r reason) wording {
	const (
		bad          = http.StatusBadRequest
		unauthorized = http.StatusUnauthorized
	)
	switch r {
	case rateLimited:
		return wording{http.StatusTooManyRequests, "E0000047", "API call exceeded rate limit due to too many requests.", true}
	case unavailable:
		return wording{http.StatusServiceUnavailable, "E0000010", "Service is in read only mode", true}
	case notFound:
		return wording{http.StatusNotFound, "E0000007", "Not found: Resource not found", true}
	case noServer:
		return wording{http.StatusNotFound, "E0000007", "Not found: Resource not found: %s (AuthorizationServer)", true}
	case badAPIToken:
		return wording{unauthorized, "E0000011", "Invalid token provided", true}
	case noClient:
		return wording{http.StatusNotFound, "E0000007", "Not found: Resource not found: %s (PublicClientApp)", true}
	case invalidInput:
		return wording{bad, "E0000001", "Api validation failed: %s", true}
	case badMetadata:
		return wording{bad, "invalid_client_metadata", "%s", false}
	case badManagement:
		return wording{unauthorized, "invalid_token", "The token is not valid.", false}
	case scopeForbidden:
		return wording{http.StatusForbidden, "insufficient_scope", "Not permitted to use specified clientScope", false}
	case badRedirectMetadata:
		return wording{bad, "invalid_redirect_uri", "%s", false}
	case wrongMethod:
		return wording{http.StatusMethodNotAllowed, "E0000022", "The endpoint does not support the provided HTTP method", true}
	case wrongMedia:
		return wording{bad, "E0000021", "Bad request.  Accept and/or Content-Type headers likely do not match supported values.", true}
	case malformedBody:
		return wording{bad, "E0000003", "The request body was not well-formed.", true}
	case unknownMetaClient:
		return wording{bad, "invalid_client", "Invalid value for 'client_id' parameter.", true}
	case repeatedParameter:
		return wording{bad, "invalid_request", "The request contained multiple parameters with the same name.", false}
	case missingParameter:
		return wording{bad, "invalid_request", "The required parameter '%s' is missing.", false}
	case noGrantType:
		return wording{bad, "invalid_request", "The token request must specify a 'grant_type'. Valid values: [authorization_code, client_credentials, refresh_token]", false}
	case queryCredentials:
		return wording{bad, "invalid_request", "Client credentials cannot be supplied via query parameters.", false}
	case manyCredentials:
		return wording{unauthorized, "invalid_request", "Cannot supply multiple client credentials. Use one of the following: credentials in the Authorization header, credentials in the post body, or a client_assertion in the post body.", false}
	case noCredentials:
		return wording{unauthorized, "invalid_client", "No client credentials found.", false}
	case badBasic:
		return wording{unauthorized, "invalid_client", "Found Authentication header but was not valid client credentials.", false}
	case unknownClient:
		return wording{unauthorized, "invalid_client", "Invalid value for 'client_id' parameter.", false}
	case wrongSecret:
		return wording{unauthorized, "invalid_client", "The client secret supplied for a confidential client is invalid.", false}
	case wrongAuthMethod:
		return wording{unauthorized, "invalid_client", "Client authentication failed. Either the client or the client credentials are invalid.", false}
	case unknownGrantType:
		return wording{bad, "unsupported_grant_type", "The authorization grant type is not supported by the authorization server. Configured grant types: [authorization_code, client_credentials, refresh_token].", false}
	case serviceGrantAtOrg:
		return wording{bad, "unsupported_grant_type", "'client_credentials' grant type can only be used with a custom authorization server.", false}
	case grantNotOfClient:
		return wording{bad, "unauthorized_client", "The client is not authorized to use the provided grant type. Configured grant types: [%s].", false}
	default:
		return oktaFlowError(r)
	}
}

// oktaFlowError is the part of the table about scopes, users, codes and PKCE.
func oktaFlowError(r reason) wording {
	oauth := func(code, text string) wording {
		return wording{status: http.StatusBadRequest, code: code, text: text}
	}
	switch r {
	case noScopes:
		return oauth("invalid_scope", "No scopes were requested.")
	case unknownScope:
		return oauth("invalid_scope", "One or more scopes are not configured for the authorization server resource.")
	case userScope:
		return oauth("invalid_scope", "Cannot request 'openid' scopes using client credentials.")
	case openidMissing:
		return oauth("invalid_scope", "Requests for ID tokens or access tokens with OpenID scopes require the 'openid' scope.")
	case someScopesDenied:
		return oauth("access_denied", "Some of the requested scopes were denied by the policy. Denied scopes: [%s].")
	case allScopesDenied:
		return oauth("access_denied", "Policy evaluation succeeded, but all the requested scopes were rejected.")
	case refreshScopeDenied:
		return oauth("access_denied", "Some of the scopes requested for the refresh request were not granted in the original authorize request. Denied scopes: %s.")
	case noPolicy:
		return wording{http.StatusUnauthorized, "access_denied", "Policy evaluation failed for this request, please check the policy configurations.", false}
	case userNotAssigned:
		return oauth("access_denied", "User is not assigned to the client application.")
	case userDenied:
		return oauth("access_denied", "The resource owner or authorization server denied the request.")
	case noSession:
		return oauth("login_required", "The client specified not to prompt, but the user is not logged in.")
	case badRedirect:
		return oauth("invalid_request", "The 'redirect_uri' parameter must be a Login redirect URI in the client app settings.")
	case badState:
		return oauth("invalid_request", "The authentication request has an invalid 'state' parameter.")
	case badResponseType:
		return oauth("unsupported_response_type", "The response type is not supported by the authorization server. Configured response types: [code].")
	case badResponseMode:
		return oauth("unsupported_response_mode", "The response mode isn't supported by the authorization server. Valid response modes: [query].")
	case badCode:
		return oauth("invalid_grant", "The authorization code is invalid or has expired.")
	case foreignCode:
		return oauth("invalid_grant", "The grant was issued to another client. Please make sure the 'client_id' matches the one used at the authorize request.")
	case otherRedirect:
		return oauth("invalid_grant", "The 'redirect_uri' does not match the redirection URI used in the authorization request.")
	case badRefreshToken:
		return oauth("invalid_grant", "The refresh token is invalid or expired.")
	case noChallenge:
		return oauth("invalid_request", "PKCE code challenge is required by the application.")
	case badChallenge:
		return oauth("invalid_request", "PKCE code challenge contains illegal characters.")
	case badMethod:
		return oauth("invalid_request", "PKCE code challenge method is not supported. Valid values: [S256]")
	case noVerifier:
		return oauth("invalid_request", "PKCE code verifier is required by the application.")
	case strayVerifier:
		return oauth("invalid_request", "PKCE code challenge should be specified in the authorize request for code verification.")
	case mismatchVerifier:
		return oauth("invalid_grant", "PKCE verification failed.")
	default:
		return wording{http.StatusInternalServerError, "E0000009", "Internal Server Error", true}
	}
}

// words returns Okta's wording of err with its detail in place.
func (okta) words(err error) wording {
	r := asRefusal(err)
	e := oktaErrorFor(r.reason)
	if strings.Contains(e.text, "%s") {
		e.text = fmt.Sprintf(e.text, r.detail)
	}
	return e
}

// refuse answers w with Okta's wording of err.
func (o okta) refuse(w http.ResponseWriter, err error) {
	e := o.words(err)
	noStore(w)
	if e.status == http.StatusTooManyRequests {
		o.exhausted(w.Header())
	}
	if !e.envelope {
		writeJSON(w, e.status, map[string]string{"error": e.code, "error_description": e.text})
		return
	}
	writeJSON(w, e.status, map[string]any{
		"errorCode":    e.code,
		"errorSummary": e.text,
		"errorLink":    e.code,
		"errorId":      "oae" + random()[:20],
		"errorCauses":  []any{},
	})
}

// exhausted says in h that a rate limit is used up. Okta sends no Retry-After.
// The reset is real time, since it is compared with the Date header, which is.
func (okta) exhausted(h http.Header) {
	h.Set("X-Rate-Limit-Limit", "600")
	h.Set("X-Rate-Limit-Remaining", "0")
	h.Set("X-Rate-Limit-Reset", strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10))
}

// fail answers w with Okta's error of this status, its generic one if Okta has
// none.
func (o okta) fail(w http.ResponseWriter, status int) {
	r := broken
	switch status {
	case http.StatusTooManyRequests:
		r = rateLimited
	case http.StatusServiceUnavailable:
		r = unavailable
	case http.StatusNotFound:
		r = notFound
	}
	o.refuse(statusWriter{w, status}, refusal{reason: r})
}

// statusWriter answers with its own status.
type statusWriter struct {
	http.ResponseWriter

	status int
}

// WriteHeader sends the status it was made with.
func (w statusWriter) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }
