package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/token"
)

const issuer = "https://example.okta.com/oauth2/default"

// cachedPlace is where the cached decision stands among the subjects.
const cachedPlace = 3

// newSubjects makes what is measured: a key, a token as Okta issues it, a REST
// event of 4 KB around it, and authorizers with and without a cache, and with
// contracts.
func newSubjects() ([]subject, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	jwt, err := sign(key)
	if err != nil {
		return nil, err
	}
	event, err := restEvent(jwt)
	if err != nil {
		return nil, err
	}
	uncached, issuerOf, err := newAuthorizer(key, 0, config.None)
	if err != nil {
		return nil, err
	}
	cached, _, err := newAuthorizer(key, 1000, config.None)
	if err != nil {
		return nil, err
	}
	contracted, _, err := newAuthorizer(key, 1000, config.Required)
	if err != nil {
		return nil, err
	}
	signed, signature := split(jwt)
	subjects := []subject{
		{name: "bare RS256: SHA-256 and rsa.VerifyPKCS1v15", run: func() error {
			digest := sha256.Sum256(signed)
			return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature)
		}},
		{name: "token, RS256: gate, signature, claims", target: 1.15, bound: 1.1, allocs: 20, run: verify(issuerOf, jwt)},
		{name: "decision, event to answer, uncached", target: 1.4, bound: 1.8, allocs: 32, run: decide(uncached, event)},
		{name: "decision, event to answer, cached", target: 0.3, bound: 0.5, allocs: 13, run: decide(cached, event)},
		{name: "decision, event to answer, cached, with contract", target: 0.3, bound: 0.5, allocs: 13, run: decide(contracted, event)},
		{name: "event: ours", allocs: 5, run: func() error {
			_, err := apigw.ParseRequest(event)
			return err
		}},
		{name: "event: encoding/json", run: func() error {
			var e events.APIGatewayCustomAuthorizerRequestTypeRequest
			return json.Unmarshal(event, &e)
		}},
	}
	many := func(routes, providers int) (func() error, error) {
		a, err := newGrown(key, routes, providers)
		if err != nil {
			return nil, err
		}
		return decide(a, event), nil
	}
	small, err := many(10, 1)
	if err != nil {
		return nil, err
	}
	base := len(subjects)
	subjects = append(subjects, subject{name: "decision, cached, routes: 10, providers: 1", base: base, run: small})
	for _, grown := range []struct{ routes, providers int }{{1000, 1}, {10, 50}} {
		one, err := many(grown.routes, grown.providers)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("decision, cached, routes: %d, providers: %d", grown.routes, grown.providers)
		subjects = append(subjects, subject{name: name, base: base, target: 1.2, bound: 1.5, run: one})
	}
	subjects = append(subjects, together(cachedPlace, 16, decide(cached, event)))
	return others(subjects)
}

// together is a decision made by many goroutines at once: one that is alone, as
// many times as there are CPUs, if nothing stands in the way of others.
func together(base, many int, one func() error) subject {
	const each = 20
	errs := make([]error, many)
	return subject{
		name: fmt.Sprintf("decision, cached, %d at once on %d CPUs", many, runtime.GOMAXPROCS(0)),
		base: base, target: 1.3,
		share: float64(many*each) / float64(min(many, runtime.GOMAXPROCS(0))),
		run: func() error {
			var wg sync.WaitGroup
			for n := range many {
				wg.Go(func() {
					for range each {
						errs[n] = errors.Join(errs[n], one())
					}
				})
			}
			wg.Wait()
			return errors.Join(errs...)
		},
	}
}

// newGrown is an authorizer of an API with many routes and providers, of which
// the last signs.
func newGrown(key *rsa.PrivateKey, routes, providers int) (*apigw.Authorizer, error) {
	dir, err := os.MkdirTemp("", "gatehouse-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	keys := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(keys, []byte(jwksOf(key)), 0o600); err != nil {
		return nil, err
	}
	var b strings.Builder
	var names []string
	b.WriteString("providers:\n")
	for n := range providers {
		from := issuer
		if n+1 < providers {
			from = fmt.Sprintf("https://example%d.okta.com/oauth2/default", n)
		}
		names = append(names, fmt.Sprintf("okta%d", n))
		fmt.Fprintf(&b, "  - {name: okta%d, type: okta, issuer: %q, audiences: [\"api://default\"], keysFile: %q, keysOnly: true, tokens: jwt}\n", n, from, keys)
	}
	fmt.Fprintf(&b, "apis:\n  - name: orders\n    providers: [%s]\n    match: {stageVariable: orders}\n    contract: none\n    routes:\n", strings.Join(names, ", "))
	b.WriteString("      - {route: \"GET /orders/{id}\", scopes: [orders:read]}\n")
	for n := range routes - 1 {
		fmt.Fprintf(&b, "      - {route: \"GET /c%d/{id}\", scopes: [c%d:read]}\n", n, n%200)
	}
	a, _, err := authorizerOf(b.String())
	return a, err
}

// others adds ES256 and EdDSA, each after the bare check of its own.
func others(subjects []subject) ([]subject, error) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	for _, one := range []struct {
		alg string
		key crypto.Signer
	}{{"ES256", ec}, {"EdDSA", ed}} {
		jwt, err := signWith(one.alg, one.key)
		if err != nil {
			return nil, err
		}
		_, issuerOf, err := authorizerWith(one.alg, one.key)
		if err != nil {
			return nil, err
		}
		signed, signature := split(jwt)
		base := len(subjects)
		subjects = append(subjects,
			subject{name: "bare " + one.alg, base: base, run: func() error { return bare(one.key.Public(), signed, signature) }},
			subject{name: "token, " + one.alg + ": gate, signature, claims", base: base, target: 1.08, bound: 1.25, run: verify(issuerOf, jwt)})
	}
	return subjects, nil
}

var errBare = errors.New("the signature does not verify")

func bare(public crypto.PublicKey, signed, signature []byte) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(signed)
		var r, s big.Int
		if ecdsa.Verify(k, digest[:], r.SetBytes(signature[:32]), s.SetBytes(signature[32:])) {
			return nil
		}
	case ed25519.PublicKey:
		if ed25519.Verify(k, signed, signature) {
			return nil
		}
	}
	return errBare
}

func verify(i *token.Issuer, jwt string) func() error {
	return func() error {
		u, err := token.Parse(jwt)
		if err == nil {
			_, err = i.Verify(context.Background(), u)
		}
		return err
	}
}

func decide(a *apigw.Authorizer, event []byte) func() error {
	return func() error {
		answer, err := a.Invoke(context.Background(), event)
		if err == nil && !bytes.Contains(answer, []byte(`"Effect":"Allow"`)) {
			err = errors.New("the request was refused")
		}
		return err
	}
}

// sign makes an access token with the claims that Okta writes.
func sign(key *rsa.PrivateKey) (string, error) { return signWith("RS256", key) }

func signWith(alg string, key crypto.Signer) (string, error) {
	now := time.Now()
	header := `{"kid":"bench","alg":"` + alg + `"}`
	claims, err := json.Marshal(map[string]any{
		"ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": issuer, "aud": "api://default",
		"sub": "ada@example.com", "iat": now.Unix(), "exp": now.Add(12 * time.Hour).Unix(), "cid": "0oabcdefgh1234567890",
		"uid": "00uabcdefgh1234567890", "scp": []string{"orders:read", "orders:write", "profile"}, "auth_time": now.Unix(),
		"groups": []string{"Everyone", "orders-team", "platform"}, "email": "ada@example.com",
	})
	if err != nil {
		return "", err
	}
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(input))
	var signature []byte
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, k, digest[:]); err == nil {
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, []byte(input))
	default:
		signature, err = key.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func split(jwt string) (signed, signature []byte) {
	dot := strings.LastIndexByte(jwt, '.')
	signature, err := base64.RawURLEncoding.DecodeString(jwt[dot+1:])
	if err != nil {
		return nil, nil // then the bare check fails, and with it the run
	}
	return []byte(jwt[:dot]), signature
}

// restEvent is a REQUEST event of a REST API, padded with the headers that
// browsers and CloudFront send.
func restEvent(jwt string) ([]byte, error) {
	headers := map[string]string{
		"Accept":            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		"Accept-Encoding":   "gzip, deflate, br, zstd",
		"Accept-Language":   "en-GB,en;q=0.9,de;q=0.8",
		"Authorization":     "Bearer " + jwt,
		"Host":              "abc123.execute-api.eu-west-1.amazonaws.com",
		"User-Agent":        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		"X-Amzn-Trace-Id":   "Root=1-5759e988-bd862e3fe1be46a994272793",
		"X-Forwarded-For":   "203.0.113.7",
		"X-Forwarded-Port":  "443",
		"X-Forwarded-Proto": "https",
	}
	multi := map[string][]string{}
	for name, value := range headers {
		multi[name] = []string{value}
	}
	return json.Marshal(map[string]any{
		"type": "REQUEST", "methodArn": "arn:aws:execute-api:eu-west-1:123456789012:abc123/v1/GET/orders/1042",
		"resource": "/orders/{id}", "path": "/orders/1042", "httpMethod": "GET",
		"headers": headers, "multiValueHeaders": multi,
		"queryStringParameters":           map[string]string{"expand": "items"},
		"multiValueQueryStringParameters": map[string][]string{"expand": {"items"}},
		"pathParameters":                  map[string]string{"id": "1042"},
		"stageVariables":                  map[string]string{"gatehouse": "orders"},
		"requestContext": map[string]any{
			"resourceId": "05c7jb", "resourcePath": "/orders/{id}", "httpMethod": "GET", "path": "/v1/orders/1042",
			"accountId": "123456789012", "protocol": "HTTP/1.1", "stage": "v1", "domainPrefix": "abc123", "apiId": "abc123",
			"domainName": "abc123.execute-api.eu-west-1.amazonaws.com", "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
			"extendedRequestId": "JKJaXmPLvHcESHA=", "requestTime": "24/Nov/2026:10:22:33 +0000", "requestTimeEpoch": 1795515753000,
			"identity": map[string]any{"sourceIp": "203.0.113.7", "userAgent": headers["User-Agent"]},
		},
	})
}

// newAuthorizer returns a handler whose log goes nowhere but is written, and
// the issuer it trusts.
func newAuthorizer(key *rsa.PrivateKey, cacheEntries int, contract config.Contract) (*apigw.Authorizer, *token.Issuer, error) {
	dir, err := os.MkdirTemp("", "gatehouse-bench")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	keys := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(keys, []byte(jwksOf(key)), 0o600); err != nil {
		return nil, nil, err
	}
	p := fmt.Sprintf(`{name: okta, type: okta, issuer: %q, audiences: ["api://default"], keysFile: %q, keysOnly: true, cacheEntries: %d}`, issuer, keys, cacheEntries)
	return authorizerOf(configOf(p, contract))
}

// authorizerWith trusts one key of another kind.
func authorizerWith(alg string, key crypto.Signer) (*apigw.Authorizer, *token.Issuer, error) {
	public, err := jwk(alg, key.Public())
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "gatehouse-bench")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	keys := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(keys, []byte(`{"keys":[`+public+`]}`), 0o600); err != nil {
		return nil, nil, err
	}
	p := fmt.Sprintf(`{name: okta, type: okta, issuer: %q, audiences: ["api://default"], keysFile: %q, keysOnly: true, algorithms: [%s]}`, issuer, keys, alg)
	return authorizerOf(configOf(p, config.None))
}

func jwk(alg string, public crypto.PublicKey) (string, error) {
	text := base64.RawURLEncoding.EncodeToString
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4, x, y
		if err != nil {
			return "", err
		}
		return fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"bench","alg":%q,"x":%q,"y":%q}`, alg, text(point[1:33]), text(point[33:])), nil
	case ed25519.PublicKey:
		return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":"bench","alg":%q,"x":%q}`, alg, text(k)), nil
	default:
		return "", errBare
	}
}

func jwksOf(key *rsa.PrivateKey) string {
	return fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"bench","use":"sig","alg":"RS256","n":%q,"e":%q}]}`,
		base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
}

// configOf is a gatehouse.yaml with one provider and one API.
func configOf(provider string, contract config.Contract) string {
	return fmt.Sprintf(`
providers:
  - %s
apis:
  - name: orders
    providers: [okta]
    match: {stageVariable: orders}
    contract: %s
    routes:
      - {route: GET /orders, scopes: [orders:read]}
      - {route: "GET /orders/{id}", anyScope: [orders:read, orders:admin]}
      - {route: POST /orders, scopes: [orders:write]}
      - {route: "ANY /admin/{proxy+}", scopes: [orders:admin]}
`, provider, contract)
}

func authorizerOf(text string) (*apigw.Authorizer, *token.Issuer, error) {
	cfg, err := config.Parse([]byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, nil, err
	}
	env := provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}}
	gate, err := authorizer.New(cfg, env, approved)
	if err != nil {
		return nil, nil, err
	}
	p, err := provider.New(cfg.Providers[0], env)
	if err != nil {
		return nil, nil, err
	}
	line := &apigw.LineHandler{Handler: slog.NewJSONHandler(io.Discard, nil), Writer: io.Discard} //nolint:sloglint // the line is to be written, if to nowhere
	handler := gate.Handler(slog.New(line))
	handler.Metrics = "Gatehouse"
	return handler, p.Issuer, nil
}

// approved is a contract with every API, of the size that real ones have.
func approved(_ context.Context, k registry.ContractKey) (registry.Contract, error) {
	return registry.Contract{
		Provider: k.Provider, ClientID: k.ClientID, API: k.API,
		ApplicationID: "abcdefghijklmnopqrstuvwxyz", Tier: "gold", Status: registry.Approved,
	}, nil
}
