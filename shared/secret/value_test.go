package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gatehouse/shared/secret"
)

func TestW9ValueIsNeverPrinted(t *testing.T) {
	t.Parallel()
	v := secret.New("hunter2")
	exported := struct{ S secret.Value }{v}
	unexported := struct{ s secret.Value }{v}

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", slog.Any("v", v), slog.Any("exp", exported), slog.Any("unexp", unexported))
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("v", v), slog.Any("exp", exported), slog.Any("unexp", unexported))
	blob, err := json.Marshal(exported)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"json": string(blob), "slog": log.String()}
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d", "%t", "%08b"} {
		got[verb] = fmt.Sprintf(verb, v)
		got[verb+" exported"] = fmt.Sprintf(verb, exported)
		got[verb+" unexported"] = fmt.Sprintf(verb, unexported)
	}
	for name, s := range got {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74657232") {
			t.Errorf("%s shows the secret: %s", name, s)
		}
	}
	if !v.Equal(secret.New("hunter2")) || v.Equal(secret.New("hunter3")) || v.Equal(secret.Value{}) {
		t.Error("Equal does not compare the secrets")
	}
}
