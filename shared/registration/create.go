package registration

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
)

const (
	maxAccess    = 40 // how many APIs one request can ask access to: contracts and usages go into one transaction
	markerLength = 26 // as registry.NewID
	maxAttempts  = 20 // how often the request of one idempotency key is begun
)

// Request asks for an application.
type Request struct {
	Provider string
	Metadata Metadata
	Access   []Access // to ask for with it
	Key      string   // Idempotency-Key; "": none
}

// Registered is a new application. The secrets are shown this once, and again
// to the same Idempotency-Key within ten minutes.
type Registered struct {
	Application       registry.Application
	Contracts         []registry.Contract
	Secret            secret.Value // zero: a public client
	RegistrationToken secret.Value // of a client that registered itself (RFC 7592)
}

// Register makes an application of a signed-in developer.
func (s *Service) Register(ctx context.Context, c Caller, r Request) (Registered, error) {
	if err := c.developer(); err != nil {
		return Registered{}, err
	}
	return s.register(ctx, plan{Request: r, kind: registry.Developer, owner: c.Subject, who: c.Subject, keys: "developer " + c.Subject})
}

// RegisterDynamic makes an application that belongs to nobody but whoever has
// its registration access token (RFC 7591). With keys the caller's idempotency
// keys are told from those of others.
func (s *Service) RegisterDynamic(ctx context.Context, m Metadata, keys, key string) (Registered, error) {
	return s.register(ctx, s.dynamic(plan{Request: Request{Metadata: m, Key: key}, keys: "dynamic " + keys}))
}

// dynamic fills in what every client gets that registers itself.
func (s *Service) dynamic(r plan) plan {
	r.kind, r.who, r.Provider = registry.Dynamic, "dynamic registration", s.Dynamic.Provider
	for _, a := range s.APIs {
		if len(r.Access) < maxAccess && a.wantedBy(r.Request) {
			r.Access = append(r.Access, Access{API: a.Name, Tier: a.firstTier(), Reason: "registered dynamically"})
		}
	}
	return r
}

// plan is a request and all that is known of it before anything is done.
type plan struct {
	Request

	kind  registry.Kind
	owner string
	who   string // for the audit
	keys  string // whose idempotency keys
	alias string // the URL by which the client calls itself; "": none
	tiers []Tier // of Access, one each
}

func (s *Service) register(ctx context.Context, r plan) (Registered, error) {
	p, ok := s.provider(r.Provider)
	if !ok {
		return Registered{}, invalid("provider", "is not one of those that GET /providers lists")
	}
	if !p.Capabilities().Create || !p.Capabilities().Delete {
		return Registered{}, fromProvider(provider.ErrUnsupported)
	}
	var err error
	if r.Metadata, err = r.Metadata.complete(r.kind); err != nil {
		return Registered{}, err
	}
	if err := s.checkMetadata(ctx, r.Provider, r.Metadata); err != nil {
		return Registered{}, err
	}
	if err := s.checkAccess(r.Provider, r.Access); err != nil {
		return Registered{}, err
	}
	for _, access := range r.Access {
		tier, err := s.tierFor(ctx, r.owner, access)
		if err != nil {
			return Registered{}, err
		}
		r.tiers = append(r.tiers, tier)
	}
	if r.Key != "" {
		return s.once(ctx, r)
	}
	return s.create(ctx, r, registry.Claim{Marker: s.newID(), Attempt: s.newID(), Lease: s.now().Add(lease)})
}

// once creates at most one application for an idempotency key.
func (s *Service) once(ctx context.Context, r plan) (Registered, error) {
	if len(r.Key) > 255 {
		return Registered{}, invalid("Idempotency-Key", "has more than 255 bytes; use a UUID")
	}
	body, err := json.Marshal(struct {
		Provider string
		Metadata Metadata
		Access   []Access
	}{r.Provider, r.Metadata, r.Access})
	if err != nil {
		return Registered{}, fmt.Errorf("registration: request: %w", err)
	}
	sum := sha256.Sum256(body)
	own := s.newID()
	claim, err := s.Store.Claim(ctx, registry.Claim{
		Caller: r.keys, Key: digest("idempotency key", r.Key), Body: hex.EncodeToString(sum[:]),
		Marker: own, Attempt: s.newID(), Lease: s.now().Add(lease),
	})
	if err != nil {
		return Registered{}, fromStore(err)
	}
	if claim.Answer != nil {
		return s.repeat(ctx, claim)
	}
	if claim.Marker == own {
		return s.create(ctx, r, claim)
	}
	for range maxAttempts {
		fresh, err := s.inherit(ctx, claim)
		if err != nil {
			return Registered{}, err
		}
		if fresh {
			return s.create(ctx, r, claim)
		}
		claim.Marker = digest("marker after", claim.Marker)[:markerLength]
	}
	return Registered{}, conflict("this key has failed too often; use a new Idempotency-Key")
}

// inherit sees what became of the intent of a claim that was taken over, and
// ends it if it is open. It reports whether there is none yet. After one that
// came to nothing comes another, whose marker follows from the first's.
func (s *Service) inherit(ctx context.Context, claim registry.Claim) (bool, error) {
	i, err := s.Store.Intent(ctx, claim.Marker)
	if errors.Is(err, registry.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fromStore(err)
	}
	if i.Outcome == "" {
		i, err = s.Store.Take(ctx, claim.Marker, claim.Attempt, claim.Lease)
		if err != nil {
			return false, fromStore(err)
		}
		if err := s.undoCreate(ctx, i); err != nil {
			return false, later(uncertainRetry, unknownOutcome, err)
		}
		return false, nil
	}
	if i.Outcome == registry.Done {
		return false, conflict("the application was made and its answer is forgotten; find it in GET /applications and rotate its secret")
	}
	return false, nil
}

// create is intent, provider, record. Of the claim only marker, attempt and
// lease are there when there is no idempotency key.
func (s *Service) create(ctx context.Context, r plan, claim registry.Claim) (Registered, error) {
	draft := registry.Application{
		ID: claim.Marker, Kind: r.kind, Provider: r.Provider, Owner: r.owner, Alias: r.alias, Callback: s.callback(ctx, r.Metadata.GrantTypes),
	}
	r.Metadata.apply(&draft)
	i, err := s.Store.Begin(ctx, registry.Intent{
		Marker: claim.Marker, Operation: registry.Create, Application: draft,
		Key: claim.Key, Attempt: claim.Attempt, Lease: claim.Lease,
	})
	if err != nil {
		if errors.Is(err, registry.ErrInvalid) {
			s.release(ctx, claim)
		}
		return Registered{}, fromStore(err)
	}
	made, err := s.callCreate(ctx, i)
	if err != nil {
		return Registered{}, s.abandon(ctx, i, claim, err)
	}
	done, completion, err := s.created(ctx, r, i, claim, made)
	if err == nil {
		i = completion.Intent
		err = s.complete(ctx, completion)
	}
	if err == nil {
		logged(ctx, done.Application)
		s.settleSoon(ctx, usagesOf(done.Contracts...)...)
		return done, nil
	}
	if errors.Is(err, registry.ErrUnavailable) {
		// The record may be there: only who takes over can tell.
		note(ctx, i, err)
		return Registered{}, later(uncertainRetry, unknownOutcome, err)
	}
	return Registered{}, s.discard(ctx, i, claim, &provider.MismatchError{Client: made, Field: "record", Err: err})
}

func (s *Service) callCreate(ctx context.Context, i registry.Intent) (made provider.Client, err error) {
	err = s.send(ctx, i, i.Application, func(ctx context.Context, p *provider.Provider, c provider.Client) error {
		made, err = p.CreateClient(ctx, c)
		return err
	})
	return made, err
}

// created is what there will be when the creation is complete.
func (s *Service) created(ctx context.Context, r plan, i registry.Intent, claim registry.Claim, made provider.Client) (Registered, registry.Completion, error) {
	a := i.Application
	if err := s.learn(ctx, &a, made); err != nil {
		return Registered{}, registry.Completion{}, err
	}
	done := Registered{Secret: made.Secret}
	if !hasSecret(a.AuthMethod) {
		done.Secret, a.SecretHMAC = secret.Value{}, "" // some providers give one nevertheless
	}
	if a.Kind == registry.Dynamic && a.Alias == "" { // whose metadata are elsewhere
		token := rand.Text()
		mark, err := s.Box.Mark(ctx, registrationTokenMark, token)
		if err != nil {
			return Registered{}, registry.Completion{}, err
		}
		done.RegistrationToken, a.RegistrationHMAC = secret.New(token), mark
	}
	for n, access := range r.Access {
		done.Contracts = append(done.Contracts, s.newContract(a, access, r.tiers[n]))
	}
	done.Application = a
	done.Application.Created, done.Application.State = s.now().UTC(), registry.Active
	i.Application = a
	completion := registry.Completion{
		Intent: i, Outcome: registry.Done, Contracts: done.Contracts,
		Audits: []registry.Audit{audit(r.who, "application.created", a)},
	}
	if claim.Key != "" {
		answer, err := s.sealAnswer(ctx, done, claim)
		if err != nil {
			return Registered{}, registry.Completion{}, err
		}
		completion.Claim, completion.Answer = &claim, answer
	}
	return done, completion, nil
}

// complete records an outcome, once more if the store did not answer: it knows
// a repetition.
func (s *Service) complete(ctx context.Context, c registry.Completion) error {
	err := s.Store.Complete(ctx, c)
	if errors.Is(err, registry.ErrUnavailable) {
		err = s.Store.Complete(ctx, c)
	}
	return err
}

// abandon ends a creation that the provider did not do, or not as asked, as far
// as that can be done at once. The rest is for [Service.Reconcile].
func (s *Service) abandon(ctx context.Context, i registry.Intent, claim registry.Claim, cause error) error {
	if mismatch, ok := errors.AsType[*provider.MismatchError](cause); ok {
		return s.discard(ctx, i, claim, mismatch)
	}
	if uncertain(cause) || errors.Is(cause, provider.ErrNameTaken) {
		found, ok, err := s.find(ctx, i)
		if err != nil || !ok {
			// It may appear yet.
			note(ctx, i, errors.Join(cause, err))
			return later(uncertainRetry, unknownOutcome, cause)
		}
		return s.discard(ctx, i, claim, &provider.MismatchError{Client: found, Field: "answer", Err: cause})
	}
	return s.undone(ctx, i, claim, fromProvider(cause))
}

// discard deletes a client that was created and shall not be. That it is known
// is written down first.
func (s *Service) discard(ctx context.Context, i registry.Intent, claim registry.Claim, m *provider.MismatchError) error {
	err := s.learn(ctx, &i.Application, m.Client)
	if err == nil {
		i, err = s.Store.Advance(ctx, i)
	}
	if err == nil {
		err = s.undoCreate(ctx, i)
	}
	if err != nil {
		note(ctx, i, errors.Join(m, err))
		return later(uncertainRetry, unknownOutcome, errors.Join(m, err))
	}
	s.release(ctx, claim)
	if uncertain(m.Err) || errors.Is(m.Err, provider.ErrNameTaken) {
		return later(defaultRetry, unavailableAtTheMoment, m)
	}
	if m.Field == "record" {
		if refusal, ok := errors.AsType[*RefusalError](fromStore(m.Err)); ok {
			return refusal
		}
		return m.Err
	}
	return fromProvider(m)
}

// undone ends an intent that changed nothing and returns refusal.
func (s *Service) undone(ctx context.Context, i registry.Intent, claim registry.Claim, refusal error) error {
	if err := s.complete(ctx, registry.Completion{Intent: i, Outcome: registry.Undone}); err != nil {
		note(ctx, i, err)
		if r, ok := errors.AsType[*RefusalError](refusal); ok && r.Status < http.StatusInternalServerError {
			return refusal // it will be the same when it is tried again
		}
		return later(uncertainRetry, unknownOutcome, errors.Join(refusal, err))
	}
	s.release(ctx, claim)
	return refusal
}

// release gives an idempotency key back at once. If that is not possible,
// whoever sends the key after the lease finds that it came to nothing.
func (s *Service) release(ctx context.Context, claim registry.Claim) {
	if claim.Key == "" {
		return
	}
	if err := s.Store.Release(ctx, claim); err != nil {
		note(ctx, registry.Intent{Marker: claim.Marker}, err)
	}
}

// sealed is an answer as it is kept for a repeated request.
type sealed struct {
	Application       registry.Application
	Contracts         []registry.Contract
	Secret            string
	RegistrationToken string
}

func (s *Service) sealAnswer(ctx context.Context, done Registered, claim registry.Claim) ([]byte, error) {
	text, err := json.Marshal(sealed{done.Application, done.Contracts, done.Secret.Reveal(), done.RegistrationToken.Reveal()}) //nolint:gosec // it is sealed next
	if err != nil {
		return nil, fmt.Errorf("registration: answer: %w", err)
	}
	return s.Box.Seal(ctx, answerPurpose, claim.Key, text)
}

// repeat gives a repeated request the answer of the first.
func (s *Service) repeat(ctx context.Context, claim registry.Claim) (Registered, error) {
	text, err := s.Box.Open(ctx, answerPurpose, claim.Key, claim.Answer)
	if errors.Is(err, seal.ErrKeys) {
		return Registered{}, fromKeys(err)
	}
	if err != nil {
		return Registered{}, &RefusalError{
			Status: http.StatusConflict, Field: "Idempotency-Key", Cause: err,
			Detail: "was answered, and the answer cannot be read any more; GET /applications lists the application",
		}
	}
	var is sealed
	if err := json.Unmarshal(text, &is); err != nil {
		return Registered{}, fmt.Errorf("registration: answer: %w", err)
	}
	return Registered{is.Application, is.Contracts, secret.New(is.Secret), secret.New(is.RegistrationToken)}, nil
}
