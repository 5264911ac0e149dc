package ordertools

import (
	"slices"
	"strconv"
	"sync"
)

// maxOrders keeps the memory of an instance from growing.
const maxOrders = 100

// order is one order.
type order struct {
	ID       string `json:"id"`
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

// orders are in memory: each instance of the function has its own, and they are
// lost with it.
type orders struct {
	mu   sync.Mutex
	all  []order // guarded by mu; oldest first
	next int     // guarded by mu; number of the next order
}

func newOrders() *orders {
	return &orders{next: 1004, all: []order{
		{ID: "1001", Item: "gate latch", Quantity: 2},
		{ID: "1002", Item: "lantern", Quantity: 12},
		{ID: "1003", Item: "visitor's book", Quantity: 1},
	}}
}

func (o *orders) snapshot() []order {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.all)
}

func (o *orders) get(id string) (order, error) {
	all := o.snapshot()
	n := slices.IndexFunc(all, func(x order) bool { return x.ID == id })
	if n < 0 {
		return order{}, errNoOrder
	}
	return all[n], nil
}

// add gives the order its number; the oldest order makes room for it.
func (o *orders) add(item string, quantity int) order {
	o.mu.Lock()
	defer o.mu.Unlock()
	added := order{ID: strconv.Itoa(o.next), Item: item, Quantity: quantity}
	o.next++
	if len(o.all) >= maxOrders {
		o.all = slices.Delete(o.all, 0, 1)
	}
	o.all = append(o.all, added)
	return added
}
