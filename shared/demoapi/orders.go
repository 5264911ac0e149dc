package demoapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"gatehouse/shared/strictjson"
)

const (
	maxOrders   = 100
	maxBody     = 64 << 10
	maxItem     = 100 // characters
	maxQuantity = 1000
)

// order is one order.
type order struct {
	ID       string `json:"id"`
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

// orders is the state of one API.
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

func (o *orders) list(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, struct {
		Orders []order `json:"orders"`
		Caller *caller `json:"caller,omitempty"`
	}{o.snapshot(), callerOf(r)})
}

// oneOrder is the answer of the routes that concern one order.
type oneOrder struct {
	Order  order   `json:"order"`
	Caller *caller `json:"caller,omitempty"`
}

func (o *orders) read(w http.ResponseWriter, r *http.Request) {
	all := o.snapshot()
	i := slices.IndexFunc(all, func(x order) bool { return x.ID == r.PathValue("id") })
	if i < 0 {
		refuse(w, http.StatusNotFound, "there is no such order; GET /orders lists them")
		return
	}
	answer(w, http.StatusOK, oneOrder{all[i], callerOf(r)})
}

func (o *orders) create(w http.ResponseWriter, r *http.Request) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "send the order as application/json")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "an order has at most 64 KiB")
		return
	}
	item, quantity, err := parseOrder(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	added := o.add(item, quantity)
	// Relative: the backend does not know the stage in front of its path.
	w.Header().Set("Location", "orders/"+added.ID)
	answer(w, http.StatusCreated, oneOrder{added, callerOf(r)})
}

// parseOrder reads {"item": "…", "quantity": 1}. Its errors are for the caller.
func parseOrder(body []byte) (item string, quantity int, err error) {
	var unknown bool
	d := strictjson.NewDecoder(body, strictjson.Rules{Depth: 8, Members: 16})
	err = d.Object(func(name []byte) error {
		switch string(name) {
		case "item":
			text, err := d.String()
			item = string(text)
			return err
		case "quantity":
			number, err := d.Number()
			if err == nil {
				quantity, err = strconv.Atoi(string(number))
			}
			return err
		default:
			unknown = true
			return d.Skip()
		}
	})
	if err == nil {
		err = d.End()
	}
	switch {
	case err != nil:
		return "", 0, errors.New(`the body is not an order such as {"item": "lantern", "quantity": 2}`)
	case unknown:
		return "", 0, errors.New("an order has the members item and quantity, and no others")
	case item == "" || utf8.RuneCountInString(item) > maxItem:
		return "", 0, fmt.Errorf("item has 1 to %d characters", maxItem)
	case quantity < 1 || quantity > maxQuantity:
		return "", 0, fmt.Errorf("quantity is an integer from 1 to %d", maxQuantity)
	}
	return item, quantity, nil
}

// admin is every method of every path below /admin.
func (o *orders) admin(w http.ResponseWriter, r *http.Request) {
	all := o.snapshot()
	quantity := 0
	for _, x := range all {
		quantity += x.Quantity
	}
	answer(w, http.StatusOK, struct {
		Page     string  `json:"page"`
		Method   string  `json:"method"`
		Orders   int     `json:"orders"`
		Quantity int     `json:"quantity"`
		Caller   *caller `json:"caller,omitempty"`
	}{r.PathValue("proxy"), r.Method, len(all), quantity, callerOf(r)})
}
