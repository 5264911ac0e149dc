package authorizer

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/shared/strictjson"
	"gatehouse/shared/token"
)

// contextWriter renders the flat JSON object of strings that API Gateway hands
// to the backend.
type contextWriter struct {
	b    []byte
	room int       // bytes
	ours [8]string // names
	n    int       // of them
	more []string  // names of exposed claims
}

// add writes a member, unless it is empty, unfit, there already, or too long
// for the room that is left.
func (c *contextWriter) add(name, value string) {
	if value == "" || !fit(value) || !fit(name) || c.taken(name) {
		return
	}
	before := len(c.b)
	if len(c.b) == 0 {
		c.b = append(c.b, '{')
	} else {
		c.b = append(c.b, ',')
	}
	c.b = strictjson.AppendString(c.b, name)
	c.b = append(c.b, ':')
	c.b = strictjson.AppendString(c.b, value)
	if len(c.b)+len("}") > c.room {
		c.b = c.b[:before]
		return
	}
	if c.n < len(c.ours) {
		c.ours[c.n] = name
		c.n++
		return
	}
	c.more = append(c.more, name)
}

// taken also keeps claims from taking the names that API Gateway uses itself.
func (c *contextWriter) taken(name string) bool {
	switch name {
	case "principalId", "integrationLatency", "claims", "error", "error_description":
		return true
	}
	return slices.Contains(c.ours[:c.n], name) || slices.Contains(c.more, name)
}

func (c *contextWriter) addList(name string, values []string) {
	if len(values) > 0 {
		c.add(name, strings.Join(values, " "))
	}
}

func (c *contextWriter) addTime(name string, t time.Time) {
	if !t.IsZero() {
		var room [20]byte
		c.add(name, string(strconv.AppendInt(room[:0], t.Unix(), 10)))
	}
}

// addClaim writes an array as JSON text, for its elements may hold spaces. A text
// that begins like one becomes an array of one: a backend that reads the group
// ["admins"] must not take it for the group admins.
func (c *contextWriter) addClaim(name string, claim token.Claim) {
	if !claim.List && !strings.HasPrefix(claim.Values[0], "[") {
		c.add(name, claim.Values[0])
		return
	}
	text := []byte{'['}
	for n, v := range claim.Values {
		if n > 0 {
			text = append(text, ',')
		}
		text = strictjson.AppendString(text, v)
	}
	c.add(name, string(append(text, ']')))
}

func (c *contextWriter) close() []byte {
	if len(c.b) == 0 {
		return nil
	}
	return append(c.b, '}')
}

func fit(s string) bool {
	if len(s) > maxContextValue {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
