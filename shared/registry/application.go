package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// SecretMark is the kind of mark (package seal) that client secrets are kept as.
const SecretMark = "client secret"

// Kind says how an application came to be.
type Kind string

// The kinds of application.
const (
	Developer Kind = "developer" // a signed-in developer asked for it
	Dynamic   Kind = "dynamic"   // it registered itself (RFC 7591)
)

// State says whether an application may be used.
type State string

// The states of an application.
const (
	Active   State = "active"
	Deleting State = "deleting" // its client is being removed at the provider; there is no way back
)

// Application is one OAuth client at one provider. Members that are client
// metadata have the names of RFC 7591 section 2.
type Application struct {
	ID       string `json:"id"` // ours, see NewID
	Kind     Kind   `json:"kind"`
	Provider string `json:"provider"`
	ClientID string `json:"client_id,omitempty"` // the provider's; empty only in the draft of an intent
	Owner    string `json:"owner,omitempty"`     // subject or "group:…"; empty: nobody lists it

	// Alias is the URL by which the client calls itself (Client ID Metadata
	// Document): https, at most 2,048 bytes. No two applications have the same one.
	Alias string `json:"alias,omitempty"`

	Name          string   `json:"client_name,omitempty"`
	Description   string   `json:"description,omitempty"`
	URI           string   `json:"client_uri,omitempty"`
	RedirectURIs  []string `json:"redirect_uris,omitempty"`
	GrantTypes    []string `json:"grant_types,omitempty"`
	ResponseTypes []string `json:"response_types,omitempty"`
	AuthMethod    string   `json:"token_endpoint_auth_method,omitempty"`
	Scope         string   `json:"scope,omitempty"` // separated by spaces

	Callback string `json:"callback,omitempty"` // the broker's redirect URI that is registered at the provider

	JWKSURI string          `json:"jwks_uri,omitempty"`
	JWKS    json.RawMessage `json:"jwks,omitempty"` // public keys

	// The secret, the one before and the registration access token (RFC 7592)
	// that the client was given, as HMAC-SHA-256 in lower-case hexadecimal; "":
	// none.
	SecretHMAC            string    `json:"secret_hmac,omitempty"`
	SecretExpires         time.Time `json:"secret_expires,omitzero"` // zero: never
	PreviousSecretHMAC    string    `json:"previous_secret_hmac,omitempty"`
	PreviousSecretExpires time.Time `json:"previous_secret_expires,omitzero"` // zero: with the next rotation
	RegistrationHMAC      string    `json:"registration_hmac,omitempty"`

	// Management is what the provider wants to see when the client is managed
	// (registration_client_uri, registration_access_token), sealed by the caller.
	Management []byte `json:"management,omitempty"`

	Created  time.Time `json:"created"`            // set by the store
	Updated  time.Time `json:"updated"`            // set by the store
	LastUsed time.Time `json:"last_used,omitzero"` // see Store.Touch
	State    State     `json:"state"`              // set by the store
	Pending  string    `json:"pending,omitempty"`  // marker of the intent that is changing it; set by the store
	Version  int64     `json:"-"`                  // as read; a change of another version is ErrStale
}

// Client names a client at a provider.
type Client struct {
	Provider string
	ClientID string
}

// Client returns the application's client.
func (a Application) Client() Client { return Client{Provider: a.Provider, ClientID: a.ClientID} }

// touchEvery is how exactly last use is kept: writing it more often would cost
// more than knowing it is worth.
const touchEvery = 24 * time.Hour

const maxAlias = 2048 // bytes

const dynamicDue = "DYNAMIC" // kind in the due index

func applicationKey(id string) key { return key{partition: join("APPLICATION", id), sort: "-"} }

func clientKey(c Client) key {
	return key{partition: join("CLIENT", c.Provider, c.ClientID), sort: "-"}
}

func aliasKey(alias string) key {
	sum := sha256.Sum256([]byte(alias))
	return key{partition: join("ALIAS", hex.EncodeToString(sum[:])), sort: "-"}
}

func ownerQuery(owner string) query {
	return query{index: listIndex, partition: join("OWNER", owner)}
}

// valid reports an error when a member that the store relies on is unusable.
func (a Application) valid() error {
	switch {
	case a.ID == "" || strings.HasPrefix(a.ID, "https://"):
		return fmt.Errorf("%w: id must be there and not look like a URL", ErrInvalid)
	case a.Kind != Developer && a.Kind != Dynamic:
		return fmt.Errorf("%w: kind is %q", ErrInvalid, a.Kind)
	case a.Provider == "":
		return fmt.Errorf("%w: provider is missing", ErrInvalid)
	}
	return errors.Join(
		validAlias(a.Alias),
		noneOrHexHash("secret_hmac", a.SecretHMAC),
		noneOrHexHash("previous_secret_hmac", a.PreviousSecretHMAC),
		noneOrHexHash("registration_hmac", a.RegistrationHMAC),
	)
}

// validAlias refuses what is not UTF-8, too: JSON would keep another text than
// the one whose hash leads to the application.
func validAlias(alias string) error {
	if alias == "" || strings.HasPrefix(alias, "https://") && len(alias) <= maxAlias && utf8.ValidString(alias) {
		return nil
	}
	return fmt.Errorf("%w: alias must begin with https://, be UTF-8 and have at most %d bytes", ErrInvalid, maxAlias)
}

// record returns the record that follows version was.
func (a Application) record(was int64) (record, error) {
	if err := a.valid(); err != nil {
		return record{}, err
	}
	if a.ClientID == "" {
		return record{}, fmt.Errorf("%w: client_id is missing", ErrInvalid)
	}
	r, err := newRecord(applicationKey(a.ID), a, was)
	if err != nil {
		return record{}, err
	}
	if a.Owner != "" {
		r.list = key{partition: ownerQuery(a.Owner).partition, sort: join(sortTime(a.Created), a.ID)}
	}
	if a.Kind == Dynamic && a.State == Active {
		r.due = dueKey(dynamicDue, a.ID, later(a.Created, a.LastUsed))
	}
	return r, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func decodeApplication(r record) (Application, error) {
	var a Application
	if err := decodeRecord(r, &a); err != nil {
		return Application{}, err
	}
	a.Version = r.version
	return a, nil
}

// Application returns an application as it is now.
func (s *Store) Application(ctx context.Context, id string) (Application, error) {
	r, err := s.read(ctx, applicationKey(id))
	if err != nil {
		return Application{}, err
	}
	return decodeApplication(r)
}

// reference leads from a client or an alias to its application and keeps it
// from having two.
type reference struct {
	Application string `json:"application"`
}

// references are where the references to a are kept.
func (a Application) references() []key {
	if a.Alias == "" {
		return []key{clientKey(a.Client())}
	}
	return []key{clientKey(a.Client()), aliasKey(a.Alias)}
}

// ApplicationByClient returns the application of a client as it is now.
func (s *Store) ApplicationByClient(ctx context.Context, c Client) (Application, error) {
	return s.referred(ctx, clientKey(c))
}

// ApplicationByAlias returns the application of a client that calls itself by a
// URL, as it is now.
func (s *Store) ApplicationByAlias(ctx context.Context, alias string) (Application, error) {
	return s.referred(ctx, aliasKey(alias))
}

func (s *Store) referred(ctx context.Context, k key) (Application, error) {
	var to reference
	if err := s.noted(ctx, k, &to); err != nil {
		return Application{}, err
	}
	return s.Application(ctx, to.Application)
}

// ApplicationsByOwner lists what an owner has, oldest first, those that are
// being deleted included. It may lag behind by about a second.
func (s *Store) ApplicationsByOwner(ctx context.Context, owner string, page Page) ([]Application, string, error) {
	if owner == "" {
		return nil, "", fmt.Errorf("%w: owner is missing", ErrInvalid)
	}
	return list(ctx, s, ownerQuery(owner), page, decodeApplication)
}

// Unused lists active dynamic applications that were neither made nor used at
// or after before. A page can be short, even empty: only an empty cursor ends
// the list.
func (s *Store) Unused(ctx context.Context, before time.Time, page Page) ([]Application, string, error) {
	return overdue(ctx, s, dueList{kind: dynamicDue, before: before}, page, func(k key) (Application, error) {
		r, err := s.read(ctx, k)
		if err != nil {
			return Application{}, err
		}
		a, err := decodeApplication(r)
		if err == nil && (a.State != Active || !later(a.Created, a.LastUsed).Before(before)) {
			return Application{}, ErrNotFound // the index lags
		}
		return a, err
	})
}

// Touch notes that an application is in use, and returns it as it is then. It
// writes once a day and gives way to any other change, so the time kept is right
// to within about a day.
func (s *Store) Touch(ctx context.Context, a Application) (Application, error) {
	now := s.clock()
	if a.State != Active || a.Pending != "" || now.Sub(a.LastUsed) < touchEvery {
		return a, nil
	}
	was, used := a.Version, a
	used.LastUsed = now
	r, err := used.record(was)
	if err != nil {
		return a, err
	}
	if err := s.write(ctx, replace(r, was)); err != nil {
		return a, err
	}
	used.Version = r.version
	return used, nil
}
