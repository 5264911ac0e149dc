package secret

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// FuzzParse reads a secret as credentials and as keys: what is taken is what
// encoding/json reads, what is not is not quoted, and neither prints itself.
func FuzzParse(f *testing.F) {
	const mark = "MARK"
	long := strings.Repeat(mark, 8)
	for _, text := range []string{
		`{"client_id":"a","client_secret":"MARK"}`, `{"authorization":"SSWS MARK","other":["MARK"]}`, `{"username":"a","password":"MARK"}`,
		`{"client_id":"a","client_id":"MARK","client_secret":"x"}`, `{"CLIENT_ID":"a","Client_Secret":"MARK"}`, `{"client_secret":1}`,
		`{"current":"` + long + `","previous":["` + long + `"]}`, `{"current":"MARK"}`, `{"previous":"` + long + `"}`, `["MARK"]`, `MARK`, `{"MARK":`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parse(text)
		k, keysErr := parseKeys(text)
		printed := strings.ReplaceAll(fmt.Sprintf("%v %+v %#v %v %v %+v %#v %v", c, c, c, err, k, k, k, keysErr), c.ClientID, "")
		if c.Username != "" {
			printed = strings.ReplaceAll(printed, c.Username, "")
		}
		if strings.Contains(printed, mark) {
			t.Fatalf("%q is shown: %s", text, printed)
		}
		var m map[string]any
		if theirs := json.Unmarshal(text, &m); (err == nil || keysErr == nil) && theirs != nil {
			t.Fatalf("%q is taken; encoding/json: %v", text, theirs)
		}
		if err == nil {
			for name, got := range map[string]string{
				"client_id": c.ClientID, "client_secret": c.ClientSecret.Reveal(), "authorization": c.Authorization.Reveal(),
				"username": c.Username, "password": c.Password.Reveal(),
			} {
				if want, ok := m[name].(string); got != want || !ok && m[name] != nil {
					t.Fatalf("%q: %s is %q", text, name, got)
				}
			}
		}
		if keysErr == nil {
			if current, ok := m["current"].(string); !ok || current != k.Current.Reveal() || len(current) < minKey || len(k.Previous) > maxPrevious {
				t.Fatalf("%q: got %q and %d more", text, k.Current.Reveal(), len(k.Previous))
			}
		}
	})
}
