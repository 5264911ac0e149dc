package real_test

import (
	"context"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"

	"gatehouse/infra/tooltest"
)

// oidcProviderVersion names the cached copy; it follows package-lock.json.
const oidcProviderVersion = "oidc-provider-9.13.3"

// startOIDCProvider starts oidc-provider. It issues what the resource asks for:
// JWTs, which it does not introspect, or opaque tokens.
func startOIDCProvider(t *testing.T) server {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tooltest.Missing(t, err)
	}
	dir, err := tooltest.Cached(t.Context(), oidcProviderVersion, func(ctx context.Context, dir string) error {
		return install(ctx, dir, "testdata/oidc-provider")
	})
	if err != nil {
		tooltest.Missing(t, err)
	}
	const initialToken, secret = "initial-access-token", "gateway-secret"
	port := freePort(t)
	issuer := "http://127.0.0.1:" + port
	start(t, exec.Command(node, "testdata/oidc-provider/server.mjs", filepath.Join(dir, "node_modules"), port, initialToken, gateway, secret),
		issuer+"/.well-known/openid-configuration")
	return server{
		kind: "rfc7591", issuer: issuer, token: issuer + "/token",
		key: initialToken, secret: secret,
		jwt:                 url.Values{"scope": {scope}, "resource": {api}},
		introspected:        url.Values{"scope": {scope}, "resource": {api + "/opaque"}},
		tokensOutliveClient: true,
	}
}
