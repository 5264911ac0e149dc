package postman

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"gatehouse/shared/config"
)

// step is one request of the story.
type step struct {
	doc       *document // nil: the request is in no document
	operation string

	method, url, about string // of a request that is in no document
	json               string // what it sends, if not body as a form
	media              string // of its answers; "": any

	name    string            // default: the summary of the operation
	why     string            // what it is for in the story
	auth    *auth             // default: what the document says
	values  map[string]string // of parameters; an optional one without a value is there, and switched off
	headers []field
	example string // which of several
	body    []member
	want    outcome
	keep    []string // variables and the members of the answer that they take: client_id=client_id
	before  []string // script
	after   []string // script that runs if the answer is the first of what is wanted
}

// outcome is what must come of a request: one of the statuses. If it depends on
// a variable, these are for the value, others for every other value.
type outcome struct {
	codes           []int
	variable, value string
	others          []int
}

func is(codes ...int) outcome { return outcome{codes: codes} }

// folder is a chapter of the story.
type folder struct {
	name, text string
	auth       *auth
	steps      []step
}

// builder turns the story into items.
type builder struct {
	told map[string]int // how often each operation is in it
}

func (b *builder) folder(f folder) (*item, error) {
	made := &item{ID: slug(f.name), Name: f.name, Description: f.text, Auth: f.auth}
	for _, s := range f.steps {
		i, err := b.step(s)
		if err != nil {
			return nil, err
		}
		made.Item = append(made.Item, i)
	}
	return made, nil
}

// slug is a name as an id.
func slug(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }), "-")
}

func (b *builder) step(s step) (*item, error) {
	made := &item{Name: s.name, Request: &request{Header: slices.Clone(s.headers), Auth: s.auth}}
	if made.Request.Header == nil {
		made.Request.Header = []field{}
	}
	id := s.name
	var answers map[string][]string
	if s.doc == nil {
		s.plain(made.Request)
		if s.media != "" {
			answers = map[string][]string{}
			for _, code := range slices.Concat(s.want.codes, s.want.others) {
				answers[fmt.Sprint(code)] = []string{s.media}
			}
		}
	} else {
		o, ok := s.doc.operations[s.operation]
		if !ok {
			return nil, fmt.Errorf("postman: there is no operation %s in the document of the %s", s.operation, s.doc.name)
		}
		if made.Name == "" {
			made.Name = o.Summary
		}
		id = s.doc.name + " " + o.ID
		if err := s.fromDocument(o, made.Request); err != nil {
			return nil, err
		}
		var err error
		if answers, err = s.answers(o); err != nil {
			return nil, err
		}
	}
	made.ID = slug(id)
	if b.told[id]++; b.told[id] > 1 {
		made.ID += fmt.Sprintf("-%d", b.told[id])
	}
	for _, code := range s.want.codes {
		if code/100 == 3 {
			made.Behavior = &behavior{}
		}
	}
	if len(s.before) > 0 {
		made.Event = append(made.Event, newEvent("prerequest", s.before))
	}
	made.Event = append(made.Event, newEvent("test", s.tests(answers)))
	return made, nil
}

// plain is a request that is in no document.
func (s step) plain(r *request) {
	r.Method, r.Description = s.method, s.about
	at, query, _ := strings.Cut(s.url, "?")
	base, path, _ := strings.Cut(at, "/")
	if path != "" {
		path = "/" + path
	}
	var parameters []field
	if name, value, ok := strings.Cut(query, "="); ok {
		parameters = []field{{Key: name, Value: value}}
	}
	r.URL = newAddress(base, path, parameters, nil)
	switch {
	case s.json != "":
		r.Header = append(r.Header, field{Key: "Content-Type", Value: "application/json"})
		r.Body = jsonBody(s.json)
	case len(s.body) > 0:
		r.Body = formBody(form(s.body))
	}
}

func form(all []member) []field {
	var fields []field
	for _, m := range all {
		fields = append(fields, field{Key: m.path, Value: fmt.Sprint(m.value)})
	}
	return fields
}

// fromDocument is a request as the document has it.
func (s step) fromDocument(o *operation, r *request) error {
	r.Method, r.Description = o.method, s.description(o)
	if r.Auth == nil {
		r.Auth = o.auth()
	}
	var query, variables []field
	known := map[string]bool{}
	for _, p := range o.Parameters {
		known[p.Name] = true
		value, given := s.values[p.Name]
		if !given {
			value = example(p)
		}
		f := field{Key: p.Name, Value: value, Description: firstLine(p.Description), Disabled: !given && !p.Required}
		switch p.In {
		case "path":
			variables = append(variables, f)
		case "query":
			query = append(query, f)
		case "header":
			r.Header = append(r.Header, f)
		}
	}
	for name := range maps.Keys(s.values) {
		if !known[name] {
			return fmt.Errorf("postman: %s has no parameter %s", o.ID, name)
		}
	}
	r.URL = newAddress("{{gatehouse_url}}", o.path, query, variables)
	return s.sent(o, r)
}

func (s step) sent(o *operation, r *request) error {
	media, sample, err := o.sent(s.example)
	if err != nil || media == "" {
		return err
	}
	if sample, err = adapt(sample, s.body); err != nil {
		return fmt.Errorf("postman: %s: %w", o.ID, err)
	}
	if media == "application/json" {
		text, err := asJSON(sample)
		if err != nil {
			return fmt.Errorf("postman: %s: %w", o.ID, err)
		}
		r.Header = append([]field{{Key: "Content-Type", Value: media}}, r.Header...)
		r.Body = jsonBody(string(text))
		return nil
	}
	var fields []field
	for n := 0; n+1 < len(sample.Content); n += 2 {
		values := []*yaml.Node{sample.Content[n+1]}
		if values[0].Kind == yaml.SequenceNode {
			values = values[0].Content
		}
		for _, v := range values {
			fields = append(fields, field{Key: sample.Content[n].Value, Value: v.Value})
		}
	}
	r.Body = formBody(fields)
	return nil
}

// description is the document's, with what the request is for here.
func (s step) description(o *operation) string {
	var parts []string
	for _, text := range []string{s.why, o.Description} {
		if text = strings.TrimSpace(text); text != "" {
			parts = append(parts, text)
		}
	}
	if s.name != "" {
		parts = slices.Insert(parts, 0, o.Summary+".")
	}
	return strings.Join(append(parts, "Operation `"+o.ID+"` of the "+s.doc.name+"."), "\n\n")
}

// auth is what the document wants first. The tokens of people are in variables,
// by what their scopes open.
func (o *operation) auth() *auth {
	if len(o.Security) == 0 {
		return newAuth("noauth")
	}
	for scheme, scopes := range o.Security[0] {
		switch scheme {
		case "accessToken":
			token := map[string]string{config.ScopeApplications: "developer_token", config.ScopeContracts: "owner_token", config.ScopeAdmin: "admin_token"}
			return bearer(token[scopes[0]])
		case "initialAccessToken":
			return bearer("initial_access_token")
		case "registrationAccessToken":
			return bearer("registration_access_token")
		case "clientSecret":
			return basic("client")
		}
	}
	return newAuth("noauth")
}

func bearer(variable string) *auth { return newAuth("bearer", "token", "{{"+variable+"}}") }

// basic is a client whose id and secret are in variables that begin so.
func basic(who string) *auth {
	return newAuth("basic", "username", "{{"+who+"_id}}", "password", "{{"+who+"_secret}}")
}

func example(p parameter) string {
	switch v := p.Example.(type) {
	case nil:
		return ""
	case []any:
		if len(v) > 0 {
			return fmt.Sprint(v[0])
		}
		return ""
	default:
		return fmt.Sprint(v)
	}
}

func firstLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// answers are the media types that the document has for what is wanted.
func (s step) answers(o *operation) (map[string][]string, error) {
	all := map[string][]string{}
	for _, code := range slices.Concat(s.want.codes, s.want.others) {
		r, ok := o.Responses[fmt.Sprint(code)]
		if !ok {
			return nil, fmt.Errorf("postman: the document has no answer %d of %s", code, o.ID)
		}
		all[fmt.Sprint(code)] = slices.AppendSeq([]string{}, maps.Keys(r.Content))
		slices.Sort(all[fmt.Sprint(code)])
	}
	return all, nil
}
