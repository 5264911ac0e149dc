package main

import (
	"bytes"
	"context"
	"crypto"
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
	"strings"
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
	return []subject{
		{name: "bare RS256: SHA-256 and rsa.VerifyPKCS1v15", run: func() error {
			digest := sha256.Sum256(signed)
			return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature)
		}},
		{name: "token: gate, signature, claims", run: func() error {
			u, err := token.Parse(jwt)
			if err == nil {
				_, err = issuerOf.Verify(context.Background(), u)
			}
			return err
		}},
		{name: "decision, event to answer, uncached", bound: 1.8, run: decide(uncached, event)},
		{name: "decision, event to answer, cached", bound: 0.6, run: decide(cached, event)},
		{name: "decision, event to answer, cached, with contract", bound: 0.65, run: decide(contracted, event)},
		{name: "event: ours", run: func() error {
			_, err := apigw.ParseRequest(event)
			return err
		}},
		{name: "event: encoding/json", run: func() error {
			var e events.APIGatewayCustomAuthorizerRequestTypeRequest
			return json.Unmarshal(event, &e)
		}},
	}, nil
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
func sign(key *rsa.PrivateKey) (string, error) {
	now := time.Now()
	header := `{"kid":"bench","alg":"RS256"}`
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
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
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
	jwks := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"bench","use":"sig","alg":"RS256","n":%q,"e":%q}]}`,
		base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
	keys := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(keys, []byte(jwks), 0o600); err != nil {
		return nil, nil, err
	}
	cfg, err := config.Parse(fmt.Appendf(nil, `
providers:
  - {name: okta, type: okta, issuer: %q, audiences: ["api://default"], keysFile: %q, keysOnly: true, cacheEntries: %d}
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
`, issuer, keys, cacheEntries, contract), func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, nil, err
	}
	env := provider.Environment{HTTP: fetch.NewClient(nil), Secrets: &secret.Manager{}}
	gate, err := authorizer.New(cfg, env, approved)
	if err != nil {
		return nil, nil, err
	}
	p, err := provider.New(cfg.Providers[0], env)
	if err != nil {
		return nil, nil, err
	}
	handler := gate.Handler(slog.New(slog.NewJSONHandler(io.Discard, nil))) //nolint:sloglint // the line is to be written, if to nowhere
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
