package oauth

import "strings"

// This file implements the scope grammar of RFC 6749 §3.3.

// ValidScope reports whether s is one scope-token: 1*( %x21 / %x23-5B / %x5D-7E ).
func ValidScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// SplitScope splits a space-delimited scope value into its tokens.
func SplitScope(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
}
