package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"unicode/utf8"
)

// position is where a page of a list ended. Sent to clients, it is base64url of
//
//	checksum (8 bytes) | shard (1 byte) | sort key
//
// The checksum also covers the name of the list, so that a damaged cursor or
// one of another list is told from a good one. It is no protection against
// forgery and need not be: the partition comes from the query, so a forged
// cursor can only skip within the list its sender may read anyway.
type position struct {
	shard int
	sort  string // "": before the first of the shard
}

const cursorSum = 8 // bytes

var cursorText = base64.RawURLEncoding.Strict()

func (p position) cursor(list string) string {
	body := append([]byte{byte(p.shard)}, p.sort...) //nolint:gosec // shard is below shards
	return cursorText.EncodeToString(append(checksum(list, body), body...))
}

func parseCursor(text, list string) (position, error) {
	if len(text) > cursorText.EncodedLen(cursorSum+1+maxSort) {
		return position{}, ErrCursor
	}
	raw, err := cursorText.DecodeString(text)
	if err != nil || len(raw) < cursorSum+1 {
		return position{}, ErrCursor
	}
	sum, body := raw[:cursorSum], raw[cursorSum:]
	if !bytes.Equal(sum, checksum(list, body)) || int(body[0]) >= shards || !utf8.Valid(body[1:]) {
		return position{}, ErrCursor
	}
	return position{shard: int(body[0]), sort: string(body[1:])}, nil
}

func checksum(list string, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte(list))
	h.Write([]byte{0})
	h.Write(body)
	return h.Sum(nil)[:cursorSum]
}
