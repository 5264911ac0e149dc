package clientdoc

// What fuzz tests call without a server.
var (
	Parse    = parse
	Lifetime = lifetime
)

// Bounds of [Lifetime].
const (
	MinAge = minAge
	MaxAge = maxAge
)

// Kept is how many documents a Fetcher remembers.
const Kept = kept

// Flights returns how many documents are being fetched.
func (f *Fetcher) Flights() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.flights)
}
