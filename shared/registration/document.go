package registration

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"gatehouse/shared/clientdoc"
	"gatehouse/shared/oauth"
	"gatehouse/shared/registry"
)

// This file registers clients whose metadata the broker has read at the URL that
// they call themselves (Client ID Metadata Documents).

// voucher returns the broker's word for the metadata in r, and whether there is
// one.
func (s *Service) voucher(r *http.Request) (clientdoc.Voucher, bool, error) {
	raw, err := oauth.ParseBearer(r.Header.Get("Authorization"))
	if s.Broker == nil || err != nil {
		return clientdoc.Voucher{}, false, nil //nolint:nilerr // no token is no voucher; whether one is needed is another question
	}
	body, err := readAll(r)
	if err != nil {
		return clientdoc.Voucher{}, false, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	v, err := clientdoc.Vouched(r.Context(), s.Broker, s.now(), raw, body)
	if errors.Is(err, clientdoc.ErrVoucher) {
		return clientdoc.Voucher{}, false, nil // perhaps an initial access token
	}
	return v, err == nil, fromKeys(err)
}

// registerVouched registers a client by the URL of its metadata. The broker asks
// once; whoever comes second is told that it is there, or will be.
func (s *Service) registerVouched(w http.ResponseWriter, r *http.Request, v clientdoc.Voucher) error {
	_, err := s.Store.ApplicationByAlias(r.Context(), v.ClientID)
	switch {
	case err == nil:
		return conflict("the client is registered")
	case !errors.Is(err, registry.ErrNotFound):
		return fromStore(err)
	}
	if err := s.spend(r.Context(), v.From); err != nil {
		return err
	}
	m, err := readMetadata(r)
	if err != nil {
		return err
	}
	if _, err := s.register(r.Context(), s.dynamic(plan{Request: Request{Metadata: m}, alias: v.ClientID})); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
