package fetch

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"time"
)

// bundles are the files that hold all root certificates of a system: Amazon
// Linux, Debian. Loading one of them instead of everything crypto/x509 finds
// saves the authorizer most of its cold start: on Amazon Linux 2023 the same
// roots are found three times (golang/go#79018).
var bundles = []string{
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/certs/ca-certificates.crt",
}

// OneSource has crypto/x509 read the system's roots from one file, and not before
// the first connection: a process that is never asked to fetch anything does not
// read them at all, which is two thirds of its start. It sets SSL_CERT_FILE and
// SSL_CERT_DIR, so call it before any connection is made; where they choose
// others, or no file is known, it does nothing.
func OneSource(getenv func(string) string, setenv func(name, value string) error) error {
	if getenv("SSL_CERT_FILE") != "" || getenv("SSL_CERT_DIR") != "" {
		return nil
	}
	for _, name := range bundles {
		if _, err := os.Stat(name); err == nil {
			return errors.Join(setenv("SSL_CERT_FILE", name), setenv("SSL_CERT_DIR", os.DevNull)) // no folder at all
		}
	}
	return nil
}

// NewClient returns the client for everything Gatehouse fetches. It follows
// no redirects, accepts no compression (so no bomb), and forgets idle
// connections soon: those that slept in a frozen Lambda are dead.
func NewClient() *http.Client {
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    2 * time.Second,
		ResponseHeaderTimeout:  10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
