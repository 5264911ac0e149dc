package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Operation is what an intent is about to do at the provider.
type Operation string

// The operations there are.
const (
	Create Operation = "create"
	Update Operation = "update"
	Rotate Operation = "rotate" // a new secret
	Delete Operation = "delete"
)

// Outcome is how an intent ended.
type Outcome string

// The outcomes; "" is an intent that is still open.
const (
	Done   Outcome = "done"   // the provider and the store agree that it happened
	Undone Outcome = "undone" // they agree that it did not
)

// finishedLife is how long a finished intent is kept for whoever looks.
const finishedLife = 30 * 24 * time.Hour

const intentDue = "INTENT" // kind in the due index

// Intent is an operation at a provider, written down before it is begun. A
// client that is created carries the marker in its name, so that it can be
// found when the provider's answer is lost. An application has at most one open
// intent.
type Intent struct {
	Marker    string    `json:"marker"` // unique, see NewID
	Operation Operation `json:"operation"`

	// Application is what shall be recorded: a draft without client_id for
	// Create, else the application as read with what shall change. It is dropped
	// when the intent ends.
	Application Application `json:"application,omitzero"`
	// Held is the version of the recorded application while the intent is open;
	// 0 for Create. Set by the store.
	Held int64 `json:"held,omitempty"`

	Key      string    `json:"key,omitempty"` // the claim's Key, if there is one
	Attempt  string    `json:"attempt"`       // who is at it, see NewID
	Lease    time.Time `json:"lease"`         // until then nobody else takes over; the attempt must not outlive it
	Created  time.Time `json:"created"`       // set by the store
	Outcome  Outcome   `json:"outcome,omitempty"`
	Finished time.Time `json:"finished,omitzero"` // set by the store
	Version  int64     `json:"-"`                 // as read; a change of another version is ErrStale
}

func intentKey(marker string) key { return key{partition: join("INTENT", marker), sort: "-"} }

func (i Intent) valid() error {
	switch {
	case i.Marker == "" || i.Attempt == "" || i.Lease.IsZero():
		return fmt.Errorf("%w: an intent needs marker, attempt and lease", ErrInvalid)
	case i.Operation != Create && i.Operation != Update && i.Operation != Rotate && i.Operation != Delete:
		return fmt.Errorf("%w: operation is %q", ErrInvalid, i.Operation)
	case i.Outcome != "":
		return fmt.Errorf("%w: the intent has ended", ErrTransition)
	}
	return errors.Join(noneOrHexHash("key", i.Key), i.Application.valid())
}

// record returns the record that follows version was.
func (i Intent) record(was int64) (record, error) {
	r, err := newRecord(intentKey(i.Marker), i, was)
	if err != nil {
		return record{}, err
	}
	if i.Outcome == "" {
		r.due = dueKey(intentDue, i.Marker, i.Created)
	} else {
		r.expires = i.Finished.Add(finishedLife)
	}
	return r, nil
}

func decodeIntent(r record) (Intent, error) {
	var i Intent
	if err := decodeRecord(r, &i); err != nil {
		return Intent{}, err
	}
	i.Version, i.Application.Version = r.version, i.Held
	return i, nil
}

// Begin writes an intent down. From then on the provider may be called. Except
// for Create it also marks the application, which must be as it was read
// (ErrStale), active (ErrTransition) and without an open intent
// (ErrInProgress); Delete makes it Deleting. Repeated by the same attempt, it
// returns what it did; by another, ErrConflict.
func (s *Store) Begin(ctx context.Context, i Intent) (Intent, error) {
	if err := i.valid(); err != nil {
		return Intent{}, err
	}
	i.Created, i.Held = s.clock(), 0
	var changes []change
	if i.Operation != Create {
		marked, err := s.mark(ctx, i)
		if err != nil {
			return s.begun(ctx, i, err)
		}
		changes = append(changes, marked)
		i.Held = marked.record.version
	}
	r, err := i.record(0)
	if err != nil {
		return Intent{}, err
	}
	if err := s.write(ctx, append(changes, create(r))...); err != nil {
		return s.begun(ctx, i, err)
	}
	i.Version, i.Application.Version = r.version, i.Held
	return i, nil
}

// begun answers an attempt that may be a repetition.
func (s *Store) begun(ctx context.Context, i Intent, refusal error) (Intent, error) {
	if errors.Is(refusal, ErrUnavailable) {
		return Intent{}, refusal
	}
	was, err := s.Intent(ctx, i.Marker)
	if err != nil || was.Attempt != i.Attempt || was.Outcome != "" || was.Operation != i.Operation {
		return Intent{}, refusal
	}
	return was, nil
}

// mark returns the change that gives the application of i to i.
func (s *Store) mark(ctx context.Context, i Intent) (change, error) {
	a, err := s.Application(ctx, i.Application.ID)
	switch {
	case err != nil:
		return change{}, err
	case a.State != Active:
		return change{}, fmt.Errorf("%w: the application is being deleted", ErrTransition)
	case a.Pending != "":
		return change{}, fmt.Errorf("%w: the application is being changed", ErrInProgress)
	case a.Version != i.Application.Version:
		return change{}, fmt.Errorf("%w: application", ErrStale)
	}
	a.Pending, a.Updated = i.Marker, s.clock()
	if i.Operation == Delete {
		a.State = Deleting
	}
	r, err := a.record(a.Version)
	return replace(r, a.Version), err
}

// Intent returns an intent as it is now, ended or not. Ended ones are kept for
// a month.
func (s *Store) Intent(ctx context.Context, marker string) (Intent, error) {
	r, err := s.read(ctx, intentKey(marker))
	if err != nil {
		return Intent{}, err
	}
	return decodeIntent(r)
}

// Unfinished lists open intents that were begun before a time. A page can be
// short, even empty: only an empty cursor ends the list.
func (s *Store) Unfinished(ctx context.Context, before time.Time, page Page) ([]Intent, string, error) {
	return overdue(ctx, s, dueList{kind: intentDue, before: before}, page, func(k key) (Intent, error) {
		r, err := s.read(ctx, k)
		if err != nil {
			return Intent{}, err
		}
		i, err := decodeIntent(r)
		if err == nil && i.Outcome != "" {
			return Intent{}, ErrNotFound // the index lags
		}
		return i, err
	})
}

// Take makes attempt the one that finishes an open intent, until lease. While
// another's lease runs it is ErrInProgress; once the intent has ended,
// ErrTransition. Whoever had it before is refused from then on with ErrStale.
func (s *Store) Take(ctx context.Context, marker, attempt string, lease time.Time) (Intent, error) {
	i, err := s.Intent(ctx, marker)
	switch {
	case err != nil:
		return Intent{}, err
	case i.Outcome != "":
		return Intent{}, fmt.Errorf("%w: the intent has ended", ErrTransition)
	case i.Attempt != attempt && s.clock().Before(i.Lease):
		return Intent{}, fmt.Errorf("%w: the lease of the intent has not ended", ErrInProgress)
	}
	i.Attempt, i.Lease = attempt, lease
	return s.Advance(ctx, i)
}

// Advance keeps what has become known about the application of an open intent,
// such as a client_id or rotated management credentials, before anything else
// is done. The intent must be as it was read or returned.
func (s *Store) Advance(ctx context.Context, i Intent) (Intent, error) {
	if err := i.valid(); err != nil {
		return Intent{}, err
	}
	was := i.Version
	r, err := i.record(was)
	if err != nil {
		return Intent{}, err
	}
	i.Version = r.version
	return i, s.write(ctx, replace(r, was))
}
