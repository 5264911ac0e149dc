package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/clientdoc"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
	"gatehouse/shared/web"
)

// This file lets in clients whose client_id is the URL of their metadata
// (draft-ietf-oauth-client-id-metadata-document). The first time that a person
// comes with one it is registered at the provider, as any other that registers
// itself; what it says of itself is read anew whenever it is due.

// documented reads what the client that calls itself id says of itself, and has
// it registered if it is not.
func (s *Server) documented(r *http.Request, a asked, id, redirectURI string) (asked, error) {
	ctx := r.Context()
	d, err := s.Documents.Get(ctx, id)
	if err != nil {
		return a, &oauth.Error{
			Code: oauth.InvalidClient, Cause: err,
			Description: "What the application says of itself could not be read, or is not valid (client_id). Whoever looks after it can find out why.",
		}
	}
	a.name, a.uris = d.Name, d.RedirectURIs
	if _, astray := a.withRedirect(redirectURI); a.id == "" && astray == nil { // else it is there, or is refused without having been
		if err = s.registerDocument(r, a.issuer, d); err == nil {
			a.client, err = s.application(ctx, id)
		}
	}
	return a, err
}

// registering bounds how long a person waits for the registration of a client.
const registering = 15 * time.Second

// registerDocument has a client registered. That another request did it at the
// same time is fine.
func (s *Server) registerDocument(r *http.Request, issuer string, d clientdoc.Document) error {
	body, err := json.Marshal(map[string]any{
		"client_name": d.Name, "redirect_uris": d.RedirectURIs, "grant_types": d.GrantTypes, "scope": s.knownScopes(d.Scope),
		"token_endpoint_auth_method": oauth.PublicClient,
	})
	if err != nil {
		return fmt.Errorf("broker: client metadata: %w", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), registering)
	defer cancel()
	voucher, err := clientdoc.Vouch(ctx, s.Box, clientdoc.Voucher{ClientID: d.ClientID, From: web.Address(r), Expires: s.now().Add(clientdoc.VoucherLife)}, body)
	if err != nil {
		return fromKeys(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer+"/register", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("broker: registration: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+voucher)
	answer, err := s.HTTP.Do(req)
	if err != nil {
		return later(retry, "The application could not be registered at the moment. Try again.", errors.New("broker: the registration does not answer"))
	}
	_ = answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusConflict:
		return s.registeredByOthers(ctx, d.ClientID)
	case http.StatusTooManyRequests:
		return &oauth.Error{
			Code: oauth.TemporarilyUnavailable, Status: http.StatusTooManyRequests, RetryAfter: time.Hour,
			Description: "Too many new applications came within the hour. Try again later.",
		}
	case http.StatusBadRequest:
		return &oauth.Error{
			Code: oauth.InvalidClient, Description: "What the application says of itself is not accepted here (client_id). Whoever looks after it can find out why.",
			Cause: errors.New("broker: the registration refuses the metadata; its log has the reason"),
		}
	default:
		return later(retry, "The application could not be registered at the moment. Try again.", fmt.Errorf("broker: the registration answers %d", answer.StatusCode))
	}
}

// registeredByOthers waits for a client that another request is registering.
func (s *Server) registeredByOthers(ctx context.Context, id string) error {
	for {
		_, err := s.Store.ApplicationByAlias(ctx, id)
		if err == nil {
			return nil
		}
		if !errors.Is(err, registry.ErrNotFound) {
			return fromStore(err)
		}
		if err := wait(ctx, 10*waitStep); err != nil {
			return later(retry, "The application could not be registered at the moment. Try again.", err)
		}
	}
}

// knownScopes leaves out the scopes that no API knows.
func (s *Server) knownScopes(scope string) string {
	return strings.Join(slices.DeleteFunc(oauth.SplitScope(scope), func(one string) bool {
		return !slices.ContainsFunc(s.APIs, func(a API) bool { return slices.Contains(a.Scopes, one) })
	}), " ")
}
