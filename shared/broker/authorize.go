package broker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/shared/apigw"
	"gatehouse/shared/oauth"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
)

// This file is the authorization endpoint (RFC 6749 §3.1).

// maxState is the longest state of a client, which travels in ours.
const maxState = 1024

// asked is an authorization request of a client and a redirect URI that belong
// together.
type asked struct {
	client

	redirect string
	state    string
	issuer   string
	name     string   // of the client
	uris     []string // of the client
}

// getAuthorize answers a person whom a client has sent. Until client and
// redirect URI are known to belong together, what is wrong is said on a page;
// from then on, to the client.
func (s *Server) getAuthorize(w http.ResponseWriter, r *http.Request) error {
	p, err := oauth.ParseParameters(r.URL.RawQuery, "resource")
	if err != nil {
		return err
	}
	a, err := s.whoAsks(r, p)
	if err != nil {
		return err
	}
	f, err := s.flowOf(r.Context(), a, p)
	if err != nil {
		return toClient(w, r, a, err)
	}
	if a.Kind == registry.Dynamic {
		return s.askPerson(w, r, a, f)
	}
	if err := s.toProvider(w, r, a.client, f); err != nil {
		return toClient(w, r, a, err)
	}
	return nil
}

// whoAsks returns the client and where it wants the answer.
func (s *Server) whoAsks(r *http.Request, p oauth.Parameters) (asked, error) {
	id := p.Get("client_id")
	if id == "" {
		return asked{}, oauth.Refuse(oauth.InvalidRequest, "The application that sent you here did not say which one it is (client_id).")
	}
	a := asked{state: p.Get("state"), issuer: s.issuer(r)}
	var err error
	a.client, err = s.application(r.Context(), id)
	if strings.HasPrefix(id, "https://") && s.Documents != nil && (err == nil || errors.Is(err, errNoClient)) {
		a, err = s.documented(r, a, id, p.Get("redirect_uri"))
	}
	switch {
	case errors.Is(err, errNoClient):
		return asked{}, &oauth.Error{Code: oauth.InvalidClient, Description: "The application that sent you here is not registered, or not any more (client_id).", Cause: err}
	case err != nil:
		return asked{}, err
	}
	apigw.Log(r.Context(), slog.String("application", a.ID), slog.String("provider", a.Provider), slog.String("client_id", a.ClientID))
	if a.uris == nil {
		a.name, a.uris = a.Name, a.RedirectURIs
	}
	return a.withRedirect(p.Get("redirect_uri"))
}

// withRedirect fills in the redirect URI, which must be one that the client is
// registered with (RFC 9700 §2.1), to the last character but for the port of a
// loopback address (RFC 8252 §7.3).
func (a asked) withRedirect(uri string) (asked, error) {
	a.redirect = uri
	if uri == "" {
		if len(a.uris) != 1 {
			return asked{}, oauth.Refuse(oauth.InvalidRequest, "The application did not say where to return to, and it could be in several places (redirect_uri).")
		}
		a.redirect = a.uris[0]
	}
	if !slices.ContainsFunc(a.uris, func(one string) bool { return oauth.RedirectMatches(one, a.redirect) }) {
		return asked{}, oauth.Refuse(oauth.InvalidRequest, "The application wants you to return to a place that it is not registered with (redirect_uri). Do not trust the link that led you here.")
	}
	return a, nil
}

// flowOf checks the rest of an authorization request.
func (s *Server) flowOf(ctx context.Context, a asked, p oauth.Parameters) (flow, error) {
	challenge := p.Get("code_challenge")
	switch {
	case len(a.state) > maxState:
		return flow{}, oauth.Refuse(oauth.InvalidRequest, "state is longer than 1,024 bytes; send a shorter one")
	case p.Get("response_type") == "":
		return flow{}, oauth.Refuse(oauth.InvalidRequest, "response_type is missing; send code")
	case p.Get("response_type") != "code":
		return flow{}, oauth.Refuse(oauth.UnsupportedResponseType, "response_type must be code")
	case p.Get("response_mode") != "" && p.Get("response_mode") != "query":
		return flow{}, oauth.Refuse(oauth.InvalidRequest, "response_mode must be query; leave it out")
	case p.Get("request") != "" || p.Get("request_uri") != "":
		return flow{}, oauth.Refuse(oauth.InvalidRequest, "request objects are not read here; send the parameters themselves")
	case !a.may(oauth.AuthorizationCode):
		return flow{}, oauth.Refuse(oauth.UnauthorizedClient, "the application is not registered for authorization_code; change its grant_types")
	case challenge == "":
		return flow{}, oauth.Refuse(oauth.InvalidRequest, "code_challenge is missing; every client must use PKCE (RFC 7636)")
	case p.Get("code_challenge_method") != oauth.S256:
		return flow{}, oauth.Refuse(oauth.InvalidRequest, "code_challenge_method must be S256")
	case !oauth.ValidChallenge(challenge):
		return flow{}, oauth.Refuse(oauth.InvalidRequest, "code_challenge is no SHA-256 in base64url without padding")
	case a.Callback != a.issuer+"/callback":
		return flow{}, &oauth.Error{
			Code: oauth.ServerError, Cause: errors.New("broker: the provider knows the application by another callback than this issuer's; any change of the application registers it"),
			Description: "the provider does not know yet that the application signs in here; its owner must change it once: PATCH " + a.issuer + "/applications/{id}",
		}
	}
	got, err := s.access(ctx, a.client, p.Get("scope"), p.All("resource"), a.issuer)
	if err != nil {
		return flow{}, err
	}
	return flow{
		Application: a.ID, Client: a.id, Redirect: a.redirect, State: a.state, Challenge: challenge,
		Scopes: got.scopes, Resources: got.resources,
	}, nil
}

// toClient sends a refusal to the client. Whether the browser should go there by
// itself is for a person to decide if nobody vouches for the client (RFC 9700
// §4.11.2).
func toClient(w http.ResponseWriter, r *http.Request, a asked, err error) error {
	e := refusalOf(r, err)
	back := errorURL(a.redirect, a.state, a.issuer, e)
	if a.Kind != registry.Dynamic {
		redirect(w, back)
		return nil
	}
	text := "The application has asked for something that it cannot have: "
	if e.StatusCode() >= http.StatusInternalServerError {
		text = "You cannot sign in to the application at the moment: "
	}
	showRefusal(w, e, text+e.Description+".", back)
	return nil
}

// toProvider sends the browser to the provider, where the person signs in.
func (s *Server) toProvider(w http.ResponseWriter, r *http.Request, c client, f flow) error {
	f = s.begin(w, f, statePurpose)
	f.Verifier, f.Callback = oauth.NewVerifier(), c.Callback
	state, err := s.seal(r.Context(), statePurpose, f)
	if err != nil {
		return err
	}
	to, err := c.upstream.AuthorizationURL(r.Context(), provider.Authorization{
		ClientID: c.ClientID, RedirectURI: f.Callback, State: state, Challenge: oauth.Challenge(f.Verifier),
		Scope: f.access().scope(), Resources: f.Resources, Offline: c.may(oauth.RefreshToken), Registered: c.Scope,
	})
	if err != nil {
		return fromProvider(err)
	}
	redirect(w, to)
	return nil
}

// askPerson asks whether it is the person who wants to use a client that nobody
// has vouched for: at the provider such a client looks like any other. It asks
// every time, for it does not know who the person is.
func (s *Server) askPerson(w http.ResponseWriter, r *http.Request, a asked, f flow) error {
	f = s.begin(w, f, consentPurpose)
	sealed, err := s.seal(r.Context(), consentPurpose, f)
	if err != nil {
		return err
	}
	show(w, http.StatusOK, "An application wants access in your name", func(p *page) {
		p.write("  <p>Nobody here has checked this application: it registered itself and chose its own name. Go on only if you have just begun to sign in to it.</p>\n  <dl>\n")
		if host, ok := hostOf(a.id); ok {
			p.write("    <dt>It belongs to</dt><dd><strong>%s</strong></dd>\n", host)
		}
		p.write("    <dt>It calls itself</dt><dd>%s</dd>\n", a.name)
		p.write("    <dt>You will be sent to</dt><dd><strong>%s</strong></dd>\n", destination(f.Redirect))
		if names := s.namesOf(f.Resources); names != "" {
			p.write("    <dt>It wants to use</dt><dd>%s</dd>\n", names)
		}
		if len(f.Scopes) > 0 {
			p.write("    <dt>It will be able to</dt><dd><ul>")
			for _, scope := range f.Scopes {
				p.write("<li><code>%s</code></li>", scope)
			}
			p.write("</ul></dd>\n")
		}
		p.write("  </dl>\n")
		if local(f.Redirect) {
			p.write("  <p class=\"warning\">It runs on your computer. Any program there could be the one that asks: make sure that you have started it.</p>\n")
		}
		p.write(`  <form method="post" action="%s">
    <input type="hidden" name="request" value="%s">
    <button class="go" name="decision" value="allow">Go on to sign in</button>
    <button name="decision" value="deny">Cancel</button>
  </form>
`, a.issuer+"/authorize/consent", sealed)
	})
	return nil
}

// namesOf are the names of the APIs with these identifiers, for people.
func (s *Server) namesOf(resources []string) string {
	var names []string
	for _, api := range s.APIs {
		if api.Resource != "" && slices.Contains(resources, api.Resource) {
			names = append(names, api.Name)
		}
	}
	return strings.Join(names, ", ")
}

// hostOf is who stands behind a client that is known by a URL.
func hostOf(clientID string) (string, bool) {
	u, err := url.Parse(clientID)
	if err != nil || u.Scheme != "https" {
		return "", false
	}
	return u.Host, true
}

// local reports whether a redirect stays on the person's device.
func local(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Scheme != "https"
}

// postConsent takes a person's answer.
func (s *Server) postConsent(w http.ResponseWriter, r *http.Request) error {
	p, err := readForm(r)
	if err != nil {
		return err
	}
	f, err := s.resume(w, r, consentPurpose, p.Get("request"))
	if err != nil {
		return err
	}
	c, err := s.stillThere(r.Context(), f)
	if err != nil {
		return err
	}
	switch p.Get("decision") {
	case "allow":
		if err := s.toProvider(w, r, c, f); err != nil { // the form cannot be sent again
			redirect(w, errorURL(f.Redirect, f.State, s.issuer(r), refusalOf(r, err)))
		}
		return nil
	case "deny":
		redirect(w, errorURL(f.Redirect, f.State, s.issuer(r), oauth.Refuse(oauth.AccessDenied, "the person did not want it")))
		return nil
	default:
		return oauth.Refuse(oauth.InvalidRequest, "The form was sent without a decision. Go back to the application and sign in again.")
	}
}

// stillThere returns the client of a flow, which may have been deleted since it
// began.
func (s *Server) stillThere(ctx context.Context, f flow) (client, error) {
	c, err := s.application(ctx, f.Client)
	if errors.Is(err, errNoClient) || err == nil && c.ID != f.Application {
		return client{}, &oauth.Error{Code: oauth.InvalidClient, Description: "The application was removed in the meantime.", Cause: errNoClient}
	}
	if err != nil {
		return client{}, err
	}
	apigw.Log(ctx, slog.String("application", c.ID), slog.String("provider", c.Provider), slog.String("client_id", c.ClientID))
	return c, nil
}
