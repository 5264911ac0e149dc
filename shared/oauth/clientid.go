package oauth

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// This file implements client identifiers that are the URL of the client's
// metadata document: draft-ietf-oauth-client-id-metadata-document-02 section 3.

// MaxClientIDURL is the longest client identifier URL, in bytes. The draft says
// only that short ones are RECOMMENDED.
const MaxClientIDURL = 2048

// Reasons [CheckClientIDURL] refuses a client identifier.
var (
	ErrClientIDLength     = errors.New("oauth: the client_id is longer than 2048 bytes")
	ErrClientIDCharacters = errors.New("oauth: the client_id has characters that no URL has")
	ErrClientIDScheme     = errors.New("oauth: the client_id is not an https URL")
	ErrClientIDUserinfo   = errors.New("oauth: the client_id has a username or password")
	ErrClientIDHost       = errors.New("oauth: the host of the client_id is not a name in lower case")
	ErrClientIDPort       = errors.New("oauth: the port of the client_id is the default one, or not a port number")
	ErrClientIDPath       = errors.New("oauth: the client_id has no path")
	ErrClientIDSegments   = errors.New("oauth: the path of the client_id has dot segments")
	ErrClientIDEncoding   = errors.New("oauth: the client_id has percent-encoding that is not in normal form")
	ErrClientIDQuery      = errors.New("oauth: the client_id has a query")
	ErrClientIDFragment   = errors.New("oauth: the client_id has a fragment")
)

// CheckClientIDURL says whether s can be the URL of a client metadata document,
// and names what is wrong with it. It looks nothing up: where a document may be
// fetched from is a question for whoever fetches it.
//
// Client identifiers are compared byte by byte, and nobody but the client may
// normalize them (section 3, RFC 3986 section 6.2.1). So that no two of them
// mean one document, s has to come in the normal form of RFC 3986 sections 6.2.2
// and 6.2.3 that the draft asks clients for. Three rules are stricter than the
// draft: there is no query, which it says there SHOULD NOT be; a path of "/" is
// none, for the front page of a site is not one of its clients; and the host is
// a name, for it is what users are shown.
func CheckClientIDURL(s string) error {
	if len(s) > MaxClientIDURL {
		return ErrClientIDLength
	}
	rest, https := strings.CutPrefix(s, "https://")
	if !https {
		return ErrClientIDScheme
	}
	if !uriCharacters(s) {
		return ErrClientIDCharacters
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if err := checkAuthority(rest[:end]); err != nil {
		return err
	}
	path := rest[end:]
	switch {
	case strings.Contains(path, "#"):
		return ErrClientIDFragment
	case strings.Contains(path, "?"):
		return ErrClientIDQuery
	case path == "" || path == "/":
		return ErrClientIDPath
	case strings.ContainsAny(path, "[]"):
		return ErrClientIDCharacters
	case hasDotSegments(path):
		return ErrClientIDSegments
	case !normalEncoding(path):
		return ErrClientIDEncoding
	}
	return nil
}

func checkAuthority(authority string) error {
	if strings.Contains(authority, "@") {
		return ErrClientIDUserinfo
	}
	host, port, hasPort := strings.Cut(authority, ":")
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return ErrClientIDHost
		}
	}
	if !hasPort {
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || n == 443 || port[0] == '0' {
		return ErrClientIDPort
	}
	return nil
}

// hasDotSegments reports whether path has a segment "." or "..", for whoever
// decodes it never so often and takes a backslash for a slash: servers and
// caches that do are why the draft forbids them.
func hasDotSegments(path string) bool {
	for {
		for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if segment == "." || segment == ".." {
				return true
			}
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return false
		}
		path = decoded
	}
}

// normalEncoding reports whether path has percent-encoding only where it must
// be, in upper case (RFC 3986 sections 6.2.2.1 and 6.2.2.2), and of no control
// character.
func normalEncoding(path string) bool {
	parts := strings.Split(path, "%")
	for _, part := range parts[1:] {
		if len(part) < 2 || strings.Trim(part[:2], "0123456789ABCDEF") != "" {
			return false
		}
		c, err := strconv.ParseUint(part[:2], 16, 8)
		if err != nil || c < ' ' || c == 0x7f || unreserved(byte(c)) {
			return false
		}
	}
	return true
}
