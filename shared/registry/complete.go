package registry

import (
	"context"
	"errors"
	"fmt"
)

// maxTransaction is the number of contracts and usages that one transaction
// adds or removes: with everything else in it, it stays below DynamoDB's 100
// items and 4 MB.
const maxTransaction = 80

// Completion is how an intent ended and all that is recorded with it.
type Completion struct {
	Intent  Intent  // as Begin, Take or Advance returned it; its Application is what is recorded
	Outcome Outcome // Done or Undone

	Contracts []Contract // of an application that is created, at most 80; those with a usage plan count twice
	Claim     *Claim     // as Store.Claim returned it; nil: there is none
	Answer    []byte     // what a repeated request gets, sealed by the caller; with a Claim
	Audits    []Audit    // at most 5
}

// Complete ends an intent in one transaction. Done records the application and
// its contracts, or removes an application whose contracts are gone already;
// Undone leaves everything but Management as it was before Begin, which a
// Delete cannot.
// Repeated by the same attempt, it is fine; ErrStale says that another attempt
// has taken over the intent or the claim, and that what was done at the
// provider is not recorded. So it is with ErrConflict: the client or the alias
// of a new application leads to another already.
func (s *Store) Complete(ctx context.Context, c Completion) error {
	changes, err := s.outcome(ctx, c)
	if err != nil {
		return s.completed(ctx, c, err)
	}
	i := c.Intent
	i.Application, i.Outcome, i.Finished = Application{}, c.Outcome, s.clock()
	r, err := i.record(i.Version)
	if err != nil {
		return err
	}
	changes = append(changes, replace(r, i.Version))
	if c.Claim != nil {
		r, err := s.answered(*c.Claim, c.Answer)
		if err != nil {
			return err
		}
		changes = append(changes, replace(r, c.Claim.Version))
	}
	for _, audit := range c.Audits {
		r, err := s.auditRecord(audit)
		if err != nil {
			return err
		}
		changes = append(changes, create(r))
	}
	return s.completed(ctx, c, s.write(ctx, changes...))
}

// completed answers an attempt that may be a repetition.
func (s *Store) completed(ctx context.Context, c Completion, refusal error) error {
	if refusal == nil || errors.Is(refusal, ErrUnavailable) {
		return refusal
	}
	was, err := s.Intent(ctx, c.Intent.Marker)
	if err == nil && was.Outcome != "" && was.Outcome == c.Outcome && was.Attempt == c.Intent.Attempt {
		return nil
	}
	return refusal
}

// items is how many contracts and usages there are to record.
func (c Completion) items() int {
	n := len(c.Contracts)
	for _, contract := range c.Contracts {
		if contract.UsagePlan != "" {
			n++
		}
	}
	return n
}

// outcome returns what the end of an intent means for its application.
func (s *Store) outcome(ctx context.Context, c Completion) ([]change, error) {
	operation := c.Intent.Operation
	switch {
	case c.Intent.Outcome != "" || c.Intent.Version == 0:
		return nil, fmt.Errorf("%w: the intent is not open", ErrTransition)
	case c.Outcome != Done && c.Outcome != Undone:
		return nil, fmt.Errorf("%w: outcome is %q", ErrInvalid, c.Outcome)
	case c.items() > maxTransaction || len(c.Audits) > 5:
		return nil, fmt.Errorf("%w: too many contracts or audits at once", ErrInvalid)
	case len(c.Contracts) > 0 && (operation != Create || c.Outcome != Done):
		return nil, fmt.Errorf("%w: contracts are completed only with a new application", ErrInvalid)
	case c.Outcome == Undone && operation == Delete:
		return nil, fmt.Errorf("%w: a deletion cannot be undone", ErrTransition)
	case c.Outcome == Undone && operation == Create:
		return nil, nil
	case operation == Create:
		return s.created(c)
	case operation == Delete:
		return s.deleted(ctx, c.Intent)
	default:
		return s.changed(ctx, c)
	}
}

func (s *Store) created(c Completion) ([]change, error) {
	a := c.Intent.Application
	a.Created, a.State, a.Pending = s.clock(), Active, ""
	a.Updated = a.Created
	r, err := a.record(0)
	if err != nil {
		return nil, err
	}
	changes := []change{create(r)}
	for _, k := range a.references() {
		to, err := newRecord(k, reference{Application: a.ID}, 0)
		if err != nil {
			return nil, err
		}
		changes = append(changes, create(to))
	}
	for _, contract := range c.Contracts {
		added, err := s.added(contract, a)
		if err != nil {
			return nil, err
		}
		changes = append(changes, added...)
	}
	return changes, nil
}

// added returns what records a contract of an application that is created, and
// its usage, of which there is none yet: the client is new.
func (s *Store) added(c Contract, a Application) ([]change, error) {
	c, err := s.newContract(c, a)
	if err != nil {
		return nil, err
	}
	var changes []change
	if c.UsagePlan != "" && c.Status == Approved {
		usage, err := s.use(&c, Usage{Value: newUsageValue()})
		if err != nil {
			return nil, err
		}
		changes = append(changes, usage)
	} else {
		c.UsagePlan, c.UsageKey = "", ""
	}
	r, err := c.record(0)
	return append(changes, create(r)), err
}

// changed ends an update or a rotation: with what the intent says, or, undone,
// with what was there.
func (s *Store) changed(ctx context.Context, c Completion) ([]change, error) {
	now, err := s.Application(ctx, c.Intent.Application.ID)
	if err != nil {
		return nil, err
	}
	next := now
	if c.Outcome == Done {
		next = c.Intent.Application
	} else if kept := c.Intent.Application.Management; len(kept) > 0 {
		next.Management = kept // the provider may have changed it on the way; the old one would lock us out
	}
	if next.Client() != now.Client() || next.Kind != now.Kind || next.Alias != now.Alias {
		return nil, fmt.Errorf("%w: provider, client_id, kind and alias of an application never change", ErrInvalid)
	}
	next.Created, next.LastUsed, next.State, next.Pending, next.Updated = now.Created, now.LastUsed, Active, "", s.clock()
	r, err := next.record(c.Intent.Held)
	return []change{replace(r, c.Intent.Held)}, err
}

func (s *Store) deleted(ctx context.Context, i Intent) ([]change, error) {
	left, _, err := s.ContractsByClient(ctx, i.Application.Client(), Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("%w: the application still has contracts", ErrTransition)
	}
	changes := []change{{action: remove, record: record{key: applicationKey(i.Application.ID)}, was: i.Held}}
	for _, k := range i.Application.references() {
		changes = append(changes, change{action: remove, record: record{key: k}, was: whatever})
	}
	return changes, nil
}
