package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"gatehouse/shared/fetch"
)

// Times and limits of fetching a key set.
const (
	keysTTL      = 10 * time.Minute // a key the provider removed works this long at most
	keysStale    = 24 * time.Hour   // a set that cannot be refreshed is used this long
	keysCooldown = 10 * time.Second // between two fetches, whatever asks for them
	keysTimeout  = 3 * time.Second
	maxKeysBody  = 512 << 10 // bytes
)

// KeySet is the public keys of one issuer: fetched, kept and replaced, or
// packed with the function. Use [NewKeySet].
//
// Fetches are rare by construction: one at a time, at most one in ten seconds,
// and only because there is no set, the set is ten minutes old, or a token
// names a key that is not in it. A bad signature fetches nothing. A set that
// cannot be refreshed is used for a day; a good set is replaced only by
// another good set, and a key that is missing there is gone.
type KeySet struct {
	source  KeySource
	allowed []string
	current atomic.Pointer[keys]
	attempt atomic.Int64  // wall time of the last fetch that ran to its end, UnixNano
	fetch   chan struct{} // holds one element while a fetch is under way
}

// KeySource says where the keys of an issuer come from. At least one of URL
// and File is needed.
type KeySource struct {
	URL        func(context.Context) (string, error) // the jwks_uri; nil: File is all there is
	File       []byte                                // a JWK set to start with
	Algorithms []string                              // the issuer's; keys that suit none are left out
	Client     *http.Client                          // must not follow redirects; needed with a URL
	Timeout    time.Duration                         // for one fetch; 0: 3 s
	Now        func() time.Time                      // nil: time.Now
	Observe    func(KeyEvent)                        // called after every fetch; nil: nobody
	LastGood   LastGood                              // asked when there is no set and none can be fetched; nil: nobody
}

// KeyEvent is the outcome of one fetch, for metrics.
type KeyEvent struct {
	Err   error // nil: a good set came; never holds what the provider sent
	Stale bool  // the fetch failed and the old set stays in use
}

// keys is one immutable set.
type keys struct {
	list    []*Key
	fetched time.Time // wall clock; zero for a set from a file, which is due at once
}

// NewKeySet returns the keys of source, none of them fetched yet.
func NewKeySet(source KeySource) (*KeySet, error) {
	if source.Timeout == 0 {
		source.Timeout = keysTimeout
	}
	if source.Now == nil {
		source.Now = time.Now
	}
	if source.URL != nil && source.Client == nil {
		return nil, errors.New("token: a key set with a URL needs a client")
	}
	s := &KeySet{source: source, allowed: source.Algorithms, fetch: make(chan struct{}, 1)}
	if len(source.File) == 0 {
		if source.URL == nil {
			return nil, errors.New("token: a key set needs a URL or a file")
		}
		return s, nil
	}
	list, err := parseKeys(source.File, s.allowed)
	if err != nil {
		return nil, fmt.Errorf("token: keys file: %w", err)
	}
	s.current.Store(&keys{list: list})
	return s, nil
}

// Key returns the key that a token with this kid ("" for none) and alg must be
// signed with. The error is ErrUnknownKey, ErrAlgorithm, or
// ErrKeysUnavailable when no answer is possible.
func (s *KeySet) Key(ctx context.Context, kid, alg string) (*Key, error) {
	set, err := s.set(ctx)
	if err != nil {
		return nil, err
	}
	key, err := set.find(kid, alg)
	if !errors.Is(err, ErrUnknownKey) || s.source.URL == nil {
		return key, err
	}
	// The provider may have rotated since: look again, once in a while.
	if refreshErr := s.refresh(ctx, set); refreshErr != nil {
		return nil, refreshErr
	}
	return s.current.Load().find(kid, alg)
}

// Warm fetches the set if there is none or it is due, as the first token
// would. Call it during init, so that no request waits for it.
func (s *KeySet) Warm(ctx context.Context) error {
	_, err := s.set(ctx)
	return err
}

// Remote reports whether the keys are fetched. Those of a file are what they are.
func (s *KeySet) Remote() bool { return s != nil && s.source.URL != nil }

// Trusts reports whether key is still in the set, refreshing the set when it
// is due. It is what makes a cached token as good as a fresh one.
func (s *KeySet) Trusts(ctx context.Context, key *Key) bool {
	_, err := s.set(ctx)
	return err == nil && key != nil && !key.retired.Load()
}

// set returns a set that may be used now.
func (s *KeySet) set(ctx context.Context) (*keys, error) {
	set := s.current.Load()
	if s.source.URL == nil || set != nil && s.age(set) < keysTTL {
		return set, nil
	}
	err := s.refresh(ctx, set)
	set = s.current.Load()
	if set != nil && (set.fetched.IsZero() || s.age(set) < keysTTL+keysStale) {
		return set, nil
	}
	return nil, errors.Join(ErrKeysUnavailable, err)
}

// age is by the wall clock: the monotonic clock stands still while Lambda has
// frozen the process. A clock that was set back makes a set due, not eternal.
func (s *KeySet) age(set *keys) time.Duration {
	if set.fetched.IsZero() {
		return keysTTL
	}
	age := s.now().Sub(set.fetched)
	if age < 0 {
		return keysTTL
	}
	return age
}

func (s *KeySet) now() time.Time { return s.source.Now().Round(0) }

// refresh replaces the set that the caller found wanting. Callers queue, each
// as long as its own context allows; whoever finds that another has refreshed
// in the meantime is done. Within the cooldown nothing is fetched, and the
// answer is that of the last fetch.
func (s *KeySet) refresh(ctx context.Context, wanting *keys) error {
	select {
	case s.fetch <- struct{}{}:
		defer func() { <-s.fetch }()
	case <-ctx.Done():
		return errors.Join(ErrKeysUnavailable, context.Cause(ctx))
	}
	if s.current.Load() != wanting {
		return nil
	}
	last, failed := s.lastAttempt()
	if since := s.now().Sub(last); since >= 0 && since < keysCooldown {
		if failed {
			return ErrKeysUnavailable
		}
		return nil
	}
	list, err := s.get(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.Join(ErrKeysUnavailable, err) // our caller's time was up: this says nothing of the provider
	}
	s.noteAttempt(err)
	if err != nil && wanting == nil && s.source.LastGood != nil {
		err = errors.Join(err, s.restore(ctx))
	}
	if s.source.Observe != nil {
		s.source.Observe(KeyEvent{Err: err, Stale: err != nil && s.current.Load() != nil})
	}
	if err != nil {
		return errors.Join(ErrKeysUnavailable, err)
	}
	s.replace(list)
	return nil
}

// The time of the last attempt and whether it failed are one number: negative
// when it failed.
func (s *KeySet) noteAttempt(err error) {
	at := s.now().UnixNano()
	if err != nil {
		at = -at
	}
	s.attempt.Store(at)
}

func (s *KeySet) lastAttempt() (at time.Time, failed bool) {
	n := s.attempt.Load()
	if n == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, max(n, -n)), n < 0
}

// replace installs a new set. Keys that stay keep their identity, so that
// cached tokens stay valid; keys that are gone are retired.
func (s *KeySet) replace(list []*Key) {
	if old := s.current.Load(); old != nil {
		for _, was := range old.list {
			kept := false
			for n, is := range list {
				if is.text == was.text {
					list[n], kept = was, true
				}
			}
			if !kept {
				was.retired.Store(true)
			}
		}
	}
	s.current.Store(&keys{list: list, fetched: s.now()})
}

// get fetches the set. Nothing of the answer gets into the error.
func (s *KeySet) get(ctx context.Context) ([]*Key, error) {
	ctx, cancel := context.WithTimeout(ctx, s.source.Timeout)
	defer cancel()
	address, err := s.source.URL(ctx)
	if err != nil {
		return nil, err
	}
	body, err := fetch.Get(ctx, s.source.Client, address, maxKeysBody)
	if err != nil {
		return nil, fmt.Errorf("token: key set: %w", err)
	}
	list, err := parseKeys(body, s.allowed)
	if err != nil {
		return nil, fmt.Errorf("token: key set: %w", err)
	}
	return list, nil
}

// find returns the key with this kid. A token without kid is taken to mean the
// only key that can do alg, if there is only one.
func (k *keys) find(kid, alg string) (*Key, error) {
	var found *Key
	for _, key := range k.list {
		if kid != "" && key.id == kid {
			if key.alg.name != algorithms[alg].name {
				return nil, ErrAlgorithm
			}
			return key, nil
		}
		if kid == "" && key.alg.name == algorithms[alg].name {
			if found != nil {
				return nil, ErrUnknownKey
			}
			found = key
		}
	}
	if found == nil {
		return nil, ErrUnknownKey
	}
	return found, nil
}
