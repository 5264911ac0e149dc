// Package registry keeps what Gatehouse knows of clients: applications, their
// contracts with APIs, what people allowed them (grants), what is being done at
// a provider right now (intents), answers that may be asked for again (claims
// and answers), and who did what (audits). It holds the rules that keep these
// together and two places to keep them in: [Dynamo], a DynamoDB table, and
// [Embedded], a file or nothing but memory.
//
// Whatever is done at a provider is written down first. An intent is begun,
// the provider is called, and one transaction records the outcome; a crash in
// between leaves an intent that [Store.Unfinished] finds. An application that
// is being deleted stays, marked, until its client is gone.
//
// The package calls no provider and speaks no HTTP. It refuses to keep a
// secret: where others would, it takes an HMAC or bytes that the caller has
// sealed. It never scans; every list is one partition of one index.
package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Why an operation was refused. All but ErrUnavailable and ErrCorrupt are the
// final answer of the store, which is then unchanged.
var (
	ErrNotFound    = errors.New("registry: not found")
	ErrConflict    = errors.New("registry: exists already")
	ErrStale       = errors.New("registry: changed since it was read")
	ErrInProgress  = errors.New("registry: someone else is at it")
	ErrTransition  = errors.New("registry: not allowed in this state")
	ErrMismatch    = errors.New("registry: the idempotency key was used for another request")
	ErrCursor      = errors.New("registry: the cursor is not one of this list")
	ErrInvalid     = errors.New("registry: invalid")
	ErrCorrupt     = errors.New("registry: corrupt record")
	ErrUnavailable = errors.New("registry: the store does not answer") // the change may or may not have been made
)

// Store is the registry. Get one from [Dynamo.Open] or [Embedded.Open]. It is
// safe for concurrent use.
type Store struct {
	backend backend
	now     func() time.Time
}

// Close lets go of what the store holds. It must not be used afterwards.
func (s *Store) Close() error { return s.backend.close() }

// clock is the wall clock: the monotonic one stands still in a frozen Lambda.
func (s *Store) clock() time.Time { return s.now().UTC().Round(0) }

// NewID returns a random identifier of 26 lower-case letters and digits, fit
// for applications, markers and attempts. It never looks like a URL.
func NewID() string { return strings.ToLower(rand.Text()) }

// Limits of lists.
const (
	defaultPage = 50
	maxPage     = 100
)

// Page asks for a part of a list.
type Page struct {
	After string // the cursor that came with the part before; "": from the start
	Limit int    // records at most; 0: 50; above 100: 100
}

func (p Page) limit() int {
	if p.Limit <= 0 {
		return defaultPage
	}
	return min(p.Limit, maxPage)
}

// list returns a page of one partition.
func list[T any](ctx context.Context, s *Store, q query, page Page, decode func(record) (T, error)) ([]T, string, error) {
	if page.After != "" {
		at, err := parseCursor(page.After, q.name())
		if err != nil {
			return nil, "", err
		}
		q.after = at.sort
	}
	if !(key{partition: q.partition}).usable() {
		return nil, "", nil
	}
	q.limit = page.limit()
	records, more, err := s.backend.query(ctx, q)
	if err != nil {
		return nil, "", err
	}
	all := make([]T, 0, len(records))
	for _, r := range records {
		one, err := decode(r)
		if err != nil {
			return nil, "", err
		}
		all = append(all, one)
	}
	if !more || len(records) == 0 {
		return all, "", nil
	}
	return all, position{sort: q.keyOf(records[len(records)-1]).sort}.cursor(q.name()), nil
}

// overdue returns a page of what entered the due index before a time, shard by
// shard. The index tells only keys and may lag; each record is read as it is
// now, and those that read refuses with ErrNotFound are left out. A page may
// therefore be short, or empty with a cursor.
func overdue[T any](ctx context.Context, s *Store, due dueList, page Page, read func(key) (T, error)) ([]T, string, error) {
	at := position{}
	if page.After != "" {
		var err error
		if at, err = parseCursor(page.After, due.kind); err != nil {
			return nil, "", err
		}
	}
	var all []T
	for seen := 0; at.shard < shards; at = (position{shard: at.shard + 1}) {
		q := query{index: dueIndex, partition: shardKey(due.kind, at.shard), after: at.sort,
			before: sortTime(due.before), limit: page.limit() - seen}
		records, more, err := s.backend.query(ctx, q)
		if err != nil {
			return nil, "", err
		}
		for _, r := range records {
			one, err := read(r.key)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, "", err
			}
			all = append(all, one)
		}
		seen += len(records)
		switch {
		case more && len(records) > 0:
			return all, position{shard: at.shard, sort: q.keyOf(records[len(records)-1]).sort}.cursor(due.kind), nil
		case seen >= page.limit() && at.shard+1 < shards:
			return all, position{shard: at.shard + 1}.cursor(due.kind), nil
		}
	}
	return all, "", nil
}

// dueList is the part of the due index that holds one kind of record, up to a
// time that is not included.
type dueList struct {
	kind   string
	before time.Time
}

// hexHash reports an error unless text is 64 hexadecimal digits. It keeps a
// secret from being stored in the place of its HMAC.
func hexHash(member, text string) error {
	if len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "" {
		return nil
	}
	return fmt.Errorf("%w: %s is not the 64 lower-case hexadecimal digits of a SHA-256 or HMAC", ErrInvalid, member)
}

// noneOrHexHash is hexHash for a member that may be empty.
func noneOrHexHash(member, text string) error {
	if text == "" {
		return nil
	}
	return hexHash(member, text)
}
