package standin

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// parts are what every vendor's server is made of.
type parts struct {
	vendor  personality
	base    string // URL of the server
	servers []*authServer
	clients []Client
	users   []User
	keys    []Key
	now     func() time.Time
	problem error // what was wrong already
}

// assemble returns a server without routes. It reports every mistake at once.
func assemble(p parts) (*Server, error) {
	problems := []error{p.problem}
	keys, err := withIDs(p.keys)
	problems = append(problems, err)
	clients, err := indexClients(p.clients)
	problems = append(problems, err)
	users, err := indexUsers(p.users)
	problems = append(problems, err)
	pages, err := template.ParseFS(pageFiles, "*.html")
	problems = append(problems, err)
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return &Server{
		vendor:  p.vendor,
		servers: p.servers,
		clients: register{byID: clients, deleted: map[string]bool{}},
		users:   users,
		now:     p.now,
		base:    p.base,
		pages:   pages,
		mux:     http.NewServeMux(),
		keys:    keyring{keys: keys},
		grants: grants{
			codes:     map[string]*code{},
			refreshes: map[string]*refreshToken{},
			opaques:   map[string]opaque{},
			revoked:   map[string]time.Time{},
			sweepAt:   1024,
		},
		faults: faults{set: map[Endpoint]*Fault{}},
		counts: map[Endpoint]int{},
	}, nil
}

func indexClients(clients []Client) (map[string]*registered, error) {
	index := map[string]*registered{}
	var problems []error
	for _, c := range clients {
		if c.AuthMethod == "" {
			c.AuthMethod = Basic
		}
		if c.GrantTypes == nil {
			c.GrantTypes = []string{AuthorizationCode}
		}
		if c.Name == "" {
			c.Name = c.ID
		}
		switch _, twice := index[c.ID]; {
		case c.ID == "" || twice:
			problems = append(problems, fmt.Errorf("standin: client %q: the ID is empty or given twice", c.ID))
		case c.AuthMethod != Basic && c.AuthMethod != Post && c.AuthMethod != Public:
			problems = append(problems, fmt.Errorf("standin: client %q: unknown AuthMethod %q", c.ID, c.AuthMethod))
		case (c.Secret == "") != (c.AuthMethod == Public):
			problems = append(problems, fmt.Errorf("standin: client %q: a client has a secret exactly when its AuthMethod is not %q", c.ID, Public))
		}
		for _, uri := range c.RedirectURIs {
			if u, err := url.Parse(uri); err != nil || !u.IsAbs() || strings.Contains(uri, "#") {
				problems = append(problems, fmt.Errorf("standin: client %q: redirect URI %q: want an absolute URL without a fragment", c.ID, uri))
			}
		}
		index[c.ID] = &registered{Client: c}
	}
	return index, errors.Join(problems...)
}

func indexUsers(users []User) (map[string]User, error) {
	index := map[string]User{}
	var problems []error
	for _, u := range users {
		if _, twice := index[u.Login]; u.Login == "" || u.Password == "" || twice {
			problems = append(problems, fmt.Errorf("standin: user %q: login or password is empty, or the login is given twice", u.Login))
		}
		if u.ID == "" {
			u.ID = oktaID("00u", u.Login)
		}
		index[u.Login] = u
	}
	return index, errors.Join(problems...)
}
