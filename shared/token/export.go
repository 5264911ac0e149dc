package token

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"gatehouse/shared/strictjson"
)

// Export returns the keys that the issuer publishes now, as a JWK set of what
// it takes to verify with them and nothing else, and when they were fetched.
// Keys that cannot be fetched are [ErrKeysUnavailable], even if old ones would
// still do.
func (s *KeySet) Export(ctx context.Context) (set []byte, fetched time.Time, err error) {
	err = s.Warm(ctx)
	held := s.current.Load()
	if err != nil || held == nil || held.fetched.IsZero() || s.age(held) >= keysTTL {
		return nil, time.Time{}, fmt.Errorf("%w: they are not fresh", ErrKeysUnavailable)
	}
	var b bytes.Buffer
	b.WriteString(`{"keys":[`)
	for n, key := range held.list {
		if n > 0 {
			b.WriteByte(',')
		}
		if err := key.export(&b); err != nil {
			return nil, time.Time{}, err
		}
	}
	b.WriteString(`]}`)
	return b.Bytes(), held.fetched, nil
}

// export writes the public members of the JWK.
func (k *Key) export(b *bytes.Buffer) error {
	first := true
	d := strictjson.NewDecoder([]byte(k.text), strictjson.Token)
	err := d.Object(func(name []byte) error {
		switch string(name) {
		case "kty", "crv", "use", "alg", "kid", "key_ops", "n", "e", "x", "y":
		default:
			return d.Skip() // x5c and the like: long, and not used
		}
		raw, err := d.Raw()
		if err != nil {
			return err
		}
		mark := byte('{')
		if !first {
			mark = ','
		}
		first = false
		b.WriteByte(mark)
		b.WriteByte('"')
		b.Write(name) // one of those above
		b.WriteString(`":`)
		b.Write(raw)
		return nil
	})
	b.WriteByte('}')
	if err != nil {
		return fmt.Errorf("token: key: %w", err)
	}
	return nil
}

// LastGood returns a key set that the issuer served before, and when.
type LastGood func(context.Context) (set []byte, fetched time.Time, err error)

// restore puts a set that another process has fetched into the place of one
// that cannot be had: a process that starts while the provider is down knows no
// other. It counts from when it was fetched, so it is due at once and no older
// than a set of our own may get.
func (s *KeySet) restore(ctx context.Context) error {
	text, fetched, err := s.source.LastGood(ctx)
	if err != nil {
		return fmt.Errorf("token: last good keys: %w", err)
	}
	list, err := parseKeys(text, s.allowed)
	if err != nil {
		return fmt.Errorf("token: last good keys: %w", err)
	}
	s.current.CompareAndSwap(nil, &keys{list: list, fetched: fetched.Round(0)})
	return nil
}
