package broker

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
)

// This file is where the provider sends people back to.

// maxUpstreamCode is the longest code of a provider, which travels in ours.
const maxUpstreamCode = 2048

// code is what an authorization code says, sealed.
type code struct {
	flow

	Grant    string    `json:"g"` // the id of what its redemption records
	Upstream string    `json:"o"` // the provider's code
	Ends     time.Time `json:"e"`
}

// getCallback takes the provider's answer to the client, if it is this browser
// that went to the provider with its request (RFC 9700 §4.7).
func (s *Server) getCallback(w http.ResponseWriter, r *http.Request) error {
	p, err := oauth.ParseParameters(r.URL.RawQuery)
	if err != nil {
		return err
	}
	f, err := s.resume(w, r, statePurpose, p.Get("state"))
	if err != nil {
		return err
	}
	c, err := s.stillThere(r.Context(), f)
	if err != nil {
		return err
	}
	values, err := s.responseTo(r, c, f, p)
	if err != nil {
		redirect(w, errorURL(f.Redirect, f.State, s.issuer(r), refusalOf(r, err)))
		return nil
	}
	redirect(w, answerURL(f.Redirect, f.State, s.issuer(r), values))
	return nil
}

// responseTo is what the client is told.
func (s *Server) responseTo(r *http.Request, c client, f flow, p oauth.Parameters) (url.Values, error) {
	if err := fromThisProvider(r, c, p.Get("iss")); err != nil {
		return nil, err
	}
	if upstream := p.Get("error"); upstream != "" {
		return nil, refusedAtProvider(upstream)
	}
	upstream := p.Get("code")
	if upstream == "" || len(upstream) > maxUpstreamCode {
		return nil, &oauth.Error{
			Code: oauth.ServerError, Description: "the provider sent no usable answer; sign in again", Cause: errors.New("broker: callback: no code, or a longer one than 2,048 bytes"),
		}
	}
	// The cookie has done its work: from here on the code stands for the person.
	f.ID, f.Binding = "", nil
	sealed, err := s.seal(r.Context(), codePurpose, code{flow: f, Grant: registry.NewID(), Upstream: upstream, Ends: s.now().Add(codeLife)})
	if err != nil {
		return nil, err
	}
	return url.Values{"code": {sealed}}, nil
}

// fromThisProvider refuses the answer of another provider than the person was
// sent to (RFC 9207 §2.4): the callback is one for all.
func fromThisProvider(r *http.Request, c client, iss string) error {
	if iss == c.upstream.Issuer.Issuer {
		return nil
	}
	tells, err := c.upstream.SendsIssuer(r.Context())
	switch {
	case err != nil:
		return fromProvider(err)
	case iss == "" && !tells:
		return nil
	}
	return &oauth.Error{
		Code: oauth.AccessDenied, Description: "the answer is not of the provider that the person was sent to; sign in again",
		Cause: errors.New("broker: callback: iss is missing or another provider's"),
	}
}

// refusedAtProvider says in our words what the provider answered.
func refusedAtProvider(upstream string) error {
	switch upstream {
	case oauth.AccessDenied, "login_required", "consent_required", "interaction_required", "account_selection_required":
		return oauth.Refuse(oauth.AccessDenied, "the person, or the provider's policy, did not allow it")
	case oauth.TemporarilyUnavailable:
		return oauth.Refuse(oauth.TemporarilyUnavailable, "the provider cannot sign anyone in at the moment; try again")
	case oauth.InvalidScope:
		return oauth.Refuse(oauth.InvalidScope, "the provider does not give these scopes to the application")
	case oauth.InvalidTarget:
		return oauth.Refuse(oauth.InvalidTarget, "the provider does not know this resource")
	case oauth.UnauthorizedClient:
		return oauth.Refuse(oauth.UnauthorizedClient, "the provider does not let the application sign people in")
	default:
		return &oauth.Error{
			Code: oauth.ServerError, Description: "the provider could not sign the person in; try again, or ask its administrator",
			Cause: errors.New("broker: callback: the provider answered with an error of its own"),
		}
	}
}
