package strictjson_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/shared/strictjson"
)

func nested(opening, inner, closing string, n int) string {
	return strings.Repeat(opening, n) + inner + strings.Repeat(closing, n)
}

// object has n members.
func object(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"m%d":%d`, i, i)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func TestValid(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text         string
		token, event error // what strictjson.Token and strictjson.Event say
	}{
		"empty object":             {text: `{}`},
		"empty array":              {text: `[]`},
		"white space all around":   {text: " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : null } \n"},
		"every kind":               {text: `{"a":null,"b":true,"c":false,"d":-1.5e+3,"e":"x","f":[],"g":{}}`},
		"every escape":             {text: `"\"\\\/\b\f\n\r\t\u00e9\u20AC"`},
		"surrogate pair":           {text: `"\ud83d\ude00"`},
		"an escaped U+FFFD":        {text: `"\ufffd"`},
		"a U+FFFD":                 {text: "\"\ufffd\""},
		"four bytes of UTF-8":      {text: `"😀"`},
		"DEL is no control":        {text: "\"\x7f\""},
		"zero":                     {text: `[0,-0,0.0,0e0,-0.0E-0]`},
		"one name at two depths":   {text: `{"a":{"a":{"a":1}},"b":{"a":1}}`},
		"empty name":               {text: `{"":1}`},
		"the largest double":       {text: `[1.7976931348623157e308,-1.7976931348623157E+308]`},
		"as many digits as fit":    {text: strings.Repeat("9", 308)},
		"a long fraction":          {text: "0." + strings.Repeat("3", 400)},
		"close to zero":            {text: `1e-999`},
		"names that share a start": {text: `{"abcdefgh":1,"abcdefghi":2,"abcdefg":3}`},

		"nothing":                       both("", strictjson.ErrSyntax),
		"white space alone":             both(" \n", strictjson.ErrSyntax),
		"two values":                    both(`{}{}`, strictjson.ErrSyntax),
		"garbage behind":                both(`{}x`, strictjson.ErrSyntax),
		"a NUL behind":                  both("{}\x00", strictjson.ErrSyntax),
		"a NUL inside":                  both("{\x00}", strictjson.ErrSyntax),
		"comma at the end of array":     both(`[1,]`, strictjson.ErrSyntax),
		"comma at the end of object":    both(`{"a":1,}`, strictjson.ErrSyntax),
		"comma at the start":            both(`[,1]`, strictjson.ErrSyntax),
		"no comma":                      both(`[1 2]`, strictjson.ErrSyntax),
		"no colon":                      both(`{"a" 1}`, strictjson.ErrSyntax),
		"no value":                      both(`{"a":}`, strictjson.ErrSyntax),
		"no name":                       both(`{:1}`, strictjson.ErrSyntax),
		"name without quotes":           both(`{a:1}`, strictjson.ErrSyntax),
		"name a number":                 both(`{1:1}`, strictjson.ErrSyntax),
		"single quotes":                 both(`{'a':1}`, strictjson.ErrSyntax),
		"comment":                       both(`{}//x`, strictjson.ErrSyntax),
		"open object":                   both(`{"a":1`, strictjson.ErrSyntax),
		"open array":                    both(`[1`, strictjson.ErrSyntax),
		"open string":                   both(`"abc`, strictjson.ErrSyntax),
		"string that ends in an escape": both(`"abc\`, strictjson.ErrSyntax),
		"closing what is not open":      both(`]`, strictjson.ErrSyntax),
		"closing with the other":        both(`[}`, strictjson.ErrSyntax),
		"newline in a string":           both("\"a\nb\"", strictjson.ErrSyntax),
		"tab in a string":               both("\"a\tb\"", strictjson.ErrSyntax),
		"NUL in a string":               both("\"a\x00b\"", strictjson.ErrSyntax),
		"control in a long string":      both("\"aaaaaaaaaaaaaaaa\x1fbbbbbbbb\"", strictjson.ErrSyntax),
		"escaped newline":               both("\"a\\\nb\"", strictjson.ErrSyntax),
		"escape of a letter":            both(`"\x41"`, strictjson.ErrSyntax),
		"escape in upper case":          both(`"\U0041"`, strictjson.ErrSyntax),
		"escape that is too short":      both(`"\u00"`, strictjson.ErrSyntax),
		"escape with a sign":            both(`"\u+041"`, strictjson.ErrSyntax),
		"escape that is not hex":        both(`"\u00g1"`, strictjson.ErrSyntax),
		"number with leading zero":      both(`01`, strictjson.ErrSyntax),
		"number with plus":              both(`+1`, strictjson.ErrSyntax),
		"number that is a sign":         both(`-`, strictjson.ErrSyntax),
		"number without fraction":       both(`1.`, strictjson.ErrSyntax),
		"number without integer":        both(`.5`, strictjson.ErrSyntax),
		"number without exponent":       both(`1e`, strictjson.ErrSyntax),
		"number with half an exponent":  both(`1e+`, strictjson.ErrSyntax),
		"number in hex":                 both(`0x10`, strictjson.ErrSyntax),
		"NaN":                           both(`NaN`, strictjson.ErrSyntax),
		"Infinity":                      both(`-Infinity`, strictjson.ErrSyntax),
		"literal in upper case":         both(`TRUE`, strictjson.ErrSyntax),
		"literal cut short":             both(`tru`, strictjson.ErrSyntax),
		"literals joined":               both(`truefalse`, strictjson.ErrSyntax),
		"byte order mark":               both("\ufeff{}", strictjson.ErrSyntax),
		"no-break space":                both("\u00a0{}", strictjson.ErrSyntax),
		"form feed":                     both("\f{}", strictjson.ErrSyntax),

		"more than a double holds":      both(`1.8e308`, strictjson.ErrRange),
		"less than a double holds":      both(`[0,-1E400]`, strictjson.ErrRange),
		"more digits than fit":          both(strings.Repeat("9", 309), strictjson.ErrRange),
		"too much, where it is skipped": both(`{"a":{"b":[1e999]}}`, strictjson.ErrRange),

		"invalid byte":                  both("\"\xff\"", strictjson.ErrUTF8),
		"invalid byte far in":           both("\"aaaaaaaaaaaaaaaaa\xe9\"", strictjson.ErrUTF8),
		"invalid byte in a name":        both("{\"\xff\":1}", strictjson.ErrUTF8),
		"overlong":                      both("\"\xc0\x80\"", strictjson.ErrUTF8),
		"surrogate in UTF-8":            both("\"\xed\xa0\x80\"", strictjson.ErrUTF8),
		"beyond U+10FFFF":               both("\"\xf4\x90\x80\x80\"", strictjson.ErrUTF8),
		"character cut short":           both("\"\xe2\x82\"", strictjson.ErrUTF8),
		"lone high surrogate":           both(`"\ud800"`, strictjson.ErrUTF8),
		"lone low surrogate":            both(`"\udc00"`, strictjson.ErrUTF8),
		"surrogates in the wrong order": both(`"\udc00\ud800"`, strictjson.ErrUTF8),
		"high surrogate and a letter":   both(`"\ud800x"`, strictjson.ErrUTF8),
		"high surrogate and an escape":  both(`"\ud800\n"`, strictjson.ErrUTF8),
		"two high surrogates":           both(`"\ud800\ud800"`, strictjson.ErrUTF8),
		"lone surrogate in a name":      both(`{"\ud800":1}`, strictjson.ErrUTF8),

		"escaped NUL":           {text: `"\u0000"`, token: strictjson.ErrNUL},
		"escaped NUL in a name": {text: `{"a\u0000":1}`, token: strictjson.ErrNUL},

		"a name twice":                 {text: `{"a":1,"a":1}`, token: strictjson.ErrDuplicate, event: strictjson.ErrDuplicate},
		"a name twice, others between": {text: `{"a":1,"b":2,"c":{"a":1},"a":1}`, token: strictjson.ErrDuplicate, event: strictjson.ErrDuplicate},
		"a name twice, deep down":      both(`[{"x":{"a":1,"a":1}}]`, strictjson.ErrDuplicate),
		"a name twice, one escaped":    both(`{"a":1,"\u0061":1}`, strictjson.ErrDuplicate),
		"a name twice, first escaped":  both(`{"\u0061":1,"a":1}`, strictjson.ErrDuplicate),
		"a name twice, not ASCII":      both(`{"é":1,"\u00e9":1}`, strictjson.ErrDuplicate),
		"the empty name twice":         both(`{"":1,"":1}`, strictjson.ErrDuplicate),
		"a long name twice":            both(`{"`+strings.Repeat("n", 100)+`":1,"`+strings.Repeat("n", 100)+`":1}`, strictjson.ErrDuplicate),
		"NFC and NFD are two names":    {text: "{\"\u00e9\":1,\"e\u0301\":1}"},

		"names that differ in case":      {text: `{"sub":1,"SUB":1}`, token: strictjson.ErrFolded},
		"one letter in another case":     {text: `{"client_id":1,"client_Id":1}`, token: strictjson.ErrFolded},
		"long names that differ in case": {text: `{"abcdefghijk":1,"ABCDEFGHIJK":1}`, token: strictjson.ErrFolded},
		"ſ and s":                        {text: `{"sub":1,"ſub":1}`, token: strictjson.ErrFolded},
		"s and ſ":                        {text: `{"ſub":1,"sub":1}`, token: strictjson.ErrFolded},
		"Kelvin sign and k":              {text: "{\"kid\":1,\"\u212aid\":1}", token: strictjson.ErrFolded},
		"é and É":                        {text: `{"é":1,"É":1}`, token: strictjson.ErrFolded},
		"escaped, in another case":       {text: `{"sub":1,"\u0053UB":1}`, token: strictjson.ErrFolded},
		"names that differ in bit 0x20":  {text: `{"a@":1,"a` + "`" + `":1,"a[":1,"a{":1}`},

		"arrays, 16 deep":                      {text: nested("[", "", "]", 16)},
		"arrays, 17 deep":                      {text: nested("[", "", "]", 17), token: strictjson.ErrDepth},
		"arrays, 32 deep":                      {text: nested("[", "", "]", 32), token: strictjson.ErrDepth},
		"arrays, 33 deep":                      both(nested("[", "", "]", 33), strictjson.ErrDepth),
		"arrays, 9,000 deep":                   both(nested("[", "", "]", 9000), strictjson.ErrDepth),
		"objects, 16 deep":                     {text: nested(`{"a":`, "1", "}", 16)},
		"objects, 17 deep":                     {text: nested(`{"a":`, "1", "}", 17), token: strictjson.ErrDepth},
		"opened a million times, never closed": both(strings.Repeat("[", 1<<20), strictjson.ErrDepth),
		"17 side by side":                      {text: "[" + strings.Repeat("[],", 17) + "{}]"},

		"256 members":   {text: object(256)},
		"257 members":   {text: object(257), token: strictjson.ErrMembers},
		"1,024 members": {text: object(1024), token: strictjson.ErrMembers},
		"1,025 members": both(object(1025), strictjson.ErrMembers),
		"256 and 256":   {text: "[" + object(256) + "," + object(256) + "]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := strictjson.Valid([]byte(tc.text), strictjson.Token); !errors.Is(err, tc.token) {
				t.Errorf("Token: got %v; want %v", err, tc.token)
			}
			if err := strictjson.Valid([]byte(tc.text), strictjson.Event); !errors.Is(err, tc.event) {
				t.Errorf("Event: got %v; want %v", err, tc.event)
			}
		})
	}
}

// both is a text that both rules refuse for the same reason.
func both(text string, want error) struct {
	text         string
	token, event error
} {
	return struct {
		text         string
		token, event error
	}{text, want, want}
}

// No byte of a document gets into an error.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"SECRET":1,"SECRET":2}`, `{"SECRET":SECRET}`, `"SECRET\xSECRET"`, "\"SECRET\xff\"", `SECRET`} {
		if err := strictjson.Valid([]byte(text), strictjson.Token); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("got %v; want an error that does not quote", err)
		}
	}
}

func TestZeroRules(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{`1`: nil, `"x"`: nil, `[]`: strictjson.ErrDepth, `{}`: strictjson.ErrDepth} {
		if err := strictjson.Valid([]byte(text), strictjson.Rules{}); !errors.Is(err, want) {
			t.Errorf("%s: got %v; want %v", text, err, want)
		}
	}
}
