package standin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/standin"
)

const keysPath = "/oauth2/default/v1/keys"

func TestFaultsOfTheAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fault  standin.Fault
		status int
		body   string // that it starts with
		header map[string]string
	}{
		{"429 as Okta answers it", standin.Fault{Status: 429}, 429, `{"errorCauses":[],"errorCode":"E0000047"`, map[string]string{"X-Rate-Limit-Remaining": "0", "Retry-After": ""}},
		{"429 with Retry-After", standin.Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}}, 429, `{"errorCauses":[],"errorCode":"E0000047"`, map[string]string{"Retry-After": "7"}},
		{"500 as Okta answers it", standin.Fault{Status: 500}, 500, `{"errorCauses":[],"errorCode":"E0000009"`, nil},
		{"503 as Okta answers it", standin.Fault{Status: 503}, 503, `{"errorCauses":[],"errorCode":"E0000010"`, nil},
		{"502 by Okta's general error", standin.Fault{Status: 502}, 502, `{"errorCauses":[],"errorCode":"E0000009"`, nil},
		{"garbage with 200", standin.Fault{Body: standin.Garbage}, 200, "<!doctype html>", map[string]string{"Content-Type": "text/html; charset=utf-8"}},
		{"no keys", standin.Fault{Body: standin.EmptyKeys}, 200, `{"keys":[]}`, map[string]string{"Content-Type": "application/json"}},
		{"a redirect", standin.Fault{Redirect: "http://169.254.169.254/"}, 302, "", map[string]string{"Location": "http://169.254.169.254/"}},
		{"a redirect that keeps the method", standin.Fault{Redirect: "/x", Status: 307}, 307, "", map[string]string{"Location": "/x"}},
		{"a wrong content type", standin.Fault{Header: map[string]string{"Content-Type": "text/plain"}}, 200, `{"keys":[{`, map[string]string{"Content-Type": "text/plain"}},
		{"another status with a body", standin.Fault{Status: 500, Body: "oops"}, 500, "oops", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			o.Break(standin.Keys, tt.fault)
			r := o.get(t, keysPath)
			if r.status != tt.status || !strings.HasPrefix(r.body, tt.body) {
				t.Errorf("got %d %.200s", r.status, r.body)
			}
			for name, want := range tt.header {
				if got := r.header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			o.Mend()
			if r := o.get(t, keysPath); r.status != 200 || !strings.Contains(r.body, `"first"`) {
				t.Errorf("mended: got %d %s", r.status, r.body)
			}
		})
	}
}

func TestRateLimitResetIsInTheFuture(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.Break(standin.Token, standin.Fault{Status: 429})
	r := o.post(t, "/oauth2/default/v1/token", svc, nil)
	date, err := http.ParseTime(r.header.Get("Date"))
	if err != nil {
		t.Fatal(err)
	}
	reset, err := strconv.ParseInt(r.header.Get("X-Rate-Limit-Reset"), 10, 64)
	if wait := time.Unix(reset, 0).Sub(date); err != nil || wait < 50*time.Second || wait > 70*time.Second {
		t.Errorf("reset is %v after Date (%v)", wait, err)
	}
}

func TestHugeBodyHasItsSize(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.Break(standin.Keys, standin.Fault{Size: 3 << 20})
	r := o.get(t, keysPath)
	if len(r.body) != 3<<20 || !json.Valid([]byte(r.body)) {
		t.Errorf("got %d bytes, valid %v", len(r.body), json.Valid([]byte(r.body)))
	}
}

func TestGzipBombIsSmallOnTheWire(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.Break(standin.Keys, standin.Fault{Size: 4 << 20, Gzip: true})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.url+keysPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity") // so that the client does not unpack it
	r := do(t, req)
	if r.header.Get("Content-Encoding") != "gzip" || len(r.body) > 64<<10 {
		t.Errorf("got %d bytes, %v", len(r.body), r.header)
	}
	if r := o.get(t, keysPath); len(r.body) != 4<<20 {
		t.Errorf("unpacked: got %d bytes", len(r.body))
	}
}

func TestCutConnections(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.Break(standin.Keys, standin.Fault{Cut: standin.BeforeHeaders})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+keysPath, nil) // POST is not sent again
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err == nil {
		res.Body.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("before the headers: got %v, want a reset", err)
	}
	for _, f := range []standin.Fault{{Cut: standin.AfterHeaders}, {Cut: standin.AfterHeaders, Gzip: true}} {
		o.Break(standin.Keys, f)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.url+keysPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatalf("after the headers: %v", err)
		}
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after the headers: got %d, %v, want a body that ends early", res.StatusCode, err)
		}
	}
}

func TestSlowAnswersMeetADeadline(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]standin.Fault{
		"no answer at all":      {Delay: time.Hour},
		"a byte now and then":   {Drip: time.Hour},
		"a slow but good reply": {Delay: time.Millisecond, Drip: 10 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			o.Break(standin.Token, f)
			slow := f.Delay == time.Hour || f.Drip == time.Hour
			ctx, limit := t.Context(), 100*time.Millisecond
			if !slow {
				limit = time.Minute
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			req := o.form(t, "/oauth2/default/v1/token", svc, "grant_type=client_credentials&scope=orders:read").WithContext(ctx)
			res, err := http.DefaultTransport.RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			if errors.Is(err, context.DeadlineExceeded) != slow || !slow && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFaultsAreCountedAndPathsGoFirst(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.Break(standin.Keys, standin.Fault{Status: 500, Times: 2})
	o.Break("/oauth2/opaque/v1/keys", standin.Fault{Status: 503})
	var got []int
	for _, path := range []string{"/oauth2/opaque/v1/keys", keysPath, keysPath, keysPath, "/oauth2/opaque/v1/keys"} {
		got = append(got, o.get(t, path).status)
	}
	if diff := cmp.Diff([]int{503, 500, 500, 200, 503}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if o.Requests(standin.Keys) != 5 || o.Requests(keysPath) != 3 || o.Requests(standin.Token) != 0 {
		t.Errorf("requests: got %d, %d, %d", o.Requests(standin.Keys), o.Requests(keysPath), o.Requests(standin.Token))
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	o := start(t)
	control := func(method, path, body string) reply {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, o.url+"/_standin/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return do(t, req)
	}
	if r := control("POST", "faults", `{"endpoint":"keys","status":503,"header":{"Retry-After":"3"},"delay":"1ms","drip":"1us","times":5}`); r.status != 204 {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	if r := o.get(t, keysPath); r.status != 503 || r.header.Get("Retry-After") != "3" {
		t.Errorf("broken: got %d %v", r.status, r.header)
	}
	if r := control("DELETE", "faults", ""); r.status != 204 {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r := control("POST", "rotate-keys", ""); r.status != 204 || len(o.publishedIDs(t)) != 2 {
		t.Errorf("rotate-keys: got %d %s", r.status, r.body)
	}
	if r := control("POST", "drop-old-keys", ""); r.status != 204 || len(o.publishedIDs(t)) != 1 {
		t.Errorf("drop-old-keys: got %d %s", r.status, r.body)
	}
	want := map[string]any{"keys": 3.0, keysPath: 3.0}
	if diff := cmp.Diff(want, control("GET", "requests", "").object(t)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	for name, tt := range map[string]struct{ body, want string }{
		"no JSON":             {"{", "unexpected EOF"},
		"two values":          {`{"endpoint":"keys"}{}`, "more than one JSON value"},
		"an unknown member":   {`{"endpoint":"keys","stauts":1}`, "unknown field"},
		"an unknown endpoint": {`{"endpoint":"kyes"}`, `endpoint is "kyes"; want a path or one of [metadata keys authorize token introspect revoke clients admin]`},
		"a bad duration":      {`{"endpoint":"keys","delay":"2"}`, `delay is "2"; want a duration such as 250ms`},
		"a negative drip":     {`{"endpoint":"keys","drip":"-2s"}`, `drip is "-2s"`},
		"an unknown cut":      {`{"endpoint":"keys","cut":"now"}`, `cut is "now"`},
		"a bad status":        {`{"endpoint":"keys","status":99}`, "status is 99"},
		"negative times":      {`{"endpoint":"keys","times":-1}`, "negative"},
	} {
		if r := control("POST", "faults", tt.body); r.status != 400 || !strings.Contains(r.text(t, "error"), tt.want) {
			t.Errorf("%s: got %d %s, want %q", name, r.status, r.body, tt.want)
		}
	}
	req := o.form(t, "/_standin/rotate-keys", "", url.Values{}.Encode())
	req.Header.Set("Origin", "https://evil.example")
	if r := do(t, req); r.status != http.StatusForbidden {
		t.Errorf("from another site: got %d", r.status)
	}
}
