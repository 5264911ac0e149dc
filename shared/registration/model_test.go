package registration_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/usageplan/usageplantest"
)

var (
	schedules = flag.Int("schedules", 7_000, "how many schedules the model test runs")
	seed      = flag.Uint64("seed", 1, "of the model test")
)

// process is one run of an operation, which can die before any step: a request
// to the store, or to the provider.
type process struct {
	model *model
	dies  int // before this step; -1: never
	steps int
	dead  bool
	depth int // of operations that run in the middle of others
}

// step is called before each step. It reports whether the process lives.
func (p *process) step() bool {
	if p.steps == p.dies {
		p.dead = true
	}
	p.steps++
	return !p.dead
}

type processKey struct{}

// stepping is the context of a process. The store asks it before every step,
// and only the store does: a provider's requests have contexts of their own.
type stepping struct {
	context.Context

	p *process
}

// Err is a step.
func (s stepping) Err() error {
	m := s.p.model
	if s.p.depth == 0 && !s.p.dead && m.random.IntN(12) == 0 {
		m.operation(1) // time may pass in it
	}
	if !s.p.step() || m.faulty && m.random.IntN(40) == 0 {
		return context.Canceled
	}
	return nil
}

// model runs operations against a site, any of them in the middle of another.
type model struct {
	*site

	t      *testing.T
	random *rand.Rand
	faulty bool
	trace  []string
	made   map[string]map[string]time.Time // by idempotency key: client IDs, and when they were made
	late   []func()                        // requests to API Gateway whose senders have given up, and that will be done yet
}

// around plays a provider's faults.
func (m *model) around(r *http.Request, serve func()) error {
	p, ok := r.Context().Value(processKey{}).(*process)
	if !ok {
		serve()
		return nil
	}
	if !p.step() {
		return errReset
	}
	if p.depth == 0 && m.random.IntN(15) == 0 {
		m.instant(1)
	}
	fault := -1
	if m.faulty {
		fault = m.random.IntN(30)
	}
	switch fault {
	case 0: // not sent
		return errReset
	case 1, 2: // done, and the answer lost
		serve()
		return errReset
	default:
		serve()
	}
	if p.depth == 0 && m.random.IntN(15) == 0 {
		m.instant(1)
	}
	if !p.step() {
		return errReset
	}
	return nil
}

// keys plays the faults of API Gateway. A request that nobody waits for any more
// may take effect later, but not after the second part of a lease.
func (m *model) keys(w http.ResponseWriter, r *http.Request, serve func()) error {
	p, ok := r.Context().Value(processKey{}).(*process)
	if !ok {
		serve()
		return nil
	}
	if !p.step() {
		return errReset
	}
	if p.depth == 0 && m.random.IntN(15) == 0 {
		m.instant(1)
	}
	fault := -1
	if m.faulty {
		fault = m.random.IntN(25)
	}
	switch fault {
	case 0: // not sent
		return errReset
	case 1: // done, and the answer lost
		serve()
		return errReset
	case 2: // done later
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		again := r.Clone(context.Background())
		again.Body = io.NopCloser(bytes.NewReader(body))
		server := m.gateway
		m.late = append(m.late, func() { server.ServeHTTP(httptest.NewRecorder(), again) })
		return errReset
	case 3:
		usageplantest.Refuse(w, http.StatusTooManyRequests, "TooManyRequestsException", "")
	case 4:
		usageplantest.Refuse(w, http.StatusInternalServerError, "InternalFailure", "")
	default:
		serve()
	}
	if p.depth == 0 && m.random.IntN(15) == 0 {
		m.instant(1)
	}
	if !p.step() {
		return errReset
	}
	return nil
}

// arrive lets requests take effect that are late.
func (m *model) arrive() {
	for _, serve := range m.late {
		serve()
	}
	m.late = nil
}

// operation runs one of everything that can happen.
func (m *model) operation(depth int) {
	if m.random.IntN(4) == 0 {
		m.arrive() // two minutes may be over
		d := []time.Duration{time.Minute, 3 * time.Minute, 4 * time.Minute, 11 * time.Minute}[m.random.IntN(4)]
		m.note("time passes: %v", d)
		m.clock.Advance(d)
	}
	m.instant(depth)
}

// instant runs an operation that takes no time.
func (m *model) instant(depth int) {
	p := &process{model: m, dies: -1, depth: depth}
	if m.faulty && m.random.IntN(3) == 0 {
		p.dies = m.random.IntN(14)
	}
	ctx := stepping{context.WithValue(context.Background(), processKey{}, p), p}
	all := m.applications(m.t)
	var a registry.Application
	if len(all) > 0 {
		a = all[m.random.IntN(len(all))]
	}
	if m.random.IntN(8) == 0 {
		m.arrive()
	}
	n := m.random.IntN(17)
	what := fmt.Sprintf("%*s", depth, "")
	var err error
	switch {
	case n < 4 || a.ID == "":
		key := []string{"", "k1", "k2"}[m.random.IntN(3)]
		what += "create " + key
		err = m.create(ctx, p, key)
	case n < 6:
		what += "update " + a.ID
		change := service(fmt.Sprintf("renamed%d", m.random.IntN(100))).Metadata
		_, err = m.Update(ctx, ada, a.ID, change)
	case n < 7:
		what += "rotate " + a.ID
		_, err = m.RotateSecret(ctx, ada, a.ID)
	case n < 9:
		what += "delete " + a.ID
		err = m.Delete(ctx, ada, a.ID)
	case n < 10:
		tier := []string{"trial", "gold"}[m.random.IntN(2)]
		what += "request access " + tier + " " + a.ID
		_, err = m.RequestAccess(ctx, ada, a.ID, registration.Access{API: "orders", Tier: tier})
	case n < 13:
		d := []registration.Decision{
			{Status: registry.Approved, Tier: "gold"}, {Status: registry.Approved}, {Status: registry.Revoked}, {Tier: "trial"}, {Tier: "told"},
		}[m.random.IntN(5)]
		what += fmt.Sprintf("decide %s %s %s", a.ID, d.Status, d.Tier)
		d.API, d.ClientID, d.Provider = "orders", a.ClientID, a.Provider
		_, err = m.Decide(ctx, grace, d)
	case n < 14:
		what += "withdraw " + a.ID
		err = m.Withdraw(ctx, ada, a.ID, "orders")
	case n < 15:
		what += "settle usages"
		_, err = m.SettleUsages(ctx)
	case n < 16:
		m.APIs[0].Tiers[1].UsagePlan = []string{"gold01", "trial1", ""}[m.random.IntN(3)] // by a deployment
		what += "gold has plan " + m.APIs[0].Tiers[1].UsagePlan
	default:
		what += "reconcile"
		_, err = m.Reconcile(ctx)
	}
	m.note("%s: dead %v, after %d steps: %v", what, p.dead, p.steps, err)
}

func (m *model) create(ctx context.Context, p *process, key string) error {
	r := service("app" + key)
	r.Key = key
	r.Access = []registration.Access{{API: "orders", Tier: "trial"}}
	done, err := m.Register(ctx, ada, r)
	if err != nil || p.dead || key == "" {
		return err
	}
	if done.Secret.Reveal() == "" {
		m.t.Errorf("an answer has no secret")
	}
	// The ten minutes begin when the outcome is recorded: later than this.
	created := done.Application.Created
	for id, at := range m.made[key] {
		if id != done.Application.ClientID && created.Sub(at).Abs() < 10*time.Minute {
			m.t.Errorf("key %s has two clients within %v", key, created.Sub(at))
		}
	}
	if m.made[key] == nil {
		m.made[key] = map[string]time.Time{}
	}
	m.made[key][done.Application.ClientID] = created
	return nil
}

func (m *model) note(format string, args ...any) {
	m.trace = append(m.trace, m.clock.Now().Format("15:04 ")+fmt.Sprintf(format, args...))
}

// run plays one schedule and reports whether the invariant holds.
func (m *model) run() bool {
	m.open(m.t)
	m.APIs[0].Tiers[1].UsagePlan = "gold01"
	m.gateway.Around = m.keys
	m.made, m.trace, m.late, m.faulty = map[string]map[string]time.Time{}, nil, nil, true
	var wrong []string
	for range 4 + m.random.IntN(8) {
		m.operation(0)
		if wrong = append(m.problems(m.t), m.strays()...); wrong != nil {
			break
		}
	}
	if wrong == nil {
		wrong = m.settle()
	}
	if wrong != nil || m.t.Failed() {
		m.t.Errorf("%s\nafter\n%s", strings.Join(wrong, "\n"), strings.Join(m.trace, "\n"))
		return false
	}
	return true
}

// settle heals everything, reconciles, and then deletes everything.
func (m *model) settle() []string {
	m.faulty = false
	wrong := m.reconciled()
	ctx := context.Background()
	live := 0
	for _, a := range m.applications(m.t) {
		if a.State != registry.Active || a.Pending != "" {
			wrong = append(wrong, fmt.Sprintf("application %s is %s, pending %q", a.ID, a.State, a.Pending))
		}
		live++
	}
	if clients := len(m.org.Registered("")); clients != live {
		wrong = append(wrong, fmt.Sprintf("%d clients for %d applications", clients, live))
	}
	for _, a := range m.applications(m.t) {
		if err := m.Delete(ctx, ada, a.ID); err != nil {
			wrong = append(wrong, fmt.Sprintf("delete %s: %v", a.ID, err))
		}
	}
	for _, status := range []registry.Status{registry.Pending, registry.Approved} {
		if left, _, err := m.Store.ContractsByAPI(ctx, "orders", status, registry.Page{}); err != nil || len(left) > 0 {
			wrong = append(wrong, fmt.Sprintf("contracts of nothing: %v, %v", left, err))
		}
	}
	if left := m.org.Registered(""); len(left) > 0 {
		wrong = append(wrong, fmt.Sprintf("clients of nothing: %v", left))
	}
	if left := m.gateway.Keys(); len(left) > 0 {
		wrong = append(wrong, fmt.Sprintf("API keys of nothing: %+v", left))
	}
	return append(wrong, m.metered()...)
}

// contracts are those of all applications.
func (m *model) contracts() []registry.Contract {
	var all []registry.Contract
	for _, a := range m.applications(m.t) {
		some, _, err := m.Store.ContractsByClient(context.Background(), a.Client(), registry.Page{})
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

// unsettled are the usages that are to be settled.
func (m *model) unsettled() []registry.Usage {
	all, next, err := m.Store.Unsettled(context.Background(), m.clock.Now().Add(time.Hour), registry.Page{Limit: 100})
	if err != nil || next != "" {
		m.t.Fatal(next, err)
	}
	return all
}

// strays are API keys that nothing says are there, at any instant. Two of one
// value there cannot be.
func (m *model) strays() []string {
	known := map[string]bool{}
	for _, c := range m.contracts() {
		known[c.UsageKey] = true
	}
	for _, u := range m.unsettled() {
		known[u.Value] = true
	}
	var wrong []string
	for _, k := range m.gateway.Keys() {
		if !known[k.Value] {
			wrong = append(wrong, fmt.Sprintf("API key %q is written down nowhere", k.Name))
		}
	}
	return wrong
}

// metered are contradictions between contracts and API keys when all is settled:
// an approved contract with a plan has one key, in that plan only.
func (m *model) metered() []string {
	var wrong []string
	for _, u := range m.unsettled() {
		wrong = append(wrong, fmt.Sprintf("not settled: %+v", u))
	}
	keys := map[string]usageplantest.Key{}
	for _, k := range m.gateway.Keys() {
		keys[k.Value] = k
	}
	plans := map[string]string{}
	for _, tier := range m.APIs[0].Tiers {
		plans[tier.Name] = tier.UsagePlan
	}
	for _, c := range m.contracts() {
		plan := plans[c.Tier]
		if c.Status != registry.Approved {
			plan = ""
		}
		k, ok := keys[c.UsageKey]
		delete(keys, c.UsageKey)
		if c.UsagePlan != plan || ok != (plan != "") || ok && (!k.Enabled || !slices.Equal(k.Plans, []string{plan})) {
			wrong = append(wrong, fmt.Sprintf("%s contract with tier %s has plan %q and key %+v", c.Status, c.Tier, c.UsagePlan, k))
		}
	}
	for _, k := range keys {
		wrong = append(wrong, fmt.Sprintf("API key of no contract: %+v", k))
	}
	return wrong
}

// reconciled reconciles when every lease has ended.
func (m *model) reconciled() []string {
	m.arrive()
	m.clock.Advance(4 * time.Minute)
	all, err := m.Reconcile(context.Background())
	wrong := m.problems(m.t)
	for range 2 { // what changes in the first is listed in the second
		if usages, err := m.SettleUsages(context.Background()); err != nil || len(usages.Left) > 0 {
			wrong = append(wrong, fmt.Sprintf("usages: %v, %v", usages.Left, err))
		}
		m.clock.Advance(time.Second)
	}
	wrong = append(wrong, m.metered()...)
	if err != nil || len(all.Left) > 0 {
		wrong = append(wrong, fmt.Sprintf("reconcile: %v, %v", all.Left, err))
	}
	if open, _, err := m.Store.Unfinished(context.Background(), m.clock.Now().Add(time.Hour), registry.Page{}); err != nil || len(open) > 0 {
		wrong = append(wrong, fmt.Sprintf("still open: %v, %v", open, err))
	}
	return wrong
}

// TestF18EveryClientHasARecordWhateverStopsHalfWay runs random interleavings of
// everything that changes clients, with processes that die at any step, lost
// requests and lost answers.
func TestF18EveryClientHasARecordWhateverStopsHalfWay(t *testing.T) {
	t.Parallel()
	n := *schedules
	if testing.Short() {
		n = min(n, 500)
	}
	for shard := range 4 {
		t.Run(fmt.Sprintf("shard %d", shard), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			m := &model{site: s, t: t, random: rand.New(rand.NewPCG(*seed, uint64(shard)))}
			s.line.around = m.around
			s.NewID = func() string { return fmt.Sprintf("%013x%013x", m.random.Uint64()>>12, m.random.Uint64()>>12) }
			for i := range n / 4 {
				if !m.run() {
					t.Fatalf("schedule %d with -seed=%d", i, *seed)
				}
			}
		})
	}
}
