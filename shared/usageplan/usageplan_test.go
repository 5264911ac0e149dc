package usageplan_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/shared/usageplan"
	"gatehouse/shared/usageplan/usageplantest"
)

var value = strings.Repeat("0123456789abcdef", 4)

// plans are two of one stage and one of another.
func newServer() *usageplantest.Server {
	return usageplantest.New(map[string]string{"trial1": "orders/v1", "gold01": "orders/v1", "other1": "stock/v1"})
}

func key(plan string) usageplan.Key {
	return usageplan.Key{Name: "gatehouse okta client orders", Value: value, Plan: plan}
}

// is fails unless the key is there, enabled, in plan and nowhere else, or,
// without a plan, is not there.
func is(t *testing.T, s *usageplantest.Server, plan string) {
	t.Helper()
	keys := slices.DeleteFunc(s.Keys(), func(k usageplantest.Key) bool { return k.Value != value })
	switch {
	case plan == "" && len(keys) > 0:
		t.Errorf("there are %+v, want none", keys)
	case plan != "" && (len(keys) != 1 || !keys[0].Enabled || !slices.Equal(keys[0].Plans, []string{plan})):
		t.Errorf("there are %+v, want one in %s", keys, plan)
	}
}

// counted counts the requests that change something, and those that do not.
func counted(s *usageplantest.Server) (changes, reads *int) {
	changes, reads = new(int), new(int)
	s.Around = func(_ http.ResponseWriter, r *http.Request, serve func()) error {
		if r.Method == http.MethodGet {
			*reads++
		} else {
			*changes++
		}
		serve()
		return nil
	}
	return changes, reads
}

func TestAKeyIsMadeMovedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newServer()
	g := s.Gateway()
	changes, reads := counted(s)
	k := key("trial1")
	for _, step := range []struct {
		name, plan     string
		changes, reads int
	}{
		{"made", "trial1", 2, 0},
		{"the same again", "trial1", 0, 2},
		{"moved within a stage", "gold01", 2, 2},
		{"moved to another stage", "other1", 2, 2},
		{"removed", "", 1, 0},
		{"removed again", "", 0, 1},
		{"made anew", "trial1", 2, 0},
	} {
		k.Plan, *changes, *reads = step.plan, 0, 0
		var err error
		if k, err = g.Settle(t.Context(), k); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if *changes != step.changes || *reads != step.reads {
			t.Errorf("%s: %d changes and %d reads, want %d and %d", step.name, *changes, *reads, step.changes, step.reads)
		}
		if (k.ID == "") != (step.plan == "") || k.Held != step.plan {
			t.Errorf("%s: got %+v", step.name, k)
		}
		is(t, s, step.plan)
	}
}

func TestWhatWasDoneByHandIsPutRight(t *testing.T) {
	t.Parallel()
	for name, hand := range map[string]func(*usageplantest.Server) error{
		"disabled": func(s *usageplantest.Server) error {
			s.Change(func(k *usageplantest.Key) bool { k.Enabled = false; return true })
			return nil
		},
		"deleted": func(s *usageplantest.Server) error {
			s.Change(func(*usageplantest.Key) bool { return false })
			return nil
		},
		"deleted, and made anew": func(s *usageplantest.Server) error {
			s.Change(func(*usageplantest.Key) bool { return false })
			_, err := s.Gateway().Settle(context.Background(), key("gold01"))
			return err
		},
		"moved": func(s *usageplantest.Server) error {
			_, err := s.Gateway().Settle(context.Background(), key("gold01"))
			return err
		},
		"moved to another stage": func(s *usageplantest.Server) error {
			_, err := s.Gateway().Settle(context.Background(), key("other1"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer()
			k, err := s.Gateway().Settle(t.Context(), key("trial1"))
			if err != nil {
				t.Fatal(err)
			}
			if err := hand(s); err != nil {
				t.Fatal(err)
			}
			for _, known := range []usageplan.Key{k, key("trial1")} {
				if _, err := s.Gateway().Settle(t.Context(), known); err != nil {
					t.Fatal(err)
				}
				is(t, s, "trial1")
			}
			k.Plan = ""
			if _, err := s.Gateway().Settle(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			is(t, s, "")
		})
	}
}

// faults are what can become of a request. A fault reports whether the request
// may have taken effect.
var faults = map[string]struct {
	around    func(w http.ResponseWriter, serve func()) error
	uncertain bool
}{
	"not sent":            {func(http.ResponseWriter, func()) error { return io.ErrUnexpectedEOF }, true},
	"its answer lost":     {func(_ http.ResponseWriter, serve func()) error { serve(); return io.ErrUnexpectedEOF }, true},
	"failed":              {answered(http.StatusInternalServerError, "InternalFailure"), true},
	"failed after all":    {done(answered(http.StatusServiceUnavailable, "ServiceUnavailableException")), true},
	"too many":            {answered(http.StatusTooManyRequests, "TooManyRequestsException"), false},
	"not allowed":         {answered(http.StatusForbidden, "AccessDeniedException"), false},
	"answered by a proxy": {func(w http.ResponseWriter, _ func()) error { w.WriteHeader(http.StatusBadGateway); return nil }, true},
	"answered in HTML": {done(func(w http.ResponseWriter, _ func()) error {
		_, err := io.WriteString(w, "<html>"+value)
		return err
	}), true},
}

func answered(status int, kind string) func(http.ResponseWriter, func()) error {
	return func(w http.ResponseWriter, _ func()) error {
		usageplantest.Refuse(w, status, kind, "hunter2 "+value)
		return nil
	}
}

// done lets a request take effect before it is answered otherwise.
func done(otherwise func(http.ResponseWriter, func()) error) func(http.ResponseWriter, func()) error {
	return func(w http.ResponseWriter, serve func()) error {
		serve()
		if recorder, ok := w.(*httptest.ResponseRecorder); ok {
			*recorder = *httptest.NewRecorder()
		}
		return otherwise(w, serve)
	}
}

// starts are what there is before, and what is known of it.
var starts = map[string]func(t *testing.T, s *usageplantest.Server) usageplan.Key{
	"nothing":          func(*testing.T, *usageplantest.Server) usageplan.Key { return key("") },
	"in the plan":      func(t *testing.T, s *usageplantest.Server) usageplan.Key { t.Helper(); return settled(t, s, "trial1") },
	"in another plan":  func(t *testing.T, s *usageplantest.Server) usageplan.Key { t.Helper(); return settled(t, s, "gold01") },
	"in another stage": func(t *testing.T, s *usageplantest.Server) usageplan.Key { t.Helper(); return settled(t, s, "other1") },
	"there, unknown": func(t *testing.T, s *usageplantest.Server) usageplan.Key {
		t.Helper()
		settled(t, s, "gold01")
		return key("")
	},
	"gone, unknown": func(t *testing.T, s *usageplantest.Server) usageplan.Key {
		t.Helper()
		k := settled(t, s, "gold01")
		s.Change(func(*usageplantest.Key) bool { return false })
		return k
	},
}

func settled(t *testing.T, s *usageplantest.Server, plan string) usageplan.Key {
	t.Helper()
	k, err := s.Gateway().Settle(t.Context(), key(plan))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestEveryFaultAtEveryStepIsMadeGood breaks one request of a settlement, each
// in turn and in every way, and settles again: with what the broken one found
// out, and without.
func TestEveryFaultAtEveryStepIsMadeGood(t *testing.T) {
	t.Parallel()
	broken := 0
	for startName, start := range starts {
		for _, plan := range []string{"trial1", ""} {
			for faultName, fault := range faults {
				for step := 1; ; step++ {
					s := newServer()
					k := start(t, s)
					k.Plan = plan
					n, met, read, unread := 0, false, false, false
					s.Around = func(w http.ResponseWriter, r *http.Request, serve func()) error {
						if n++; n >= step && (n == step || !fault.uncertain) {
							met, read = true, r.Method == http.MethodGet
							unread = r.Method == http.MethodDelete && faultName == "answered in HTML" // whose body says nothing
							return fault.around(w, serve)
						}
						serve()
						return nil
					}
					found, err := s.Gateway().Settle(t.Context(), k)
					if !met {
						break
					}
					name := fmt.Sprintf("%s, to plan %q, request %d %s", startName, plan, step, faultName)
					broken++
					if (err == nil) != unread || !unread && errors.Is(err, usageplan.ErrUncertain) != (fault.uncertain && !read) {
						t.Errorf("%s: got %v, want it to be uncertain: %t", name, err, fault.uncertain && !read)
					}
					if err != nil && (strings.Contains(err.Error(), value) || strings.Contains(err.Error(), "hunter2")) {
						t.Errorf("%s: the error shows it: %v", name, err)
					}
					s.Around = nil
					for what, k := range map[string]usageplan.Key{"with what was found out": found, "with what was known": k} {
						k.Plan = plan
						if _, err := s.Gateway().Settle(t.Context(), k); err != nil {
							t.Errorf("%s, then %s: %v", name, what, err)
						}
						is(t, s, plan)
						if t.Failed() {
							t.FailNow()
						}
					}
				}
			}
		}
	}
	if broken < 150 {
		t.Errorf("only %d requests were broken", broken)
	}
}

func TestAPlanThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	s := newServer()
	k, err := s.Gateway().Settle(t.Context(), key("nosuch"))
	if !errors.Is(err, usageplan.ErrPlan) || errors.Is(err, usageplan.ErrUncertain) || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("got %v, want %v with its name", err, usageplan.ErrPlan)
	}
	if k.ID == "" || k.Held != "" {
		t.Errorf("got %+v, want the key known, in no plan", k)
	}
	k.Plan = "trial1"
	if _, err := s.Gateway().Settle(t.Context(), k); err != nil {
		t.Error(err)
	}
	is(t, s, "trial1")
	// One that is deleted under its keys.
	k.Plan, k.Held = "trial1", "nosuch"
	if _, err := s.Gateway().Settle(t.Context(), k); err != nil {
		t.Error(err)
	}
}

func TestKeysWithLongerNamesAreOthers(t *testing.T) {
	t.Parallel()
	s := newServer()
	g := s.Gateway()
	for n := range 510 { // more than a page
		k := usageplan.Key{Name: fmt.Sprintf("%s%d", key("").Name, n), Value: fmt.Sprintf("%064x", n), Plan: "trial1"}
		if _, err := g.Settle(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Settle(t.Context(), key("")); err != nil || len(s.Keys()) != 510 {
		t.Errorf("%d are left, %v; want 510", len(s.Keys()), err)
	}
	for _, plan := range []string{"trial1", "gold01", ""} {
		if _, err := g.Settle(t.Context(), key(plan)); err != nil { // as if nothing were known
			t.Fatal(err)
		}
		is(t, s, plan)
	}
	if left := len(s.Keys()); left != 510 {
		t.Errorf("%d are left, want the 510 others", left)
	}
}

func TestAnotherKeyWithItsValueIsNamed(t *testing.T) {
	t.Parallel()
	s := newServer()
	other := key("trial1")
	other.Name = "made by hand"
	if _, err := s.Gateway().Settle(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	_, err := s.Gateway().Settle(t.Context(), key("trial1"))
	if err == nil || errors.Is(err, usageplan.ErrUncertain) || strings.Contains(err.Error(), value) {
		t.Errorf("got %v", err)
	}
}

func TestWhatARefusalMeansIsSaid(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, kind, text string
		status           int
		want             error
	}{
		{"a role without the permission", "AccessDeniedException", "User: x is not authorized", http.StatusForbidden, usageplan.ErrDenied},
		{"no permission, as API Gateway's own model has it", "UnauthorizedException", "", http.StatusUnauthorized, usageplan.ErrDenied},
		{"a limit", "LimitExceededException", "", http.StatusTooManyRequests, usageplan.ErrBusy},
		{
			"a creation that meets another change", "ConflictException",
			"Unable to complete operation due to concurrent modification. Please try again later.", http.StatusConflict, usageplan.ErrBusy,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newServer()
			s.Around = func(w http.ResponseWriter, _ *http.Request, _ func()) error {
				usageplantest.Refuse(w, row.status, row.kind, row.text)
				return nil
			}
			k, err := s.Gateway().Settle(t.Context(), key("trial1"))
			if !errors.Is(err, row.want) || errors.Is(err, usageplan.ErrUncertain) || k.ID != "" {
				t.Errorf("got %+v, %v; want %v", k, err, row.want)
			}
		})
	}
}

// TestABusyGatewayIsAskedAgainWithinBounds runs on a clock of its own.
func TestABusyGatewayIsAskedAgainWithinBounds(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name         string
		status       int
		kind, text   string
		after        string // Retry-After
		times, asked int    // how often it is so, and is asked
		want         error
		took         time.Duration // at most
	}{
		{"once", 429, "TooManyRequestsException", "", "", 1, 2, nil, 200 * time.Millisecond},
		{"for good", 429, "TooManyRequestsException", "", "", 99, 3, usageplan.ErrBusy, 600 * time.Millisecond},
		{"for a second", 429, "TooManyRequestsException", "", "1", 1, 2, nil, time.Second},
		{"for a minute", 429, "TooManyRequestsException", "", "60", 99, 1, usageplan.ErrBusy, 0},
		{"as the signature's side has it", 400, "ThrottlingException", "Rate exceeded", "", 1, 2, nil, 200 * time.Millisecond},
		{"with another change", 409, "ConflictException", "Unable to complete operation due to concurrent modification. Please try again later.", "", 2, 3, nil, 600 * time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				g := s.Gateway()
				g.Pause = 0
				asked := 0
				s.Around = func(w http.ResponseWriter, r *http.Request, serve func()) error {
					if !strings.HasSuffix(r.URL.Path, "/keys") {
						serve()
						return nil
					}
					if asked++; asked > row.times {
						serve()
						return nil
					}
					if row.after != "" {
						w.Header().Set("Retry-After", row.after)
					}
					usageplantest.Refuse(w, row.status, row.kind, row.text)
					return nil
				}
				began := time.Now()
				_, err := g.Settle(t.Context(), key("trial1"))
				if !errors.Is(err, row.want) || asked != row.asked {
					t.Errorf("got %v after %d requests, want %v after %d", err, asked, row.want, row.asked)
				}
				if took := time.Since(began); took > row.took || took < row.took/2 {
					t.Errorf("it took %v, want %v at most", took, row.took)
				}
			})
		})
	}
}

func TestASilentGatewayEndsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.Around = func(_ http.ResponseWriter, r *http.Request, _ func()) error {
			<-r.Context().Done()
			return r.Context().Err()
		}
		began := time.Now()
		_, err := s.Gateway().Settle(t.Context(), key("trial1"))
		if !errors.Is(err, usageplan.ErrUncertain) || time.Since(began) != 3*time.Second {
			t.Errorf("got %v after %v, want it to be uncertain after 3s", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if _, err := s.Gateway().Settle(ctx, key("trial1")); !errors.Is(err, usageplan.ErrUncertain) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v, want it to end with the caller", err, time.Since(began))
		}
	})
}

// TestTheEnvironmentLeadsToAPIGateway is how a function is connected.
func TestTheEnvironmentLeadsToAPIGateway(t *testing.T) {
	s := newServer()
	signed := 0
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/apigateway/aws4_request") {
			signed++
		}
		s.ServeHTTP(w, r)
	}))
	defer hs.Close()
	t.Setenv("AWS_ENDPOINT_URL_API_GATEWAY", hs.URL)
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	var g usageplan.Gateway
	if _, err := g.Settle(t.Context(), key("trial1")); err != nil {
		t.Fatal(err)
	}
	is(t, s, "trial1")
	if signed != 2 {
		t.Errorf("%d requests were signed, want 2", signed)
	}
}
