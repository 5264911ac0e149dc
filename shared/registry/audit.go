package registry

import (
	"context"
	"fmt"
	"time"
)

// Audit says that someone did something. There is no way to change or remove
// one.
type Audit struct {
	ID      string            `json:"id"`     // set by the store
	Who     string            `json:"who"`    // subject, or the function that did it by itself
	What    string            `json:"what"`   // "contract.approved"
	Target  string            `json:"target"` // the id of an application, or the name of what else it was done to
	When    time.Time         `json:"when"`   // set by the store
	Details map[string]string `json:"details,omitempty"`
}

func auditsOf(target string) query {
	return query{index: table, partition: join("AUDIT", target)}
}

// auditRecord returns the record of audit, which happens now.
func (s *Store) auditRecord(a Audit) (record, error) {
	if a.Who == "" || a.What == "" || a.Target == "" {
		return record{}, fmt.Errorf("%w: an audit needs who, what and target", ErrInvalid)
	}
	a.ID, a.When = NewID(), s.clock()
	return newRecord(key{partition: auditsOf(a.Target).partition, sort: join(sortTime(a.When), a.ID)}, a, 0)
}

// Append adds an audit of what changes nothing in the store. Operations that
// change something take theirs with them.
func (s *Store) Append(ctx context.Context, audit Audit) error {
	r, err := s.auditRecord(audit)
	if err != nil {
		return err
	}
	return s.write(ctx, create(r))
}

// Audits lists what was done to a target, oldest first.
func (s *Store) Audits(ctx context.Context, target string, page Page) ([]Audit, string, error) {
	return list(ctx, s, auditsOf(target), page, func(r record) (Audit, error) {
		var a Audit
		return a, decodeRecord(r, &a)
	})
}
