package portal

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/web"
)

// prefix is where the pages are, below the base URL.
const prefix = "/portal"

// maxBody is the most bytes of a form.
const maxBody = 64 << 10

// open answers one request of anyone, and page one of a person who has signed in.
type (
	open func(http.ResponseWriter, *http.Request) error
	page func(http.ResponseWriter, *http.Request, session) error
)

// Handler serves the pages, and everything else by next.
func (p *Portal) Handler(next http.Handler) http.Handler {
	pages := p.routes().Handler(p.elsewhere)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == prefix || strings.HasPrefix(r.URL.Path, prefix+"/") {
			pages.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// routes returns what answers each request.
func (p *Portal) routes() web.Routes {
	routes := web.Routes{}
	for pattern, serve := range map[string]open{
		"GET " + prefix:               p.getStart,
		"GET " + prefix + "/signin":   p.getSignIn,
		"GET " + prefix + "/callback": p.getCallback,
		"POST " + prefix + "/signout": p.postSignOut,
	} {
		routes[pattern] = p.answered(serve)
	}
	for pattern, serve := range map[string]page{
		"GET " + prefix + "/apis":                               p.getAPIs,
		"GET " + prefix + "/apis/{api}":                         p.getAPI,
		"GET " + prefix + "/apis/{api}/request":                 p.getRequest,
		"POST " + prefix + "/apis/{api}/request":                p.postRequest,
		"GET " + prefix + "/applications":                       p.getApplications,
		"GET " + prefix + "/applications/{id}":                  p.getApplication,
		"GET " + prefix + "/applications/{id}/edit":             p.getEdit,
		"POST " + prefix + "/applications/{id}/edit":            p.postEdit,
		"GET " + prefix + "/applications/{id}/secret":           p.getRotate,
		"POST " + prefix + "/applications/{id}/secret":          p.postRotate,
		"POST " + prefix + "/applications/{id}/secret/previous": p.postRetire,
		"GET " + prefix + "/applications/{id}/delete":           p.getDelete,
		"POST " + prefix + "/applications/{id}/delete":          p.postDelete,
		"POST " + prefix + "/applications/{id}/withdraw":        p.postWithdraw,
		"GET " + prefix + "/inbox":                              p.getInbox,
		"POST " + prefix + "/inbox/{api}":                       p.postDecision,
		"GET " + prefix + "/providers":                          p.getProviders,
		"GET " + prefix + "/try":                                p.getTry,
		"POST " + prefix + "/try":                               p.postTry,
		"GET " + prefix + "/audit":                              p.getAudit,
	} {
		routes[pattern] = p.answered(func(w http.ResponseWriter, r *http.Request) error {
			who, err := p.session(r)
			if err != nil {
				return err
			}
			return serve(w, r, who)
		})
	}
	return routes
}

// answered sends what serve returns: a refusal as it is, anything else as a bare
// 500 whose cause is logged. No form of another site gets through (OWASP, cross-site
// request forgery).
func (p *Portal) answered(serve open) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := p.guard.Check(r)
		if err != nil {
			err = &refusal{Status: http.StatusForbidden, Title: "This form was not sent from here", Cause: err,
				Text: "Another page has sent it in your name, so nothing was done. Open the portal and do it there."}
		}
		if err == nil && r.Method == http.MethodPost {
			err = readForm(r)
		}
		if err == nil {
			err = serve(w, r)
		}
		if err != nil {
			p.refuse(w, r, err)
		}
	})
}

// readForm reads the form of a page.
func readForm(r *http.Request) error {
	err := r.ParseForm()
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &refusal{Status: http.StatusRequestEntityTooLarge, Title: "That is too much", Text: "A form can have 64 KiB. Shorten what you have written and send it again."}
	}
	if err != nil {
		return &refusal{Status: http.StatusBadRequest, Title: "This form cannot be read", Text: "Nothing was done. Go back and send it again.", Cause: err}
	}
	return nil
}

// elsewhere refuses what no route is for.
func (p *Portal) elsewhere(w http.ResponseWriter, r *http.Request, status int, _ string) {
	e := &refusal{Status: status, Title: "There is no such page", Text: "The address is wrong, or what was there is gone."}
	if status == http.StatusMethodNotAllowed {
		e = &refusal{Status: status, Title: "That cannot be done here", Text: "The address is right, and what was asked of it is not. Go back and use the page's own buttons."}
	}
	p.answered(func(http.ResponseWriter, *http.Request) error { return e }).ServeHTTP(w, r)
}

// refusal is a page that says what is wrong, then what to do.
type refusal struct {
	Status     int // of HTTP
	Title      string
	Text       string
	Field      string // of a form, that is wrong; "": none is
	Code       string // of OAuth, for whoever looks after it; "": none
	SignIn     string // "person" or "admin": signing in helps; "": it does not
	Next       string // where to go after that
	RetryAfter time.Duration
	Cause      error // for the operator; may be nil
}

// Error returns the text, and for the operator the cause.
func (e *refusal) Error() string {
	text := "portal: " + e.Title
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *refusal) Unwrap() error { return e.Cause }

// refuse shows why there is nothing else to show.
func (p *Portal) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*refusal](err)
	if !ok {
		e = &refusal{Status: http.StatusInternalServerError, Title: "Something broke on our side", Text: "Try again. If it stays broken, tell whoever runs Gatehouse: the log has the reason."}
	}
	apigw.Log(r.Context(), slog.String("cause", err.Error()))
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	who, _ := p.session(r) // nobody is fine
	p.show(w, r, view{Status: e.Status, Page: "refusal", Title: e.Title, Who: who, Data: e})
}
