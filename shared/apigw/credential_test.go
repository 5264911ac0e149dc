package apigw_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gatehouse/shared/apigw"
)

func TestB9ARequestPrintsWithoutItsTokens(t *testing.T) {
	t.Parallel()
	r, err := apigw.ParseRequest([]byte(`{"version":"2.0","type":"REQUEST","routeArn":"arn:aws:execute-api:eu-west-1:123456789012:abc123/v1/GET/orders",
		"identitySource":["Bearer hunter2"],"routeKey":"GET /orders","rawPath":"/v1/orders","rawQueryString":"access_token=hunter2",
		"headers":{"authorization":"Bearer hunter2"},"requestContext":{"apiId":"abc123","stage":"v1","http":{"method":"GET"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Authorization) != 1 || r.Authorization[0].Reveal() != "Bearer hunter2" || len(r.AccessToken) != 1 || len(r.IdentitySource) != 1 {
		t.Fatal("the request has not the tokens that it is not to print")
	}
	unexported := struct{ r apigw.Request }{*r}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("x", slog.Any("r", r), slog.Any("value", *r), slog.Any("unexported", unexported), slog.Any("one", r.Authorization[0]))
	}
	blob, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"json": string(blob), "slog": log.String()}
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d", "%t", "%08b"} {
		got[verb] = fmt.Sprintf(verb, r) + fmt.Sprintf(verb, *r) + fmt.Sprintf(verb, unexported) + fmt.Sprintf(verb, r.Authorization)
	}
	for name, s := range got {
		if strings.Contains(s, "hunter2") || strings.Contains(strings.ToLower(s), "68756e74657232") {
			t.Errorf("%s shows a token: %s", name, s)
		}
	}
}
