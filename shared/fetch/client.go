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
// Linux, Debian. What crypto/x509 finds besides is the same again: on Amazon
// Linux 2023 all of it three times (golang/go#79018).
var bundles = []string{
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/certs/ca-certificates.crt",
}

// systemBundle is the first of bundles that exists, "" if none does.
func systemBundle() string {
	for _, name := range bundles {
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	return ""
}

// OneSource has crypto/x509, too, read the system's roots from one file: it is
// asked about servers behind a proxy and by [NewGuardedClient]. It sets
// SSL_CERT_FILE and SSL_CERT_DIR, so call it before any connection is made; where
// they choose others, or no file is known, it does nothing.
func OneSource(getenv func(string) string, setenv func(name, value string) error) error {
	bundle := systemBundle()
	if bundle == "" || getenv("SSL_CERT_FILE") != "" || getenv("SSL_CERT_DIR") != "" {
		return nil
	}
	return errors.Join(setenv("SSL_CERT_FILE", bundle), setenv("SSL_CERT_DIR", os.DevNull)) // no folder at all
}

// handshakeTimeout bounds how long a server may take to prove who it is.
const handshakeTimeout = 2 * time.Second

// NewTransport returns what everything that Gatehouse is configured to ask goes
// through. It accepts no compression (so no bomb), and forgets idle connections
// soon: those that slept in a frozen Lambda are dead. It speaks HTTP/1.1, which
// notices when one died and takes another, and of which a function that does one
// thing at a time needs no more.
func NewTransport() *http.Transport { return newTransport(time.Now) }

func newTransport(now func() time.Time) *http.Transport {
	connect := forgetful((&net.Dialer{Timeout: 2 * time.Second}).DialContext, now)
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            connect,
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12}, // behind a proxy, or where there are no roots of ours
	}
	if r := systemRoots(os.Getenv); r != nil { //nolint:forbidigo // crypto/x509 reads the same
		t.DialTLSContext = r.dialTLS(connect, handshakeTimeout)
	}
	return t
}

// NewClient returns the client for everything Gatehouse fetches.
func NewClient() *http.Client { return ClientOf(NewTransport()) }

// ClientOf returns a client that follows no redirects.
func ClientOf(t *http.Transport) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
