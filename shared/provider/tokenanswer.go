package provider

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/shared/oauth"
	"gatehouse/shared/strictjson"
)

// This file reads what a token endpoint gives out (RFC 6749 §5.1).

// Reasons for which an answer gives no tokens. Whatever it was for is spent.
var (
	errTokenAnswer = fmt.Errorf("%w: its answer cannot be read as that of a token endpoint", errLost)
	errTokenType   = fmt.Errorf("%w: it gives out tokens that are no bearer tokens", errLost)
)

// parseTokens reads a success. Members with null count as absent.
func parseTokens(body []byte) (Tokens, error) {
	var a tokenAnswer
	d := strictjson.NewDecoder(body, providerJSON)
	err := d.Object(func(name []byte) error { return a.member(d, string(name)) })
	if err == nil {
		err = d.End()
	}
	invalid := func(scope string) bool { return !oauth.ValidScope(scope) }
	switch {
	case err != nil, oauth.CheckToken(a.AccessToken.Reveal()) != nil, slices.ContainsFunc(oauth.SplitScope(a.Scope), invalid):
		return Tokens{}, errTokenAnswer
	case !strings.EqualFold(a.kind, "Bearer"):
		return Tokens{}, errTokenType
	}
	return a.Tokens, nil
}

// tokenAnswer is what a token endpoint says.
type tokenAnswer struct {
	Tokens

	kind string // token_type
}

func (a *tokenAnswer) member(d *strictjson.Decoder, name string) error {
	if d.Kind() == strictjson.Null {
		return d.Skip()
	}
	switch name {
	case "access_token":
		return readSecret(d, &a.AccessToken)
	case "refresh_token":
		return readSecret(d, &a.RefreshToken)
	case "token_type":
		return readString(d, &a.kind)
	case "expires_in":
		return readSeconds(d, &a.ExpiresIn)
	case "scope":
		a.ScopeTold = true
		return readJoined(d, &a.Scope)
	default:
		return d.Skip()
	}
}

// longestLife is more than any token lives, and still a duration.
const longestLife = 100 * 365 * 24 * time.Hour

// readSeconds reads a number of seconds, which some servers send as text.
func readSeconds(d *strictjson.Decoder, into *time.Duration) error {
	read := d.Number
	if d.Kind() == strictjson.String {
		read = d.String
	}
	text, err := read()
	if err != nil {
		return err
	}
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(n >= 0) { // which NaN is not, either
		return errTokenAnswer
	}
	*into = time.Duration(min(n, longestLife.Seconds())) * time.Second
	return nil
}
