package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"gatehouse/shared/strictjson"
)

// Times of keeping a secret.
const (
	fresh    = 5 * time.Minute  // a value is used this long without asking again
	stale    = time.Hour        // and this long when Secrets Manager does not answer
	cooldown = 10 * time.Second // between two reads that [Source.Refresh] asks for
	timeout  = 2 * time.Second  // of one read
	maxSize  = 64 << 10         // bytes; Secrets Manager's own limit
)

// Credentials is what Gatehouse keeps of one identity provider: the JSON object
// {"client_id":"…","client_secret":"…","authorization":"SSWS …"}. Either the
// first two or the last may be missing. Other members are left alone.
type Credentials struct {
	ClientID      string
	ClientSecret  Value
	Authorization Value // the Authorization header that registers clients, scheme included
}

// Equal compares in constant time.
func (c Credentials) Equal(d Credentials) bool {
	return c.ClientID == d.ClientID && c.ClientSecret.Equal(d.ClientSecret) && c.Authorization.Equal(d.Authorization)
}

// Source is the credentials of one provider, read when first needed and kept.
// Use [Open]. It is safe for concurrent use.
type Source struct {
	read func(context.Context) ([]byte, error)
	now  func() time.Time

	mu   sync.Mutex // held while reading: one read at a time
	held Credentials
	at   time.Time // when held was read; zero: never
}

// Open returns the source that ref names: "file:" and a path on a laptop, else
// the ARN or name of a secret in Secrets Manager. Nothing is read yet.
func Open(ref string, manager *Manager) *Source {
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		return newSource(func(context.Context) ([]byte, error) { return readFile(path) })
	}
	return newSource(func(ctx context.Context) ([]byte, error) { return manager.value(ctx, ref) })
}

func newSource(read func(context.Context) ([]byte, error)) *Source {
	return &Source{read: read, now: time.Now}
}

// Credentials returns the credentials, at most five minutes old, or an hour
// when no newer ones can be had.
func (s *Source) Credentials(ctx context.Context) (Credentials, error) {
	return s.get(ctx, fresh)
}

// Refresh reads the credentials again after the provider refused them: they may
// have been rotated a moment ago. It reads at most once in ten seconds, and
// returns what it has in between.
func (s *Source) Refresh(ctx context.Context) (Credentials, error) {
	return s.get(ctx, cooldown)
}

func (s *Source) get(ctx context.Context, maxAge time.Duration) (Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The wall clock counts: the monotonic one stands still in a frozen Lambda.
	now := s.now().Round(0)
	age := now.Sub(s.at)
	if !s.at.IsZero() && age >= 0 && age < maxAge {
		return s.held, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	text, err := s.read(ctx)
	if err == nil {
		var c Credentials
		if c, err = parse(text); err == nil {
			s.held, s.at = c, now
			return c, nil
		}
	}
	if !s.at.IsZero() && age < stale {
		return s.held, nil
	}
	return Credentials{}, err
}

// parse reads the JSON object. Its errors name members, never values.
func parse(text []byte) (Credentials, error) {
	if len(text) > maxSize {
		return Credentials{}, errors.New("secret: longer than 64 KiB")
	}
	var c Credentials
	d := strictjson.NewDecoder(text, strictjson.Token)
	err := d.Object(func(name []byte) error {
		switch string(name) {
		case "client_id":
			b, err := d.String()
			c.ClientID = string(b)
			return err
		case "client_secret":
			b, err := d.String()
			c.ClientSecret = New(string(b))
			return err
		case "authorization":
			b, err := d.String()
			c.Authorization = New(string(b))
			return err
		default:
			return d.Skip()
		}
	})
	if err == nil {
		err = d.End()
	}
	switch {
	case err != nil:
		return Credentials{}, fmt.Errorf(`secret: it must be a JSON object such as {"client_id":"…","client_secret":"…"}: %w`, err)
	case (c.ClientID == "") != (c.ClientSecret.Reveal() == ""):
		return Credentials{}, errors.New("secret: client_id and client_secret must both be there, or neither")
	case c.ClientID == "" && c.Authorization.Reveal() == "":
		return Credentials{}, errors.New("secret: client_id and client_secret must be there, or authorization")
	}
	return c, nil
}
