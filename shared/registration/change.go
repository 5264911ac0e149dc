package registration

import (
	"context"
	"errors"
	"time"

	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
)

// Read returns an application of the caller's. One that is another's is as if
// it were not there.
func (s *Service) Read(ctx context.Context, c Caller, id string) (registry.Application, error) {
	if err := c.developer(); err != nil {
		return registry.Application{}, err
	}
	a, err := s.Store.Application(ctx, id)
	if err != nil {
		return registry.Application{}, fromStore(err)
	}
	if !c.Admin && !c.owns(a.Owner) {
		return registry.Application{}, noApplication()
	}
	logged(ctx, a)
	return a, nil
}

// List returns the applications of the caller.
func (s *Service) List(ctx context.Context, c Caller, page registry.Page) ([]registry.Application, string, error) {
	if err := c.developer(); err != nil {
		return nil, "", err
	}
	all, next, err := s.Store.ApplicationsByOwner(ctx, c.Subject, page)
	return all, next, fromStore(err)
}

// Changed is an application after a change, and its new secret if it has one.
type Changed struct {
	Application registry.Application
	Secret      secret.Value

	// OldSecretUntil is when the secret before stops working; zero: with the next
	// rotation, or, if TwoSecrets is false, it has stopped.
	OldSecretUntil time.Time
	TwoSecrets     bool
}

// Update makes an application of the caller's what m says.
func (s *Service) Update(ctx context.Context, c Caller, id string, m Metadata) (Changed, error) {
	a, err := s.Read(ctx, c, id)
	if err != nil {
		return Changed{}, err
	}
	return s.update(ctx, c.Subject, a, m)
}

func (s *Service) update(ctx context.Context, who string, a registry.Application, m Metadata) (Changed, error) {
	m, err := m.complete(a.Kind)
	if err != nil {
		return Changed{}, err
	}
	if err := s.checkMetadata(ctx, a.Provider, m); err != nil {
		return Changed{}, err
	}
	p, err := s.upstream(a)
	if err != nil {
		return Changed{}, fromProvider(err)
	}
	if !p.Capabilities().Update {
		return Changed{}, fromProvider(provider.ErrUnsupported)
	}
	m.apply(&a)
	a.Callback = s.callback(ctx, a.GrantTypes)
	i, err := s.begin(ctx, registry.Update, a)
	if err != nil {
		return Changed{}, err
	}
	changed, err := s.finishUpdate(ctx, who, i)
	if err != nil && !uncertain(err) && !errors.Is(err, errLeft) {
		// Nothing was done by this first call.
		return Changed{}, s.undone(ctx, i, registry.Claim{}, fromProvider(err))
	}
	if err != nil {
		note(ctx, i, err)
		return Changed{}, later(uncertainRetry, unknownOutcome, err)
	}
	return changed, nil
}

// errLeft is an intent that stays open.
var errLeft = errors.New("registration: left for later")

// begin begins a change of an application that was read before.
func (s *Service) begin(ctx context.Context, operation registry.Operation, a registry.Application) (registry.Intent, error) {
	i, err := s.Store.Begin(ctx, registry.Intent{
		Marker: s.newID(), Operation: operation, Application: a, Attempt: s.newID(), Lease: s.now().Add(lease),
	})
	return i, fromStore(err)
}

// finishUpdate makes the client what the intent says. It can be repeated.
func (s *Service) finishUpdate(ctx context.Context, who string, i registry.Intent) (Changed, error) {
	a := i.Application
	made, err := s.callUpdate(ctx, i, a)
	what := "application.updated"
	if mismatch, ok := errors.AsType[*provider.MismatchError](err); ok {
		// Carried out, but not as asked: put back what was there.
		if err := s.learn(ctx, &i.Application, mismatch.Client); err != nil {
			return Changed{}, errors.Join(errLeft, err)
		}
		if i, err = s.Store.Advance(ctx, i); err != nil {
			return Changed{}, errors.Join(errLeft, err)
		}
		old, err := s.Store.Application(ctx, a.ID)
		if err != nil {
			return Changed{}, errors.Join(errLeft, err)
		}
		a = i.Application
		metadataOf(old).apply(&a)
		if made, err = s.callUpdate(ctx, i, a); err != nil {
			return Changed{}, errors.Join(errLeft, mismatch, err)
		}
		what = "application.update_refused"
	} else if err != nil {
		return Changed{}, err
	}
	if err := s.learn(ctx, &a, made); err != nil {
		return Changed{}, errors.Join(errLeft, err)
	}
	i.Application = a
	err = s.complete(ctx, registry.Completion{Intent: i, Outcome: registry.Done, Audits: []registry.Audit{audit(who, what, a)}})
	if err != nil {
		return Changed{}, errors.Join(errLeft, err)
	}
	a.Pending, a.Updated = "", s.now().UTC()
	return Changed{Application: a, Secret: made.Secret}, nil
}

func (s *Service) callUpdate(ctx context.Context, i registry.Intent, a registry.Application) (made provider.Client, err error) {
	err = s.send(ctx, i, a, func(ctx context.Context, p *provider.Provider, c provider.Client) error {
		made, err = p.UpdateClient(ctx, c)
		return err
	})
	return made, err
}

// RotateSecret gives an application of the caller's a new secret.
func (s *Service) RotateSecret(ctx context.Context, c Caller, id string) (Changed, error) {
	a, err := s.Read(ctx, c, id)
	if err != nil {
		return Changed{}, err
	}
	if !hasSecret(a.AuthMethod) {
		return Changed{}, conflict("a client that authenticates by " + a.AuthMethod + " has no secret; set token_endpoint_auth_method first")
	}
	p, err := s.upstream(a)
	if err != nil {
		return Changed{}, fromProvider(err)
	}
	if !p.Capabilities().Rotate {
		return Changed{}, fromProvider(provider.ErrUnsupported)
	}
	i, err := s.begin(ctx, registry.Rotate, a)
	if err != nil {
		return Changed{}, err
	}
	rotated, err := s.callRotate(ctx, i)
	if err != nil {
		// Whatever happened, rotating again puts it right.
		return Changed{}, s.undone(ctx, i, registry.Claim{}, fromProvider(err))
	}
	before := a.SecretHMAC
	if err := s.learn(ctx, &a, rotated.Client); err != nil {
		return Changed{}, s.undone(ctx, i, registry.Claim{}, fromKeys(err))
	}
	a.PreviousSecretHMAC, a.PreviousSecretExpires = "", time.Time{}
	if p.Capabilities().TwoSecrets || !rotated.OldValidUntil.IsZero() {
		a.PreviousSecretHMAC, a.PreviousSecretExpires = before, rotated.OldValidUntil
	}
	i.Application = a
	err = s.complete(ctx, registry.Completion{
		Intent: i, Outcome: registry.Done, Audits: []registry.Audit{audit(c.Subject, "application.secret_rotated", a)},
	})
	if err != nil {
		note(ctx, i, err)
		return Changed{}, later(uncertainRetry, "the new secret could not be recorded; rotate again", err)
	}
	return Changed{
		Application: a, Secret: rotated.Client.Secret,
		OldSecretUntil: rotated.OldValidUntil, TwoSecrets: p.Capabilities().TwoSecrets,
	}, nil
}

func (s *Service) callRotate(ctx context.Context, i registry.Intent) (rotated provider.Rotated, err error) {
	err = s.send(ctx, i, i.Application, func(ctx context.Context, p *provider.Provider, c provider.Client) error {
		rotated, err = p.RotateSecret(ctx, c)
		return err
	})
	return rotated, err
}

// RetireSecret ends the secret of an application of the caller's that the last
// rotation replaced.
func (s *Service) RetireSecret(ctx context.Context, c Caller, id string) error {
	a, err := s.Read(ctx, c, id)
	if err != nil {
		return err
	}
	p, err := s.upstream(a)
	if err != nil {
		return fromProvider(err)
	}
	if !p.Capabilities().TwoSecrets {
		return fromProvider(provider.ErrUnsupported)
	}
	// It holds the application, so that no rotation happens at the same time. What
	// it does can be done again, and so it need not be finished by anyone.
	i, err := s.begin(ctx, registry.Rotate, a)
	if err != nil {
		return err
	}
	err = s.send(ctx, i, a, func(ctx context.Context, p *provider.Provider, c provider.Client) error {
		return p.RetireSecret(ctx, c)
	})
	if err != nil {
		return s.undone(ctx, i, registry.Claim{}, fromProvider(err))
	}
	i.Application.PreviousSecretHMAC, i.Application.PreviousSecretExpires = "", time.Time{}
	err = s.complete(ctx, registry.Completion{
		Intent: i, Outcome: registry.Done, Audits: []registry.Audit{audit(c.Subject, "application.previous_secret_ended", a)},
	})
	return fromStore(err)
}

// Audits lists what was done to an application of the caller's, oldest first.
func (s *Service) Audits(ctx context.Context, c Caller, id string, page registry.Page) ([]registry.Audit, string, error) {
	a, err := s.Read(ctx, c, id)
	if err != nil {
		return nil, "", err
	}
	all, next, err := s.Store.Audits(ctx, a.ID, page)
	return all, next, fromStore(err)
}

// Delete deletes an application of the caller's, its client and its contracts.
// Deleting again what could not be finished finishes it.
func (s *Service) Delete(ctx context.Context, c Caller, id string) error {
	a, err := s.Read(ctx, c, id)
	if err != nil {
		return err
	}
	return s.remove(ctx, c.Subject, a)
}

func (s *Service) remove(ctx context.Context, who string, a registry.Application) error {
	p, err := s.upstream(a)
	if err != nil {
		return fromProvider(err)
	}
	if !p.Capabilities().Delete {
		return fromProvider(provider.ErrUnsupported)
	}
	var i registry.Intent
	if a.State == registry.Deleting {
		i, err = s.Store.Take(ctx, a.Pending, s.newID(), s.now().Add(lease))
		err = fromStore(err)
	} else {
		i, err = s.begin(ctx, registry.Delete, a)
	}
	if err != nil {
		return err
	}
	err = s.finishDelete(ctx, who, i)
	if err == nil {
		return nil
	}
	note(ctx, i, err)
	i.Lease = s.now() // whoever deletes again need not wait: deleting twice is no harm
	if _, advanceErr := s.Store.Advance(ctx, i); advanceErr != nil {
		note(ctx, i, advanceErr)
	}
	return later(defaultRetry, "the application opens nothing any more, but its client could not be deleted yet; that is tried again", err)
}

// finishDelete deletes the client of an application that is a tombstone
// already, and then the tombstone. It can be repeated.
func (s *Service) finishDelete(ctx context.Context, who string, i registry.Intent) error {
	left, err := s.Store.RemoveContracts(ctx, i.Application.ID)
	if err != nil {
		return err
	}
	if err := s.deleteClient(ctx, i); err != nil {
		return err
	}
	err = s.complete(ctx, registry.Completion{
		Intent: i, Outcome: registry.Done, Audits: []registry.Audit{audit(who, "application.deleted", i.Application)},
	})
	if err != nil {
		return err
	}
	s.settleSoon(ctx, left...)
	return nil
}

// deleteClient deletes the client of an intent's application. One that is gone
// is deleted.
func (s *Service) deleteClient(ctx context.Context, i registry.Intent) error {
	err := s.send(ctx, i, i.Application, func(ctx context.Context, p *provider.Provider, c provider.Client) error {
		return p.DeleteClient(ctx, c)
	})
	if errors.Is(err, provider.ErrGone) {
		return nil
	}
	return err
}
