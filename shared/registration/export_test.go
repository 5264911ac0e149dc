package registration

import (
	"maps"
	"slices"
)

// Patterns returns what [Service.Handler] has routes for.
func (s *Service) Patterns() []string { return slices.Sorted(maps.Keys(s.routes())) }
