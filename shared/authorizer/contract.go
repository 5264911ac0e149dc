package authorizer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gatehouse/shared/apigw"
	"gatehouse/shared/registry"
	"gatehouse/shared/token"
)

// Contracts reads one contract as it is now; [registry.ErrNotFound]: there is
// none. [registry.Store.Contract] is one.
type Contracts func(context.Context, registry.ContractKey) (registry.Contract, error)

// ContractCache is how long a contract is believed after it was read. With the
// time API Gateway caches results it is how long a revoked one works at most.
const ContractCache = time.Minute

// absentCache is how long it is believed that there is no contract: whoever was
// just given access does not wait for a minute.
const absentCache = 10 * time.Second

// contractEntries bounds what is remembered. An entry is a client that has a
// token and an API, so a function meets few.
const contractEntries = 10_000

var errNoRegistry = errors.New("requires contracts and there is no registry to read them from: " +
	"set REGISTRY_TABLE to the name of its table, or contract: none to let in every application that has a token")

// contracts reads contracts and remembers them, whatever their status.
type contracts struct {
	read    Contracts
	now     func() time.Time
	entries *lru.Cache[registry.ContractKey, terms]
}

// terms are what is remembered of a contract. Of one that does not exist status
// is "".
type terms struct {
	status      registry.Status
	application string
	tier        string
	usageKey    string // value of the API key that its requests count by; "": none
	until       int64  // Unix nanoseconds of the wall clock, for others stand still in a frozen Lambda
}

func newContracts(read Contracts, now func() time.Time) (*contracts, error) {
	entries, err := lru.New[registry.ContractKey, terms](contractEntries)
	if err != nil {
		return nil, fmt.Errorf("authorizer: contracts: %w", err)
	}
	return &contracts{read: read, now: now, entries: entries}, nil
}

// find returns the terms of a contract. What was read longer ago than it may be
// believed counts for nothing, also when the store does not answer.
func (c *contracts) find(ctx context.Context, k registry.ContractKey) (terms, error) {
	now := c.now() // before reading: a change in the meantime must not be overlooked for longer
	if t, ok := c.entries.Get(k); ok && now.UnixNano() < t.until {
		return t, nil
	}
	found, err := c.read(ctx, k)
	believed := ContractCache
	switch {
	case errors.Is(err, registry.ErrNotFound):
		found, believed = registry.Contract{}, absentCache
	case err != nil:
		return terms{}, fmt.Errorf("authorizer: contract with %s: %w", k.API, err)
	}
	t := terms{
		status:      found.Status,
		application: found.ApplicationID,
		tier:        found.Tier,
		usageKey:    found.UsageKey,
		until:       now.Add(believed).UnixNano(),
	}
	// The names may be parts of a whole token, which is not to be kept.
	k.Provider, k.ClientID = strings.Clone(k.Provider), strings.Clone(k.ClientID)
	c.entries.Add(k, t)
	return t, nil
}

// refused is the reason a contract does not open its API, "" if it does.
func (t terms) refused() string {
	switch t.status {
	case registry.Approved:
		return ""
	case registry.Pending:
		return "contract_pending"
	case registry.Rejected:
		return "contract_rejected"
	case registry.Revoked:
		return "contract_revoked"
	default:
		return "no_contract"
	}
}

// contract returns the terms on which the token's client may call the API, or
// the reason it may not.
func (a *api) contract(ctx context.Context, f *token.Facts) (t terms, refused string, err error) {
	if a.contracts == nil {
		return terms{}, "", nil
	}
	if f.ClientID == "" {
		return terms{}, "no_client_id", nil
	}
	t, err = a.contracts.find(ctx, registry.ContractKey{Provider: f.Provider, ClientID: f.ClientID, API: a.name})
	return t, t.refused(), err
}

// withoutContract is the decision about a good token of a client that has no
// business with this API. Its document, none, refuses every route: so it may
// say why, wherever API Gateway replays it.
func (a *api) withoutContract(f *token.Facts, reason string) apigw.Decision {
	return apigw.Decision{
		Outcome:     apigw.Forbidden,
		Principal:   principal(f),
		Context:     a.context(f, terms{}, maxAnswer),
		Simple:      a.simple,
		Error:       "no_contract",
		Description: "this application has no approved contract with the API; request access where applications are registered",
		Log:         a.logged(f),
		Reason:      reason,
	}
}
