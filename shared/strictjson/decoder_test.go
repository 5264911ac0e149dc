package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/strictjson"
)

func decoder(text string) *strictjson.Decoder {
	return strictjson.NewDecoder([]byte(text), strictjson.Token)
}

func TestKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]strictjson.Kind{
		``: strictjson.Invalid, ` `: strictjson.Invalid, `x`: strictjson.Invalid, `]`: strictjson.Invalid, `+1`: strictjson.Invalid,
		"\x00": strictjson.Invalid, "\xff": strictjson.Invalid, `/`: strictjson.Invalid, `:`: strictjson.Invalid,
		` null`: strictjson.Null, `true`: strictjson.Bool, `false`: strictjson.Bool, `0`: strictjson.Number, `9`: strictjson.Number,
		`-1`: strictjson.Number, `"x"`: strictjson.String, `[`: strictjson.Array, "\n{": strictjson.Object,
	} {
		if got := decoder(text).Kind(); got != want {
			t.Errorf("%q: got %d; want %d", text, got, want)
		}
	}
}

// Every method reads its own kind and refuses the others.
func TestScalars(t *testing.T) {
	t.Parallel()
	methods := map[strictjson.Kind]func(*strictjson.Decoder) error{
		strictjson.String: func(d *strictjson.Decoder) error { _, err := d.String(); return err },
		strictjson.Number: func(d *strictjson.Decoder) error { _, err := d.Number(); return err },
		strictjson.Bool:   func(d *strictjson.Decoder) error { _, err := d.Bool(); return err },
		strictjson.Null:   (*strictjson.Decoder).Null,
		strictjson.Array:  func(d *strictjson.Decoder) error { return d.Array(d.Skip) },
		strictjson.Object: func(d *strictjson.Decoder) error { return d.Object(func([]byte) error { return d.Skip() }) },
	}
	texts := map[strictjson.Kind]string{
		strictjson.String: `"x"`, strictjson.Number: `1`, strictjson.Bool: `true`, strictjson.Null: `null`,
		strictjson.Array: `[1]`, strictjson.Object: `{"a":1}`, strictjson.Invalid: `?`,
	}
	for wanted, read := range methods {
		for kind, text := range texts {
			want := strictjson.ErrType
			switch kind {
			case wanted:
				want = nil
			case strictjson.Invalid:
				want = strictjson.ErrSyntax
			default:
			}
			d := decoder(text)
			if err := read(d); !errors.Is(err, want) {
				t.Errorf("kind %d from %s: got %v; want %v", wanted, text, err, want)
			} else if want == nil && d.End() != nil {
				t.Errorf("kind %d from %s: something is left", wanted, text)
			}
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`""`:                              "",
		`"plain"`:                         "plain",
		` "é😀"`:                           "é😀",
		`"\"\\\/\b\f\n\r\t"`:              "\"\\/\b\f\n\r\t",
		`"\u0041\u00e9\u20AC\uFFFD"`:      "Aé€\ufffd",
		`"a\ud83d\ude00b"`:                "a😀b",
		`"\udbff\udfff"`:                  "\U0010ffff",
		`"sixteen bytes and more \u0021"`: "sixteen bytes and more !",
	} {
		if got, err := decoder(text).String(); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	d := decoder(`{"a": [1, {"b" : "\u0041"}] ,"c":-1.50e2}`)
	got := map[string]string{}
	err := d.Object(func(name []byte) error {
		raw, err := d.Raw()
		got[string(name)] = string(raw)
		return err
	})
	if err := errors.Join(err, d.End()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": `[1, {"b" : "\u0041"}]`, "c": `-1.50e2`}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A name is given decoded; members and elements must be read once, neither
// more nor less.
func TestReadingOnce(t *testing.T) {
	t.Parallel()
	d := decoder(`{"\u0061b":1}`)
	err := d.Object(func(name []byte) error {
		if string(name) != "ab" {
			t.Errorf("got the name %q; want ab", name)
		}
		return d.Skip()
	})
	if err := errors.Join(err, d.End()); err != nil {
		t.Error(err)
	}
	d = decoder(`{"a":1}`)
	if err := d.Object(func([]byte) error { return nil }); !errors.Is(err, strictjson.ErrSyntax) {
		t.Errorf("a member that is not read: got %v; want %v", err, strictjson.ErrSyntax)
	}
	d = decoder(`[1]`)
	if err := d.Array(func() error { return nil }); !errors.Is(err, strictjson.ErrSyntax) {
		t.Errorf("an element that is not read: got %v; want %v", err, strictjson.ErrSyntax)
	}
	d = decoder(`[1,2]`)
	if err := d.Array(func() error { return errors.Join(d.Skip(), d.Skip()) }); !errors.Is(err, strictjson.ErrSyntax) {
		t.Errorf("an element that is read twice: got %v; want %v", err, strictjson.ErrSyntax)
	}
	errMine := errors.New("mine")
	d = decoder(`{"a":[1]}`)
	err = d.Object(func([]byte) error { return d.Array(func() error { return errMine }) })
	if !errors.Is(err, errMine) {
		t.Errorf("got %v; want the caller's error", err)
	}
	d = decoder(`{} `)
	if err := errors.Join(d.Skip(), d.End(), d.End()); err != nil {
		t.Errorf("End, twice: got %v", err)
	}
	if err := decoder(`{}`).End(); !errors.Is(err, strictjson.ErrSyntax) {
		t.Errorf("End before anything is read: got %v; want %v", err, strictjson.ErrSyntax)
	}
}

// Reading what has no escapes costs the decoder alone.
func TestAllocations(t *testing.T) {
	text := []byte(`{"iss":"https://idp.example/","aud":["a","b"],"exp":1800000600,"realm_access":{"roles":["x"]}}`)
	allocs := testing.AllocsPerRun(100, func() {
		if err := strictjson.Valid(text, strictjson.Token); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 4 {
		t.Errorf("%v allocations; want 4 at most", allocs)
	}
}

// Strings are scanned eight bytes at a time: every byte is judged alike
// wherever it stands.
func TestEveryByteAtEveryPlace(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for before := range 18 {
			text := append([]byte{'"'}, bytes.Repeat([]byte("a"), before)...)
			text = append(text, byte(c))
			text = append(text, `aaaaaaaaaaaaaaaa"`...)
			want := json.Valid(text) && utf8.Valid(text)
			if got := strictjson.Valid(text, strictjson.Token) == nil; got != want {
				t.Errorf("byte %#x after %d others: accepted %t; want %t", c, before, got, want)
			}
		}
	}
}
