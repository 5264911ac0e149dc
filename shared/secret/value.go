// Package secret reads secrets from where they live and keeps them out of
// everything else. A secret is a [Value], which prints as "[redacted]" however
// it is printed. Secrets come from AWS Secrets Manager or, on a laptop, from a
// file; never from the environment and never from the configuration.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Value is a secret. Every way of printing it gives "[redacted]"; call
// [Value.Reveal] at the one place that needs the bytes.
//
// The bytes sit in a closure because fmt prints unexported struct fields
// without asking their methods. That also makes == a compile error: compare
// with [Value.Equal].
type Value struct{ reveal func() string }

// New wraps s.
func New(s string) Value { return Value{func() string { return s }} }

// Reveal returns the secret, or "" for the zero Value.
func (v Value) Reveal() string {
	if v.reveal == nil {
		return ""
	}
	return v.reveal()
}

// Equal compares in constant time.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

// Format implements [fmt.Formatter] for every verb.
func (Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
