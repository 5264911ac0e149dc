package provider

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/shared/secret"
	"gatehouse/shared/strictjson"
)

// This file rotates a client's secret at Okta, where a client may have two.

// oktaSecret is one secret of a client.
type oktaSecret struct {
	id, status string
	value      secret.Value
	created    time.Time
}

// rotate adds a second secret. If there are two already, the one that is not in
// use makes room: it was replaced by an earlier rotation, or the answer that
// brought it was lost. Management is the ID of the one in use; while there is
// none, no rotation ever came through and the oldest is in use.
func (o *okta) rotate(ctx context.Context, c Client) (Rotated, error) {
	held, err := o.secrets(ctx, c)
	if err != nil {
		return Rotated{}, err
	}
	if len(held) > 1 {
		current := cmp.Or(c.Management.Reveal(), held[0].id)
		if !holds(held, current) {
			return Rotated{}, fmt.Errorf("%w: it has two secrets made elsewhere; delete one at Okta", ErrUnsupported)
		}
		if err := o.retireOthers(ctx, c, held, current); err != nil {
			return Rotated{}, err
		}
	}
	request := call{method: http.MethodPost, url: o.secretsURL(c), body: struct{}{}}
	r, err := o.sender.send(ctx, request)
	if err != nil {
		return Rotated{}, err
	}
	if !r.ok() {
		return Rotated{}, r.failure(request)
	}
	d := strictjson.NewDecoder(r.body, providerJSON)
	s, err := readOktaSecret(d)
	if err != nil || s.id == "" || s.value.Reveal() == "" {
		return Rotated{}, ErrUncertain
	}
	c.Secret, c.Management = s.value, secret.New(s.id)
	return Rotated{Client: c}, nil
}

// retire ends every secret but the one in use.
func (o *okta) retire(ctx context.Context, c Client) error {
	held, err := o.secrets(ctx, c)
	if err != nil {
		return err
	}
	current := c.Management.Reveal()
	if !holds(held, current) {
		return nil // never rotated, or replaced at Okta: there is no old one of ours
	}
	return o.retireOthers(ctx, c, held, current)
}

func holds(held []oktaSecret, id string) bool {
	return slices.ContainsFunc(held, func(s oktaSecret) bool { return s.id == id })
}

// retireOthers deactivates and deletes all of held but current.
func (o *okta) retireOthers(ctx context.Context, c Client, held []oktaSecret, current string) error {
	for _, s := range held {
		if s.id == current {
			continue
		}
		one := o.secretsURL(c) + "/" + s.id
		if s.status == "ACTIVE" {
			if err := o.do(ctx, call{method: http.MethodPost, url: one + "/lifecycle/deactivate"}); err != nil {
				return err
			}
		}
		if err := o.do(ctx, call{method: http.MethodDelete, url: one}); err != nil {
			return err
		}
	}
	return nil
}

// do sends a request of which only the success counts.
func (o *okta) do(ctx context.Context, request call) error {
	r, err := o.sender.send(ctx, request)
	if err == nil && !r.ok() {
		err = r.failure(request)
	}
	return err
}

func (o *okta) secretsURL(c Client) string {
	return o.app(c.ClientID) + "/credentials/secrets"
}

// secrets lists the secrets of a client, the oldest first.
func (o *okta) secrets(ctx context.Context, c Client) ([]oktaSecret, error) {
	request := call{method: http.MethodGet, url: o.secretsURL(c)}
	r, err := o.sender.send(ctx, request)
	if err != nil {
		return nil, err
	}
	if r.status != http.StatusOK {
		return nil, r.failure(request)
	}
	var held []oktaSecret
	d := strictjson.NewDecoder(r.body, providerJSON)
	err = d.Array(func() error {
		s, err := readOktaSecret(d)
		if err == nil && !plainID(s.id) {
			err = errNoAnswer
		}
		held = append(held, s)
		return err
	})
	if err != nil {
		return nil, errNoAnswer
	}
	slices.SortStableFunc(held, func(a, b oktaSecret) int { return a.created.Compare(b.created) })
	return held, nil
}

func readOktaSecret(d *strictjson.Decoder) (oktaSecret, error) {
	var s oktaSecret
	err := d.Object(func(name []byte) error {
		switch string(name) {
		case "id":
			return readString(d, &s.id)
		case "status":
			return readString(d, &s.status)
		case "client_secret":
			return readSecret(d, &s.value)
		case "created":
			b, err := d.String()
			s.created, _ = time.Parse(time.RFC3339, string(b)) // only the order counts
			return err
		default:
			return d.Skip()
		}
	})
	return s, err
}

// plainID reports whether id can stand in a path as it is.
func plainID(id string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return id != "" && strings.Trim(id, alphabet) == ""
}
