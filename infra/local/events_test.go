package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/demoapi"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
)

var update = flag.Bool("update", false, "rewrite what a test compares with: the .want.json files in events/, infra/postman, the table of settings in README.md")

// eventsDir is the folder of the events.
const eventsDir = "../../events"

// TestEvents invokes the functions with the events in events/<function>, which
// sam local invoke takes as they are, and compares with what stands beside them.
func TestEvents(t *testing.T) {
	t.Parallel()
	for function, handler := range map[string]lambda.Handler{
		"authorizer":   packed(t, authorizerFunction),
		"registration": packed(t, registrationFunction),
		"broker":       packed(t, brokerFunction),
		"reconciler":   packed(t, reconcilerFunction),
		"demoapi":      &apigw.HTTP{Handler: demoapi.API{}.Handler()},
	} {
		handler = lambda.NewHandler(handler)
		for _, file := range eventFiles(t, function) {
			t.Run(function+"/"+strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
				t.Parallel()
				event, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				got, err := handler.Invoke(t.Context(), event)
				if err != nil {
					got = lambdaError(t, err)
				}
				golden(t, wantOf(file), got)
			})
		}
	}
}

// packed is a function as CONFIG=events/gatehouse.yaml sam build packs it, with
// the environment that the template gives it, an empty registry, and no network.
func packed(t *testing.T, id string) lambda.Handler {
	t.Helper()
	template, err := load(files{Template: "../../template.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(filepath.Join(eventsDir, "gatehouse.yaml"), lookup(template.Functions[id].Environment))
	if err != nil {
		t.Fatal(err)
	}
	for i := range cfg.Providers {
		// Relative to the root of the function, which is its working directory.
		cfg.Providers[i].KeysFile = filepath.Join(eventsDir, cfg.Providers[i].KeysFile)
	}
	store, err := registry.Embedded{}.Open()
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*string{&cfg.Registration.Keys, &cfg.Broker.Keys} {
		name, ok := strings.CutPrefix(*keys, "file:")
		if !ok {
			t.Fatalf("the keys are %s, want a file", *keys)
		}
		*keys = "file:" + filepath.Join(eventsDir, name)
	}
	s := &system{store: store, now: time.Now}
	handler, err := s.handler(t.Context(), id, cfg, provider.Environment{HTTP: &http.Client{Transport: noNetwork{}}, Secrets: &secret.Manager{}})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// noNetwork is a network that is down.
type noNetwork struct{}

// RoundTrip implements [http.RoundTripper].
func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("there is no network")
}

// lambdaError is what Lambda reports when a function returns err.
func lambdaError(t *testing.T, err error) []byte {
	t.Helper()
	kind := reflect.TypeOf(err)
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	b, err := json.Marshal(map[string]string{"errorMessage": err.Error(), "errorType": kind.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden compares got with the JSON of a file.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	got, err := indent(got)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test ./infra/local -run TestEvents -update writes it", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the answer differs from %s (-want +got):\n%s", file, diff)
	}
}

// eventFiles are the events of a function.
func eventFiles(t *testing.T, function string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(eventsDir, function, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, isWant)
	if len(files) == 0 {
		t.Fatalf("there are no events of %s", function)
	}
	return files
}

func isWant(file string) bool { return strings.HasSuffix(file, ".want.json") }

func wantOf(file string) string { return strings.TrimSuffix(file, ".json") + ".want.json" }

func TestThereIsAnEventForEveryCaseInEveryShape(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, shape := range []string{"rest-token", "rest-request", "http-1.0", "http-2.0", "http-2.0-simple", "websocket"} {
		for _, c := range []string{"allow", "no-token", "expired", "wrong-audience", "missing-scope", "unknown-route"} {
			want[shape+"-"+c+".json"] = true
			want[shape+"-"+c+".want.json"] = true
		}
	}
	got := map[string]bool{}
	files, err := os.ReadDir(filepath.Join(eventsDir, "authorizer"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got[f.Name()] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events/authorizer (-want +got):\n%s", diff)
	}
}

func TestEveryEventHasItsAnswer(t *testing.T) {
	t.Parallel()
	for _, file := range eventFiles(t, "*") {
		if strings.Contains(file, "keys") {
			continue
		}
		if _, err := os.Stat(wantOf(file)); err != nil {
			t.Error(err)
		}
	}
	wants, err := filepath.Glob(filepath.Join(eventsDir, "*", "*.want.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range wants {
		if _, err := os.Stat(strings.TrimSuffix(want, ".want.json") + ".json"); err != nil {
			t.Error(err)
		}
	}
}

// TestTheCommandWritesTheseEvents compares all but what depends on the key.
func TestTheCommandWritesTheseEvents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "templates"), os.DirFS(filepath.Join(eventsDir, "templates"))); err != nil {
		t.Fatal(err)
	}
	if code := execute(t.Context(), []string{"events", "--dir", dir}, stage{out: t.Output(), err: t.Output()}); code != 0 {
		t.Fatalf("gatehouse events: exit status %d", code)
	}
	want, got := written(t, eventsDir), written(t, dir)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("files (-committed +written):\n%s", diff)
	}
	for name, text := range want {
		if diff := cmp.Diff(text, got[name]); diff != "" {
			t.Errorf("%s (-committed +written):\n%s", name, diff)
		}
	}
}

// written returns the files of dir that the command writes, by name, without
// the key and the signatures that it made.
func written(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	depends := regexp.MustCompile(`[-_A-Za-z0-9]{342}`) // 2,048 bits
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".json" || isWant(name) {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = depends.ReplaceAllString(string(text), "(key)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestNoEventHoldsAPrivateKey(t *testing.T) {
	t.Parallel()
	private := []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} // RFC 7518, section 6
	err := fs.WalkDir(os.DirFS(eventsDir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(eventsDir, name))
		if bytes.Contains(text, []byte("PRIVATE KEY")) {
			t.Errorf("%s holds a private key", name)
		}
		if filepath.Ext(name) != ".json" || err != nil {
			return err
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, member := range members(v) {
			if slices.Contains(private, member) {
				t.Errorf("%s has the member %q of a private key", name, member)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// members returns the names of all members in v, at any depth.
func members(v any) []string {
	var names []string
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			names = append(append(names, name), members(value)...)
		}
	case []any:
		for _, value := range v {
			names = append(names, members(value)...)
		}
	}
	return names
}
