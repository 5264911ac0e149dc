package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Status says where a contract stands. Only an approved one opens an API.
type Status string

// The statuses of a contract.
const (
	Pending  Status = "pending"
	Approved Status = "approved"
	Rejected Status = "rejected"
	Revoked  Status = "revoked"
)

// transitions are the changes of status there are. From "" is how a contract
// begins; from a status to itself changes its terms or its reason.
var transitions = map[Status][]Status{
	"":       {Pending, Approved}, // approved: the tier approves itself
	Pending:  {Pending, Approved, Rejected},
	Approved: {Approved, Revoked}, // another tier, or the end
	Rejected: {Pending},           // asked for again
	Revoked:  {Approved},          // restored; asking again must not be a way around a revocation
}

// CanBecome reports whether a contract of status s may change to next. The
// status "" is that of a contract that does not exist yet.
func (s Status) CanBecome(next Status) bool { return slices.Contains(transitions[s], next) }

// ContractKey names a contract.
type ContractKey struct {
	Provider string
	ClientID string
	API      string // its name in gatehouse.yaml
}

// Contract is one application's access to one API.
type Contract struct {
	Provider      string `json:"provider"`
	ClientID      string `json:"client_id"`
	API           string `json:"api"`
	ApplicationID string `json:"application"`
	Owner         string `json:"owner,omitempty"` // the application's; set by the store

	Tier          string    `json:"tier,omitempty"`           // the terms that hold
	RequestedTier string    `json:"requested_tier,omitempty"` // the terms that were asked for, until decided
	Status        Status    `json:"status"`
	UsagePlan     string    `json:"usage_plan,omitempty"` // id of API Gateway's usage plan for the tier; "", as always unless approved: none
	UsageKey      string    `json:"usage_key,omitempty"`  // value of the API key in that plan; set by the store
	Reason        string    `json:"reason,omitempty"`     // why it was asked for, or decided so
	DecidedBy     string    `json:"decided_by,omitempty"` // subject
	Created       time.Time `json:"created"`              // set by the store
	Updated       time.Time `json:"updated"`              // set by the store
	Version       int64     `json:"-"`                    // as read; a change of another version is ErrStale
}

// Key returns the contract's key.
func (c Contract) Key() ContractKey {
	return ContractKey{Provider: c.Provider, ClientID: c.ClientID, API: c.API}
}

func (k ContractKey) key() key {
	return key{partition: contractsOf(Client{Provider: k.Provider, ClientID: k.ClientID}).partition, sort: join(k.API)}
}

// contractsOf is the list of a client's contracts.
func contractsOf(c Client) query {
	return query{index: table, partition: join("CONTRACT", c.Provider, c.ClientID)}
}

// contractsAt is the list of an API's contracts of one status.
func contractsAt(api string, status Status) query {
	return query{index: listIndex, partition: join("API", api, string(status))}
}

// record returns the record that follows version was.
func (c Contract) record(was int64) (record, error) {
	if c.Provider == "" || c.ClientID == "" || c.API == "" || c.ApplicationID == "" {
		return record{}, fmt.Errorf("%w: provider, client_id, api and application of a contract must be there", ErrInvalid)
	}
	r, err := newRecord(c.Key().key(), c, was)
	if err != nil {
		return record{}, err
	}
	r.list = key{
		partition: contractsAt(c.API, c.Status).partition,
		sort:      join(sortTime(c.Created), c.Provider, c.ClientID),
	}
	return r, nil
}

func decodeContract(r record) (Contract, error) {
	var c Contract
	if err := decodeRecord(r, &c); err != nil {
		return Contract{}, err
	}
	c.Version = r.version
	return c, nil
}

// Contract returns a contract as it is now: a revocation shows in the first
// read after it.
func (s *Store) Contract(ctx context.Context, k ContractKey) (Contract, error) {
	r, err := s.read(ctx, k.key())
	if err != nil {
		return Contract{}, err
	}
	return decodeContract(r)
}

// ContractsByClient lists the contracts of a client as they are now, in the
// order of the API names.
func (s *Store) ContractsByClient(ctx context.Context, c Client, page Page) ([]Contract, string, error) {
	return list(ctx, s, contractsOf(c), page, decodeContract)
}

// ContractsByAPI lists an API's contracts of one status, oldest first. It may
// lag behind by about a second.
func (s *Store) ContractsByAPI(ctx context.Context, api string, status Status, page Page) ([]Contract, string, error) {
	if _, known := transitions[status]; api == "" || !known || status == "" {
		return nil, "", fmt.Errorf("%w: contracts are listed by api and status", ErrInvalid)
	}
	return list(ctx, s, contractsAt(api, status), page, decodeContract)
}

// CreateContract adds a contract of an application that is active, its usage if
// it has a usage plan, and the record of who asked for it.
func (s *Store) CreateContract(ctx context.Context, c Contract, audit Audit) (Contract, error) {
	var made Contract
	err := besides(func() (err error) {
		made, err = s.createContract(ctx, c, audit)
		return err
	})
	return made, err
}

func (s *Store) createContract(ctx context.Context, c Contract, audit Audit) (Contract, error) {
	a, err := s.Application(ctx, c.ApplicationID)
	if err != nil {
		return Contract{}, err
	}
	if a.State != Active {
		return Contract{}, fmt.Errorf("%w: the application is being deleted", ErrTransition)
	}
	if c, err = s.newContract(c, a); err != nil {
		return Contract{}, err
	}
	usage, err := s.usageOf(ctx, &c, Contract{})
	if err != nil {
		return Contract{}, err
	}
	r, err := c.record(0)
	if err != nil {
		return Contract{}, err
	}
	log, err := s.auditRecord(audit)
	if err != nil {
		return Contract{}, err
	}
	c.Version = r.version
	application := change{action: check, record: record{key: applicationKey(a.ID)}, was: a.Version}
	return c, s.write(ctx, append([]change{application, create(r), create(log)}, usage...)...)
}

// newContract returns a contract of a as it begins.
func (s *Store) newContract(c Contract, a Application) (Contract, error) {
	if c.ApplicationID != a.ID || (Client{c.Provider, c.ClientID}) != a.Client() {
		return Contract{}, fmt.Errorf("%w: the contract is not of this application", ErrInvalid)
	}
	if !Status("").CanBecome(c.Status) {
		return Contract{}, fmt.Errorf("%w: a contract cannot begin as %q", ErrTransition, c.Status)
	}
	c.Owner, c.Created = a.Owner, s.clock()
	c.Updated = c.Created
	return c, nil
}

// UpdateContract replaces a contract that was read before, if its status may
// become the new one, and records who did it. Who the contract is of and when
// it was made stay as they are. Revoking one bars its owner from the API's
// tiers that approve themselves, see [Store.Barred]; restoring it lets them in
// again. If it has a usage plan, or had one, its usage is to be settled.
func (s *Store) UpdateContract(ctx context.Context, next Contract, audit Audit) (Contract, error) {
	var made Contract
	err := besides(func() (err error) {
		made, err = s.updateContract(ctx, next, audit)
		return err
	})
	return made, err
}

func (s *Store) updateContract(ctx context.Context, next Contract, audit Audit) (Contract, error) {
	now, err := s.Contract(ctx, next.Key())
	if err != nil {
		return Contract{}, err
	}
	if now.Version != next.Version {
		return Contract{}, fmt.Errorf("%w: contract", ErrStale)
	}
	if !now.Status.CanBecome(next.Status) {
		return Contract{}, fmt.Errorf("%w: the contract is %s and cannot become %q", ErrTransition, now.Status, next.Status)
	}
	next.ApplicationID, next.Owner, next.Created, next.Updated = now.ApplicationID, now.Owner, now.Created, s.clock()
	usage, err := s.usageOf(ctx, &next, now)
	if err != nil {
		return Contract{}, err
	}
	r, err := next.record(now.Version)
	if err != nil {
		return Contract{}, err
	}
	log, err := s.auditRecord(audit)
	if err != nil {
		return Contract{}, err
	}
	changes := []change{replace(r, now.Version), create(log)}
	if next.Owner != "" && (now.Status == Revoked) != (next.Status == Revoked) {
		bar := change{action: remove, record: record{key: barKey(next.Owner, next.API)}, was: whatever}
		if next.Status == Revoked {
			if bar.record, err = newRecord(bar.record.key, struct{}{}, 0); err != nil {
				return Contract{}, err
			}
			bar.action = put
		}
		changes = append(changes, bar)
	}
	next.Version = r.version
	return next, s.write(ctx, append(changes, usage...)...)
}

func barKey(owner, api string) key { return key{partition: join("BARRED", owner), sort: join(api)} }

// Barred reports whether an owner of applications had a contract with an API
// that was revoked and not restored. What was revoked stays in mind when the
// application and its contracts are gone, for else a new application would be
// the way around it.
func (s *Store) Barred(ctx context.Context, owner, api string) (bool, error) {
	_, err := s.read(ctx, barKey(owner, api))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// DeleteContract removes a contract that was read before, and records who did
// it. If it has a usage plan, its usage is to be settled. A revoked contract
// stays: whoever could delete it could ask anew and be let in by a tier that
// approves itself.
func (s *Store) DeleteContract(ctx context.Context, c Contract, audit Audit) error {
	return besides(func() error { return s.deleteContract(ctx, c, audit) })
}

func (s *Store) deleteContract(ctx context.Context, c Contract, audit Audit) error {
	now, err := s.Contract(ctx, c.Key())
	if err != nil {
		return err
	}
	if now.Version != c.Version {
		return fmt.Errorf("%w: contract", ErrStale)
	}
	if now.Status == Revoked {
		return fmt.Errorf("%w: a revoked contract cannot be deleted; it goes with its application", ErrTransition)
	}
	removed, usage, err := s.removed(ctx, now)
	if err != nil {
		return err
	}
	log, err := s.auditRecord(audit)
	if err != nil {
		return err
	}
	return s.write(ctx, append([]change{removed, create(log)}, usage...)...)
}

// removed returns the change that removes a contract, and that of its usage.
func (s *Store) removed(ctx context.Context, c Contract) (change, []change, error) {
	gone := c
	gone.UsagePlan = ""
	usage, err := s.usageOf(ctx, &gone, c)
	return change{action: remove, record: record{key: c.Key().key()}, was: c.Version}, usage, err
}

// RemoveContracts removes all contracts of an application that is being
// deleted, before its client is. It can be repeated after any error. It returns
// the contracts that it has left usages of, which are to be settled.
func (s *Store) RemoveContracts(ctx context.Context, applicationID string) ([]ContractKey, error) {
	a, err := s.Application(ctx, applicationID)
	if err != nil {
		return nil, err
	}
	if a.State != Deleting {
		return nil, fmt.Errorf("%w: the application is not being deleted", ErrTransition)
	}
	var left []ContractKey
	for {
		var some []ContractKey
		more := false
		err := besides(func() (err error) {
			some, more, err = s.removeContracts(ctx, a.Client())
			return err
		})
		left = append(left, some...)
		if err != nil || !more {
			return left, err
		}
	}
}

// removeContracts removes as many contracts of a client as one transaction
// takes. It returns those that it has left usages of, and whether there were any.
func (s *Store) removeContracts(ctx context.Context, c Client) (left []ContractKey, any bool, err error) {
	contracts, _, err := s.ContractsByClient(ctx, c, Page{Limit: maxTransaction})
	if err != nil || len(contracts) == 0 {
		return nil, false, err
	}
	var changes, usages []change
	for _, contract := range contracts {
		removed, usage, err := s.removed(ctx, contract)
		if err != nil {
			return nil, false, err
		}
		if len(changes)+len(usages)+1+len(usage) > maxTransaction {
			break
		}
		changes, usages = append(changes, removed), append(usages, usage...)
		if len(usage) > 0 {
			left = append(left, contract.Key())
		}
	}
	if err := s.write(ctx, append(changes, usages...)...); err != nil {
		return nil, false, err
	}
	return left, true, nil
}
