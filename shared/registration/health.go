package registration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"gatehouse/shared/apigw"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/web"
)

// healthLife is how long what was found out about the providers is told again.
const healthLife = 30 * time.Second

// healths is what was found out last.
type healths struct {
	mu    sync.Mutex // held while looking: one look at a time
	at    time.Time
	known map[string]registry.Health // by provider
}

// CheckProviders looks at every provider, at once, and keeps what it finds.
// Looking is also what keeps Okta's administrator token alive.
func (s *Service) CheckProviders(ctx context.Context) (map[string]registry.Health, error) {
	found := make([]registry.Health, len(s.Providers))
	errs := make([]error, len(s.Providers))
	var wg sync.WaitGroup
	for n, p := range s.Providers {
		wg.Go(func() { found[n], errs[n] = s.checkProvider(ctx, p) })
	}
	wg.Wait()
	all := map[string]registry.Health{}
	for n, p := range s.Providers {
		all[p.Name] = found[n]
	}
	return all, errors.Join(errs...)
}

// checkProvider looks at one provider. When everything was last well is kept
// from look to look.
func (s *Service) checkProvider(ctx context.Context, p *provider.Provider) (registry.Health, error) {
	h := registry.Health{Checks: p.Health(ctx), Checked: s.now().UTC().Round(0), LastOK: map[string]time.Time{}}
	was, err := s.Store.Health(ctx, p.Name)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return h, fmt.Errorf("registration: health of %s: %w", p.Name, err)
	}
	maps.Copy(h.LastOK, was.LastOK)
	for name, word := range h.Checks {
		if word == provider.Healthy {
			h.LastOK[name] = h.Checked
		}
	}
	if err := s.Store.SaveHealth(ctx, p.Name, h); err != nil {
		return h, fmt.Errorf("registration: health of %s: %w", p.Name, err)
	}
	return h, nil
}

// health is CheckProviders, not oftener than every half minute.
func (s *Service) health(ctx context.Context) (map[string]registry.Health, error) {
	s.healths.mu.Lock()
	defer s.healths.mu.Unlock()
	if age := s.now().Round(0).Sub(s.healths.at); s.healths.known != nil && age >= 0 && age < healthLife {
		return s.healths.known, nil
	}
	found, err := s.CheckProviders(ctx)
	if err != nil {
		return found, err // what was found is true all the same
	}
	s.healths.known, s.healths.at = found, s.now().Round(0)
	return found, nil
}

// providerAnswer is what a provider can do and, for administrators, how it is.
type providerAnswer struct {
	Name      string `json:"name"`
	Registers bool   `json:"registers_clients"`
	Update    bool   `json:"updates_clients"`
	Rotate    bool   `json:"rotates_secrets"`
	Two       bool   `json:"two_secrets"`

	Health  map[string]healthAnswer `json:"health,omitempty"`
	Checked time.Time               `json:"checked,omitzero"`
}

type healthAnswer struct {
	Status string    `json:"status"`
	LastOK time.Time `json:"last_ok,omitzero"`
	Advice string    `json:"advice,omitempty"`
}

// advice is what to do about a check that failed.
func advice(check, word string) string {
	switch {
	case word == provider.Refused && check == "introspection":
		return "renew client_id and client_secret in the provider's secret"
	case word == provider.Refused:
		return "renew authorization in the provider's adminSecret, and see that its owner may manage clients"
	case word == provider.Unavailable && check == "keys":
		return "see that the provider's jwks_uri answers with keys of the configured algorithms"
	case word == provider.Unavailable:
		return "see that the provider answers, and that issuer and endpoints in gatehouse.yaml are right"
	default:
		return ""
	}
}

func (s *Service) listProviders(w http.ResponseWriter, r *http.Request, c Caller) error {
	known := map[string]registry.Health{}
	if c.Admin {
		var err error
		if known, err = s.health(r.Context()); err != nil {
			apigw.Log(r.Context(), slog.String("health", err.Error()))
		}
	}
	all := make([]providerAnswer, len(s.Providers))
	for n, p := range s.Providers {
		can, h := p.Capabilities(), known[p.Name]
		all[n] = providerAnswer{
			Name: p.Name, Registers: can.Create && can.Delete, Update: can.Update, Rotate: can.Rotate, Two: can.TwoSecrets, Checked: h.Checked,
		}
		for check, word := range h.Checks {
			if all[n].Health == nil {
				all[n].Health = map[string]healthAnswer{}
			}
			all[n].Health[check] = healthAnswer{Status: word, LastOK: h.LastOK[check], Advice: advice(check, word)}
		}
	}
	web.JSON(w, http.StatusOK, map[string]any{"providers": all})
	return nil
}
