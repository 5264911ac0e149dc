package registry

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits in bytes: keys a little shorter than DynamoDB's, so that a cursor may
// add to them, and records so small that the largest transaction stays below
// DynamoDB's 4 MB.
const (
	maxPartition = 2000
	maxSort      = 1000
	maxData      = 32 << 10
)

// shards is how many partitions of the due index one kind of record is spread
// over.
const shards = 8

// backend is a place to keep records in.
type backend interface {
	// get reads one record as it is now. The error is ErrNotFound when there is none.
	get(ctx context.Context, k key) (record, error)
	// query returns a page of one partition in the order of the sort key, and
	// whether there is more. An index may lag behind.
	query(ctx context.Context, q query) ([]record, bool, error)
	// write makes all changes or none. The error is ErrConflict or ErrStale when
	// a change found another state than it needs.
	write(ctx context.Context, changes []change) error
	close() error
}

// key is the primary key of a record, or its place in an index.
type key struct {
	partition, sort string
}

// usable reports whether the key can be that of a record.
func (k key) usable() bool {
	return len(k.partition) <= maxPartition && len(k.sort) <= maxSort &&
		utf8.ValidString(k.partition) && utf8.ValidString(k.sort)
}

// index names what a query reads.
type index int

const (
	table     index = iota
	listIndex       // whole records, by owner or by API and status
	dueIndex        // only keys, by time
)

// record is one item. Its version is random when it is new, so that a slow
// writer cannot take one that was removed and made again for what it read, and
// grows by one with every change.
type record struct {
	key     key
	list    key       // place in listIndex; zero: none
	due     key       // place in dueIndex; zero: none
	expires time.Time // may be dropped from then on; zero: never
	version int64
	data    []byte // JSON
}

// query asks for one partition.
type query struct {
	index     index
	partition string
	after     string // sort key of the last record of the page before
	before    string // sort keys from this one on are left out; "": none
	limit     int
}

// name is what a cursor of this list is bound to.
func (q query) name() string { return strconv.Itoa(int(q.index)) + q.partition }

// keyOf returns the place of r in the index that q reads.
func (q query) keyOf(r record) key {
	switch q.index {
	case listIndex:
		return r.list
	case dueIndex:
		return r.due
	default:
		return r.key
	}
}

// action is what a change does.
type action int

const (
	put    action = iota // write the record
	remove               // drop it; fine when it is gone already
	check                // only see that it is as expected
)

// change is one part of a write.
type change struct {
	action action
	record record
	was    int64 // the version it must have; 0: it must not be there; see also whatever
}

// whatever, as the version that a record must have, is any or none.
const whatever = -1

// create returns the change that adds r, which must not be there yet.
func create(r record) change { return change{action: put, record: r} }

// replace returns the change from version was to r.
func replace(r record, was int64) change { return change{action: put, record: r, was: was} }

// refusal is the error of a change that finds another state than it needs.
func (c change) refusal() error {
	kind, _, _ := strings.Cut(c.record.key.partition, "#")
	if kind == usageDue {
		return fmt.Errorf("%w: %w", ErrStale, errUsage)
	}
	if c.was == 0 {
		return fmt.Errorf("%w: %s", ErrConflict, strings.ToLower(kind))
	}
	return fmt.Errorf("%w: %s", ErrStale, strings.ToLower(kind))
}

// newRecord returns the record of v, one version after was, or the first if
// there was none.
func newRecord(k key, v any, was int64) (record, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return record{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(data) > maxData {
		return record{}, fmt.Errorf("%w: the record has %d bytes, which is more than %d", ErrInvalid, len(data), maxData)
	}
	if was <= 0 {
		was = firstVersion()
	}
	return record{key: k, data: data, version: was + 1}, nil
}

// firstVersion returns a random number that leaves room to count.
func firstVersion() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint64(b[:]) >> 12)
}

// valid reports an error when a key of the record is unusable.
func (r record) valid() error {
	for _, k := range []key{r.key, r.list, r.due} {
		if !k.usable() {
			return fmt.Errorf("%w: an identifier is too long or not UTF-8", ErrInvalid)
		}
	}
	return nil
}

// read returns a record as it is now.
func (s *Store) read(ctx context.Context, k key) (record, error) {
	if !k.usable() || k.sort == "" {
		return record{}, ErrNotFound
	}
	return s.backend.get(ctx, k)
}

// write makes all changes or none.
func (s *Store) write(ctx context.Context, changes ...change) error {
	for _, c := range changes {
		if err := c.record.valid(); err != nil {
			return err
		}
	}
	return s.backend.write(ctx, changes)
}

// tries is how often a change is tried when others change the same record.
const tries = 5

// insist repeats try, which reads and then writes, while others write in
// between. If they still do in the end, it is ErrInProgress.
func insist(what string, try func() error) error {
	var err error
	for range tries {
		if err = try(); !errors.Is(err, ErrStale) && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%w: the %s is contended: %w", ErrInProgress, what, err)
}

// decodeRecord reads the data of r into v.
func decodeRecord(r record, v any) error {
	if err := json.Unmarshal(r.data, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, r.key.partition, err)
	}
	return nil
}

// join makes one key of parts, none of which can run into the next.
func join(parts ...string) string {
	escaped := make([]string, len(parts))
	for n, part := range parts {
		escaped[n] = escape.Replace(part)
	}
	return strings.Join(escaped, "#")
}

var escape = strings.NewReplacer("%", "%25", "#", "%23")

// sortTime writes t so that the order of the texts is the order of the times.
func sortTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("20060102T150405.000000000Z")
}

// dueKey is the place of a record in the due index.
func dueKey(kind, id string, at time.Time) key {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return key{partition: shardKey(kind, int(h.Sum32()%shards)), sort: join(sortTime(at), id)}
}

func shardKey(kind string, shard int) string { return join(kind, strconv.Itoa(shard)) }
