package postman

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// This file is Postman's format: a collection (v2.1.0), as far as it is used
// here, and an environment, as Postman exports it.

const schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"

type collection struct {
	Info struct {
		ID          string `json:"_postman_id"`
		Name        string `json:"name"`
		Description string `json:"description"`
		Schema      string `json:"schema"`
	} `json:"info"`
	Item []*item `json:"item"`
}

// item is a folder or a request.
type item struct {
	ID          string    `json:"id,omitempty"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Auth        *auth     `json:"auth,omitempty"`
	Item        []*item   `json:"item,omitempty"`
	Event       []event   `json:"event,omitempty"`
	Behavior    *behavior `json:"protocolProfileBehavior,omitempty"`
	Request     *request  `json:"request,omitempty"`
}

type behavior struct {
	FollowRedirects bool `json:"followRedirects"`
}

// event is a script before or after a request.
type event struct {
	Listen string `json:"listen"`
	Script script `json:"script"`
}

type script struct {
	Type string   `json:"type"`
	Exec []string `json:"exec"`
}

func newEvent(listen string, lines []string) event {
	return event{Listen: listen, Script: script{Type: "text/javascript", Exec: lines}}
}

type request struct {
	Method      string    `json:"method"`
	Header      []field   `json:"header"`
	Auth        *auth     `json:"auth,omitempty"`
	URL         address   `json:"url"`
	Body        *sentBody `json:"body,omitempty"`
	Description string    `json:"description"`
}

// field is a header, a parameter, or a part of a form.
type field struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
	Disabled    bool   `json:"disabled,omitempty"`
}

type address struct {
	Raw      string   `json:"raw"`
	Host     []string `json:"host"`
	Path     []string `json:"path,omitempty"`
	Query    []field  `json:"query,omitempty"`
	Variable []field  `json:"variable,omitempty"`
}

// newAddress is a path below a base; its {names} become path variables.
func newAddress(base, path string, query, variables []field) address {
	a := address{Host: []string{base}, Query: query, Variable: variables}
	if path != "" {
		path = strings.NewReplacer("{", ":", "}", "").Replace(path)
		a.Path = strings.Split(strings.TrimPrefix(path, "/"), "/")
	}
	a.Raw = base + path
	sign := "?"
	for _, q := range query {
		if !q.Disabled {
			a.Raw += sign + q.Key + "=" + q.Value
			sign = "&"
		}
	}
	return a
}

type sentBody struct {
	Mode       string       `json:"mode"`
	Raw        string       `json:"raw,omitempty"`
	URLEncoded []field      `json:"urlencoded,omitempty"`
	Options    *bodyOptions `json:"options,omitempty"`
}

type bodyOptions struct {
	Raw struct {
		Language string `json:"language"`
	} `json:"raw"`
}

func jsonBody(text string) *sentBody {
	b := &sentBody{Mode: "raw", Raw: text, Options: &bodyOptions{}}
	b.Options.Raw.Language = "json"
	return b
}

func formBody(fields []field) *sentBody { return &sentBody{Mode: "urlencoded", URLEncoded: fields} }

// auth is how a request says who asks.
type auth struct {
	kind       string // noauth, bearer, basic, oauth2
	attributes []attribute
}

type attribute struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	Type  string `json:"type"`
}

// MarshalJSON implements [json.Marshaler].
func (a *auth) MarshalJSON() ([]byte, error) {
	members := map[string]any{"type": a.kind}
	if len(a.attributes) > 0 {
		members[a.kind] = a.attributes
	}
	return json.Marshal(members)
}

// newAuth has its attributes as name, value, name, value.
func newAuth(kind string, attributes ...string) *auth {
	a := &auth{kind: kind}
	for n := 0; n+1 < len(attributes); n += 2 {
		a.attributes = append(a.attributes, attribute{attributes[n], attributes[n+1], "string"})
	}
	return a
}

type environment struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Values []setting `json:"values"`
	Scope  string    `json:"_postman_variable_scope"`
}

// setting is a variable of an environment.
type setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Type    string `json:"type"` // default, or secret: it is not shown by itself
	Enabled bool   `json:"enabled"`
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("postman: %w", err)
	}
	return b.Bytes(), nil
}
