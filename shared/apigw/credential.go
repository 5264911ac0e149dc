package apigw

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Credential is text of a request that may be a token. Every way of printing it
// gives "[redacted]"; call [Credential.Reveal] at the one place that parses it.
//
// The text is behind a pointer because fmt prints unexported struct fields
// without asking their methods; of a pointer within a struct it prints the
// address.
type Credential struct{ text *string }

// Reveal returns the text, or "" for the zero Credential.
func (c Credential) Reveal() string {
	if c.text == nil {
		return ""
	}
	return *c.text
}

// Format implements [fmt.Formatter] for every verb.
func (Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Credential) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (Credential) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// credentials wraps texts, nil if there are none. It keeps the slice.
func credentials(texts []string) []Credential {
	if len(texts) == 0 {
		return nil
	}
	wrapped := make([]Credential, len(texts))
	for i := range texts {
		wrapped[i].text = &texts[i]
	}
	return wrapped
}
