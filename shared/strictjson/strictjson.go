// Package strictjson reads JSON (RFC 8259) that an attacker may have written.
//
// One pass checks and reads: exactly one value, valid UTF-8, no lone
// surrogates, no repeated member names, no number that one reader refuses and
// another takes for infinity, bounded depth and member counts. What
// encoding/json lets pass or quietly repairs (the last of two members wins,
// names match without regard to case, broken UTF-8 becomes U+FFFD) is an error
// here, because two readers of one document must never disagree about it.
//
// It reads only what the caller asks for and allocates only for strings that
// contain escapes, so that the gate of the authorizer costs little more than
// the signature it guards.
package strictjson

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Reasons a document is refused. Errors returned by a [Decoder] wrap one of them.
var (
	ErrSyntax    = errors.New("not well-formed JSON")
	ErrType      = errors.New("unexpected JSON type")
	ErrUTF8      = errors.New("not valid UTF-8")
	ErrNUL       = errors.New("a string contains U+0000")
	ErrDuplicate = errors.New("a member name occurs twice")
	ErrFolded    = errors.New("two member names differ only in case")
	ErrDepth     = errors.New("nested too deeply")
	ErrMembers   = errors.New("too many members")
	ErrRange     = errors.New("a number is larger than a double holds") // RFC 7493 §2.2
)

// Rules says how strict a [Decoder] is. The zero value accepts nothing but
// scalars.
type Rules struct {
	Depth   int  // deepest nesting of objects and arrays
	Members int  // most members of one object
	Folded  bool // accept names that differ only in case, such as HTTP header names
	NUL     bool // accept U+0000 in strings
}

// Token is for what a caller composed to be believed: JOSE headers, claims,
// introspection answers, key sets.
var Token = Rules{Depth: 16, Members: 256}

// Event is for what API Gateway composed around a caller's request: header and
// query parameter names are the caller's.
var Event = Rules{Depth: 32, Members: 1024, Folded: true, NUL: true}

// Kind is the type of a JSON value.
type Kind uint8

// The kinds of value. Invalid is the end of the input or a byte that starts no value.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Decoder reads JSON documents, one at a time. Use [NewDecoder]; a Decoder is not safe for
// concurrent use and stops at its first error.
type Decoder struct {
	data  []byte
	pos   int
	depth int
	rules Rules
	names []name // member names of the objects that are open
	room  [24]name
}

// name is where a member name stands in the input, and what it is looked for by.
type name struct {
	hash  uint32 // of the ASCII-folded bytes; 0 when the name is not plain ASCII
	start int32
	end   int32
}

// NewDecoder returns a decoder of data, which must not change while it is used.
func NewDecoder(data []byte, rules Rules) *Decoder {
	return &Decoder{data: data, rules: rules}
}

// Reset makes d read another document by the same rules.
func (d *Decoder) Reset(data []byte) {
	d.data, d.pos, d.depth, d.names = data, 0, 0, d.names[:0]
}

// Valid reports whether data is one document that obeys rules, as an error.
func Valid(data []byte, rules Rules) error {
	d := NewDecoder(data, rules)
	if err := d.Skip(); err != nil {
		return err
	}
	return d.End()
}

// Kind returns the kind of the next value without reading it.
func (d *Decoder) Kind() Kind {
	d.space()
	if d.pos >= len(d.data) {
		return Invalid
	}
	switch c := d.data[d.pos]; c {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	default:
		if c == '-' || c-'0' <= 9 {
			return Number
		}
		return Invalid
	}
}

// Offset returns how many bytes of the document have been read.
func (d *Decoder) Offset() int { return d.pos }

// End reports an error unless the document has been read to its end.
func (d *Decoder) End() error {
	d.space()
	if d.pos != len(d.data) || d.depth != 0 {
		return d.fail(ErrSyntax)
	}
	return nil
}

// Object reads an object and calls member for each of its members. The name is
// valid only during the call, which must read the member's value: exactly once,
// with any method of d.
func (d *Decoder) Object(member func(name []byte) error) error {
	if err := d.open('{'); err != nil {
		return err
	}
	if d.names == nil {
		d.names = d.room[:0]
	}
	first := len(d.names)
	for n := 0; ; n++ {
		d.space()
		if d.peek() == '}' && n == 0 {
			break
		}
		if n >= d.rules.Members {
			return d.fail(ErrMembers)
		}
		name, err := d.member(first)
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
		d.space()
		if d.peek() == '}' {
			break
		}
		if d.peek() != ',' {
			return d.fail(ErrSyntax)
		}
		d.pos++
		d.space()
	}
	d.names = d.names[:first]
	d.pos++
	d.depth--
	return nil
}

// Array reads an array and calls element before each of its elements, which it
// must read exactly once.
func (d *Decoder) Array(element func() error) error {
	if err := d.open('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		d.space()
		if d.peek() == ']' && first {
			break
		}
		if err := element(); err != nil {
			return err
		}
		d.space()
		if d.peek() == ']' {
			break
		}
		if d.peek() != ',' {
			return d.fail(ErrSyntax)
		}
		d.pos++
	}
	d.pos++
	d.depth--
	return nil
}

// String reads a string and returns its text, which may share memory with the
// document.
func (d *Decoder) String() ([]byte, error) {
	if k := d.Kind(); k != String {
		return nil, d.wrong(k)
	}
	start, plain, err := d.scanString()
	if err != nil {
		return nil, err
	}
	if plain {
		return d.data[start : d.pos-1], nil
	}
	return d.text(start, d.pos-1)
}

// Number reads a number and returns its literal text, which shares memory with
// the document.
func (d *Decoder) Number() ([]byte, error) {
	if k := d.Kind(); k != Number {
		return nil, d.wrong(k)
	}
	start := d.pos
	if err := d.scanNumber(); err != nil {
		return nil, err
	}
	return d.data[start:d.pos], nil
}

// Bool reads true or false.
func (d *Decoder) Bool() (bool, error) {
	if k := d.Kind(); k != Bool {
		return false, d.wrong(k)
	}
	if d.peek() == 't' {
		return true, d.literal("true")
	}
	return false, d.literal("false")
}

// Null reads null.
func (d *Decoder) Null() error {
	if k := d.Kind(); k != Null {
		return d.wrong(k)
	}
	return d.literal("null")
}

// Raw reads any value and returns its text as it stands in the document.
func (d *Decoder) Raw() ([]byte, error) {
	d.space()
	start := d.pos
	if err := d.Skip(); err != nil {
		return nil, err
	}
	return d.data[start:d.pos], nil
}

// Skip reads any value and checks it like every other method does.
func (d *Decoder) Skip() error {
	switch d.Kind() {
	case Object:
		return d.Object(func([]byte) error { return d.Skip() })
	case Array:
		return d.Array(d.Skip)
	case String:
		start, plain, err := d.scanString()
		if err == nil && !plain {
			_, err = d.text(start, d.pos-1)
		}
		return err
	case Number:
		return d.scanNumber()
	case Bool:
		_, err := d.Bool()
		return err
	case Null:
		return d.literal("null")
	case Invalid:
	}
	return d.fail(ErrSyntax)
}

func (d *Decoder) open(c byte) error {
	k := d.Kind()
	if d.peek() != c {
		return d.wrong(k)
	}
	if d.depth >= d.rules.Depth {
		return d.fail(ErrDepth)
	}
	d.depth++
	d.pos++
	return nil
}

// member reads a member's name and colon. names[first:] are its elder siblings.
func (d *Decoder) member(first int) ([]byte, error) {
	if d.peek() != '"' {
		return nil, d.fail(ErrSyntax)
	}
	start, plain, err := d.scanString()
	if err != nil {
		return nil, err
	}
	end := d.pos - 1
	text := d.data[start:end]
	if !plain {
		if text, err = d.text(start, end); err != nil {
			return nil, err
		}
	}
	me := name{hash: foldedHash(text), start: int32(start), end: int32(end)} //nolint:gosec // documents are far smaller than 2 GiB
	for _, elder := range d.names[first:] {
		if elder.hash == me.hash || elder.hash == 0 || me.hash == 0 {
			if err := d.compare(elder, text); err != nil {
				return nil, err
			}
		}
	}
	d.names = append(d.names, me)
	d.space()
	if d.peek() != ':' {
		return nil, d.fail(ErrSyntax)
	}
	d.pos++
	return text, nil
}

// compare refuses a name that equals an elder sibling's.
func (d *Decoder) compare(elder name, text []byte) error {
	other := d.data[elder.start:elder.end]
	if bytes.IndexByte(other, '\\') >= 0 {
		var err error
		if other, err = d.unescape(other); err != nil {
			return err
		}
	}
	if bytes.Equal(other, text) {
		return d.fail(ErrDuplicate)
	}
	if !d.rules.Folded && strings.EqualFold(string(other), string(text)) {
		return d.fail(ErrFolded)
	}
	return nil
}

// foldedHash is equal for names that differ only in the case of ASCII letters,
// never 0 for plain ASCII and always 0 for any other name: those may fold to
// ASCII (ſ, K). Other names may share a hash, too; compare decides.
func foldedHash(b []byte) uint32 {
	const fold, prime = 0x2020202020202020, 0x9E3779B97F4A7C15
	h := uint64(len(b))
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		if w&highBits != 0 {
			return 0
		}
		h = (h ^ (w | fold)) * prime
		h ^= h >> 32
		b = b[8:]
	}
	var w uint64
	for _, c := range b {
		w = w<<8 | uint64(c)
	}
	if w&highBits != 0 {
		return 0
	}
	h = (h ^ (w | fold)) * prime
	return max(uint32(h>>32), 1)
}

// maxPlain is how many characters a number without an exponent may have and fit
// into a double for certain: the largest is 1.8e308.
const maxPlain = 308

func (d *Decoder) scanNumber() error {
	start, exponent := d.pos, false
	if d.peek() == '-' {
		d.pos++
	}
	if d.peek() == '0' {
		d.pos++
	} else if !d.digits() {
		return d.fail(ErrSyntax)
	}
	if d.peek() == '.' {
		d.pos++
		if !d.digits() {
			return d.fail(ErrSyntax)
		}
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		exponent = true
		d.pos++
		if c := d.peek(); c == '+' || c == '-' {
			d.pos++
		}
		if !d.digits() {
			return d.fail(ErrSyntax)
		}
	}
	if exponent || d.pos-start > maxPlain {
		if _, err := strconv.ParseFloat(string(d.data[start:d.pos]), 64); err != nil {
			return d.fail(ErrRange)
		}
	}
	return nil
}

func (d *Decoder) digits() bool {
	start := d.pos
	for d.peek()-'0' <= 9 {
		d.pos++
	}
	return d.pos > start
}

func (d *Decoder) literal(s string) error {
	if !bytes.HasPrefix(d.data[d.pos:], []byte(s)) {
		return d.fail(ErrSyntax)
	}
	d.pos += len(s)
	return nil
}

// space moves to the next value or mark, which stands right here in all that
// programs write.
func (d *Decoder) space() {
	if d.pos < len(d.data) && d.data[d.pos] > ' ' {
		return
	}
	d.skipSpace()
}

func (d *Decoder) skipSpace() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\r', '\n':
			d.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end, where no 0 can stand.
func (d *Decoder) peek() byte {
	if d.pos < len(d.data) {
		return d.data[d.pos]
	}
	return 0
}

func (d *Decoder) wrong(k Kind) error {
	if k == Invalid {
		return d.fail(ErrSyntax)
	}
	return d.fail(ErrType)
}

// fail wraps why with the place, never with the text found there.
func (d *Decoder) fail(why error) error {
	return fmt.Errorf("strictjson: byte %d: %w", d.pos, why)
}
