package talk_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/infra/examples/websocket/talk"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ event, answer, err string }{
		"a good token": {
			`{"requestContext":{"authorizer":{"client_id":"c","sub":"ada","exp":"1001","integrationLatency":3}},"body":"\"hi\""}`,
			`{"body":"{\"client_id\":\"c\",\"said\":\"\\\"hi\\\"\",\"scope\":\"\",\"sub\":\"ada\"}","statusCode":200}`, "",
		},
		"a token that ends now":         {`{"requestContext":{"authorizer":{"exp":"1000"}},"body":"hi"}`, "invalid_token", ""},
		"a token that says of no end":   {`{"requestContext":{"authorizer":{"sub":"ada"}},"body":"hi"}`, "invalid_token", ""},
		"an end that is no number":      {`{"requestContext":{"authorizer":{"exp":"soon"}},"body":"hi"}`, "invalid_token", ""},
		"nobody asked who connected":    {`{"requestContext":{},"body":"hi"}`, "", "$connect is not protected"},
		"an authorizer that says null":  {`{"requestContext":{"authorizer":null},"body":"hi"}`, "", "$connect is not protected"},
		"an event that is not JSON":     {`{`, "", "talk: event"},
		"an authorizer that is no text": {`{"requestContext":{"authorizer":{"exp":1001}}}`, "", "talk: event"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := talk.Handler{Now: func() time.Time { return time.Unix(1000, 0) }}
			answer, err := h.Invoke(t.Context(), []byte(c.event))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || answer != nil {
					t.Errorf("got %s, %v, want an error with %q", answer, err, c.err)
				}
				return
			}
			if err != nil || !strings.Contains(string(answer), c.answer) {
				t.Errorf("got %s, %v, want %s", answer, err, c.answer)
			}
		})
	}
}
