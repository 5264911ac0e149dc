package provider

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/shared/fetch"
	"gatehouse/shared/strictjson"
)

// This file asks about tokens in the ways there were before introspection:
// PingFederate by a grant type of its token endpoint, OpenAM at its tokeninfo
// endpoint. To configure one of these as introspection endpoint is to choose it.

const validateBearer = "urn:pingidentity.com:oauth2:grant_type:validate_bearer"

// validate sends req and returns the answer as introspection would have it.
func (i *introspection) validate(req *http.Request) ([]byte, error) {
	r, err := i.answer(req)
	switch {
	case err != nil:
		return nil, err
	case r.status == http.StatusUnauthorized:
		return nil, errCredentials
	case r.status == http.StatusBadRequest && r.reason().code == "invalid_grant":
		return []byte(inactive), nil
	case r.status != http.StatusOK:
		return nil, &fetch.StatusError{Status: r.status, Header: r.header}
	}
	m, err := members(r.body)
	if err != nil {
		return nil, errors.New("the provider's answer is not JSON")
	}
	attributes, err := members(m["access_token"])
	if err != nil {
		return nil, errors.New("the provider's answer has no attributes")
	}
	delete(m, "access_token")
	return i.introspected(attributes, m)
}

// tokenInfo asks OpenAM about a token at its tokeninfo endpoint: its
// introspection endpoint tells a client about its own tokens alone. It takes
// the token in the query and nowhere else. Of a stateless token it says what is
// in it: exp, and expires_in in milliseconds, which do not run down.
func (i *introspection) tokenInfo(ctx context.Context, endpoint, raw string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"?access_token="+url.QueryEscape(raw), nil)
	if err != nil {
		return nil, errors.New("the introspection endpoint is no URL")
	}
	r, err := i.answer(req)
	switch {
	case err != nil:
		return nil, err
	case r.status == http.StatusUnauthorized, r.status == http.StatusBadRequest && r.reason().code == "invalid_request":
		return []byte(inactive), nil // the request has no credentials but the token
	case r.status != http.StatusOK:
		return nil, &fetch.StatusError{Status: r.status, Header: r.header}
	}
	m, err := members(r.body)
	if err != nil {
		return nil, errors.New("the provider's answer is not JSON")
	}
	delete(m, "access_token")
	return i.introspected(map[string]json.RawMessage{}, m)
}

const inactive = `{"active":false}`

// answer sends req and returns whatever comes back. Its errors quote nothing of
// req, which has the token in it.
func (i *introspection) answer(req *http.Request) (reply, error) {
	req.Header.Set("Accept", "application/json")
	resp, err := i.client.Do(req)
	if err != nil {
		return reply{}, errNoAnswer
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return reply{}, errNoAnswer
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

func hasPath(endpoint, suffix string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && strings.HasSuffix(u.Path, suffix)
}

// introspected makes an introspection answer (RFC 7662 §2.2) of what a provider
// says of a live token: attributes and, over them, what it says itself.
func (i *introspection) introspected(attributes, itself map[string]json.RawMessage) ([]byte, error) {
	exp := itself["exp"]
	if strictjson.NewDecoder(exp, providerJSON).Kind() != strictjson.Number {
		seconds, err := json.Number(itself["expires_in"]).Int64()
		if err != nil {
			return nil, errors.New("the provider's answer has no expires_in")
		}
		if exp, err = json.Marshal(i.now().Unix() + seconds); err != nil {
			return nil, err
		}
	}
	delete(attributes, "client_id")
	delete(attributes, "scope")
	maps.Copy(attributes, itself)
	delete(attributes, "expires_in")
	attributes["active"], attributes["token_type"], attributes["exp"] = json.RawMessage("true"), json.RawMessage(`"Bearer"`), exp
	return json.Marshal(attributes)
}

// members splits a JSON object.
func members(body []byte) (map[string]json.RawMessage, error) {
	m := map[string]json.RawMessage{}
	d := strictjson.NewDecoder(body, providerJSON)
	err := d.Object(func(name []byte) error {
		key := string(name)
		raw, err := d.Raw()
		m[key] = json.RawMessage(raw)
		return err
	})
	if err == nil {
		err = d.End()
	}
	return m, err
}
