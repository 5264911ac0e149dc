package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestATokenInTheAddress is the end of the walk-through that Anypoint's users
// know: a browser opens the address of an API with a token in it. Profile mulesoft
// answers, strict says why not.
func TestATokenInTheAddress(t *testing.T) {
	t.Parallel()
	c := newBrowser(t)
	t.Run("opens an API in profile mulesoft, and stays in no cache", func(t *testing.T) {
		t.Parallel()
		r := start(t, mulesoftFiles(t))
		b, token := r.address(t, c), r.token(t, "orders:read")
		b.open(r.REST + "/orders?" + url.Values{"access_token": {token}}.Encode())
		b.sees(http.StatusOK, r.REST+"/orders", `"orders":`)
		if got := cacheControl(t, r.REST+"/orders?"+url.Values{"access_token": {token}}.Encode()); got != "private, no-store" {
			t.Errorf("got Cache-Control %q, want private, no-store", got)
		}
		bare := r.address(t, c)
		bare.open(r.REST + "/orders") // without one
		bare.sees(http.StatusUnauthorized, r.REST+"/orders", `"message":"Unauthorized"`)
	})
	t.Run("opens no API in profile strict, which says why", func(t *testing.T) {
		t.Parallel()
		r := start(t, repositoryFiles())
		b := r.address(t, c)
		b.open(r.REST + "/orders?" + url.Values{"access_token": {r.token(t, "orders:read")}}.Encode())
		b.sees(http.StatusUnauthorized, r.REST+"/orders", "Send an access token as Authorization: Bearer.")
		b.sees(http.StatusUnauthorized, r.REST+"/orders", "addresses end up in logs and histories")
	})
}

// address is a tab for addresses of an API, which has no icon for it.
func (r *running) address(t *testing.T, c browser) *tab {
	t.Helper()
	b := c.tab(t)
	b.wanted = append(b.wanted, strings.TrimSuffix(r.REST, "/v1")+"/favicon.ico")
	return b
}

// cacheControl is who may keep an answer.
func cacheControl(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get("Cache-Control")
}

// mulesoftFiles are those of this repository, but for an API that takes tokens in
// the query, too, and whose results API Gateway does not cache.
func mulesoftFiles(t *testing.T) files {
	t.Helper()
	f, dir := repositoryFiles(), t.TempDir()
	replaced := func(file string, pairs ...string) string {
		text := string(contents(t, file))
		for n := 0; n < len(pairs); n += 2 {
			if strings.Count(text, pairs[n]) != 1 {
				t.Fatalf("%s does not have %q once", file, pairs[n])
			}
			text = strings.Replace(text, pairs[n], pairs[n+1], 1)
		}
		to := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return to
	}
	const identity = "            FunctionPayloadType: REQUEST\n            DisableFunctionDefaultPermissions: true # see AuthorizerPermission\n            Identity:\n"
	f.Template = replaced(f.Template, identity+"              Headers: [Authorization]\n              ReauthorizeEvery: !Ref AuthorizerCacheSeconds\n",
		identity+"              ReauthorizeEvery: 0\n")
	f.Config = replaced(f.Config, "resultCache: ${AUTHORIZER_CACHE_SECONDS}s", "resultCache: 0s",
		"    contract: required\n", "    contract: required\n    profile: mulesoft\n")
	return f
}
