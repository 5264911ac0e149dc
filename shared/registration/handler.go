package registration

import (
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
	"gatehouse/shared/strictjson"
)

// maxBody is the most bytes of a request's body.
const maxBody = 64 << 10

// bodyJSON is how strictly bodies are read.
var bodyJSON = strictjson.Rules{Depth: 8, Members: 128}

// endpoint answers one request or says why not.
type endpoint func(http.ResponseWriter, *http.Request) error

// signedIn answers one request of a caller that API Gateway has let through.
type signedIn func(http.ResponseWriter, *http.Request, Caller) error

// Handler serves the registration API. All but /register believes what the
// authorizer of the API told about the caller, and nothing else.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]endpoint{
		"POST /register":               s.postRegister,
		"GET /register/{client_id}":    s.getRegister,
		"PUT /register/{client_id}":    s.putRegister,
		"DELETE /register/{client_id}": s.deleteRegister,
	} {
		mux.Handle(pattern, answered(serve, writeRFC7591))
	}
	for pattern, serve := range map[string]signedIn{
		"POST /initial-access-tokens":               s.postInitialAccessToken,
		"POST /applications":                        s.postApplication,
		"GET /applications":                         s.listApplications,
		"GET /applications/{id}":                    s.getApplication,
		"PATCH /applications/{id}":                  s.patchApplication,
		"DELETE /applications/{id}":                 s.deleteApplication,
		"POST /applications/{id}/secret":            s.postSecret,
		"POST /applications/{id}/contracts":         s.postContract,
		"GET /applications/{id}/contracts":          s.listContracts,
		"DELETE /applications/{id}/contracts/{api}": s.deleteContract,
		"GET /apis":                               s.listAPIs,
		"GET /apis/{api}":                         s.getAPI,
		"GET /apis/{api}/contracts":               s.listRequests,
		"PATCH /apis/{api}/contracts/{client_id}": s.patchRequest,
		"GET /providers":                          s.listProviders,
	} {
		mux.Handle(pattern, answered(func(w http.ResponseWriter, r *http.Request) error {
			c, ok := callerOf(r)
			if !ok {
				return &RefusalError{Status: http.StatusUnauthorized, Detail: "the request has no verified access token; send one as Authorization: Bearer"}
			}
			return serve(w, r, c)
		}, writeProblem))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// answered sends what serve returns: a refusal as it is, anything else as a
// bare 500 whose cause is logged.
func answered(serve endpoint, write func(http.ResponseWriter, *RefusalError)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := serve(w, r)
		if err == nil {
			return
		}
		apigw.Log(r.Context(), slog.String("cause", err.Error()))
		refusal, ok := errors.AsType[*RefusalError](err)
		if !ok {
			refusal = &RefusalError{Status: http.StatusInternalServerError, Detail: "something broke on our side; try again"}
		}
		if refusal.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((refusal.RetryAfter+time.Second-1)/time.Second)))
		}
		if refusal.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
		write(w, refusal)
	})
}

// sentence is the detail as one sentence.
func (e *RefusalError) sentence() string {
	if e.Field == "" {
		return e.Detail
	}
	return e.Field + " " + e.Detail
}

// writeProblem is RFC 9457.
func writeProblem(w http.ResponseWriter, e *RefusalError) {
	w.Header().Set("Content-Type", "application/problem+json")
	writeJSON(w, e.Status, struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Field  string `json:"field,omitempty"`
	}{http.StatusText(e.Status), e.Status, e.sentence(), e.Field})
}

// callerOf reads what the authorizer told.
func callerOf(r *http.Request) (Caller, bool) {
	told, ok := apigw.AuthorizerContext(r)
	if !ok || told["sub"] == "" && told["client_id"] == "" {
		return Caller{}, false
	}
	scopes := oauth.SplitScope(told["scope"])
	c := Caller{
		Subject:      told["sub"],
		Applications: slices.Contains(scopes, "gatehouse:applications"),
		Contracts:    slices.Contains(scopes, "gatehouse:contracts"),
		Admin:        slices.Contains(scopes, "gatehouse:admin"),
	}
	if c.Subject == "" {
		c.Subject = told["client_id"] // a program that acts for itself
	}
	groups := told["groups"]
	if !strings.HasPrefix(groups, "[") {
		if groups != "" {
			c.Groups = []string{groups}
		}
		return c, true
	}
	d := strictjson.NewDecoder([]byte(groups), strictjson.Token)
	if err := d.Array(func() error {
		b, err := d.String()
		c.Groups = append(c.Groups, string(b))
		return err
	}); err != nil {
		c.Groups = nil
	}
	return c, true
}

// readBody reads the one JSON object of a request, member by member.
func readBody(r *http.Request, member func(d *strictjson.Decoder, name string) error) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return &RefusalError{
			Status: http.StatusUnsupportedMediaType, Code: invalidClientMetadata, Field: "Content-Type", Detail: "must be application/json",
		}
	}
	text, err := readAll(r)
	if err != nil {
		return err
	}
	d := strictjson.NewDecoder(text, bodyJSON)
	err = d.Object(func(name []byte) error { return member(d, string(name)) })
	if err == nil {
		err = d.End()
	}
	if refusal, ok := errors.AsType[*RefusalError](err); ok {
		return refusal
	}
	if err != nil {
		return &RefusalError{
			Status: http.StatusBadRequest, Code: invalidClientMetadata, Field: "body", Cause: err,
			Detail: "is not one JSON object with each member once, of the right type, in UTF-8; check it",
		}
	}
	return nil
}

// unknownMember refuses a member outside of /register, where nothing says that
// it is to be ignored.
func unknownMember(name string) error {
	return &RefusalError{Status: http.StatusBadRequest, Field: name, Detail: "is not a member that is known here; leave it out"}
}

func pageOf(r *http.Request) (registry.Page, error) {
	q := r.URL.Query()
	page := registry.Page{After: q.Get("cursor")}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return page, &RefusalError{Status: http.StatusBadRequest, Field: "limit", Detail: "must be 1 to 100"}
		}
		page.Limit = n
	}
	return page, nil
}
