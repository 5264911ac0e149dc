package policy

import (
	"strings"
	"sync"
)

// cacheSize is how many documents each of the two halves of a [cache] keeps. A
// function serves few stages and few kinds of callers.
const cacheSize = 128

// cache keeps rendered documents. When the young half is full it becomes the
// old one, so that what is used stays and what is not goes.
type cache struct {
	mu         sync.Mutex // guards young and old
	young, old map[cacheKey]*document
}

type cacheKey struct {
	prefix string
	grant  Grant
	alone  int // the only route the document is about, 0 for all of them
}

func (c *cache) get(k cacheKey) *document {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.young[k]
	if d == nil {
		if d = c.old[k]; d != nil {
			c.add(k, d)
		}
	}
	return d
}

func (c *cache) put(k cacheKey, d *document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(k, d)
}

// add needs mu.
func (c *cache) add(k cacheKey, d *document) {
	if c.young == nil || len(c.young) >= cacheSize {
		c.young, c.old = map[cacheKey]*document{}, c.young
	}
	k.prefix = strings.Clone(k.prefix) // it may be a part of a whole event
	c.young[k] = d
}
