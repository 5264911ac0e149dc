package token_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/token"
)

// mostRemembered is how much memory a remembered token of 600 bytes of claims
// takes, in bytes: a cache of 10,000 is 20 MB.
const mostRemembered = 2 << 10

func TestMemoryOf10000RememberedTokens(t *testing.T) { //nolint:paralleltest // the memory of others would count
	const tokens, seen = 10_000, 15_000
	s := signerFor(t, "EdDSA")
	i := issuer(t, s)
	c := newCache(t, tokens)
	before := heap()
	for n := range seen {
		padded := fmt.Sprintf(`{"n":%d,"note":%q,`, n, strings.Repeat("n", 400))
		raw := s.sign(t, s.header(), strings.Replace(goodClaims, "{", padded, 1))
		facts, err := judge(t, i, raw)
		if err != nil {
			t.Fatal(err)
		}
		c.Put(token.DigestOf(raw), facts, i.Keys, now().Add(time.Minute))
	}
	each := int(heap()-before) / tokens
	t.Logf("%d bytes for each", each)
	if each > mostRemembered {
		t.Errorf("got %d bytes for each remembered token; want at most %d", each, mostRemembered)
	}
	runtime.KeepAlive(c)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first found to be finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
