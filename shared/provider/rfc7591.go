package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/shared/secret"
	"gatehouse/shared/strictjson"
)

// This file is dynamic client registration (RFC 7591) and its management
// (RFC 7592), as servers really do it: 200 or 201, 200 or 204, members left out
// of answers, new tokens and secrets in any of them.

// rfc7591 registers clients as the RFCs say.
type rfc7591 struct {
	sender   *sender
	endpoint func(context.Context) (string, error)
}

func (*rfc7591) capabilities() Capabilities {
	return Capabilities{Create: true, Read: true, Update: true, Delete: true}
}

func (s *rfc7591) create(ctx context.Context, c Client) (Client, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return Client{}, errors.Join(ErrUnavailable, err)
	}
	request := call{method: http.MethodPost, url: endpoint, body: c.metadata(), general: true}
	r, err := s.sender.send(ctx, request)
	if err != nil {
		return Client{}, err
	}
	made, err := s.client(r, request, Client{})
	if err != nil {
		return made, err
	}
	return made, compare(c, made)
}

func (s *rfc7591) read(ctx context.Context, c Client) (Client, error) {
	request, err := s.manage(ctx, http.MethodGet, c)
	if err != nil {
		return Client{}, err
	}
	r, err := s.sender.send(ctx, request)
	if err != nil {
		return Client{}, err
	}
	return s.client(r, request, c)
}

// update is RFC 7592 §2.2. The secret is left out: we need not know it, and a
// server that then makes a new one says so.
func (s *rfc7591) update(ctx context.Context, c Client) (Client, error) {
	request, err := s.manage(ctx, http.MethodPut, c)
	if err != nil {
		return Client{}, err
	}
	m := c.metadata()
	m["client_id"] = c.ClientID
	request.body = m
	r, err := s.sender.send(ctx, request)
	if err != nil {
		return Client{}, err
	}
	changed, err := s.client(r, request, c)
	if err == nil && changed.RedirectURIs != nil && !sameSet(c.RedirectURIs, changed.RedirectURIs) {
		err = &MismatchError{Client: changed, Field: "redirect_uris"}
	}
	return changed, err
}

func (s *rfc7591) remove(ctx context.Context, c Client) error {
	request, err := s.manage(ctx, http.MethodDelete, c)
	if err != nil {
		return err
	}
	r, err := s.sender.send(ctx, request)
	if err == nil {
		err = r.deleted(request)
	}
	if errors.Is(err, ErrGone) && request.token.Reveal() == "" {
		return nil
	}
	return err
}

func (*rfc7591) rotate(context.Context, Client) (Rotated, error) { return Rotated{}, ErrUnsupported }

func (*rfc7591) retire(context.Context, Client) error { return ErrUnsupported }

func (*rfc7591) find(context.Context, string) (Client, bool, error) {
	return Client{}, false, ErrUnsupported
}

// management is what [Client.Management] holds here.
type management struct {
	URI   string `json:"registration_client_uri,omitempty"`
	Token string `json:"registration_access_token,omitempty"`
}

// manage returns a request about c: to where the server said, with the token it
// gave, else to the client's place under the registration endpoint. A URI of
// another origin is not believed: it would be sent the token.
func (s *rfc7591) manage(ctx context.Context, method string, c Client) (call, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return call{}, errors.Join(ErrUnavailable, err)
	}
	m := c.management()
	address := m.URI
	if !sameOrigin(address, endpoint) {
		address = strings.TrimSuffix(endpoint, "/") + "/" + url.PathEscape(c.ClientID)
	}
	return call{method: method, url: address, token: secret.New(m.Token)}, nil
}

func (c Client) management() management {
	var m management
	d := strictjson.NewDecoder([]byte(c.Management.Reveal()), strictjson.Token)
	err := d.Object(func(name []byte) error {
		switch string(name) {
		case "registration_client_uri":
			return readString(d, &m.URI)
		case "registration_access_token":
			return readString(d, &m.Token)
		default:
			return d.Skip()
		}
	})
	if err != nil {
		return management{} // nothing to manage the client with
	}
	return m
}

func sameOrigin(a, b string) bool {
	u, err := url.Parse(a)
	if err != nil {
		return false
	}
	v, err := url.Parse(b)
	return err == nil && u.Scheme == v.Scheme && u.Host == v.Host && u.User == nil && u.Fragment == ""
}

// client reads the client in an answer. What the answer leaves out stays as
// before; a token, a secret or a place that it brings replaces the old one.
func (*rfc7591) client(r reply, request call, before Client) (Client, error) {
	if !r.ok() {
		return Client{}, r.failure(request)
	}
	a, err := parseAnswer(r.body)
	switch {
	case err == nil && a.ClientID == "" && a.refused:
		return Client{}, r.failure(request)
	case err != nil || a.ClientID == "" || before.ClientID != "" && before.ClientID != a.ClientID:
		return Client{}, request.lost()
	}
	got, m := a.Client, before.management()
	if a.uri != "" {
		m.URI = a.uri
	}
	if a.token != "" {
		m.Token = a.token
	}
	if got.Secret.Reveal() == "" {
		got.Secret, got.SecretExpires = before.Secret, before.SecretExpires
	}
	text, err := json.Marshal(m)
	if err != nil {
		return got, request.lost()
	}
	got.Management = secret.New(string(text))
	return got, nil
}
