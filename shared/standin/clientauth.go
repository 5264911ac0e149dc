package standin

import (
	"io"
	"mime"
	"net/http"
	"net/url"
)

// resource is the one parameter that may be repeated (RFC 8707 section 2).
const resource = "resource"

// readForm returns the form in r's body. A parameter without a value counts as
// absent (RFC 6749 section 3.2), a repeated one is refused.
func readForm(r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refusal{reason: wrongMedia}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, refusal{reason: malformedBody}
	}
	return parseParameters(string(body))
}

func parseParameters(text string) (url.Values, error) {
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, refusal{reason: malformedBody}
	}
	for name, values := range form {
		if len(values) > 1 && name != resource {
			return nil, refusal{reason: repeatedParameter}
		}
		if values[0] == "" {
			delete(form, name)
		}
	}
	return form, nil
}

// authenticate returns the client that sent the form. It must use the one
// method it is registered for, and no other beside it.
func (s *Server) authenticate(r *http.Request, form url.Values) (Client, error) {
	basic := r.Header.Get("Authorization") != ""
	if basic && (form.Has("client_id") || form.Has("client_secret") || form.Has("client_assertion")) {
		return Client{}, refusal{reason: manyCredentials}
	}
	id, secret, method := form.Get("client_id"), form.Get("client_secret"), Public
	switch {
	case basic:
		var ok bool
		if id, secret, ok = basicCredentials(r); !ok {
			return Client{}, refusal{reason: badBasic}
		}
		method = Basic
	case secret != "":
		method = Post
	}
	if id == "" {
		return Client{}, refusal{reason: noCredentials}
	}
	c, ok := s.clients.get(id)
	if !ok {
		return Client{}, refusal{reason: unknownClient}
	}
	if c.AuthMethod != method {
		return Client{}, refusal{reason: wrongAuthMethod}
	}
	if method != Public && !s.clients.accepts(id, secret) {
		return Client{}, refusal{reason: wrongSecret}
	}
	return c, nil
}

// basicCredentials returns what the Authorization header carries. Both halves
// are form-encoded (RFC 6749 section 2.3.1).
func basicCredentials(r *http.Request) (id, secret string, ok bool) {
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", "", false
	}
	id, err := url.QueryUnescape(user)
	if err != nil {
		return "", "", false
	}
	secret, err = url.QueryUnescape(password)
	return id, secret, err == nil
}

// tokenForm reads the form of an introspection or revocation request and
// authenticates its client, which may name itself in the query when it is public.
func (s *Server) tokenForm(r *http.Request) (url.Values, Client, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, Client{}, err
	}
	query, err := parseParameters(r.URL.RawQuery)
	if err != nil {
		return nil, Client{}, err
	}
	if query.Has("client_secret") || query.Has("client_assertion") {
		return nil, Client{}, refusal{reason: queryCredentials}
	}
	if id := query.Get("client_id"); id != "" && !form.Has("client_id") {
		form.Set("client_id", id)
	}
	c, err := s.authenticate(r, form)
	return form, c, err
}
