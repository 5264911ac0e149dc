package token

import (
	"context"
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Cache remembers verified tokens by the SHA-256 of the whole token, so that a
// token that comes again costs a hash instead of a signature or a call. It is
// bounded and forgets the least recently used. The zero Cache and nil remember
// nothing. It is safe for concurrent use.
type Cache struct {
	entries *lru.Cache[Digest, entry]
}

// Digest identifies a token without being one.
type Digest [sha256.Size]byte

// DigestOf returns the digest of a whole token.
func DigestOf(raw string) Digest {
	var room [2 << 10]byte // longer tokens are rare, and may cost an allocation
	return sha256.Sum256(append(room[:0], raw...))
}

type entry struct {
	facts *Facts
	keys  *KeySet
	until int64 // Unix nanoseconds of the wall clock
}

// NewCache returns a cache of size entries; none when size is 0.
func NewCache(size int) (*Cache, error) {
	if size <= 0 {
		return &Cache{}, nil
	}
	entries, err := lru.New[Digest, entry](size)
	if err != nil {
		return nil, err
	}
	return &Cache{entries: entries}, nil
}

// Put remembers facts until the given time, or until they expire if that is
// sooner. Facts without an expiry are not remembered. keys is the set that
// vouches for them, nil for introspected tokens.
func (c *Cache) Put(d Digest, facts *Facts, keys *KeySet, until time.Time) {
	if c == nil || c.entries == nil || facts.Expires.IsZero() {
		return
	}
	c.entries.Add(d, entry{facts: facts, keys: keys, until: min(until.UnixNano(), facts.Expires.UnixNano())})
}

// Get returns what was put, as long as its time has not come and the key that
// signed it is still in the issuer's set.
func (c *Cache) Get(ctx context.Context, d Digest, now time.Time) (*Facts, bool) {
	if c == nil || c.entries == nil {
		return nil, false
	}
	e, ok := c.entries.Get(d)
	if !ok {
		return nil, false
	}
	if now.UnixNano() >= e.until || e.keys != nil && !e.keys.Trusts(ctx, e.facts.key) {
		c.entries.Remove(d)
		return nil, false
	}
	return e.facts, true
}
