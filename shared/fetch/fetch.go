// Package fetch is how Gatehouse asks other servers for JSON: with a client that
// follows no redirects and takes no compression, within limits of time and
// size, and without letting anything of a bad answer into an error. Addresses
// that are configured are asked with [NewClient], those that a stranger chose
// with [NewGuardedClient].
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// StatusError is an answer whose status is not the wanted one.
type StatusError struct {
	Status int
	Header http.Header
}

// Error names the status and nothing else.
func (e *StatusError) Error() string { return fmt.Sprintf("the provider answers %d", e.Status) }

// Get fetches the JSON document at address, of at most limit bytes.
func Get(ctx context.Context, client *http.Client, address string, limit int64) ([]byte, error) {
	body, _, err := GetWithHeader(ctx, client, address, limit)
	return body, err
}

// GetWithHeader is [Get] for what is kept as long as the answer's header says.
func GetWithHeader(ctx context.Context, client *http.Client, address string, limit int64) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, errors.New("the address is no URL")
	}
	return do(client, req, limit)
}

// Do sends req, which has a context with a deadline, and returns the JSON body
// of an answer with status 200. Every other status is a [*StatusError].
func Do(client *http.Client, req *http.Request, limit int64) ([]byte, error) {
	body, _, err := do(client, req, limit)
	return body, err
}

func do(client *http.Client, req *http.Request, limit int64) ([]byte, http.Header, error) {
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req) //nolint:gosec // G704: addresses are configured or discovered; a stranger's go through NewGuardedClient
	if err != nil {
		return nil, nil, unanswered(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, &StatusError{Status: resp.StatusCode, Header: resp.Header}
	}
	if !isJSON(resp.Header.Get("Content-Type")) {
		return nil, nil, errors.New("the provider's answer is not JSON")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the provider's answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, nil, fmt.Errorf("the provider's answer is longer than %d bytes", limit)
	}
	return body, resp.Header, nil
}

// unanswered returns the error of a request that got no HTTP answer. Those of
// net/http that quote what came instead are replaced.
func unanswered(err error) error {
	_, network := errors.AsType[*net.OpError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	whole, ok := errors.AsType[*url.Error](err)
	if network || certificate || errors.Is(err, ErrForbidden) || ok && whole.Timeout() || errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) {
		return err
	}
	return errors.New("the provider does not answer in HTTP")
}

// isJSON reports whether a Content-Type is application/json or of the +json
// family.
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json"))
}
