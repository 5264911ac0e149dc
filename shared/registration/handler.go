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
	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
	"gatehouse/shared/strictjson"
	"gatehouse/shared/web"
)

// maxBody is the most bytes of a request's body.
const maxBody = 64 << 10

// bodyJSON is how strictly bodies are read.
var bodyJSON = strictjson.Rules{Depth: 8, Members: 128}

// endpoint answers one request or says why not.
type endpoint func(http.ResponseWriter, *http.Request) error

// signedIn answers one request of a caller that API Gateway has let through.
type signedIn func(http.ResponseWriter, *http.Request, Caller) error

// Handler serves the registration API. All but /register and /openapi.json
// believes what the authorizer of the API told about the caller, and nothing
// else.
func (s *Service) Handler() http.Handler {
	return web.FromAnyOrigin(s.routes().Handler(elsewhere))
}

// atRegister reports whether a path is of RFC 7591.
func atRegister(path string) bool {
	return path == "/register" || strings.HasPrefix(path, "/register/")
}

// routes returns what answers each request.
func (s *Service) routes() web.Routes {
	routes := web.Routes{"GET /openapi.json": answered(s.getOpenAPI, writeProblem)}
	for pattern, serve := range map[string]endpoint{
		"POST /register":               s.postRegister,
		"GET /register/{client_id}":    s.getRegister,
		"PUT /register/{client_id}":    s.putRegister,
		"DELETE /register/{client_id}": s.deleteRegister,
	} {
		routes[pattern] = answered(serve, writeRFC7591)
	}
	for pattern, serve := range map[string]signedIn{
		"POST /initial-access-tokens":               s.postInitialAccessToken,
		"POST /applications":                        s.postApplication,
		"GET /applications":                         s.listApplications,
		"GET /applications/{id}":                    s.getApplication,
		"PATCH /applications/{id}":                  s.patchApplication,
		"DELETE /applications/{id}":                 s.deleteApplication,
		"POST /applications/{id}/secret":            s.postSecret,
		"DELETE /applications/{id}/secret/previous": s.deletePreviousSecret,
		"GET /applications/{id}/audits":             s.listAudits,
		"POST /applications/{id}/contracts":         s.postContract,
		"GET /applications/{id}/contracts":          s.listContracts,
		"DELETE /applications/{id}/contracts/{api}": s.deleteContract,
		"GET /apis":                               s.listAPIs,
		"GET /apis/{api}":                         s.getAPI,
		"GET /apis/{api}/contracts":               s.listRequests,
		"PATCH /apis/{api}/contracts/{client_id}": s.patchRequest,
		"GET /providers":                          s.listProviders,
		"GET /intents":                            s.listIntents,
		"DELETE /intents/{marker}":                s.deleteIntent,
	} {
		routes[pattern] = answered(func(w http.ResponseWriter, r *http.Request) error {
			c, err := s.caller(r)
			if err != nil {
				return err
			}
			return serve(w, r, c)
		}, writeProblem)
	}
	return routes
}

// elsewhere refuses what no route is for, at /register in the form of RFC 7591.
func elsewhere(w http.ResponseWriter, r *http.Request, status int, known string) {
	refusal := &RefusalError{Status: status, Code: oauth.InvalidRequest, Detail: "there is nothing at this path; GET /openapi.json tells what there is"}
	if status == http.StatusMethodNotAllowed {
		refusal.Detail = "this path does not know the method; it knows " + known
	}
	write := writeProblem
	if atRegister(r.URL.Path) {
		write = writeRFC7591
	}
	answered(func(http.ResponseWriter, *http.Request) error { return refusal }, write).ServeHTTP(w, r)
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
			challenge := `Bearer realm="gatehouse"`
			if r.Header.Get("Authorization") != "" { // RFC 6750 section 3.1: without a token there is nothing wrong with one
				challenge += `, error="invalid_token"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
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
	web.JSON(w, e.Status, struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Field  string `json:"field,omitempty"`
	}{http.StatusText(e.Status), e.Status, e.sentence(), e.Field})
}

// caller is who sent r. Whoever a registered application acts for is nobody
// here: a client that anyone could have registered must not get at what its
// user, or it itself by a scope that nobody guards, may do here.
func (s *Service) caller(r *http.Request) (Caller, error) {
	c, ok := s.callerOf(r)
	if !ok {
		return Caller{}, &RefusalError{Status: http.StatusUnauthorized, Detail: "the request has no verified access token; send one as Authorization: Bearer"}
	}
	apigw.Log(r.Context(), slog.String("sub", c.Subject), slog.String("caller", c.Client))
	switch {
	case !c.Applications && !c.Contracts && !c.Admin:
		return Caller{}, forbidden("this needs one of the scopes " + config.ScopeApplications + ", " + config.ScopeContracts + " and " + config.ScopeAdmin)
	case c.Client == "":
		return c, nil
	}
	for _, p := range s.Providers {
		_, err := s.Store.ApplicationByClient(r.Context(), registry.Client{Provider: p.Name, ClientID: c.Client})
		switch {
		case err == nil:
			return Caller{}, forbidden("the token is of an application that was registered here, and those have no business with this API; " +
				"use one of a client that an administrator has set up for it")
		case !errors.Is(err, registry.ErrNotFound):
			return Caller{}, fromStore(err)
		}
	}
	return c, nil
}

// callerOf reads what the authorizer told.
func (s *Service) callerOf(r *http.Request) (Caller, bool) {
	told, ok := apigw.AuthorizerContext(r)
	if !ok || told["sub"] == "" && told["client_id"] == "" {
		return Caller{}, false
	}
	scopes := oauth.SplitScope(told["scope"])
	c := Caller{
		Subject:      told["sub"],
		Client:       told["client_id"],
		Applications: slices.Contains(scopes, config.ScopeApplications),
		Contracts:    slices.Contains(scopes, config.ScopeContracts),
		Admin:        slices.Contains(scopes, config.ScopeAdmin),
	}
	if c.Subject == "" {
		c.Subject = told["client_id"] // a program that acts for itself
	}
	groups := told[s.GroupsClaim]
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
