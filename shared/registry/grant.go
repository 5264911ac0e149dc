package registry

import (
	"context"
	"fmt"
	"time"
)

// Grant is what an authorization code of the broker was redeemed for: the
// provider's tokens, which are kept, and a refresh token, which is not.
type Grant struct {
	ID       string `json:"id"` // that in the authorization code, see NewID
	Provider string `json:"provider"`
	ClientID string `json:"client_id"`

	Generation int       `json:"generation"`        // how often its refresh token was exchanged; only the latest one works
	Attempt    string    `json:"attempt,omitempty"` // who is exchanging it, see NewID; "": nobody
	Lease      time.Time `json:"lease,omitzero"`    // until then nobody else does; the attempt must not outlive it
	Tokens     []byte    `json:"tokens,omitempty"`  // the provider's, sealed by the caller
	Rotated    time.Time `json:"rotated,omitzero"`  // when this generation was made

	Revoked bool      `json:"revoked,omitempty"` // there is no way back
	Created time.Time `json:"created"`           // set by the store
	Expires time.Time `json:"expires"`           // it means nothing from then on, and is dropped
	Version int64     `json:"-"`                 // as read; a change of another version is ErrStale
}

// revokedVersions is where the versions of revoked grants begin; all others stay
// far below. An update that names the version of a revoked grant is known by it,
// so none can take a revocation back, and none needs to read first.
const revokedVersions = 1 << 62

func grantKey(id string) key { return key{partition: join("GRANT", id), sort: "-"} }

// record returns the record that follows version was.
func (g Grant) record(was int64) (record, error) {
	if g.ID == "" || g.Provider == "" || g.ClientID == "" || g.Expires.IsZero() {
		return record{}, fmt.Errorf("%w: id, provider, client_id and expires of a grant must be there", ErrInvalid)
	}
	r, err := newRecord(grantKey(g.ID), g, was)
	if g.Revoked {
		r.version |= revokedVersions
	}
	r.expires = g.Expires
	return r, err
}

// CreateGrant keeps a grant that nobody has made yet: ErrConflict says that its
// code was redeemed before. To be found by a second redemption it must not
// expire before the code does.
func (s *Store) CreateGrant(ctx context.Context, g Grant) (Grant, error) {
	g.Created = s.clock()
	return s.saveGrant(ctx, g, 0)
}

// Grant returns a grant as it is now, revoked or not: a revocation shows in the
// first read after it. One that has expired is ErrNotFound.
func (s *Store) Grant(ctx context.Context, id string) (Grant, error) {
	r, err := s.read(ctx, grantKey(id))
	if err != nil {
		return Grant{}, err
	}
	var g Grant
	if err := decodeRecord(r, &g); err != nil {
		return Grant{}, err
	}
	if !s.clock().Before(g.Expires) { // DynamoDB drops it within days, not at once
		return Grant{}, ErrNotFound
	}
	g.Version = r.version
	return g, nil
}

// UpdateGrant replaces a grant that was read before. The error is ErrStale when
// it has changed since, which a revocation does, too, and ErrTransition when the
// grant was revoked and would not be any more.
func (s *Store) UpdateGrant(ctx context.Context, g Grant) (Grant, error) {
	switch {
	case g.Version <= 0:
		return Grant{}, fmt.Errorf("%w: the grant was not read", ErrStale)
	case g.Version >= revokedVersions && !g.Revoked:
		return Grant{}, fmt.Errorf("%w: a revoked grant stays so", ErrTransition)
	}
	return s.saveGrant(ctx, g, g.Version)
}

// RevokeGrant makes a grant a revoked one, whatever else happens to it at the
// same time, and returns it as it is then, with the tokens that are left to be
// revoked at the provider. One that was revoked before is fine. ErrInProgress
// says that others changed it too often: it is not revoked, try again.
func (s *Store) RevokeGrant(ctx context.Context, id string) (Grant, error) {
	var g Grant
	err := insist("grant", func() (err error) {
		g, err = s.Grant(ctx, id)
		if err != nil || g.Revoked {
			return err
		}
		g.Revoked = true
		g, err = s.UpdateGrant(ctx, g)
		return err
	})
	return g, err
}

func (s *Store) saveGrant(ctx context.Context, g Grant, was int64) (Grant, error) {
	r, err := g.record(was)
	if err != nil {
		return Grant{}, err
	}
	if err := s.write(ctx, replace(r, was)); err != nil {
		return Grant{}, err
	}
	g.Version = r.version
	return g, nil
}
