package seal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/shared/seal"
	"gatehouse/shared/secret"
)

// box returns a box with these keys, the current one first.
func box(keys ...string) *seal.Box {
	k := secret.Keys{Current: secret.New(keys[0])}
	for _, previous := range keys[1:] {
		k.Previous = append(k.Previous, secret.New(previous))
	}
	return seal.New(secret.Fixed(k))
}

var one, two, three = strings.Repeat("1", 32), strings.Repeat("2", 32), strings.Repeat("3", 32)

func TestWhatIsSealedOpensWhereItBelongs(t *testing.T) {
	t.Parallel()
	text := []byte(`{"code":"hunter2"}`)
	sealed, err := box(one).Seal(t.Context(), "code", "client", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) != len(text)+seal.Overhead || bytes.Contains(sealed, []byte("hunter2")) {
		t.Errorf("got %d bytes %q", len(sealed), sealed)
	}
	for name, row := range map[string]struct {
		box            *seal.Box
		purpose, bound string
		want           error
	}{
		"by the key that sealed it":               {box(one), "code", "client", nil},
		"by a key that was current before":        {box(two, three, one), "code", "client", nil},
		"for another purpose":                     {box(one), "state", "client", seal.ErrSealed},
		"for a purpose that runs into the bound":  {box(one), "codeclient", "", seal.ErrSealed},
		"bound to another text":                   {box(one), "code", "other", seal.ErrSealed},
		"bound to nothing":                        {box(one), "code", "", seal.ErrSealed},
		"by another key":                          {box(two), "code", "client", seal.ErrSealed},
		"by a ring in which the key is not there": {box(two, three), "code", "client", seal.ErrSealed},
	} {
		got, err := row.box.Open(t.Context(), row.purpose, row.bound, sealed)
		if !errors.Is(err, row.want) || row.want == nil && !bytes.Equal(got, text) || row.want != nil && got != nil {
			t.Errorf("%s: got %q, %v, want %v", name, got, err, row.want)
		}
	}
}

func TestNothingThatWasChangedOpens(t *testing.T) {
	t.Parallel()
	b := box(one)
	sealed, err := b.Seal(t.Context(), "state", "", []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range sealed {
		changed := bytes.Clone(sealed)
		changed[n] ^= 1
		if _, err := b.Open(t.Context(), "state", "", changed); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("byte %d changed: got %v, want %v", n, err, seal.ErrSealed)
		}
		if _, err := b.Open(t.Context(), "state", "", sealed[:n]); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("cut to %d: got %v, want %v", n, err, seal.ErrSealed)
		}
	}
	again, err := b.Seal(t.Context(), "state", "", []byte("text"))
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("sealing twice gives the same, %v", err)
	}
}

func TestTextHasOneSpelling(t *testing.T) {
	t.Parallel()
	b := box(one)
	sealed, err := b.SealText(t.Context(), "state", "", []byte("some text"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.OpenText(t.Context(), "state", "", sealed); err != nil || string(got) != "some text" {
		t.Errorf("got %q, %v", got, err)
	}
	for name, other := range map[string]string{
		"padding":           sealed + "=",
		"a line break":      sealed[:4] + "\n" + sealed[4:],
		"a space":           sealed + " ",
		"the other base 64": strings.NewReplacer("-", "+", "_", "/").Replace(sealed) + "/",
		"nothing":           "",
	} {
		if _, err := b.OpenText(t.Context(), "state", "", other); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: got %v, want %v", name, err, seal.ErrSealed)
		}
	}
}

func TestMarksAreRecognised(t *testing.T) {
	t.Parallel()
	mark, err := box(one).Mark(t.Context(), "client secret", "hunter2")
	if err != nil || len(mark) != 64 || strings.Trim(mark, "0123456789abcdef") != "" {
		t.Fatalf("got %q, %v", mark, err)
	}
	for name, row := range map[string]struct {
		box              *seal.Box
		mark, kind, text string
		want             bool
	}{
		"the same":               {box(one), mark, "client secret", "hunter2", true},
		"after a rotation":       {box(two, one), mark, "client secret", "hunter2", true},
		"by another key":         {box(two), mark, "client secret", "hunter2", false},
		"another kind":           {box(one), mark, "token", "hunter2", false},
		"another text":           {box(one), mark, "client secret", "hunter3", false},
		"no text":                {box(one), mark, "client secret", "", false},
		"no mark":                {box(one), "", "client secret", "hunter2", false},
		"neither":                {box(one), "", "client secret", "", false},
		"half a mark":            {box(one), mark[:32], "client secret", "hunter2", false},
		"what is no hexadecimal": {box(one), strings.Repeat("x", 64), "client secret", "hunter2", false},
	} {
		got, err := row.box.Recognises(t.Context(), row.mark, row.kind, secret.New(row.text))
		if err != nil || got != row.want {
			t.Errorf("%s: got %t, %v, want %t", name, got, err, row.want)
		}
	}
}

// TestKeysThatRotatedElsewhere: an instance that still has the old keys opens
// what another has sealed with the new one.
func TestKeysThatRotatedElsewhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	write := func(current string, previous ...string) {
		t.Helper()
		text, err := json.Marshal(map[string]any{"current": current, "previous": append([]string{}, previous...)})
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(one)
	now := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	source := secret.OpenKeys("file:"+path, nil)
	source.Now = func() time.Time { return now }
	old := seal.New(source)
	if err := old.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(two, one)
	now = now.Add(11 * time.Second) // keys are read again at most once in ten
	fresh := seal.New(secret.OpenKeys("file:"+path, nil))
	sealed, err := fresh.Seal(t.Context(), "code", "", []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := old.Open(t.Context(), "code", "", sealed); err != nil || string(got) != "text" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestF30KeysThatCannotBeReadAreNoRefusal(t *testing.T) {
	t.Parallel()
	b := seal.New(secret.OpenKeys("file:"+filepath.Join(t.TempDir(), "none"), nil))
	if _, err := b.Seal(t.Context(), "code", "", nil); !errors.Is(err, seal.ErrKeys) {
		t.Errorf("got %v, want %v", err, seal.ErrKeys)
	}
	if _, err := b.Open(t.Context(), "code", "", bytes.Repeat([]byte{1}, 64)); !errors.Is(err, seal.ErrKeys) {
		t.Errorf("got %v, want %v", err, seal.ErrKeys)
	}
	if err := b.Check(t.Context()); !errors.Is(err, seal.ErrKeys) {
		t.Errorf("got %v, want %v", err, seal.ErrKeys)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	b := box(one, two)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for _, purpose := range []string{"a", "b", "c"} {
				sealed, err := b.Seal(t.Context(), purpose, "", []byte("text"))
				if err == nil {
					_, err = b.Open(t.Context(), purpose, "", sealed)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzOpen: nothing that was not sealed here opens, and refusals say nothing.
func FuzzOpen(f *testing.F) {
	b := box(one)
	good, err := b.Seal(f.Context(), "code", "", []byte("text"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{})
	f.Add(good[:5])
	f.Fuzz(func(t *testing.T, sealed []byte) {
		// Each worker of the fuzzer seals its own seed, so the text is compared.
		text, err := b.Open(t.Context(), "code", "", sealed)
		if err == nil && string(text) != "text" {
			t.Errorf("%x opens to %q", sealed, text)
		}
		if err != nil && (err != seal.ErrSealed || text != nil) { //nolint:errorlint // wrapped would be wrong
			t.Errorf("%x: got %q, %v", sealed, text, err)
		}
		if text, err := b.OpenText(t.Context(), "code", "", string(sealed)); err == nil && string(text) != "text" {
			t.Errorf("%q opens to %q", sealed, text)
		}
	})
}

// FuzzSeal: what is sealed opens to itself, for what it was sealed for, and
// after any change not at all.
func FuzzSeal(f *testing.F) {
	f.Add("code", "client", []byte("text"), uint16(0), byte(1))
	f.Add("", "", []byte{}, uint16(4), byte(0x80))
	f.Add("state", "\x00", bytes.Repeat([]byte("x"), 300), uint16(40), byte(0xff))
	f.Fuzz(func(t *testing.T, purpose, bound string, text []byte, at uint16, change byte) {
		b := box(two, one) // a box remembers the keys of each purpose
		sealed, err := b.SealText(t.Context(), purpose, bound, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := box(three, two).OpenText(t.Context(), purpose, bound, sealed); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%q opens to %q, %v", text, got, err)
		}
		for _, other := range [][2]string{{purpose + "x", bound}, {purpose, bound + "x"}, {purpose + bound, ""}, {"", purpose + bound}, {bound, purpose}} {
			got, err := b.OpenText(t.Context(), other[0], other[1], sealed)
			if same := other == [2]string{purpose, bound}; same != (err == nil) {
				t.Fatalf("sealed for %q, bound to %q; opens for %q to %q, %v", purpose, bound, other, got, err)
			}
		}
		changed := []byte(sealed)
		n := int(at) % len(changed)
		if changed[n] ^= change; change == 0 {
			changed = changed[:n]
		}
		if got, err := b.OpenText(t.Context(), purpose, bound, string(changed)); err == nil {
			t.Fatalf("%s opens to %q like %s", changed, got, sealed)
		}
	})
}

func BenchmarkSealAndOpen(b *testing.B) {
	box := box(one)
	text := bytes.Repeat([]byte("x"), 300)
	b.ReportAllocs()
	for b.Loop() {
		sealed, err := box.Seal(b.Context(), "code", "", text)
		if err == nil {
			_, err = box.Open(b.Context(), "code", "", sealed)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
