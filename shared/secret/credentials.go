package secret

import (
	"errors"
	"fmt"

	"gatehouse/shared/strictjson"
)

// Credentials are what Gatehouse shows an identity provider: a JSON object with
// client_id and client_secret, the client that introspects; with authorization,
// such as "SSWS …", which registers clients; with username and password of an
// administrator. Whichever are needed must be there. Other members are left
// alone.
type Credentials struct {
	ClientID      string
	ClientSecret  Value
	Authorization Value // the whole Authorization header, scheme included
	Username      string
	Password      Value
}

// Equal compares in constant time.
func (c Credentials) Equal(d Credentials) bool {
	return c.ClientID == d.ClientID && c.ClientSecret.Equal(d.ClientSecret) && c.Authorization.Equal(d.Authorization) &&
		c.Username == d.Username && c.Password.Equal(d.Password)
}

// Open returns the credentials that ref names: "file:" and a path on a laptop,
// else the ARN or name of a secret in Secrets Manager. Nothing is read yet.
func Open(ref string, manager *Manager) *Source[Credentials] {
	return open(ref, manager, parse)
}

// parse reads the JSON object. Its errors name members, never values.
func parse(text []byte) (Credentials, error) {
	if len(text) > maxSize {
		return Credentials{}, errors.New("secret: longer than 64 KiB")
	}
	var c Credentials
	d := strictjson.NewDecoder(text, strictjson.Token)
	err := d.Object(func(name []byte) error { return c.member(d, string(name)) })
	if err == nil {
		err = d.End()
	}
	switch {
	case err != nil:
		return Credentials{}, fmt.Errorf(`secret: it must be a JSON object such as {"client_id":"…","client_secret":"…"}: %w`, err)
	case (c.ClientID == "") != (c.ClientSecret.Reveal() == ""):
		return Credentials{}, errors.New("secret: client_id and client_secret must both be there, or neither")
	case (c.Username == "") != (c.Password.Reveal() == ""):
		return Credentials{}, errors.New("secret: username and password must both be there, or neither")
	case c.ClientID == "" && c.Authorization.Reveal() == "" && c.Username == "":
		return Credentials{}, errors.New("secret: client_id and client_secret must be there, or authorization, or username and password")
	}
	return c, nil
}

func (c *Credentials) member(d *strictjson.Decoder, name string) error {
	switch name {
	case "client_id":
		return readText(d, &c.ClientID)
	case "client_secret":
		return readValue(d, &c.ClientSecret)
	case "authorization":
		return readValue(d, &c.Authorization)
	case "username":
		return readText(d, &c.Username)
	case "password":
		return readValue(d, &c.Password)
	default:
		return d.Skip()
	}
}

func readText(d *strictjson.Decoder, into *string) error {
	b, err := d.String()
	*into = string(b)
	return err
}

func readValue(d *strictjson.Decoder, into *Value) error {
	b, err := d.String()
	*into = New(string(b))
	return err
}
