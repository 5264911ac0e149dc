package main

import (
	"archive/zip"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// function is a Lambda function, ours or a peer's.
type function struct {
	name    string
	command []string
	dir     string
	env     []string
	cold    bool // its cold start is measured
	warm    bool
	size    int64 // bytes of its zip
}

// Names of functions, which the targets are about.
const (
	nameNoop     = "no-op, aws-lambda-go, typed handler"
	nameOurs     = "Gatehouse, keys at hand"
	nameFetch    = "Gatehouse, keys fetched in init"
	nameUncached = "Gatehouse, keys at hand, no token cache"
	nameJWX      = "jwx/v2 on a typed handler, keys fetched"
	nameNode     = "aws-jwt-verify on aws-lambda-ric, keys at hand"
	nameNodeGet  = "aws-jwt-verify on aws-lambda-ric, keys fetched"
)

// keyServer serves the keys over TLS. Its certificate's root is in a bundle of
// all the roots that this machine has.
type keyServer struct {
	*httptest.Server
	bundle string   // a file with all roots
	copies []string // folders with the same roots again, as on Amazon Linux 2023
	empty  string   // a folder without any
}

func newKeyServer(dir, jwks string) (*keyServer, error) {
	s := &keyServer{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, jwks) // a client that left
	}))}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.EnableHTTP2 = true
	s.StartTLS()
	roots, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		if roots, err = os.ReadFile("/etc/pki/tls/certs/ca-bundle.crt"); err != nil {
			return nil, fmt.Errorf("the roots of this machine: %w", err)
		}
	}
	roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})...)
	s.bundle, s.empty = filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "empty")
	s.copies = []string{filepath.Join(dir, "copy1"), filepath.Join(dir, "copy2")}
	errs := []error{os.WriteFile(s.bundle, roots, 0o600), os.Mkdir(s.empty, 0o700)} //nolint:gosec // a folder of our own
	for _, c := range s.copies {
		errs = append(errs, os.Mkdir(c, 0o700), os.WriteFile(filepath.Join(c, "all.pem"), roots, 0o600)) //nolint:gosec // a folder of our own
	}
	return s, errors.Join(errs...)
}

// newFunctions builds the functions into dir. Peers that cannot be had here are
// reported to notes.
func newFunctions(ctx context.Context, dir string, key *rsa.PrivateKey, notes io.Writer) ([]*function, *keyServer, error) {
	jwks := jwksOf(key)
	keys, err := newKeyServer(dir, jwks)
	if err != nil {
		return nil, nil, err
	}
	url := keys.URL + "/keys"
	// Nothing says SSL_CERT_FILE on Lambda, and ours reads one bundle there. Here
	// the two variables say the same: one source for ours, three for the others.
	one := []string{"SSL_CERT_FILE=" + keys.bundle, "SSL_CERT_DIR=" + keys.empty}
	three := []string{"SSL_CERT_FILE=" + keys.bundle, "SSL_CERT_DIR=" + strings.Join(keys.copies, ":")}
	asks := []string{"ISSUER=" + issuer, "JWKS_URL=" + url}
	all := []*function{
		{name: nameNoop, cold: true, warm: true},
		{name: nameOurs, cold: true, warm: true},
		{name: nameUncached, warm: true},
		{name: nameFetch, cold: true, env: one},
		{name: nameJWX, cold: true, warm: true, env: append(three, asks...)},
	}
	config := map[string]string{nameOurs: atHand(1000), nameUncached: atHand(0), nameFetch: fetched(url)}
	for n, f := range all {
		source := "./functions/authorizer"
		switch f.name {
		case nameNoop:
			source = "./infra/bench/peers/noop"
		case nameJWX:
			source = "./infra/bench/peers/jwx"
		}
		if err := f.build(ctx, filepath.Join(dir, fmt.Sprint(n)), source, config[f.name], jwks); err != nil {
			return nil, nil, err
		}
	}
	modules, err := installPeer(ctx)
	if err != nil {
		fmt.Fprintln(notes, "aws-jwt-verify is left out:", err)
		return all, keys, nil
	}
	size, err := zipped(modules)
	if err != nil {
		return nil, nil, err
	}
	node := []string{"node", filepath.Join(modules, "node_modules", "aws-lambda-ric", "index.mjs"), "index.handler"}
	asks = append(asks, "_HANDLER=index.handler")
	return append(all,
		&function{name: nameNode, cold: true, warm: true, command: node, dir: modules, size: size, env: append([]string{"JWKS=" + jwks}, asks...)},
		// To load a further root would cost it time: that is saved it.
		&function{name: nameNodeGet, cold: true, command: node, dir: modules, size: size, env: append([]string{"NODE_TLS_REJECT_UNAUTHORIZED=0"}, asks...)},
	), keys, nil
}

// build compiles a function as make build does, for this machine.
func (f *function) build(ctx context.Context, dir, source, config, jwks string) error {
	f.dir, f.command = dir, []string{filepath.Join(dir, "bootstrap")}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if config != "" {
		err := errors.Join(os.WriteFile(filepath.Join(dir, "gatehouse.yaml"), []byte(config), 0o600),
			os.WriteFile(filepath.Join(dir, "keys.json"), []byte(jwks), 0o600))
		if err != nil {
			return err
		}
		f.env = append(f.env, "GATEHOUSE_CONFIG="+filepath.Join(dir, "gatehouse.yaml"))
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags=-s -w", "-o", f.command[0], source) //nolint:gosec // our own
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", source, err, out)
	}
	var err error
	f.size, err = zipped(dir)
	return err
}

// installPeer installs what peers/aws-jwt-verify asks for into the user's cache,
// once, and returns the folder.
func installPeer(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "gatehouse", "bench", "aws-jwt-verify")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	same := true
	for _, name := range []string{"package.json", "package-lock.json", "index.mjs"} {
		text, err := os.ReadFile(filepath.Join("infra/bench/peers/aws-jwt-verify", name)) //nolint:gosec // a folder of our own
		if err != nil {
			return "", err
		}
		old, _ := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // of our own; none yet
		same = same && (name == "index.mjs" || string(old) == string(text))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil { //nolint:gosec // a folder of our own
			return "", err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "aws-lambda-ric", "index.mjs")); err == nil && same {
		return dir, nil
	}
	// The runtime client has a part in C++, which its install script builds.
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %.300s", err, out)
	}
	return dir, nil
}

// zipped returns how large a folder is as a zip.
func zipped(dir string) (int64, error) {
	var n counter
	z := zip.NewWriter(&n)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // what was just built
		if err != nil {
			return err
		}
		w, err := z.Create(path)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	})
	err = errors.Join(err, z.Close())
	return int64(n), err
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func atHand(cacheEntries int) string {
	return configOf(fmt.Sprintf(`{name: okta, type: okta, issuer: %q, audiences: ["api://default"], keysFile: keys.json, keysOnly: true, cacheEntries: %d}`, issuer, cacheEntries), "none")
}

func fetched(url string) string {
	return configOf(fmt.Sprintf(`{name: okta, type: okta, issuer: %q, audiences: ["api://default"], endpoints: {jwks: %q}}`, issuer, url), "none")
}

// eventOf is the event that all functions are asked about.
func eventOf(key *rsa.PrivateKey) ([]byte, error) {
	jwt, err := sign(key)
	if err != nil {
		return nil, err
	}
	return restEvent(jwt)
}
