// Package usageplantest is a stand-in for the part of Amazon API Gateway's
// control API that package usageplan uses. It is test support: nothing that is
// deployed imports it.
//
// Shapes, statuses and types of errors are those of the service model that AWS
// publishes (apigateway, 2015-07-09). Beyond that it does what is known of the
// service: a value is that of one key only (409), nameQuery is the beginning of
// a name, a key is in one plan of a stage at most, a deleted key leaves its
// plans. Not known, and decided here: that a key which is put where it is already
// gets 409, what is said about plans of a key that is gone, and the texts of most
// errors. Lists never lag here.
package usageplantest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"

	"gatehouse/shared/usageplan"
)

// Key is an API key as the server has it.
type Key struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Value   string `json:"value,omitempty"`
	Enabled bool   `json:"enabled"`

	Plans []string `json:"-"` // that it is in, in the order of their ids
}

// Server is API Gateway. Use [New]. It is safe for concurrent use.
type Server struct {
	// Around, if it is not nil, stands between a request and what serves it: it
	// calls serve, or answers w itself, and returns an error when the answer is
	// lost.
	Around func(w http.ResponseWriter, r *http.Request, serve func()) error

	mux *http.ServeMux

	mu     sync.Mutex // guards what follows
	made   int        // keys so far
	keys   map[string]Key
	stages map[string]string          // of plans, by id
	joined map[string]map[string]bool // keys of plans, by id
}

// New returns a server with usage plans: their stages by their ids.
func New(plans map[string]string) *Server {
	s := &Server{mux: http.NewServeMux(), keys: map[string]Key{}, stages: maps.Clone(plans), joined: map[string]map[string]bool{}}
	for plan := range plans {
		s.joined[plan] = map[string]bool{}
	}
	for pattern, serve := range map[string]func(r *http.Request) (int, any){
		"POST /apikeys":                        s.createKey,
		"GET /apikeys":                         s.listKeys,
		"GET /apikeys/{key}":                   s.getKey,
		"PATCH /apikeys/{key}":                 s.updateKey,
		"DELETE /apikeys/{key}":                s.deleteKey,
		"GET /usageplans":                      s.listPlans,
		"GET /usageplans/{plan}":               s.getPlan,
		"POST /usageplans/{plan}/keys":         s.joinPlan,
		"GET /usageplans/{plan}/keys/{key}":    s.getPlanKey,
		"DELETE /usageplans/{plan}/keys/{key}": s.leavePlan,
	} {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			status, answer := serve(r)
			Answer(w, status, answer)
		})
	}
	return s
}

// Gateway returns what speaks to the server, without a network.
func (s *Server) Gateway() *usageplan.Gateway {
	nobody := func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "x"}, nil
	}
	return &usageplan.Gateway{Pause: 1, Client: apigateway.New(apigateway.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String("https://apigateway.test"), HTTPClient: &http.Client{Transport: s},
		Credentials: aws.CredentialsProviderFunc(nobody), Retryer: aws.NopRetryer{},
	})}
}

// RoundTrip implements [http.RoundTripper].
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	if s.Around == nil {
		s.ServeHTTP(w, r)
	} else if err := s.Around(w, r, func() { s.ServeHTTP(w, r) }); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Keys are the keys there are, in the order in which they were made.
func (s *Server) Keys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Key, 0, len(s.keys))
	for _, id := range slices.Sorted(maps.Keys(s.keys)) {
		k := s.keys[id]
		k.Plans = s.plansOf(id)
		all = append(all, k)
	}
	return all
}

// PlanOf returns a plan that the enabled key of a value is in, "" if there is none.
func (s *Server) PlanOf(value string) string {
	for _, k := range s.Keys() {
		if k.Value == value && k.Enabled && len(k.Plans) > 0 {
			return k.Plans[0]
		}
	}
	return ""
}

// Change is what somebody does to keys by hand: do gets each, and whether it is
// to stay.
func (s *Server) Change(do func(*Key) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, k := range s.keys {
		if do(&k) {
			s.keys[id] = k
		} else {
			s.drop(id)
		}
	}
}

// Answer writes an answer of API Gateway.
func Answer(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	if e, ok := answer.(fault); ok {
		w.Header().Set("X-Amzn-Errortype", e.kind)
		answer = map[string]string{"message": e.message}
	}
	w.WriteHeader(status)
	if status != http.StatusAccepted {
		_ = json.NewEncoder(w).Encode(answer) // the reader may have gone
	}
}

// Refuse answers with an error of API Gateway: "TooManyRequestsException".
func Refuse(w http.ResponseWriter, status int, kind, message string) {
	Answer(w, status, fault{kind, message})
}

type fault struct{ kind, message string }

func notFound(what string) (int, any) {
	return http.StatusNotFound, fault{"NotFoundException", "Invalid " + what + " specified"}
}

func bad(message string) (int, any) {
	return http.StatusBadRequest, fault{"BadRequestException", message}
}

func conflict(message string) (int, any) {
	return http.StatusConflict, fault{"ConflictException", message}
}

func read(r *http.Request, v any) error {
	return json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(v)
}

func (s *Server) plansOf(key string) []string {
	var all []string
	for plan, keys := range s.joined {
		if keys[key] {
			all = append(all, plan)
		}
	}
	slices.Sort(all)
	return all
}

func (s *Server) drop(id string) {
	delete(s.keys, id)
	for _, keys := range s.joined {
		delete(keys, id)
	}
}

func (s *Server) createKey(r *http.Request) (int, any) {
	var k Key
	if err := read(r, &k); err != nil {
		return bad("Unable to parse the request")
	}
	switch {
	case len(k.Name) > 1024:
		return bad("Invalid name")
	case len(k.Value) < 20 || len(k.Value) > 128 || strings.ContainsFunc(k.Value, notAlphanumeric):
		return bad("API Key value should be at least 20 characters")
	}
	for _, other := range s.keys {
		if other.Value == k.Value {
			return conflict("API Key already exists")
		}
	}
	s.made++
	k.ID = fmt.Sprintf("k%09d", s.made)
	s.keys[k.ID] = k
	return http.StatusCreated, k
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

func (s *Server) getKey(r *http.Request) (int, any) {
	k, ok := s.keys[r.PathValue("key")]
	if !ok {
		return notFound("API Key identifier")
	}
	if r.URL.Query().Get("includeValue") != "true" {
		k.Value = ""
	}
	return http.StatusOK, k
}

func (s *Server) listKeys(r *http.Request) (int, any) {
	q := r.URL.Query()
	var found []Key
	for _, id := range slices.Sorted(maps.Keys(s.keys)) {
		k := s.keys[id]
		if !strings.HasPrefix(k.Name, q.Get("name")) {
			continue
		}
		if q.Get("includeValues") != "true" {
			k.Value = ""
		}
		found = append(found, k)
	}
	return page(r, found)
}

// page answers with a part of a list.
func page[T any](r *http.Request, all []T) (int, any) {
	q := r.URL.Query()
	limit, from := 25, 0
	for name, n := range map[string]*int{"limit": &limit, "position": &from} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		var err error
		if *n, err = strconv.Atoi(text); err != nil || *n < 0 {
			return bad("Invalid " + name)
		}
	}
	if limit > 500 {
		return bad("Invalid limit")
	}
	from = min(from, len(all))
	to := min(from+limit, len(all))
	answer := map[string]any{"item": append([]T{}, all[from:to]...)}
	if to < len(all) {
		answer["position"] = strconv.Itoa(to)
	}
	return http.StatusOK, answer
}

func (s *Server) updateKey(r *http.Request) (int, any) {
	k, ok := s.keys[r.PathValue("key")]
	if !ok {
		return notFound("API Key identifier")
	}
	var patch struct {
		Operations []struct{ Op, Path, Value string } `json:"patchOperations"`
	}
	if err := read(r, &patch); err != nil {
		return bad("Unable to parse the request")
	}
	for _, o := range patch.Operations {
		if o.Op != "replace" || o.Path != "/enabled" {
			return bad("Invalid patch operation")
		}
		k.Enabled = o.Value == "true"
	}
	s.keys[k.ID] = k
	return http.StatusOK, k
}

func (s *Server) deleteKey(r *http.Request) (int, any) {
	if _, ok := s.keys[r.PathValue("key")]; !ok {
		return notFound("API Key identifier")
	}
	s.drop(r.PathValue("key"))
	return http.StatusAccepted, nil
}

type plan struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (s *Server) getPlan(r *http.Request) (int, any) {
	id := r.PathValue("plan")
	if _, ok := s.stages[id]; !ok {
		return notFound("Usage Plan ID")
	}
	return http.StatusOK, plan{id, id}
}

func (s *Server) listPlans(r *http.Request) (int, any) {
	ids := slices.Sorted(maps.Keys(s.stages))
	if key := r.URL.Query().Get("keyId"); key != "" {
		ids = s.plansOf(key)
	}
	all := make([]plan, len(ids))
	for n, id := range ids {
		all[n] = plan{id, id}
	}
	return page(r, all)
}

// planKey is a key as a plan has it.
type planKey struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Value string `json:"value"`
	Name  string `json:"name"`
}

func (s *Server) joinPlan(r *http.Request) (int, any) {
	var in struct{ KeyID, KeyType string }
	if err := read(r, &in); err != nil || in.KeyType != "API_KEY" {
		return bad("Invalid key type")
	}
	id := r.PathValue("plan")
	stage, ok := s.stages[id]
	if !ok {
		return notFound("Usage Plan identifier")
	}
	k, ok := s.keys[in.KeyID]
	if !ok {
		return notFound("API Key identifier")
	}
	for _, other := range s.plansOf(k.ID) {
		if s.stages[other] == stage {
			return conflict("API Key " + k.ID + " is in a usage plan of this API stage already")
		}
	}
	s.joined[id][k.ID] = true
	return http.StatusCreated, planKey{k.ID, in.KeyType, k.Value, k.Name}
}

func (s *Server) getPlanKey(r *http.Request) (int, any) {
	k, ok := s.keys[r.PathValue("key")]
	if !ok || !s.joined[r.PathValue("plan")][k.ID] {
		return notFound("Usage Plan Key identifier")
	}
	return http.StatusOK, planKey{k.ID, "API_KEY", k.Value, k.Name}
}

func (s *Server) leavePlan(r *http.Request) (int, any) {
	keys, id := s.joined[r.PathValue("plan")], r.PathValue("key")
	if !keys[id] {
		return notFound("Usage Plan Key identifier")
	}
	delete(keys, id)
	return http.StatusAccepted, nil
}
