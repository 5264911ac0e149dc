package registry_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/shared/registry"
)

// tripper stands between the store and DynamoDB Local.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func openThrough(t *testing.T, table string, f tripper) *registry.Store {
	t.Helper()
	return openTable(t, registry.Dynamo{Table: table, HTTP: &http.Client{Transport: f}, Timeout: time.Minute})
}

func isOperation(r *http.Request, operation string) bool {
	return strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+operation)
}

// lostResponses breaks the connection after DynamoDB has done what it was asked
// for: every request of an operation once, then its repetition goes through.
func lostResponses(t *testing.T) {
	for _, operation := range []string{"PutItem", "TransactWriteItems", "DeleteItem", "GetItem", "Query"} {
		var mu sync.Mutex // guards lost
		lost := map[string]bool{}
		fill(t, openThrough(t, newTable(t), func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil || !isOperation(r, operation) {
				return resp, err
			}
			mu.Lock()
			defer mu.Unlock()
			if lost[string(body)] {
				return resp, nil
			}
			lost[string(body)] = true
			_ = resp.Body.Close()
			return nil, io.ErrUnexpectedEOF
		}))
		if len(lost) == 0 {
			t.Errorf("no response of %s was lost", operation)
		}
	}
}

// contention answers transactions as DynamoDB does while others are at their
// items.
func contention(t *testing.T) {
	for name, row := range map[string]struct {
		times, asked int32
		want         error
	}{
		"once: asked again":    {1, 2, nil},
		"for good: four times": {99, 4, registry.ErrInProgress},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			s := openThrough(t, newTable(t), func(r *http.Request) (*http.Response, error) {
				if !isOperation(r, "TransactWriteItems") || asked.Add(1) > row.times {
					return http.DefaultTransport.RoundTrip(r)
				}
				return &http.Response{
					StatusCode: http.StatusBadRequest, Request: r,
					Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
					Body: io.NopCloser(strings.NewReader(`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
						"CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"}]}`)),
				}, nil
			})
			i, err := s.Begin(t.Context(), registry.Intent{
				Marker: "m", Operation: registry.Create, Attempt: "a", Lease: time.Now().Add(time.Minute),
				Application: registry.Application{ID: "id", Kind: registry.Developer, Provider: "okta"},
			})
			if err != nil {
				t.Fatal(err)
			}
			i.Application.ClientID = "client"
			err = s.Complete(t.Context(), registry.Completion{Intent: i, Outcome: registry.Done})
			if !errors.Is(err, row.want) || asked.Load() != row.asked {
				t.Errorf("got %v after %d requests, want %v after %d", err, asked.Load(), row.want, row.asked)
			}
		})
	}
}

// laggingIndex ends an intent between the answer of the index and what is made
// of it.
func laggingIndex(t *testing.T) {
	table := newTable(t)
	direct := openTable(t, registry.Dynamo{Table: table, Timeout: time.Minute})
	i, err := direct.Begin(t.Context(), registry.Intent{
		Marker: "m", Operation: registry.Create, Attempt: "a", Lease: time.Now().Add(time.Minute),
		Application: registry.Application{ID: "id", Kind: registry.Developer, Provider: "okta"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	s := openThrough(t, table, func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil || !isOperation(r, "Query") {
			return resp, err
		}
		body, err := io.ReadAll(resp.Body)
		if err == nil && bytes.Contains(body, []byte("INTENT#m")) {
			ended = true
			err = direct.Complete(r.Context(), registry.Completion{Intent: i, Outcome: registry.Undone})
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return resp, err
	})
	got, next, err := s.Unfinished(t.Context(), time.Now().Add(time.Hour), registry.Page{})
	if err != nil || len(got) != 0 || next != "" || !ended {
		t.Errorf("got %v, %q, %v; want nothing, once the intent has ended (%t)", got, next, err, ended)
	}
}
