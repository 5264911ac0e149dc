package clientdoc

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// This file implements as much of HTTP caching (RFC 9111) as a client of one
// document needs.

// lifetime is how long a document may be used without being fetched again, by
// its header and within our own bounds, which the draft allows (section 5.2).
//
// no-store, no-cache and private make it the minimum, and so does a header that
// says nothing: a login asks for the document twice within a minute, for the
// authorization request and for the token, and that must be one fetch of one
// document. What may stand in a document is public, so that keeping it for a
// minute gives nothing away.
func lifetime(h http.Header, now time.Time) time.Duration {
	return max(minAge, min(freshness(h, now), maxAge))
}

// freshness is what is left of the freshness lifetime (RFC 9111 section 4.2).
// Gatehouse is a shared cache: one document serves all users of a client.
func freshness(h http.Header, now time.Time) time.Duration {
	directives := directives(h)
	for _, name := range []string{"no-store", "no-cache", "private"} {
		if _, ok := directives[name]; ok {
			return 0
		}
	}
	age := seconds(h.Get("Age")) // how long others kept it
	for _, name := range []string{"s-maxage", "max-age"} {
		if value, ok := directives[name]; ok {
			return seconds(value) - age
		}
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0 // none, or the usual "0" and "-1"
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date // by the clock that Expires is of
	}
	if !expires.After(now) {
		return 0 // it may be so long ago that to take the age off makes it the future
	}
	return expires.Sub(now) - age
}

// directives are those of Cache-Control, in lower case. Of one that comes twice
// the first counts (RFC 9111 section 4.2.1).
func directives(h http.Header) map[string]string {
	all := map[string]string{}
	for one := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if name = strings.ToLower(name); all[name] == "" {
			all[name] = strings.Trim(value, `"`)
		}
	}
	return all
}

// seconds reads delta-seconds (RFC 9111 section 1.2.2). What is none counts as
// 0, and what is too large to count as the most that we keep anything.
func seconds(s string) time.Duration {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return maxAge
	}
	return time.Duration(n) * time.Second
}
