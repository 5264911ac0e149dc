package secret

import (
	"errors"
	"fmt"

	"gatehouse/shared/strictjson"
)

// Limits of keys.
const (
	minKey      = 32 // bytes
	maxPrevious = 8
)

// Keys are what Gatehouse seals with: the JSON object
// {"current":"…","previous":["…"]}, texts of 32 random bytes or more. To rotate
// them, put a new one in the place of the current one and that in front of the
// previous ones, which go on opening what they have sealed.
type Keys struct {
	Current  Value
	Previous []Value // the newest first
}

// OpenKeys returns the keys that ref names, as [Open] does.
func OpenKeys(ref string, manager *Manager) *Source[Keys] {
	return open(ref, manager, parseKeys)
}

func parseKeys(text []byte) (Keys, error) {
	var k Keys
	d := strictjson.NewDecoder(text, strictjson.Token)
	err := d.Object(func(name []byte) error {
		switch string(name) {
		case "current":
			return readKey(d, &k.Current)
		case "previous":
			return d.Array(func() error {
				k.Previous = append(k.Previous, Value{})
				return readKey(d, &k.Previous[len(k.Previous)-1])
			})
		default:
			return d.Skip()
		}
	})
	if err == nil {
		err = d.End()
	}
	switch {
	case err != nil:
		return Keys{}, fmt.Errorf(`secret: it must be a JSON object such as {"current":"…","previous":["…"]}: %w`, err)
	case k.Current.Reveal() == "":
		return Keys{}, errors.New("secret: current is missing; put a random text of 32 bytes or more there")
	case len(k.Previous) > maxPrevious:
		return Keys{}, fmt.Errorf("secret: previous has more than %d keys; drop the oldest", maxPrevious)
	}
	return k, nil
}

func readKey(d *strictjson.Decoder, into *Value) error {
	err := readValue(d, into)
	if err == nil && len(into.Reveal()) < minKey {
		return fmt.Errorf("a key has fewer than %d bytes", minKey)
	}
	return err
}
