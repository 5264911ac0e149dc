package authorizer

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"gatehouse/shared/registry"
)

// mostOfContracts is how much memory contracts take, however many were seen.
const mostOfContracts = 6 << 20 // bytes

func TestMemoryOf100000Contracts(t *testing.T) { //nolint:paralleltest // the memory of others would count
	read := func(_ context.Context, k registry.ContractKey) (registry.Contract, error) {
		return registry.Contract{ApplicationID: "application-of-" + k.ClientID, Tier: "gold", Status: registry.Approved}, nil
	}
	known, err := newContracts(read, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	for n := range 100_000 {
		key := registry.ContractKey{Provider: "okta", ClientID: fmt.Sprintf("0oabcdefgh%010d", n), API: "orders"}
		if _, err := known.find(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	used := heap() - before
	t.Logf("%d bytes", used)
	if used > mostOfContracts {
		t.Errorf("got %d bytes; want at most %d", used, mostOfContracts)
	}
	runtime.KeepAlive(known)
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first found to be finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
