package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// Routes of a WebSocket API that have a meaning of their own.
const (
	connectRoute    = "$connect"
	disconnectRoute = "$disconnect"
	defaultRoute    = "$default"
)

// handshakeEvent is what the authorizer of $connect is sent.
type handshakeEvent struct {
	Type      string `json:"type"`
	MethodARN string `json:"methodArn"`
	handshakeV1
	StageVariables map[string]string `json:"stageVariables"`
	Context        socketContext     `json:"requestContext"`
}

// socketEvent is what a function behind a WebSocket API is sent; of the
// handshake it sees nothing after $connect.
type socketEvent struct {
	*handshakeV1
	Context         socketContext `json:"requestContext"`
	Body            string        `json:"body,omitempty"`
	IsBase64Encoded bool          `json:"isBase64Encoded"`
}

// handshakeV1 is the request that asks for a connection.
type handshakeV1 struct {
	Headers      map[string]string   `json:"headers"`
	MultiHeaders map[string][]string `json:"multiValueHeaders"`
	Query        map[string]string   `json:"queryStringParameters,omitempty"`
	MultiQuery   map[string][]string `json:"multiValueQueryStringParameters,omitempty"`
}

// socketContext is the requestContext of a WebSocket API.
type socketContext struct {
	RouteKey             string         `json:"routeKey"`
	Authorizer           map[string]any `json:"authorizer,omitempty"` // what the authorizer of $connect said
	MessageID            string         `json:"messageId,omitempty"`
	EventType            string         `json:"eventType"` // CONNECT, MESSAGE, DISCONNECT
	ExtendedRequestID    string         `json:"extendedRequestId"`
	RequestTime          string         `json:"requestTime"`
	MessageDirection     string         `json:"messageDirection"`
	DisconnectStatusCode int            `json:"disconnectStatusCode,omitempty"`
	DisconnectReason     string         `json:"disconnectReason,omitempty"`
	Stage                string         `json:"stage"`
	ConnectedAt          int64          `json:"connectedAt"`      // ms
	RequestTimeEpoch     int64          `json:"requestTimeEpoch"` // ms
	Identity             identityV1     `json:"identity"`
	RequestID            string         `json:"requestId"`
	DomainName           string         `json:"domainName"`
	ConnectionID         string         `json:"connectionId"`
	APIID                string         `json:"apiId"`
}

// connection is one WebSocket connection.
type connection struct {
	g     *Gateway
	first *request // the handshake
	id    string
	conn  *websocket.Conn
}

// serveWebSocket answers a handshake, and then the messages of the connection
// until either side ends it.
func (g *Gateway) serveWebSocket(w http.ResponseWriter, r *http.Request, q *request) {
	c := &connection{g: g, first: q, id: connectionID(q)}
	accepted, refused := c.handshake(r.Context())
	if refused != nil {
		g.answer(w, q, refused)
		return
	}
	// API Gateway takes connections from pages of any origin.
	options := websocket.AcceptOptions{InsecureSkipVerify: true}
	if protocol := accepted.header.Get("Sec-Websocket-Protocol"); protocol != "" {
		options.Subprotocols = []string{protocol}
	}
	var err error
	if c.conn, err = websocket.Accept(w, r, &options); err != nil {
		g.trace.step(q, "no connection: the handshake is malformed")
		return // Accept has answered
	}
	defer func() { _ = c.conn.CloseNow() }() // it is closed already where anybody is left
	g.trace.step(q, "connected")
	ctx, cancel := context.WithTimeout(r.Context(), connectionTimeout)
	defer cancel()
	c.end(context.WithoutCancel(ctx), c.listen(ctx))
}

// handshake returns what the function of $connect says of a handshake that is
// accepted, or what the client is told of one that is not.
func (c *connection) handshake(ctx context.Context) (accepted, refused *reply) {
	g, q := c.g, c.first
	switch {
	case q.headerBytes > maxHeaderBytes:
		return nil, g.refuse(q, headersTooLarge)
	case q.method != http.MethodGet || q.escaped != "/"+g.api.Stage:
		g.trace.step(q, "only GET /%s is served", g.api.Stage)
		return nil, g.refuse(q, unreachable)
	case !strings.EqualFold(q.header.Get("Upgrade"), "websocket"):
		g.trace.step(q, "no WebSocket is asked for")
		return nil, g.refuse(q, upgradeRequired)
	}
	accepted = &reply{status: http.StatusOK, header: http.Header{}}
	if q.route = g.routeOf(connectRoute); q.route == nil {
		g.trace.step(q, "there is no route $connect, and so no authorizer")
		return accepted, nil
	}
	if why := g.admit(ctx, q); why != nil {
		return nil, g.refuse(q, *why)
	}
	if q.route.Function == "" {
		return accepted, nil
	}
	event, shown := c.event("CONNECT", q), g.shown(q)
	for _, name := range []string{"Connection", "Upgrade"} { // which only the authorizer sees
		delete(shown.Headers, name)
		delete(shown.MultiHeaders, name)
	}
	event.handshakeV1 = &shown
	accepted, err := c.ask(ctx, q, event)
	switch {
	case err != nil:
		return nil, g.refuse(q, badGateway)
	case accepted.status < 200 || accepted.status > 299:
		g.trace.step(q, "%s does not want the connection", q.route.Function)
		return nil, &reply{status: accepted.status, header: http.Header{}}
	}
	return accepted, nil
}

// listen serves messages, one after the other, until the connection ends, and
// says how.
func (c *connection) listen(ctx context.Context) error {
	c.conn.SetReadLimit(maxMessage)
	for {
		idle, cancel := context.WithTimeout(ctx, idleTimeout)
		kind, message, err := c.conn.Read(idle)
		cancel()
		if err != nil {
			return err
		}
		if kind != websocket.MessageText {
			refused := websocket.CloseError{Code: websocket.StatusUnsupportedData, Reason: "binary frames are not supported"}
			_ = c.conn.Close(refused.Code, refused.Reason) // whether the client takes note or not
			return refused
		}
		if answer := c.message(ctx, message); answer != nil {
			if err := c.conn.Write(ctx, websocket.MessageText, answer); err != nil {
				return err
			}
		}
	}
}

// message hands a message to the function of its route and returns what the
// client is answered, nil for nothing.
func (c *connection) message(ctx context.Context, body []byte) []byte {
	q := c.again()
	q.body = body
	key := c.g.selected(body)
	if strings.HasPrefix(key, "$") {
		key = "" // whether a message can select $connect is not documented: none does
	}
	if q.route = cmp.Or(c.g.routeOf(key), c.g.routeOf(defaultRoute)); q.route == nil {
		c.g.trace.step(q, "no route")
		return c.complaint(q, "Forbidden")
	}
	c.g.trace.step(q, "route %s", q.route.key)
	if q.route.Function == "" {
		return nil
	}
	a, err := c.ask(ctx, q, c.event("MESSAGE", q))
	switch {
	case err != nil:
		return c.complaint(q, "Internal server error")
	case !q.route.Responds:
		return nil
	}
	return a.body
}

// end tells the function of $disconnect how the connection ended.
func (c *connection) end(ctx context.Context, how error) {
	q := c.again()
	c.g.trace.step(q, "disconnected")
	if q.route = c.g.routeOf(disconnectRoute); q.route == nil || q.route.Function == "" {
		return
	}
	event := c.event("DISCONNECT", q)
	event.Context.DisconnectStatusCode = int(websocket.StatusAbnormalClosure)
	if closed, ok := errors.AsType[websocket.CloseError](how); ok {
		event.Context.DisconnectStatusCode, event.Context.DisconnectReason = int(closed.Code), closed.Reason
	}
	_, _ = c.ask(ctx, q, event) // nobody is left who could be told
}

// ask invokes the function of q's route.
func (c *connection) ask(ctx context.Context, q *request, event socketEvent) (*reply, error) {
	c.g.trace.step(q, "integration %s", q.route.Function)
	data, err := c.g.invoke(ctx, q.route.Function, event, restTimeout)
	var a *reply
	if err == nil {
		a, err = c.g.parseResponse(q, data)
	}
	if err != nil {
		c.g.trace.step(q, "integration failed: %s", reason(err))
	}
	return a, err
}

// routeOf returns the route with a key, nil for none.
func (g *Gateway) routeOf(key string) *route {
	for _, r := range g.routes {
		if r.Path == key {
			return r
		}
	}
	return nil
}

// selected evaluates the route selection expression, $request.body.a.b, for a
// message: "" where it finds nothing.
func (g *Gateway) selected(message []byte) string {
	for name := range strings.SplitSeq(strings.TrimPrefix(g.api.RouteSelection, "$request.body."), ".") {
		var members map[string]json.RawMessage
		if json.Unmarshal(message, &members) != nil {
			return ""
		}
		message = members[name]
	}
	var s string
	if json.Unmarshal(message, &s) == nil {
		return s
	}
	return string(message)
}

// again is the handshake as a request of its own, for what comes after it.
func (c *connection) again() *request {
	q := *c.first
	q.id, q.at = strings.ToLower(rand.Text()), c.g.cfg.Now()
	return &q
}

// connectionID is the id of the connection that q asks for.
func connectionID(q *request) string { return q.id[:16] }

// handshakeEvent returns the event for the authorizer of $connect.
func (g *Gateway) handshakeEvent(q *request) handshakeEvent {
	return handshakeEvent{
		Type: "REQUEST", MethodARN: g.methodARN(q), handshakeV1: g.shown(q),
		StageVariables: orEmpty(g.api.StageVariables), Context: g.socketContext("CONNECT", q, connectionID(q)),
	}
}

func (g *Gateway) shown(q *request) handshakeV1 {
	h := handshakeV1{Query: q.lastQuery(), MultiQuery: q.query}
	h.Headers, h.MultiHeaders = g.headers(q)
	return h
}

// event returns the event for the function of q's route.
func (c *connection) event(kind string, q *request) socketEvent {
	e := socketEvent{Context: c.g.socketContext(kind, q, c.id), Body: string(q.body)}
	e.Context.ConnectedAt = c.first.at.UnixMilli()
	if kind == "MESSAGE" {
		e.Context.MessageID = q.id
	}
	if grant := c.first.grant; grant != nil {
		e.Context.Authorizer = map[string]any{"principalId": grant.principal, "integrationLatency": c.first.latency.Milliseconds()}
		for key, v := range grant.context {
			e.Context.Authorizer[key] = text(v)
		}
	}
	return e
}

func (g *Gateway) socketContext(kind string, q *request, connection string) socketContext {
	return socketContext{
		RouteKey:          q.route.Path,
		EventType:         kind,
		ExtendedRequestID: q.id,
		RequestTime:       q.at.UTC().Format(timeLayout),
		MessageDirection:  "IN",
		Stage:             g.api.Stage,
		ConnectedAt:       q.at.UnixMilli(),
		RequestTimeEpoch:  q.at.UnixMilli(),
		Identity:          g.identity(q),
		RequestID:         q.id,
		DomainName:        q.domain,
		ConnectionID:      connection,
		APIID:             g.cfg.APIID,
	}
}

// complaint is what API Gateway itself says on a connection.
func (c *connection) complaint(q *request, message string) []byte {
	return []byte(`{"message":` + quoted(message) + `,"connectionId":` + quoted(c.id) + `,"requestId":` + quoted(q.id) + `}`)
}
