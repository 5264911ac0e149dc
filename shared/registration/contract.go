package registration

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"gatehouse/shared/apigw"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
)

const maxReason = 500 // bytes

// Access is a request for access to an API.
type Access struct {
	API    string `json:"api"`
	Tier   string `json:"tier"`   // "": the only one
	Reason string `json:"reason"` // for the owner of the API
}

// wantedBy reports whether r names a scope of a, or none at all, at a provider
// whose clients can call a.
func (a API) wantedBy(r Request) bool {
	if !slices.Contains(a.Providers, r.Provider) {
		return false
	}
	asked := oauth.SplitScope(r.Metadata.Scope)
	return len(asked) == 0 || slices.ContainsFunc(a.scopes(), func(scope string) bool { return slices.Contains(asked, scope) })
}

func (a API) firstTier() string {
	if len(a.Tiers) == 0 {
		return ""
	}
	return a.Tiers[0].Name
}

func (a API) tier(name string) (Tier, bool) {
	if name == "" && len(a.Tiers) <= 1 {
		name = a.firstTier()
	}
	if name == "" && len(a.Tiers) == 0 {
		return Tier{}, true
	}
	i := slices.IndexFunc(a.Tiers, func(t Tier) bool { return t.Name == name })
	if i < 0 {
		return Tier{}, false
	}
	return a.Tiers[i], true
}

// checkAccess refuses requests for what is not there.
func (s *Service) checkAccess(providerName string, all []Access) error {
	if len(all) > maxAccess {
		return invalid("contracts", "has more than %d elements; ask for the others later", maxAccess)
	}
	for n, access := range all {
		a, ok := s.api(access.API)
		if !ok || !slices.Contains(a.Providers, providerName) {
			return invalid("api", "is not one that clients of this provider can call; GET /apis lists them")
		}
		if _, ok := a.tier(access.Tier); !ok {
			return invalid("tier", "is not one of the API's; GET /apis/%s lists them", a.Name)
		}
		if err := checkReason(access.Reason); err != nil {
			return err
		}
		if slices.ContainsFunc(all[:n], func(before Access) bool { return before.API == access.API }) {
			return invalid("contracts", "names an API twice; ask once")
		}
	}
	return nil
}

func checkReason(text string) error {
	if len(text) > maxReason || strings.ContainsFunc(text, unreadable) {
		return invalid("reason", "has more than %d bytes, or control or invisible characters; shorten it or leave them out", maxReason)
	}
	return nil
}

// newContract is the contract of a that a request for access begins with. The
// request was checked before.
func (s *Service) newContract(a registry.Application, access Access, tier Tier) registry.Contract {
	c := registry.Contract{
		Provider: a.Provider, ClientID: a.ClientID, API: access.API, ApplicationID: a.ID,
		Status: registry.Pending, Reason: access.Reason,
	}
	grant(&c, tier)
	api, _ := s.api(access.API)
	return api.metered(c)
}

// grant notes that a tier is asked for, and approves it if it approves itself
// and the contract may become approved so.
func grant(c *registry.Contract, tier Tier) {
	if !tier.AutoApprove || c.Status == registry.Rejected {
		c.RequestedTier = tier.Name
		return
	}
	c.Tier, c.RequestedTier, c.Status, c.DecidedBy = tier.Name, "", registry.Approved, "tier "+tier.Name
}

// tierFor is the tier that an owner of applications asks for. It approves
// nobody whose contract with the API was revoked: a new application, or a new
// request, must not be the way around that.
func (s *Service) tierFor(ctx context.Context, owner string, access Access) (Tier, error) {
	a, _ := s.api(access.API)
	tier, _ := a.tier(access.Tier)
	if !tier.AutoApprove || owner == "" {
		return tier, nil
	}
	barred, err := s.Store.Barred(ctx, owner, access.API)
	tier.AutoApprove = !barred
	return tier, fromStore(err)
}

// RequestAccess asks for a contract of an application of the caller's, or for
// another tier of one that there is.
func (s *Service) RequestAccess(ctx context.Context, c Caller, id string, access Access) (registry.Contract, error) {
	a, err := s.Read(ctx, c, id)
	if err != nil {
		return registry.Contract{}, err
	}
	if err := s.checkAccess(a.Provider, []Access{access}); err != nil {
		return registry.Contract{}, err
	}
	tier, err := s.tierFor(ctx, a.Owner, access)
	if err != nil {
		return registry.Contract{}, err
	}
	requested := audit(c.Subject, "contract.requested", a)
	requested.Details["api"], requested.Details["tier"] = access.API, access.Tier
	was, err := s.Store.Contract(ctx, registry.ContractKey{Provider: a.Provider, ClientID: a.ClientID, API: access.API})
	if errors.Is(err, registry.ErrNotFound) {
		made, err := s.Store.CreateContract(ctx, s.newContract(a, access, tier), requested)
		if err != nil {
			return registry.Contract{}, fromStore(err)
		}
		s.settleSoon(ctx, usagesOf(made)...)
		return made, nil
	}
	if err != nil {
		return registry.Contract{}, fromStore(err)
	}
	if was.Status == registry.Revoked {
		return registry.Contract{}, conflict("the access was revoked; only an owner of the API can restore it")
	}
	next := was
	next.Reason = access.Reason
	grant(&next, tier)
	if was.Status == registry.Rejected {
		next.Status, next.DecidedBy = registry.Pending, ""
	}
	return s.change(ctx, was, next, requested)
}

// change makes a contract that was read before another, with the usage plan of
// its tier.
func (s *Service) change(ctx context.Context, was, next registry.Contract, why registry.Audit) (registry.Contract, error) {
	a, _ := s.api(was.API)
	made, err := s.Store.UpdateContract(ctx, a.metered(next), why)
	if err != nil {
		return registry.Contract{}, fromStore(err)
	}
	if made.UsagePlan != was.UsagePlan {
		s.settleSoon(ctx, made.Key())
	}
	return made, nil
}

// Contracts lists the contracts of an application of the caller's.
func (s *Service) Contracts(ctx context.Context, c Caller, id string, page registry.Page) ([]registry.Contract, string, error) {
	a, err := s.Read(ctx, c, id)
	if err != nil {
		return nil, "", err
	}
	all, next, err := s.Store.ContractsByClient(ctx, a.Client(), page)
	return all, next, fromStore(err)
}

// Withdraw ends access that the caller's application has or has asked for.
func (s *Service) Withdraw(ctx context.Context, c Caller, id, api string) error {
	a, err := s.Read(ctx, c, id)
	if err != nil {
		return err
	}
	is, err := s.Store.Contract(ctx, registry.ContractKey{Provider: a.Provider, ClientID: a.ClientID, API: api})
	if err != nil {
		return noContract(err)
	}
	withdrawn := audit(c.Subject, "contract.withdrawn", a)
	withdrawn.Details["api"] = api
	if err := s.Store.DeleteContract(ctx, is, withdrawn); err != nil {
		return fromStore(err)
	}
	s.settleSoon(ctx, usagesOf(is)...)
	return nil
}

func noContract(err error) error {
	if errors.Is(err, registry.ErrNotFound) {
		return &RefusalError{Status: http.StatusNotFound, Detail: "there is no such contract; GET the list of contracts", Cause: err}
	}
	return fromStore(err)
}

// Requests lists an API's contracts of one status, for those who decide.
func (s *Service) Requests(ctx context.Context, c Caller, api string, status registry.Status, page registry.Page) ([]registry.Contract, string, error) {
	if err := s.decider(c, api); err != nil {
		return nil, "", err
	}
	if !knownStatus(status) {
		return nil, "", invalid("status", "must be pending, approved, rejected or revoked")
	}
	all, next, err := s.Store.ContractsByAPI(ctx, api, status, page)
	return all, next, fromStore(err)
}

// knownStatus reports whether contracts can have a status.
func knownStatus(status registry.Status) bool {
	return slices.Contains([]registry.Status{registry.Pending, registry.Approved, registry.Rejected, registry.Revoked}, status)
}

// decider refuses callers who do not decide on contracts with an API.
func (s *Service) decider(c Caller, api string) error {
	a, ok := s.api(api)
	switch {
	case !ok:
		return noAPI()
	case !c.decides(a):
		return forbidden("only an owner of the API with the scope gatehouse:contracts sees and decides on its contracts")
	}
	return nil
}

func noAPI() error {
	return &RefusalError{Status: http.StatusNotFound, Detail: "there is no such API; GET /apis lists them"}
}

// Decision is what an owner of an API decides. Empty members stay as they are.
type Decision struct {
	API, ClientID string
	Provider      string // "": the one of the API's whose client it is
	Status        registry.Status
	Tier          string
	Reason        string
}

// Decide changes the status or the tier of a contract.
func (s *Service) Decide(ctx context.Context, c Caller, d Decision) (registry.Contract, error) {
	if err := s.decider(c, d.API); err != nil {
		return registry.Contract{}, err
	}
	is, err := s.contractAt(ctx, d)
	if err != nil {
		return registry.Contract{}, err
	}
	if d.Status != "" && !knownStatus(d.Status) {
		return registry.Contract{}, invalid("status", "must be approved, rejected or revoked")
	}
	a, _ := s.api(d.API)
	next := is
	if d.Status != "" {
		next.Status = d.Status
	}
	if d.Tier != "" {
		if _, ok := a.tier(d.Tier); !ok {
			return registry.Contract{}, invalid("tier", "is not one of the API's; GET /apis/%s lists them", a.Name)
		}
		next.Tier, next.RequestedTier = d.Tier, ""
	}
	if d.Status == registry.Approved && next.RequestedTier != "" {
		next.Tier, next.RequestedTier = next.RequestedTier, ""
	}
	if d.Reason != "" {
		if err := checkReason(d.Reason); err != nil {
			return registry.Contract{}, err
		}
		next.Reason = d.Reason
	}
	if !is.Status.CanBecome(next.Status) || d.Status == registry.Pending {
		return registry.Contract{}, conflict("a contract that is " + string(is.Status) + " cannot become that; " +
			"pending ones can be approved or rejected, approved ones revoked, revoked ones approved")
	}
	apigw.Log(ctx, slog.String("application", is.ApplicationID), slog.String("provider", is.Provider), slog.String("client_id", is.ClientID))
	next.DecidedBy = c.Subject
	decided := registry.Audit{
		Who: c.Subject, What: "contract." + string(next.Status), Target: is.ApplicationID,
		Details: map[string]string{"api": d.API, "client_id": is.ClientID, "tier": next.Tier},
	}
	made, err := s.change(ctx, is, next, decided)
	if err == nil && made.UsagePlan == is.UsagePlan {
		s.settleSoon(ctx, usagesOf(made)...) // what was done to the key by hand is put right
	}
	return made, err
}

// contractAt is the contract that a decision is about.
func (s *Service) contractAt(ctx context.Context, d Decision) (registry.Contract, error) {
	a, _ := s.api(d.API)
	var found []registry.Contract
	for _, name := range a.Providers {
		if d.Provider != "" && d.Provider != name {
			continue
		}
		is, err := s.Store.Contract(ctx, registry.ContractKey{Provider: name, ClientID: d.ClientID, API: d.API})
		switch {
		case err == nil:
			found = append(found, is)
		case !errors.Is(err, registry.ErrNotFound):
			return registry.Contract{}, fromStore(err)
		}
	}
	if len(found) > 1 {
		return registry.Contract{}, invalid("provider", "is missing, and several providers have such a client; add ?provider=")
	}
	if len(found) == 0 {
		return registry.Contract{}, noContract(registry.ErrNotFound)
	}
	return found[0], nil
}
