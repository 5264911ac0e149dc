package registration

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"gatehouse/shared/provider"
)

// This file is what has to be done on a schedule, as package reconciler runs it:
// each chore returns what it counted and what an operator should know.

// FinishInterrupted is [Service.Reconcile].
func (s *Service) FinishInterrupted(ctx context.Context) (counts map[string]int, notes []string, err error) {
	all, err := s.Reconcile(ctx)
	for _, left := range all.Left {
		notes = append(notes, fmt.Sprintf("%s %s at %s: %v", left.Intent.Operation, left.Intent.Marker, left.Intent.Application.Provider, left.Err))
	}
	return map[string]int{"finished": all.Finished, "undone": all.Undone, "left": len(all.Left)}, notes, err
}

// ReapUnused is [Service.Reap].
func (s *Service) ReapUnused(ctx context.Context) (counts map[string]int, notes []string, err error) {
	all, err := s.Reap(ctx)
	for _, left := range all.Left {
		notes = append(notes, fmt.Sprintf("application %s: %v", left.Application, left.Err))
	}
	return map[string]int{"deleted": all.Deleted, "kept": all.Kept, "left": len(all.Left)}, notes, err
}

// KeepUsagePlans is [Service.SettleUsages].
func (s *Service) KeepUsagePlans(ctx context.Context) (counts map[string]int, notes []string, err error) {
	all, err := s.SettleUsages(ctx)
	for _, left := range all.Left {
		notes = append(notes, fmt.Sprintf("%s of %s by %s: %v", left.Contract.API, left.Contract.Provider, left.Contract.ClientID, left.Err))
	}
	return map[string]int{"changed": all.Changed, "settled": all.Settled, "left": len(all.Left)}, notes, err
}

// LookAtProviders is [Service.CheckProviders].
func (s *Service) LookAtProviders(ctx context.Context) (counts map[string]int, notes []string, err error) {
	found, err := s.CheckProviders(ctx)
	counts = map[string]int{"healthy": 0, "unhealthy": 0}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		well := true
		for check, word := range found[name].Checks {
			if word != provider.Healthy && word != provider.Unknown {
				well = false
				notes = append(notes, fmt.Sprintf("%s: %s: %s", name, check, word))
			}
		}
		if well {
			counts["healthy"]++
		} else {
			counts["unhealthy"]++
		}
	}
	slices.Sort(notes)
	return counts, notes, err
}
