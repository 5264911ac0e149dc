package oauth

import (
	"unicode"
	"unicode/utf8"
)

// This file implements what clients say of themselves for people to read (RFC
// 7591 §2 and §5).

// Hidden reports whether r makes a name look like another: it shows as nothing,
// moves what stands around it, or is another space. That is all but letters,
// marks, numbers, punctuation, symbols and U+0020, and those of them that are
// invisible all the same, such as the Hangul fillers.
func Hidden(r rune) bool {
	const blank = '\u2800' // a Braille pattern without dots
	return !unicode.IsPrint(r) || r == utf8.RuneError || r == blank ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
