package secret

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scripted is a source whose answers and clock the test sets.
type scripted struct {
	text  string
	err   error
	reads int
	now   time.Time
}

func (s *scripted) open() *Source[Credentials] {
	return &Source[Credentials]{
		Now:   func() time.Time { return s.now },
		read:  func(context.Context) ([]byte, error) { s.reads++; return []byte(s.text), s.err },
		parse: parse,
	}
}

func TestF15CredentialsAreKept(t *testing.T) {
	t.Parallel()
	s := &scripted{text: `{"client_id":"a","client_secret":"one"}`, now: time.Unix(1e9, 0)}
	src := s.open()
	want := func(secret string, reads int) {
		t.Helper()
		c, err := src.Get(t.Context())
		if err != nil || c.ClientSecret.Reveal() != secret || s.reads != reads {
			t.Fatalf("got %q after %d reads, error %v; want %q after %d", c.ClientSecret.Reveal(), s.reads, err, secret, reads)
		}
	}
	want("one", 1)
	s.text = `{"client_id":"a","client_secret":"two"}`
	s.now = s.now.Add(fresh - 1)
	want("one", 1)
	s.now = s.now.Add(1)
	want("two", 2)

	// Secrets Manager down: the old value for an hour, then nothing.
	s.err = errors.New("throttled")
	s.now = s.now.Add(stale - 1)
	want("two", 3)
	s.now = s.now.Add(1)
	if _, err := src.Get(t.Context()); err == nil {
		t.Fatal("an hour old credentials are still used")
	}
}

func TestF14RefreshReadsOnceInTenSeconds(t *testing.T) {
	t.Parallel()
	s := &scripted{text: `{"client_id":"a","client_secret":"one"}`, now: time.Unix(1e9, 0)}
	src := s.open()
	if _, err := src.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.text = `{"client_id":"a","client_secret":"two"}`
	s.now = s.now.Add(cooldown)
	for range 5 {
		c, err := src.Refresh(t.Context())
		if err != nil || c.ClientSecret.Reveal() != "two" {
			t.Fatalf("got %v, %v", c, err)
		}
	}
	if s.reads != 2 {
		t.Errorf("read %d times, want 2", s.reads)
	}
}

func TestBadSecretsAreRefusedWithoutEcho(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON":              `SSWS hunter2`,
		"an array":             `["hunter2"]`,
		"no client_id":         `{"client_secret":"hunter2"}`,
		"no client_secret":     `{"client_id":"hunter2"}`,
		"half a client":        `{"client_id":"hunter2","authorization":"SSWS hunter2"}`,
		"no authorization":     `{"authorization":""}`,
		"half an account":      `{"username":"amadmin","authorization":"SSWS hunter2"}`,
		"a list of them":       `{"authorization":["SSWS hunter2"]}`,
		"a number":             `{"client_id":"a","client_secret":2}`,
		"a member twice":       `{"client_id":"hunter2","client_id":"hunter2","client_secret":"x"}`,
		"something after it":   `{"client_id":"a","client_secret":"hunter2"} hunter2`,
		"more than it may be":  `{"client_id":"a","client_secret":"` + strings.Repeat("hunter2", maxSize/7) + `"}`,
		"an empty client_id":   `{"client_id":"","client_secret":"hunter2"}`,
		"names in other cases": `{"CLIENT_ID":"a","Client_Secret":"hunter2"}`,
	} {
		_, err := parse([]byte(text))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "okta.json")
	if err := os.WriteFile(path, []byte(`{"client_id":"id","client_secret":"s","authorization":"SSWS x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Open("file:"+path, nil).Get(t.Context())
	if err != nil || c.ClientID != "id" || c.ClientSecret.Reveal() != "s" || c.Authorization.Reveal() != "SSWS x" {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := Open("file:"+path+".not", nil).Get(t.Context()); err == nil {
		t.Error("a missing file gives credentials")
	}
}

func TestAuthorizationAloneIsEnough(t *testing.T) {
	t.Parallel()
	c, err := parse([]byte(`{"authorization":"SSWS x"}`))
	if err != nil || c.Authorization.Reveal() != "SSWS x" {
		t.Errorf("got %v, %v", c, err)
	}
}

// TestSecretsManager speaks to the real SDK client over HTTP.
func TestSecretsManager(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ID string `json:"SecretId"`
		}
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		if err := json.Unmarshal(body, &in); err != nil || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
			t.Errorf("request %s: %v", r.Header.Get("X-Amz-Target"), err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if in.ID != "gatehouse/okta" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"ResourceNotFoundException","Message":"no such secret"}`)
			return
		}
		_, _ = io.WriteString(w, `{"Name":"gatehouse/okta","SecretString":"{\"client_id\":\"id\",\"client_secret\":\"s\"}"}`)
	}))
	defer srv.Close()
	t.Setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", srv.URL)
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")

	m := &Manager{}
	c, err := Open("gatehouse/okta", m).Get(t.Context())
	if err != nil || c.ClientID != "id" || c.ClientSecret.Reveal() != "s" {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := Open("gatehouse/other", m).Get(t.Context()); err == nil {
		t.Error("a secret that is not there gives credentials")
	}
}
