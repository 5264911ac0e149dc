package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/config"
	"gatehouse/shared/standin"
)

const (
	developers = 50
	perPerson  = 4
)

// TestManyDevelopersAndAProviderThatFails has many register at once at a provider
// that fails a fifth of the time, in every way there is. When it is over, each
// client has its record, each record its client, and each developer what they
// were told they have.
func TestManyDevelopersAndAProviderThatFails(t *testing.T) {
	t.Parallel()
	clock := new(demoClock)
	sys := serving(t, options{files: repositoryFiles(), now: clock.now})
	ctx := t.Context()
	wires := &http.Transport{MaxIdleConnsPerHost: developers}
	t.Cleanup(wires.CloseIdleConnections) // those that nothing was sent on keep a server from stopping
	s := &story{system: sys, out: io.Discard, client: &http.Client{Transport: wires}}
	d := &developersAtWork{t: t, sys: sys, client: s.client, token: s.token(ctx, grant{id: developerID, secret: developerSecret, scope: config.ScopeApplications}), told: map[string]bool{}}
	others := len(sys.standin.Registered("")) // who was there before

	var all sync.WaitGroup
	for n := range developers {
		all.Go(func() { d.work(ctx, n) })
	}
	over, broken := make(chan struct{}), make(chan struct{})
	go func() { defer close(broken); spoil(sys.standin, over) }()
	all.Wait()
	close(over)
	<-broken
	sys.standin.Mend()
	for range 12 { // what was interrupted is taken over when its lease is over, and not all at once
		clock.ahead.Add(int64(10 * time.Minute))
		if _, err := sys.invoke(ctx, reconcilerFunction, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}

	d.token = s.token(ctx, grant{id: developerID, secret: developerSecret, scope: config.ScopeApplications}) // the other has expired
	active := d.listed(ctx)
	clients := map[string]bool{}
	for _, c := range sys.standin.Registered("")[others:] {
		clients[c.ID] = true
		if !active[c.ID] {
			t.Errorf("client %s, %q, has no record", c.ID, c.Name)
		}
	}
	for id := range active {
		if !clients[id] {
			t.Errorf("the record of %s has no client", id)
		}
	}
	for id := range d.told {
		if !active[id] {
			t.Errorf("a developer was told of %s, and it is gone", id)
		}
	}
	if len(d.told) < developers || d.failed.Load() == 0 {
		t.Errorf("%d applications, %d failures: that is no trial", len(d.told), d.failed.Load())
	}
	tooltest.Count(t, "faults survived: applications registered at a provider that fails", int64(len(d.told)))
	tooltest.Count(t, "faults survived: its failures on the way", d.failed.Load())
}

// spoil has the provider fail a fifth of the time.
func spoil(s *standin.Server, over <-chan struct{}) {
	faults := []standin.Fault{
		{Status: 500}, {Status: 503}, {Status: 429, Header: map[string]string{"Retry-After": "1"}},
		{Cut: standin.BeforeHeaders}, {Cut: standin.AfterEffect}, {Cut: standin.AfterHeaders}, {Status: 201, Body: standin.Garbage},
	}
	for n := 0; ; n++ {
		select {
		case <-over:
			return
		case <-time.After(8 * time.Millisecond):
		}
		s.Break(standin.Clients, faults[n%len(faults)])
		time.Sleep(2 * time.Millisecond)
		s.Mend()
	}
}

// developersAtWork are many people with one token.
type developersAtWork struct {
	t      *testing.T
	sys    *system
	client *http.Client
	token  string
	failed atomic.Int64

	mu   sync.Mutex      // guards told
	told map[string]bool // client ids that somebody was told of
}

// work registers some applications. What fails is tried again, with the same key.
func (d *developersAtWork) work(ctx context.Context, who int) {
	for n := range perPerson {
		name := fmt.Sprintf("application %d of %d", n, who)
		body := strings.Replace(requestAccess, "My reports", name, 1)
		for range 30 {
			status, answer := d.send(ctx, http.MethodPost, "/applications", body, "key of "+name)
			var made application
			if status == http.StatusCreated && json.Unmarshal(answer, &made) == nil {
				d.mu.Lock()
				d.told[made.ClientID] = true
				d.mu.Unlock()
				break
			}
			d.failed.Add(1)
			if status < 500 && status != http.StatusConflict && status != http.StatusTooManyRequests {
				d.t.Errorf("%s: got %d %s", name, status, answer)
				return
			}
			wait(ctx, time.Duration(10+rand.IntN(40))*time.Millisecond)
		}
	}
}

// listed are the clients of the applications that are active, by id.
func (d *developersAtWork) listed(ctx context.Context) map[string]bool {
	active := map[string]bool{}
	for cursor := ""; ; {
		status, answer := d.send(ctx, http.MethodGet, "/applications?cursor="+cursor, "", "")
		var part struct {
			Applications []struct {
				ClientID string `json:"client_id"`
				State    string `json:"state"`
			} `json:"applications"`
			Next string `json:"next"`
		}
		if err := json.Unmarshal(answer, &part); err != nil || status != http.StatusOK {
			d.t.Fatalf("got %d %s", status, answer)
		}
		for _, a := range part.Applications {
			if a.State != "active" {
				d.t.Errorf("%s is %s after all", a.ClientID, a.State)
			}
			active[a.ClientID] = true
		}
		if cursor = part.Next; cursor == "" {
			return active
		}
	}
}

func (d *developersAtWork) send(ctx context.Context, method, path, body, key string) (int, []byte) {
	req, err := http.NewRequestWithContext(ctx, method, d.sys.Own+path, strings.NewReader(body))
	if err != nil {
		d.t.Error(err)
		return 0, nil
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		d.t.Error(err)
		return 0, nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Error(err)
	}
	return resp.StatusCode, answer
}
