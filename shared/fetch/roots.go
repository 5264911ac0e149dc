package fetch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// roots are the certificates by which servers are verified. crypto/x509 would
// parse all of a system's hundred and fifty at the first connection, most of what
// a cold start with a key fetch costs; of these only those are parsed that a
// server's chain names.
//
// They are the ones that crypto/x509 would find on Linux (SSL_CERT_FILE or the
// system's bundle, the folders of SSL_CERT_DIR), and what is done with them is
// what crypto/tls does by default: [x509.Certificate.Verify] for the server's name.
type roots struct {
	files     []string
	once      sync.Once // reads them
	bySubject map[string][][]byte
	err       error
}

// systemRoots returns the roots of this system; nil where only crypto/x509 knows
// them, or must be the one to use them (FIPS 140-3).
func systemRoots(getenv func(string) string) *roots {
	if fips140.Enabled() {
		return nil
	}
	bundle, folders := systemBundle(), getenv("SSL_CERT_DIR")
	file := cmp.Or(getenv("SSL_CERT_FILE"), bundle)
	if file == "" {
		return nil
	}
	files := []string{file}
	if folders == "" && bundle != "" && bundle != file { // it has what the system's folders have
		files = append(files, bundle)
	}
	for _, folder := range filepath.SplitList(folders) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // as crypto/x509 does
		}
		for _, e := range entries {
			files = append(files, filepath.Join(folder, e.Name()))
		}
	}
	shared, _ := known.LoadOrStore(strings.Join(files, "\n"), &roots{files: files})
	r, _ := shared.(*roots)
	return r
}

// known are the roots of this process by their files: several clients read them
// once.
var known sync.Map

// read reads the files, those that can be read, and sorts what is in them.
func (r *roots) read() {
	r.bySubject = map[string][][]byte{}
	var errs []error
	for _, name := range r.files {
		text, err := os.ReadFile(name) //nolint:gosec // the system's roots, or what the operator names instead
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r.add(text)
	}
	if len(r.bySubject) == 0 {
		r.err = fmt.Errorf("no root certificates: %w", errors.Join(append(errs, errors.New("no file has one"))...))
	}
}

var (
	pemBegin = []byte("-----BEGIN CERTIFICATE-----")
	pemEnd   = []byte("-----END CERTIFICATE-----")
)

// add sorts the certificates in text (RFC 7468 §5) by their subjects. What is no
// certificate is left out.
func (r *roots) add(text []byte) {
	room := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	for {
		_, after, ok := bytes.Cut(text, pemBegin)
		if !ok {
			return
		}
		text = after
		body, rest, ok := bytes.Cut(after, pemEnd)
		if !ok {
			return
		}
		if bytes.ContainsAny(body, " \t") {
			body = bytes.Join(bytes.Fields(body), nil)
		}
		n, err := base64.StdEncoding.Decode(room, body)
		der := room[:n:n]
		if subject, ok := subjectOf(der); ok && err == nil {
			r.bySubject[string(subject)] = append(r.bySubject[string(subject)], der)
			room, text = room[n:], rest
		}
	}
}

// subjectOf returns the subject of a certificate as it stands there (RFC 5280 §4.1).
func subjectOf(der cryptobyte.String) (subject cryptobyte.String, ok bool) {
	var certificate, tbs cryptobyte.String
	ok = der.ReadASN1(&certificate, asn1.SEQUENCE) &&
		certificate.ReadASN1(&tbs, asn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(asn1.Tag(0).Constructed().ContextSpecific()) && // version
		tbs.SkipASN1(asn1.INTEGER) && // serialNumber
		tbs.SkipASN1(asn1.SEQUENCE) && // signature
		tbs.SkipASN1(asn1.SEQUENCE) && // issuer
		tbs.SkipASN1(asn1.SEQUENCE) && // validity
		tbs.ReadASN1Element(&subject, asn1.SEQUENCE)
	return subject, ok
}

// pool returns the roots that could end a chain of these certificates: those that
// issued one, and those that are one.
func (r *roots) pool(chain []*x509.Certificate) (*x509.CertPool, error) {
	if r.once.Do(r.read); r.err != nil {
		return nil, r.err
	}
	pool := x509.NewCertPool()
	for _, c := range chain {
		for _, name := range [][]byte{c.RawIssuer, c.RawSubject} {
			for _, der := range r.bySubject[string(name)] {
				if root, err := x509.ParseCertificate(der); err == nil {
					pool.AddCert(root) // once, however often
				}
			}
		}
	}
	return pool, nil
}

// verify does for a server called host what crypto/tls does by default.
func (r *roots) verify(host string, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("the server shows no certificate")
	}
	pool, err := r.pool(chain)
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{DNSName: host, Roots: pool, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

// dialTLS connects by d and has the other end prove to be the host of the address.
func (r *roots) dialTLS(d dial, timeout time.Duration) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		plain, err := d(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(plain, &tls.Config{
			MinVersion: tls.VersionTLS12,
			ServerName: host,
			// Not crypto/tls verifies, but verify: on each connection, before anything is sent.
			InsecureSkipVerify: true, //nolint:gosec // see VerifyConnection
			VerifyConnection:   func(state tls.ConnectionState) error { return r.verify(host, state.PeerCertificates) },
		})
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = plain.Close() // nothing was sent
			return nil, err
		}
		return conn, nil
	}
}
