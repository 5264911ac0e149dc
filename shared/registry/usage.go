package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// usageDue is the kind of usages in the due index.
const usageDue = "USAGE"

// Usage is the API key that API Gateway counts the requests of one contract by,
// and the usage plan it shall be in. What shall be is written with the contract,
// and before anything is done at API Gateway. Until that has been done the usage
// is not settled, and [Store.Unsettled] lists it.
type Usage struct {
	Provider string `json:"provider"`
	ClientID string `json:"client_id"`
	API      string `json:"api"`

	Plan  string `json:"plan,omitempty"` // id of the usage plan; "": there shall be no key
	Value string `json:"value"`          // of the key: the same for as long as there is a usage

	// KeyID is the key's id at API Gateway, and Held a plan that it was put into;
	// "": none is known.
	KeyID string `json:"key_id,omitempty"`
	Held  string `json:"held,omitempty"`

	Settled bool      `json:"settled,omitempty"`
	Wanted  time.Time `json:"wanted"`            // since when it shall be so; set by the store
	Attempt string    `json:"attempt,omitempty"` // who is at it, see NewID; "": nobody
	Lease   time.Time `json:"lease,omitzero"`    // until then nobody else takes over; the attempt must not outlive it
	Version int64     `json:"-"`                 // as read; a change of another version is ErrStale
}

// Key returns the key of the usage's contract.
func (u Usage) Key() ContractKey {
	return ContractKey{Provider: u.Provider, ClientID: u.ClientID, API: u.API}
}

func usageKey(k ContractKey) key {
	return key{partition: join("USAGE", k.Provider, k.ClientID), sort: join(k.API)}
}

// record returns the record that follows version was.
func (u Usage) record(was int64) (record, error) {
	if u.Provider == "" || u.ClientID == "" || u.API == "" || u.Value == "" {
		return record{}, fmt.Errorf("%w: provider, client_id, api and value of a usage must be there", ErrInvalid)
	}
	r, err := newRecord(usageKey(u.Key()), u, was)
	if err == nil && !u.Settled {
		r.due = dueKey(usageDue, join(u.Provider, u.ClientID, u.API), u.Wanted)
	}
	return r, err
}

// Usage returns the usage of a contract as it is now. There is one for each
// contract with a usage plan, and for each that had one until that is settled.
func (s *Store) Usage(ctx context.Context, k ContractKey) (Usage, error) {
	r, err := s.read(ctx, usageKey(k))
	if err != nil {
		return Usage{}, err
	}
	return decodeUsage(r)
}

func decodeUsage(r record) (Usage, error) {
	var u Usage
	if err := decodeRecord(r, &u); err != nil {
		return Usage{}, err
	}
	u.Version = r.version
	return u, nil
}

// Unsettled lists usages that were to be settled before a time and are not. A
// page can be short, even empty: only an empty cursor ends the list.
func (s *Store) Unsettled(ctx context.Context, before time.Time, page Page) ([]Usage, string, error) {
	return overdue(ctx, s, dueList{kind: usageDue, before: before}, page, func(k key) (Usage, error) {
		r, err := s.read(ctx, k)
		if err != nil {
			return Usage{}, err
		}
		u, err := decodeUsage(r)
		if err == nil && u.Settled {
			return Usage{}, ErrNotFound // the index lags
		}
		return u, err
	})
}

// TakeUsage makes attempt the one that settles a usage, until lease. While
// another's lease runs it is ErrInProgress; when it is settled, ErrTransition.
// Whoever had it before is refused from then on with ErrStale.
func (s *Store) TakeUsage(ctx context.Context, k ContractKey, attempt string, lease time.Time) (Usage, error) {
	u, err := s.Usage(ctx, k)
	switch {
	case err != nil:
		return Usage{}, err
	case u.Settled:
		return Usage{}, fmt.Errorf("%w: the usage is settled", ErrTransition)
	case u.Attempt != attempt && s.clock().Before(u.Lease):
		return Usage{}, fmt.Errorf("%w: the lease of the usage has not ended", ErrInProgress)
	}
	u.Attempt, u.Lease = attempt, lease
	return s.UpdateUsage(ctx, u)
}

// UpdateUsage keeps what has become known about a usage that was taken. Settled
// without a plan, it is dropped. The error is ErrStale when it is not as it was
// read: its contract has changed, and with it what shall be, or another has
// taken it over.
func (s *Store) UpdateUsage(ctx context.Context, u Usage) (Usage, error) {
	if u.Version <= 0 {
		return Usage{}, fmt.Errorf("%w: the usage was not read", ErrStale)
	}
	was := u.Version
	r, err := u.record(was)
	if err != nil {
		return Usage{}, err
	}
	c := replace(r, was)
	if u.Settled && u.Plan == "" {
		c.action = remove
	}
	u.Version = r.version
	return u, s.write(ctx, c)
}

// usageOf makes the usage of a contract that was another before what the
// contract says, see [Store.use]. Without a plan, now or before, there is none
// and nothing to change.
func (s *Store) usageOf(ctx context.Context, c *Contract, was Contract) ([]change, error) {
	if (c.UsagePlan == "" || c.Status != Approved) && was.UsageKey == "" {
		c.UsagePlan, c.UsageKey = "", ""
		return nil, nil
	}
	u, err := s.Usage(ctx, c.Key())
	if errors.Is(err, ErrNotFound) {
		u, err = Usage{Value: cmp.Or(was.UsageKey, newUsageValue())}, nil
	}
	if err != nil {
		return nil, err
	}
	made, err := s.use(c, u)
	return []change{made}, err
}

// use returns the change that makes u the usage of c, to be settled, and gives c
// its key. The value and what is known of the key, and who is at it, stay.
func (s *Store) use(c *Contract, u Usage) (change, error) {
	if c.Status != Approved {
		c.UsagePlan = ""
	}
	c.UsageKey = ""
	if c.UsagePlan != "" {
		c.UsageKey = u.Value
	}
	u.Provider, u.ClientID, u.API, u.Plan = c.Provider, c.ClientID, c.API, c.UsagePlan
	u.Settled, u.Wanted = false, s.clock()
	r, err := u.record(u.Version)
	return replace(r, u.Version), err
}

// newUsageValue returns the value of a key that nobody has: 64 digits of the 20
// to 128 letters and digits that there may be.
func newUsageValue() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// errUsage is a usage that has changed while its contract was about to: whoever
// settled it, not the contract.
var errUsage = errors.New("the usage was settled at the same time")

// besides repeats try, which reads and then writes, while only a usage has
// changed in between. Changes of usages come last in what try writes, so that
// what else has changed is what it is refused for.
func besides(try func() error) error {
	var err error
	for range tries {
		if err = try(); !errors.Is(err, errUsage) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrInProgress, err)
}
