package strictjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gatehouse/shared/strictjson"
)

// value reads any value as encoding/json would with UseNumber.
func value(d *strictjson.Decoder) (any, error) {
	switch d.Kind() {
	case strictjson.Object:
		m := map[string]any{}
		err := d.Object(func(name []byte) error {
			v, err := value(d)
			m[string(name)] = v
			return err
		})
		return m, err
	case strictjson.Array:
		list := []any{}
		err := d.Array(func() error {
			v, err := value(d)
			list = append(list, v)
			return err
		})
		return list, err
	case strictjson.String:
		s, err := d.String()
		return string(s), err
	case strictjson.Number:
		n, err := d.Number()
		return json.Number(n), err
	case strictjson.Bool:
		return d.Bool()
	default:
		return nil, d.Null()
	}
}

// FuzzValid compares with encoding/json: what is accepted here, it accepts
// and reads the same; what is refused here though it accepts is refused for a
// reason of ours, and that reason is there.
func FuzzValid(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `""`, `0`, `-1.5e+10`, `true`, `null`, ` {"a" : [1, "x", null, {"b":false}]} `, `"\ud83d\ude00\u0041\n"`, `"\ud800"`,
		`"\u0000"`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"s":1,"ſ":2}`, `{"k":1,"K":2}`, `{"é":1,"É":1}`, "\"\xff\"", "\"\xed\xa0\x80\"", `01`, `1.`,
		`[1,]`, `{"a":1,}`, `{}{}`, "\ufeff{}", nested("[", "", "]", 17), nested("[", "", "]", 33), object(257), `"aaaaaaa\u0061aaaaaaaa\"`,
		`{"abcdefgh":1,"ABCDEFGH":2}`, `{"abcdefghi":1,"abcdefghI":2}`, "\"aaaaaaaaaaaa\x01\"", "\"aaaaaaaaaaaaé\"", "\x00", "\"\x7f\"",
		`[1.7e308,-1e-999]`, `1.8e308`, `-1E+400`, strings.Repeat("9", 308), strings.Repeat("9", 309), "0." + strings.Repeat("0", 400) + "1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, rules := range map[string]strictjson.Rules{"Token": strictjson.Token, "Event": strictjson.Event} {
			compare(t, name, rules, text)
		}
	})
}

func compare(t *testing.T, name string, rules strictjson.Rules, text []byte) {
	t.Helper()
	err := strictjson.Valid(text, rules)
	d := strictjson.NewDecoder(text, rules)
	got, readErr := value(d)
	if readErr == nil {
		readErr = d.End()
	}
	if (err == nil) != (readErr == nil) {
		t.Fatalf("%s: Valid says %v, reading %v: %q", name, err, readErr, text)
	}
	switch {
	case err == nil:
		if want := decode(t, text); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %#v; encoding/json reads %#v", name, got, want)
		}
		if err := json.Unmarshal(text, new(any)); err != nil {
			t.Fatalf("%s: encoding/json cannot hold %q: %v", name, text, err)
		}
	case json.Valid(text):
		checkReason(t, rules, err, text)
	case errors.Is(err, strictjson.ErrType):
		t.Fatalf("%s: got %v of a document without expectations", name, err)
	}
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	if !json.Valid(text) {
		t.Fatalf("encoding/json refuses %q", text)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("encoding/json: %v: %q", err, text)
	}
	return v
}

// checkReason holds a refusal of what is well-formed to what the text shows.
func checkReason(t *testing.T, rules strictjson.Rules, err error, text []byte) {
	t.Helper()
	lower := strings.ToLower(string(text))
	deep := max(strings.Count(lower, "["), 0) + strings.Count(lower, "{")
	ok := map[error]bool{
		strictjson.ErrUTF8:      !utf8.Valid(text) || strings.Contains(lower, `\ud`),
		strictjson.ErrNUL:       !rules.NUL && strings.Contains(lower, `\u0000`),
		strictjson.ErrDuplicate: strings.Count(lower, `":`)+strings.Count(lower, `"`) >= 4,
		strictjson.ErrFolded:    !rules.Folded && strings.Count(lower, `"`) >= 4,
		strictjson.ErrDepth:     deep > rules.Depth,
		strictjson.ErrMembers:   strings.Count(lower, ":") > rules.Members,
		strictjson.ErrRange:     json.Unmarshal(text, new(any)) != nil,
	}
	for reason, there := range ok {
		if errors.Is(err, reason) {
			if !there {
				t.Fatalf("refused with %v without reason: %q", err, text)
			}
			if errors.Is(reason, strictjson.ErrDuplicate) || errors.Is(reason, strictjson.ErrFolded) {
				checkNames(t, reason, text)
			}
			return
		}
	}
	t.Fatalf("refused with %v; encoding/json accepts %q", err, text)
}

// checkNames finds the two names, with the decoder of encoding/json.
func checkNames(t *testing.T, reason error, text []byte) {
	t.Helper()
	type frame struct {
		names  []string
		object bool
		name   bool // a name comes next
	}
	stack := []*frame{{}}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	for {
		tok, err := d.Token()
		if err != nil {
			break
		}
		top := stack[len(stack)-1]
		switch v := tok.(type) {
		case json.Delim:
			if v == '}' || v == ']' {
				stack = stack[:len(stack)-1]
				continue
			}
			top.name = top.object
			stack = append(stack, &frame{object: v == '{', name: v == '{'})
			continue
		case string:
			if top.object && top.name {
				same := func(n string) bool { return n == v }
				if errors.Is(reason, strictjson.ErrFolded) {
					same = func(n string) bool { return strings.EqualFold(n, v) }
				}
				if slices.ContainsFunc(top.names, same) {
					return
				}
				top.names = append(top.names, v)
				top.name = false
				continue
			}
		default:
		}
		top.name = top.object
	}
	t.Fatalf("refused with %v, but no two names are alike: %q", reason, text)
}

// What AppendString writes, every reader reads back.
func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "plain", "\"\\/\b\f\n\r\t", "é€😀", "\x00\x1f\x7f", "\u2028\u2029", "\xff\xed\xa0\x80", "\ufffd", "<&>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := strictjson.AppendString([]byte("x"), s)[1:]
		want := strings.Map(func(r rune) rune { return r }, s) // invalid bytes become U+FFFD
		got, err := strictjson.NewDecoder(text, strictjson.Event).String()
		if err != nil || string(got) != want {
			t.Fatalf("%q: got %q, %v; want %q", text, got, err, want)
		}
		var theirs string
		if err := json.Unmarshal(text, &theirs); err != nil || theirs != want {
			t.Fatalf("%q: encoding/json reads %q, %v; want %q", text, theirs, err, want)
		}
		if strings.ContainsAny(string(text), "\u2028\u2029\x7f") {
			t.Fatalf("%q is not escaped", text)
		}
	})
}
