package gateway

import (
	"slices"
	"sync"
	"time"

	"gatehouse/infra/local/samtemplate"
)

// meters measure requests by API key. The zero value is ready.
type meters struct {
	mu    sync.Mutex        // guards the fields below
	byKey map[string]*meter // by the key's value
}

// meter is what one key has used of its plan. Where a quota's period begins is
// not documented; here with the first request.
type meter struct {
	tokens float64 // requests that may come at once
	at     time.Time
	used   int // since
	since  time.Time
}

// meter returns why q, which has been authorized, exceeds its usage plan, or has
// none.
func (g *Gateway) meter(q *request) *refusal {
	if !q.route.APIKey {
		return nil
	}
	value := q.header.Get("X-Api-Key")
	if g.api.KeyFromAuthorizer {
		value = ""
		if q.grant != nil {
			value = q.grant.usageKey
		}
	}
	plan := g.planOf(value)
	if plan == nil {
		g.trace.step(q, "the request has no API key of a usage plan of this stage")
		return &invalidKey
	}
	g.trace.step(q, "it counts by an API key of the usage plan %s", plan.ID)
	refused := g.meters.take(plan, value, q.at)
	if refused != nil {
		g.trace.step(q, "the usage plan refuses it: %s", refused.message)
	}
	return refused
}

// planOf returns the usage plan of the stage that a key is in, nil for none.
func (g *Gateway) planOf(value string) *samtemplate.UsagePlan {
	if value == "" {
		return nil
	}
	elsewhere := ""
	if g.cfg.KeyPlan != nil {
		elsewhere = g.cfg.KeyPlan(value)
	}
	for i := range g.api.UsagePlans {
		plan := &g.api.UsagePlans[i]
		if elsewhere != "" && plan.ID == elsewhere ||
			slices.ContainsFunc(plan.Keys, func(k samtemplate.APIKey) bool { return k.Value == value && !k.Disabled }) {
			return plan
		}
	}
	return nil
}

// take takes one request from what a key may.
func (m *meters) take(plan *samtemplate.UsagePlan, key string, now time.Time) *refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.byKey[key]
	if one == nil {
		if m.byKey == nil {
			m.byKey = map[string]*meter{}
		}
		one = &meter{tokens: float64(plan.Burst), at: now, since: now}
		m.byKey[key] = one
	}
	if plan.Burst > 0 {
		one.tokens = min(float64(plan.Burst), one.tokens+plan.Rate*now.Sub(one.at).Seconds())
		one.at = now
		if one.tokens < 1 {
			return &throttled
		}
	}
	if plan.Quota > 0 {
		if !now.Before(one.since.Add(period(plan.Period))) {
			one.used, one.since = 0, now
		}
		if one.used >= plan.Quota {
			return &quotaExceeded
		}
	}
	one.tokens--
	one.used++
	return nil
}

// period is how long a quota's period is.
func period(name string) time.Duration {
	const day = 24 * time.Hour
	switch name {
	case "DAY":
		return day
	case "WEEK":
		return 7 * day
	default:
		return 30 * day
	}
}
