package broker

import (
	"maps"
	"slices"
)

// Patterns returns what [Server.Handler] has routes for.
func (s *Server) Patterns() []string { return slices.Sorted(maps.Keys(s.routes())) }
