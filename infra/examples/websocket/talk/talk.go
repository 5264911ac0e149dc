// Package talk is the backend of a WebSocket API: it says who said what. It shows
// what such a backend has to do itself, because API Gateway asks the authorizer
// once for a whole connection: it refuses what comes after the token's end, and
// everything where nobody was asked.
package talk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// Handler is a Lambda handler for the messages of a WebSocket API. It does not
// close connections, which takes the right to call @connections.
type Handler struct {
	Log *slog.Logger     // one line per message; nil discards it
	Now func() time.Time // nil means time.Now
}

// event is a message, as far as it matters here.
type event struct {
	Context struct {
		ConnectionID string  `json:"connectionId"`
		Authorizer   *caller `json:"authorizer"`
	} `json:"requestContext"`
	Body string `json:"body"`
}

// caller is who connected, as Gatehouse told then.
type caller struct {
	ClientID string `json:"client_id"`
	Subject  string `json:"sub"`
	Scope    string `json:"scope"`
	Expires  string `json:"exp"` // seconds since 1970
}

// errUnprotected makes API Gateway tell the client of an internal error.
var errUnprotected = errors.New("talk: no authorizer context: $connect is not protected")

// Invoke answers one message.
func (h *Handler) Invoke(ctx context.Context, data []byte) ([]byte, error) {
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("talk: event: %w", err)
	}
	who := e.Context.Authorizer
	if who == nil {
		return nil, errUnprotected
	}
	expired := !h.now().Before(who.end())
	if h.Log != nil {
		h.Log.LogAttrs(ctx, slog.LevelInfo, "talk", slog.String("connection", e.Context.ConnectionID),
			slog.String("client_id", who.ClientID), slog.Bool("expired", expired))
	}
	if expired {
		return reply(map[string]string{"error": "invalid_token", "error_description": "the access token has expired; connect again with a new one"})
	}
	return reply(map[string]string{"client_id": who.ClientID, "sub": who.Subject, "scope": who.Scope, "said": e.Body})
}

// end is when the token ends; one that says nothing of it has ended.
func (c *caller) end() time.Time {
	seconds, err := strconv.ParseInt(c.Expires, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// reply is an answer as API Gateway takes it.
func reply(body map[string]string) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"statusCode": http.StatusOK, "body": string(text)})
}

func (h *Handler) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}
