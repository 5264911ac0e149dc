package gateway

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxCached bounds the cache; API Gateway's own bound is not documented.
const maxCached = 10_000

// cache keeps answers of authorizers, allowing and refusing alike. Its zero
// value is ready. There is one per gateway, so that API and stage need not be
// part of its keys.
type cache struct {
	mu      sync.Mutex // guards the fields below
	answers map[string]cached
}

type cached struct {
	answer *answer
	until  time.Time
}

// cacheKey joins the parts of a key so that no two lists give the same.
func cacheKey(authorizer string, identity []string) string {
	var b strings.Builder
	b.WriteString(authorizer)
	for _, v := range identity {
		b.WriteByte(0)
		b.WriteString(strconv.Itoa(len(v)))
		b.WriteByte(0)
		b.WriteString(v)
	}
	return b.String()
}

func (c *cache) get(key string, now time.Time) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.answers[key]
	if !ok || !now.Before(entry.until) {
		return nil
	}
	return entry.answer
}

func (c *cache) put(key string, a *answer, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil || len(c.answers) >= maxCached {
		c.answers = map[string]cached{}
	}
	c.answers[key] = cached{a, until}
}
