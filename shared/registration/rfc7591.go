package registration

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
	"gatehouse/shared/strictjson"
	"gatehouse/shared/web"
)

// This file is dynamic client registration (RFC 7591) and its management (RFC
// 7592).

// Lives of initial access tokens.
const (
	initialLife    = time.Hour
	maxInitialLife = 7 * 24 * time.Hour
)

// writeRFC7591 is the error of RFC 7591 section 3.2.2.
func writeRFC7591(w http.ResponseWriter, e *RefusalError) {
	code := e.Code
	switch {
	case e.Status == http.StatusUnauthorized:
		code = oauth.InvalidToken
	case code == "" && e.Status >= http.StatusInternalServerError:
		code = oauth.ServerError
	case code == "":
		code = invalidClientMetadata
	}
	web.JSON(w, e.Status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, e.sentence()})
}

// answerForClient is what a client that registered itself is told.
func (s *Service) answerForClient(r *http.Request, a registry.Application, secretText string, token secret.Value) clientAnswer {
	answer := answerFor(a, secretText)
	answer.RegistrationToken = token.Reveal()
	answer.RegistrationURI = s.base(r.Context()) + "/register/" + url.PathEscape(a.ClientID)
	return answer
}

func (s *Service) postRegister(w http.ResponseWriter, r *http.Request) error {
	if s.Dynamic.Provider == "" {
		return forbidden("clients cannot register themselves here; a developer does it with POST /applications")
	}
	voucher, ok, err := s.voucher(r)
	switch {
	case err != nil:
		return err
	case ok:
		return s.registerVouched(w, r, voucher)
	}
	keys := web.Address(r)
	var initial *registry.Claim
	if s.Dynamic.Open {
		if err := s.spend(r.Context(), keys); err != nil {
			return err
		}
	} else {
		claim, err := s.useInitialToken(r)
		if err != nil {
			return err
		}
		keys, initial = claim.Key, &claim
	}
	done, err := s.registerFrom(r, keys)
	if err != nil {
		if refusal, ok := errors.AsType[*RefusalError](err); ok && initial != nil && refusal.Status < http.StatusInternalServerError {
			// The token was not used up by this.
			err = errors.Join(refusal, s.Store.Release(r.Context(), *initial))
		}
		return err
	}
	web.JSON(w, http.StatusCreated, s.answerForClient(r, done.Application, done.Secret.Reveal(), done.RegistrationToken))
	return nil
}

// spend counts a registration that nobody vouches for.
func (s *Service) spend(ctx context.Context, from string) error {
	const window = time.Hour
	for _, q := range []registry.Quota{
		{Name: "register " + from, Limit: s.Dynamic.PerAddress, Window: window},
		{Name: "register", Limit: s.Dynamic.PerHour, Window: window},
	} {
		err := s.Store.Spend(ctx, q)
		if errors.Is(err, registry.ErrSpent) || errors.Is(err, registry.ErrInProgress) {
			end := s.now().Truncate(window).Add(window)
			return &RefusalError{
				Status: http.StatusTooManyRequests, Code: oauth.TemporarilyUnavailable, RetryAfter: end.Sub(s.now()), Cause: err,
				Detail: "too many clients have registered themselves within the hour; try again later, or ask for an initial access token",
			}
		}
		if err != nil {
			return fromStore(err)
		}
	}
	return nil
}

// readMetadata reads the metadata of a client that registers itself.
func readMetadata(r *http.Request) (Metadata, error) {
	var m Metadata
	err := readBody(r, func(d *strictjson.Decoder, name string) error {
		known, err := m.member(d, name)
		if !known {
			return d.Skip() // RFC 7591 section 2
		}
		return err
	})
	return m, err
}

func (s *Service) registerFrom(r *http.Request, keys string) (Registered, error) {
	m, err := readMetadata(r)
	if err != nil {
		return Registered{}, err
	}
	return s.RegisterDynamic(r.Context(), m, keys, r.Header.Get("Idempotency-Key"))
}

// unauthorized is the answer to a wrong token and for a client that is not
// there: nobody learns which it was.
func unauthorized() error {
	return &RefusalError{Status: http.StatusUnauthorized, Detail: "the token is missing or not valid for this; send it as Authorization: Bearer"}
}

// byToken returns the client in the path of r, if r has its token.
func (s *Service) byToken(r *http.Request) (registry.Application, secret.Value, error) {
	raw, err := oauth.ParseBearer(r.Header.Get("Authorization"))
	if err != nil || len(r.Header.Values("Authorization")) != 1 {
		return registry.Application{}, secret.Value{}, unauthorized()
	}
	token := secret.New(raw)
	a, err := s.Store.ApplicationByClient(r.Context(), registry.Client{Provider: s.Dynamic.Provider, ClientID: r.PathValue("client_id")})
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return registry.Application{}, secret.Value{}, fromStore(err)
	}
	known, err := s.Box.Recognises(r.Context(), a.RegistrationHMAC, registrationTokenMark, token)
	switch {
	case err != nil:
		return registry.Application{}, secret.Value{}, fromKeys(err)
	case !known || a.Kind != registry.Dynamic || a.State != registry.Active:
		return registry.Application{}, secret.Value{}, unauthorized()
	}
	logged(r.Context(), a)
	return s.touch(r.Context(), a), token, nil
}

// touch notes that a client is in use, so that it is not taken for one that
// nobody needs any more. That it could not be noted is no reason to refuse.
func (s *Service) touch(ctx context.Context, a registry.Application) registry.Application {
	used, err := s.Store.Touch(ctx, a)
	if err != nil {
		apigw.Log(ctx, slog.String("not_touched", err.Error()))
	}
	return used
}

func (s *Service) getRegister(w http.ResponseWriter, r *http.Request) error {
	a, token, err := s.byToken(r)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, s.answerForClient(r, a, "", token))
	return nil
}

// putRegister is RFC 7592 section 2.2: what is left out is reset.
func (s *Service) putRegister(w http.ResponseWriter, r *http.Request) error {
	a, token, err := s.byToken(r)
	if err != nil {
		return err
	}
	var m Metadata
	var id, sent string
	err = readBody(r, func(d *strictjson.Decoder, name string) error {
		switch name {
		case "client_id":
			return readText(d, name, &id)
		case "client_secret":
			return readText(d, name, &sent)
		case "registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at":
			return invalid(name, "must not be sent; leave it out")
		}
		known, err := m.member(d, name)
		if !known {
			return d.Skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if id != a.ClientID {
		return invalid("client_id", "must be there and be that of the client")
	}
	if sent != "" {
		current, err := s.isSecret(r.Context(), a, secret.New(sent))
		switch {
		case err != nil:
			return fromKeys(err)
		case !current:
			return invalid("client_secret", "is not the current one, and clients cannot choose it; leave it out")
		}
	}
	changed, err := s.update(r.Context(), "client "+a.ClientID, a, m)
	if err != nil {
		return goneSince(err)
	}
	web.JSON(w, http.StatusOK, s.answerForClient(r, changed.Application, changed.Secret.Reveal(), token))
	return nil
}

func (s *Service) deleteRegister(w http.ResponseWriter, r *http.Request) error {
	a, _, err := s.byToken(r)
	if err != nil {
		return err
	}
	if err := s.remove(r.Context(), "client "+a.ClientID, a); err != nil {
		return goneSince(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// goneSince is the refusal for a client that was there when its token was
// looked at. One that is not there any more is answered like one that never was
// (RFC 7592 section 2.2).
func goneSince(err error) error {
	if refusal, ok := errors.AsType[*RefusalError](err); ok && refusal.Status == http.StatusNotFound {
		return unauthorized()
	}
	return err
}

// initialToken is what an initial access token says, sealed.
type initialToken struct {
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
}

// IssueInitialToken returns a token with which one client can register itself.
func (s *Service) IssueInitialToken(ctx context.Context, c Caller, life time.Duration) (secret.Value, time.Time, error) {
	if !c.Admin {
		return secret.Value{}, time.Time{}, forbidden("this needs the scope " + config.ScopeAdmin)
	}
	t := initialToken{ID: registry.NewID(), Expires: s.now().Add(life).UTC().Truncate(time.Second)}
	text, err := json.Marshal(t)
	if err != nil {
		return secret.Value{}, time.Time{}, err
	}
	sealed, err := s.Box.SealText(ctx, initialPurpose, "", text)
	if err != nil {
		return secret.Value{}, time.Time{}, fromKeys(err)
	}
	err = s.Store.Append(ctx, registry.Audit{Who: c.Subject, What: "initial_access_token.issued", Target: t.ID})
	return secret.New(sealed), t.Expires, fromStore(err)
}

// useInitialToken takes the initial access token of r, which nobody else can
// use from then on, but the same request again with its idempotency key.
func (s *Service) useInitialToken(r *http.Request) (registry.Claim, error) {
	raw, err := oauth.ParseBearer(r.Header.Get("Authorization"))
	if err != nil || len(r.Header.Values("Authorization")) != 1 {
		return registry.Claim{}, unauthorized()
	}
	text, err := s.Box.OpenText(r.Context(), initialPurpose, "", raw)
	switch {
	case errors.Is(err, seal.ErrKeys):
		return registry.Claim{}, fromKeys(err)
	case err != nil:
		return registry.Claim{}, unauthorized()
	}
	var t initialToken
	if err := json.Unmarshal(text, &t); err != nil || !s.now().Before(t.Expires) {
		return registry.Claim{}, unauthorized()
	}
	attempt := s.newID()
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		attempt = digest("attempt", key)
	}
	claim, err := s.Store.Claim(r.Context(), registry.Claim{
		Caller: initialPurpose, Key: digest(initialPurpose, t.ID), Body: digest("use", t.ID),
		Marker: s.newID(), Attempt: attempt, Lease: t.Expires,
	})
	if errors.Is(err, registry.ErrInProgress) {
		return registry.Claim{}, unauthorized() // used
	}
	return claim, fromStore(err)
}

func (s *Service) postInitialAccessToken(w http.ResponseWriter, r *http.Request, c Caller) error {
	life := initialLife
	err := readBody(r, func(d *strictjson.Decoder, name string) error {
		if name != "expires_in" {
			return unknownMember(name)
		}
		if d.Kind() != strictjson.Number {
			return invalid(name, "must be a number of seconds")
		}
		b, err := d.Number()
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(b))
		life = time.Duration(n) * time.Second
		if err != nil || n < 1 || life > maxInitialLife {
			return invalid(name, "must be 1 to %d seconds", int(maxInitialLife.Seconds()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	token, expires, err := s.IssueInitialToken(r.Context(), c, life)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusCreated, map[string]any{"initial_access_token": token.Reveal(), "expires": expires})
	return nil
}
