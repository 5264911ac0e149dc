package strictjson

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// This file reads strings (RFC 8259 §7).

// scanString moves past a string. The text between the quotes starts at start;
// plain says that it holds neither escapes nor bytes beyond ASCII.
func (d *Decoder) scanString() (start int, plain bool, err error) {
	start, plain = d.pos+1, true
	i := start
	for rest := d.data[start:]; len(rest) >= 16; rest = rest[16:] {
		if special(binary.LittleEndian.Uint64(rest))|special(binary.LittleEndian.Uint64(rest[8:])) != 0 {
			break
		}
		i += 16
	}
	for ; i+8 <= len(d.data); i += 8 {
		if s := special(binary.LittleEndian.Uint64(d.data[i:])); s != 0 {
			i += bits.TrailingZeros64(s) / 8
			break
		}
	}
	for ; i < len(d.data); i++ {
		switch class[d.data[i]] {
		case ordinary:
		case quote:
			d.pos = i + 1
			return start, plain, nil
		case escape:
			plain = false
			i++
		case beyond:
			plain = false
		case control:
			d.pos = i
			return 0, false, d.fail(ErrSyntax)
		}
	}
	d.pos = len(d.data)
	return 0, false, d.fail(ErrSyntax)
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// special returns the high bit of the first byte of w, little end first, that is
// not ordinary in a string, where ordinary is ASCII but control characters, quote
// and escape; perhaps of later ones, too. It is 0 if all are.
func special(w uint64) uint64 {
	quotes := w ^ '"'*lowBits
	escapes := w ^ '\\'*lowBits
	return ((w - ' '*lowBits) | (quotes - lowBits) | (escapes - lowBits) | w) & highBits
}

const (
	ordinary = iota
	quote
	escape
	beyond
	control
)

// class sorts the bytes of a string into the cases of scanString.
var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < ' ':
			t[c] = control
		case c >= utf8.RuneSelf:
			t[c] = beyond
		}
	}
	t['"'], t['\\'] = quote, escape
	return t
}()

// text returns the string between start and end, which is not plain.
func (d *Decoder) text(start, end int) ([]byte, error) {
	b := d.data[start:end]
	if !utf8.Valid(b) {
		return nil, d.fail(ErrUTF8)
	}
	if bytes.IndexByte(b, '\\') < 0 {
		return b, nil
	}
	return d.unescape(b)
}

func (d *Decoder) unescape(b []byte) ([]byte, error) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++ // scanString saw that a byte follows
		switch c := b[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, n, ok := escaped(b[i-1:])
			if !ok {
				return nil, d.fail(ErrSyntax)
			}
			if r == utf8.RuneError && n == 0 {
				return nil, d.fail(ErrUTF8)
			}
			if r == 0 && !d.rules.NUL {
				return nil, d.fail(ErrNUL)
			}
			out = utf8.AppendRune(out, r)
			i += n - 2
		default:
			return nil, d.fail(ErrSyntax)
		}
	}
	return out, nil
}

// escaped reads \uXXXX, or two of them that make a surrogate pair, and returns
// how many bytes it took: none for half a pair. ok is false for anything else.
func escaped(b []byte) (r rune, n int, ok bool) {
	r, ok = hex4(b)
	if !ok || !utf16.IsSurrogate(r) {
		return r, 6, ok
	}
	if low, ok := hex4(b[6:]); ok {
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			return r, 12, true
		}
	}
	return utf8.RuneError, 0, true
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c-'a' < 6:
			c -= 'a' - 10
		case c-'A' < 6:
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
