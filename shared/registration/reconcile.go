package registration

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
)

// reconciler is who does it, in audits.
const reconciler = "reconciler"

// Reconciled is what became of interrupted operations.
type Reconciled struct {
	Finished int    // as it was asked
	Undone   int    // as if it had not been asked
	Left     []Left // still open
}

// Left is an interrupted operation that could not be ended.
type Left struct {
	Intent registry.Intent
	Err    error
}

// ErrUnfindable is a client that may exist at a provider that cannot look names
// up. An administrator has to look for the marker in the names of clients.
var ErrUnfindable = errors.New("registration: the provider cannot look clients up by name")

// Reconcile ends what was interrupted and is nobody's at the moment. One
// operation that cannot be ended does not keep the others from it.
func (s *Service) Reconcile(ctx context.Context) (Reconciled, error) {
	var all Reconciled
	page := registry.Page{}
	for {
		open, next, err := s.Store.Unfinished(ctx, s.now(), page)
		if err != nil {
			return all, fmt.Errorf("registration: reconcile: %w", err)
		}
		for _, i := range open {
			s.reconcile(ctx, i, &all)
		}
		if next == "" {
			return all, nil
		}
		page.After = next
	}
}

func (s *Service) reconcile(ctx context.Context, i registry.Intent, all *Reconciled) {
	if s.now().Before(i.Lease) {
		return
	}
	taken, err := s.Store.Take(ctx, i.Marker, s.newID(), s.now().Add(lease))
	if errors.Is(err, registry.ErrInProgress) || errors.Is(err, registry.ErrTransition) || errors.Is(err, registry.ErrStale) {
		return // someone else was faster
	}
	var outcome registry.Outcome
	if err == nil {
		outcome, err = s.end(ctx, taken)
	}
	switch {
	case err != nil:
		all.Left = append(all.Left, Left{Intent: i, Err: err})
	case outcome == registry.Done:
		all.Finished++
	default:
		all.Undone++
	}
}

// end ends an operation that the one who began it did not.
func (s *Service) end(ctx context.Context, i registry.Intent) (registry.Outcome, error) {
	switch i.Operation {
	case registry.Create:
		return registry.Undone, s.undoCreate(ctx, i)
	case registry.Delete:
		return registry.Done, s.finishDelete(ctx, reconciler, i)
	case registry.Rotate:
		// Nobody got the new secret. The old one still works, or another rotation helps.
		return registry.Undone, s.complete(ctx, registry.Completion{Intent: i, Outcome: registry.Undone})
	case registry.Update:
		_, err := s.finishUpdate(ctx, reconciler, i)
		if !refused(err) {
			return registry.Done, err
		}
		// It was refused the first time, too.
		return registry.Undone, s.complete(ctx, registry.Completion{Intent: i, Outcome: registry.Undone})
	}
	return "", fmt.Errorf("registration: intent %s: operation %q is not known", i.Marker, i.Operation)
}

// refused is whether a provider will give the same answer again.
func refused(err error) bool {
	if errors.Is(err, errLeft) {
		return false
	}
	_, metadata := errors.AsType[*provider.MetadataError](err)
	return metadata || errors.Is(err, provider.ErrGone) || errors.Is(err, provider.ErrNameTaken) || errors.Is(err, provider.ErrUnsupported)
}

// undoCreate deletes whatever client an intent that is ours may have made, and
// ends it. Nobody has the client's secret, so nobody misses it.
func (s *Service) undoCreate(ctx context.Context, i registry.Intent) error {
	if i.Application.ClientID == "" {
		found, ok, err := s.find(ctx, i)
		if err != nil {
			return err
		}
		if ok {
			i.Application.ClientID = found.ClientID
		}
	}
	if i.Application.ClientID != "" {
		if err := s.deleteClient(ctx, i); err != nil {
			return err
		}
	}
	return s.complete(ctx, registry.Completion{Intent: i, Outcome: registry.Undone})
}

// find looks for the client that an intent may have made.
func (s *Service) find(ctx context.Context, i registry.Intent) (provider.Client, bool, error) {
	p, err := s.upstream(i.Application)
	if err != nil {
		return provider.Client{}, false, err
	}
	if !p.Capabilities().Find {
		return provider.Client{}, false, fmt.Errorf("%w: look for the marker %s at %s", ErrUnfindable, i.Marker, p.Name)
	}
	var found provider.Client
	var ok bool
	err = s.send(ctx, i, i.Application, func(ctx context.Context, p *provider.Provider, _ provider.Client) error {
		found, ok, err = p.FindClient(ctx, clientName(i.Application))
		return err
	})
	return found, ok, err
}
