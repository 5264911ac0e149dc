package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// Embedded keeps a registry in memory and, if it has a path, in a JSON file:
// for laptops and tests. Every change writes the whole file, which is right for
// thousands of records and wrong for millions.
type Embedded struct {
	Path string           // "": memory only
	Now  func() time.Time // nil: time.Now
}

// Open returns the registry, read from the file if that exists. One process at
// a time may have the file open. A file that is not what this package wrote is
// refused, never replaced.
func (e Embedded) Open() (*Store, error) {
	if e.Now == nil {
		e.Now = time.Now
	}
	b := &embedded{path: e.Path, now: e.Now, records: map[key]record{}}
	if e.Path == "" {
		return &Store{backend: b, now: e.Now}, nil
	}
	lock, err := lockFile(e.Path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("registry: %s: %w", e.Path, err)
	}
	b.lock = lock
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("registry: %s: %w", e.Path, closeAfter(lock, err))
	}
	return &Store{backend: b, now: e.Now}, nil
}

// closeAfter closes f and returns err, the earlier error and the one that matters.
func closeAfter(f *os.File, err error) error {
	_ = f.Close()
	return err
}

type embedded struct {
	path string
	now  func() time.Time
	lock *os.File // nil: memory only

	mu      sync.RWMutex // guards records and the file
	records map[key]record
}

// document is the file.
type document struct {
	Format  int    `json:"gatehouse_registry"` // 1
	Records []item `json:"records"`
}

// item is a record in the file, in the terms of the table.
type item struct {
	Partition     string          `json:"pk"`
	Sort          string          `json:"sk"`
	ListPartition string          `json:"lpk,omitempty"`
	ListSort      string          `json:"lsk,omitempty"`
	DuePartition  string          `json:"dpk,omitempty"`
	DueSort       string          `json:"dsk,omitempty"`
	Expires       time.Time       `json:"ttl,omitzero"`
	Version       int64           `json:"v"`
	Data          json.RawMessage `json:"d"`
}

func (b *embedded) load() error {
	text, err := os.ReadFile(b.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var doc document
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil || d.More() || doc.Format != 1 {
		return fmt.Errorf("%w: the file is not a registry; restore it from a copy, or move it away to start anew", ErrCorrupt)
	}
	for _, i := range doc.Records {
		r := record{
			key:     key{i.Partition, i.Sort},
			list:    key{i.ListPartition, i.ListSort},
			due:     key{i.DuePartition, i.DueSort},
			expires: i.Expires,
			version: i.Version,
			data:    i.Data,
		}
		if _, twice := b.records[r.key]; twice || r.version < 1 || len(r.data) == 0 {
			return fmt.Errorf("%w: %s: damaged; restore the file from a copy", ErrCorrupt, r.key.partition)
		}
		b.records[r.key] = r
	}
	return nil
}

func (b *embedded) get(ctx context.Context, k key) (record, error) {
	if err := ctx.Err(); err != nil {
		return record{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	r, ok := b.records[k]
	if !ok {
		return record{}, ErrNotFound
	}
	return r, nil
}

func (b *embedded) query(ctx context.Context, q query) ([]record, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	var found []record
	for _, r := range b.records {
		at := q.keyOf(r)
		if at.partition == q.partition && at.sort > q.after && (q.before == "" || at.sort < q.before) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(x, y record) int { return cmp.Compare(q.keyOf(x).sort, q.keyOf(y).sort) })
	if len(found) > q.limit {
		return found[:q.limit], true, nil
	}
	return found, false, nil
}

func (b *embedded) write(ctx context.Context, changes []change) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		is, there := b.records[c.record.key]
		gone := c.action == remove && !there
		if !gone && c.was != whatever && is.version != c.was {
			return c.refusal()
		}
	}
	next := maps.Clone(b.records)
	now := b.now()
	maps.DeleteFunc(next, func(_ key, r record) bool { return !r.expires.IsZero() && r.expires.Before(now) })
	for _, c := range changes {
		switch c.action {
		case put:
			next[c.record.key] = c.record
		case remove:
			delete(next, c.record.key)
		case check:
		}
	}
	if err := b.save(next); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, b.path, err)
	}
	b.records = next
	return nil
}

func (b *embedded) save(records map[key]record) error {
	if b.path == "" {
		return nil
	}
	doc := document{Format: 1, Records: make([]item, 0, len(records))}
	for _, r := range records {
		doc.Records = append(doc.Records, item{
			Partition: r.key.partition, Sort: r.key.sort,
			ListPartition: r.list.partition, ListSort: r.list.sort,
			DuePartition: r.due.partition, DueSort: r.due.sort,
			Expires: r.expires, Version: r.version, Data: r.data,
		})
	}
	slices.SortFunc(doc.Records, func(x, y item) int {
		return cmp.Or(cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Sort, y.Sort))
	})
	text, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return err
	}
	return replaceFile(b.path, text)
}

func (b *embedded) close() error {
	if b.lock == nil {
		return nil
	}
	return b.lock.Close() // and with it the lock
}
