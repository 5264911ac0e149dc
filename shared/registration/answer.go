package registration

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"gatehouse/shared/registry"
)

// clientAnswer is client metadata as RFC 7591 section 3.2.1 has it.
type clientAnswer struct {
	ClientID      string   `json:"client_id"`
	IssuedAt      int64    `json:"client_id_issued_at,omitempty"`
	Secret        string   `json:"client_secret,omitempty"`
	SecretExpires *int64   `json:"client_secret_expires_at,omitempty"` // there with a secret; 0: never
	Name          string   `json:"client_name"`
	Description   string   `json:"description,omitempty"` // not in RFC 7591, but what is registered is answered
	URI           string   `json:"client_uri,omitempty"`
	RedirectURIs  []string `json:"redirect_uris"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	Scope         string   `json:"scope,omitempty"`

	JWKSURI string          `json:"jwks_uri,omitempty"`
	JWKS    json.RawMessage `json:"jwks,omitempty"`

	RegistrationToken string `json:"registration_access_token,omitempty"`
	RegistrationURI   string `json:"registration_client_uri,omitempty"`
}

// answerFor is the client of a, and its secret if that is to be shown.
func answerFor(a registry.Application, secretText string) clientAnswer {
	c := clientAnswer{
		ClientID: a.ClientID, IssuedAt: a.Created.Unix(), Name: a.Name, Description: a.Description, URI: a.URI, RedirectURIs: list(a.RedirectURIs),
		GrantTypes: list(a.GrantTypes), ResponseTypes: list(a.ResponseTypes), AuthMethod: a.AuthMethod, Scope: a.Scope,
		JWKSURI: a.JWKSURI, JWKS: a.JWKS,
	}
	if secretText != "" {
		never := int64(0)
		c.Secret, c.SecretExpires = secretText, &never
		if !a.SecretExpires.IsZero() {
			at := a.SecretExpires.Unix()
			c.SecretExpires = &at
		}
	}
	return c
}

func list(values []string) []string { return append([]string{}, values...) }

// applicationAnswer is an application as its owner sees it.
type applicationAnswer struct {
	ID       string `json:"id"`
	Provider string `json:"provider"`
	clientAnswer

	State     registry.State   `json:"state"`
	Created   time.Time        `json:"created"`
	Updated   time.Time        `json:"updated,omitzero"`
	Contracts []contractAnswer `json:"contracts,omitempty"`

	// OldSecret says until when the secret before works, after a rotation.
	OldSecret string `json:"previous_client_secret,omitempty"`
}

func answerForOwner(a registry.Application, secretText string) applicationAnswer {
	return applicationAnswer{
		ID: a.ID, Provider: a.Provider, clientAnswer: answerFor(a, secretText),
		State: a.State, Created: a.Created, Updated: a.Updated,
	}
}

// contractAnswer is a contract as both sides of it see it.
type contractAnswer struct {
	API           string          `json:"api"`
	Provider      string          `json:"provider"`
	ClientID      string          `json:"client_id"`
	Application   string          `json:"application"`
	Name          string          `json:"application_name,omitempty"`  // for those who decide, in lists
	Owner         string          `json:"application_owner,omitempty"` // "": it registered itself
	Status        registry.Status `json:"status"`
	Tier          string          `json:"tier,omitempty"`
	RequestedTier string          `json:"requested_tier,omitempty"`
	Reason        string          `json:"reason,omitempty"`
	DecidedBy     string          `json:"decided_by,omitempty"`
	Created       time.Time       `json:"created,omitzero"`
	Updated       time.Time       `json:"updated,omitzero"`
}

func answerForContract(c registry.Contract) contractAnswer {
	return contractAnswer{
		API: c.API, Provider: c.Provider, ClientID: c.ClientID, Application: c.ApplicationID, Status: c.Status, Tier: c.Tier,
		RequestedTier: c.RequestedTier, Reason: c.Reason, DecidedBy: c.DecidedBy, Created: c.Created, Updated: c.Updated,
	}
}

func answerForContracts(contracts []registry.Contract) []contractAnswer {
	all := make([]contractAnswer, len(contracts))
	for n, c := range contracts {
		all[n] = answerForContract(c)
	}
	return all
}

func readAll(r *http.Request) ([]byte, error) {
	text, err := io.ReadAll(r.Body)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &RefusalError{
			Status: http.StatusRequestEntityTooLarge, Code: invalidClientMetadata, Field: "body", Detail: "has more than 64 KiB; send less",
		}
	}
	if err != nil {
		return nil, &RefusalError{Status: http.StatusBadRequest, Code: invalidClientMetadata, Field: "body", Detail: "could not be read; send it again", Cause: err}
	}
	return text, nil
}
