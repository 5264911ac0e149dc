package standin

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// register is the clients there are: those the server was made with and those
// that were registered since.
type register struct {
	mu      sync.Mutex             // guards the fields below and what they point to
	byID    map[string]*registered // keyed by client ID
	deleted map[string]bool        // client IDs; their tokens are dead
	made    int                    // how many were ever registered
}

// registered is a client and what its vendor keeps beside it.
type registered struct {
	Client

	number   int            // in the order of registration; zero: the server was made with it
	metadata map[string]any // what was registered, by its RFC 7591 names
	issued   time.Time
	manage   string         // registration access token
	secrets  []clientSecret // where there can be several; nil: Client.Secret is the one
}

// clientSecret is one of several secrets of a client.
type clientSecret struct {
	id, value string
	active    bool
	created   time.Time
}

// get returns the client with this ID.
func (r *register) get(id string) (Client, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.byID[id]
	if !ok {
		return Client{}, false
	}
	return c.Client, true
}

// accepts reports whether secret is one that the client can use.
func (r *register) accepts(id, secret string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.byID[id]
	if !ok {
		return false
	}
	if c.secrets == nil {
		return equal(secret, c.Secret)
	}
	return slices.ContainsFunc(c.secrets, func(s clientSecret) bool { return s.active && equal(secret, s.value) })
}

// add registers c unless unique finds another like it.
func (r *register) add(c *registered, unique func(other *registered) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.byID {
		if unique(other) {
			return false
		}
	}
	r.made++
	c.number = r.made
	r.byID[c.ID] = c
	return true
}

// edit calls change with the client of this ID, if there is one, and returns
// what change says.
func (r *register) edit(id string, change func(*registered) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.byID[id]
	if !ok {
		return refusal{reason: noClient, detail: id}
	}
	return change(c)
}

// remove deletes a client and, with it, its tokens.
func (r *register) remove(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.byID[id]; !ok {
		return false
	}
	delete(r.byID, id)
	r.deleted[id] = true
	return true
}

func (r *register) isDeleted(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deleted[id]
}

// list returns copies of the clients whose names start with prefix, in the
// order of their registration.
func (r *register) list(prefix string) []registered {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []registered
	for _, c := range r.byID {
		if strings.HasPrefix(c.Name, prefix) {
			copied := *c
			copied.metadata = maps.Clone(c.metadata)
			found = append(found, copied)
		}
	}
	slices.SortFunc(found, func(a, b registered) int {
		if a.number != b.number {
			return a.number - b.number
		}
		return strings.Compare(a.ID, b.ID)
	})
	return found
}

// Registered returns the clients whose names start with prefix, in the order
// in which they were registered: for a test that asks whether any was left
// behind.
func (s *Server) Registered(prefix string) []Client {
	var clients []Client
	for _, c := range s.clients.list(prefix) {
		clients = append(clients, c.Client)
	}
	return clients
}

// text returns a string member of metadata.
func text(metadata map[string]any, name string) string {
	s, _ := metadata[name].(string)
	return s
}

// texts returns a member of metadata that is an array of strings, and whether
// it is one or absent.
func texts(metadata map[string]any, name string) ([]string, bool) {
	if metadata[name] == nil {
		return nil, true
	}
	values, ok := metadata[name].([]any)
	if !ok {
		return nil, false
	}
	out := []string{}
	for _, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

// anys returns values as encoding/json would decode them.
func anys(values []string) []any {
	out := make([]any, 0, len(values))
	for _, v := range values {
		out = append(out, v)
	}
	return out
}

// numbered returns an identifier of Okta's shape, different for every n.
func numbered(prefix, base string, n int) string {
	return oktaID(prefix, base+" "+strconv.Itoa(n))
}
