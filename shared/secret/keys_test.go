package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysAreRead(t *testing.T) {
	t.Parallel()
	one, two, three := strings.Repeat("1", 32), strings.Repeat("2", 32), strings.Repeat("3", 40)
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, []byte(`{"current":"`+one+`","previous":["`+two+`","`+three+`"],"note":"made by hand"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := OpenKeys("file:"+path, nil).Get(t.Context())
	if err != nil || k.Current.Reveal() != one || len(k.Previous) != 2 || k.Previous[0].Reveal() != two || k.Previous[1].Reveal() != three {
		t.Errorf("got %v, %v", k, err)
	}
}

func TestBadKeysAreRefusedWithoutEcho(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("hunter2.", 4)
	for name, text := range map[string]string{
		"no JSON":                  good,
		"no current key":           `{"previous":["` + good + `"]}`,
		"an empty one":             `{"current":""}`,
		"one that is too short":    `{"current":"hunter2"}`,
		"a short previous one":     `{"current":"` + good + `","previous":["hunter2"]}`,
		"a text for previous ones": `{"current":"` + good + `","previous":"` + good + `"}`,
		"too many":                 `{"current":"` + good + `","previous":["` + strings.Repeat(good+`","`, 8) + good + `"]}`,
		"a member twice":           `{"current":"` + good + `","current":"` + good + `"}`,
	} {
		_, err := parseKeys([]byte(text))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}
