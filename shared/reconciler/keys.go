package reconciler

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
)

// KeepKeys is the job that keeps the keys that providers publish now, for
// authorizers that start while a provider is down.
func KeepKeys(providers []*provider.Provider, store *registry.Store) Job {
	return Job{Name: "keys", Run: func(ctx context.Context) (counts map[string]int, notes []string, err error) {
		counts = map[string]int{"kept": 0, "unavailable": 0}
		var errs []error
		for _, p := range providers {
			if !p.Issuer.Keys.Remote() {
				continue // it is asked about every token, or its keys are packed
			}
			set, fetched, err := p.ExportKeys(ctx)
			if err != nil {
				counts["unavailable"]++
				notes = append(notes, p.Name+": "+err.Error())
				continue
			}
			if err := store.SaveKeys(ctx, p.Name, registry.Keys{Set: set, Fetched: fetched}); err != nil {
				errs = append(errs, fmt.Errorf("keys of %s: %w", p.Name, err))
				continue
			}
			counts["kept"]++
		}
		return counts, notes, errors.Join(errs...)
	}}
}
