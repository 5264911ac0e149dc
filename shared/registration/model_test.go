package registration_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
)

var (
	schedules = flag.Int("schedules", 10_000, "how many schedules the model test runs")
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

// operation runs one of everything that can happen.
func (m *model) operation(depth int) {
	if m.random.IntN(4) == 0 {
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
	n := m.random.IntN(12)
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
		what += "request access " + a.ID
		_, err = m.RequestAccess(ctx, ada, a.ID, registration.Access{API: "orders", Tier: "gold"})
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
	m.made, m.trace, m.faulty = map[string]map[string]time.Time{}, nil, true
	var wrong []string
	for range 4 + m.random.IntN(8) {
		m.operation(0)
		if wrong = m.problems(m.t); wrong != nil {
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
	return wrong
}

// reconciled reconciles when every lease has ended.
func (m *model) reconciled() []string {
	m.clock.Advance(4 * time.Minute)
	all, err := m.Reconcile(context.Background())
	wrong := m.problems(m.t)
	if err != nil || len(all.Left) > 0 {
		wrong = append(wrong, fmt.Sprintf("reconcile: %v, %v", all.Left, err))
	}
	if open, _, err := m.Store.Unfinished(context.Background(), m.clock.Now().Add(time.Hour), registry.Page{}); err != nil || len(open) > 0 {
		wrong = append(wrong, fmt.Sprintf("still open: %v, %v", open, err))
	}
	return wrong
}

// TestEveryClientHasARecordWhateverStopsHalfWay runs random interleavings of
// everything that changes clients, with processes that die at any step, lost
// requests and lost answers.
func TestEveryClientHasARecordWhateverStopsHalfWay(t *testing.T) {
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
