package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"syscall"

	"gatehouse/shared/oauth"
)

// runCommand serves the system until it is interrupted.
type runCommand struct {
	files

	Port  int  `help:"First of four ports in a row: the REST API, the HTTP API, the identity provider, Gatehouse's own API." default:"8080" short:"p"`
	Trace bool `help:"Say of each request why it was let through or not."`
	Log   bool `help:"Show the log lines of the functions."`
}

// Run implements the command.
func (c *runCommand) Run(ctx context.Context, s stage) error {
	listeners, err := listen(ctx, c.Port)
	if err != nil {
		return err
	}
	o := options{files: c.files, listeners: listeners}
	if c.Trace {
		o.trace = s.err
	}
	if c.Log {
		o.log = slog.New(slog.NewJSONHandler(s.err, nil))
	}
	sys, err := newSystem(ctx, o)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	sys.invite(s.out)
	return sys.Serve(ctx)
}

// listen opens the four ports on this machine alone. Port 0 takes any that are
// free.
func listen(ctx context.Context, first int) ([]net.Listener, error) {
	if first < 0 || first > 65535-needed+1 {
		return nil, fmt.Errorf("--port %d: a number from 1 to %d is needed, because %d ports in a row are used", first, 65535-needed+1, needed)
	}
	var listeners []net.Listener
	for n := range needed {
		port := first
		if first != 0 {
			port += n
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("port %d is taken by another program; choose four free ones in a row with --port %d", port, first+1000)
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(listeners))
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// invite prints what to try. Each line works when pasted, after those before it.
func (s *system) invite(out io.Writer) {
	fmt.Fprintf(out, `Gatehouse is running. Stop it with Ctrl-C.

  REST API           %[1]s
  HTTP API           %[2]s
  identity provider  %[3]s  (a stand-in for Okta; user %[5]s, password "%[6]s")
  portal             %[4]s/portal  (sign in there as the same user)
  registration       %[4]s  (described by %[4]s/openapi.json)
  broker             %[4]s  (described by %[4]s/broker/openapi.json)

Try, in another terminal:

  # 401: no token
  curl -i %[1]s/orders

  # a developer's token, from the identity provider
  DEVELOPER=$(curl -s -u %[8]s:%[9]s -d grant_type=client_credentials -d scope=gatehouse:applications %[7]s | %[12]s)

  # 201: the developer requests access; client_id and client_secret are shown this once
  CREATED=$(curl -i -H "Authorization: Bearer $DEVELOPER" -H "Content-Type: application/json" -d '%[13]s' %[4]s/applications); echo "$CREATED"

  # a token of the new client
  ID=$(echo "$CREATED" | sed -n 's/.*"client_id":"\([^"]*\)".*/\1/p'); SECRET=$(echo "$CREATED" | sed -n 's/.*"client_secret":"\([^"]*\)".*/\1/p')
  TOKEN=$(curl -s -u "$ID:$SECRET" -d grant_type=client_credentials -d scope=orders:read %[7]s | %[12]s)

  # 200: orders:read opens GET /orders
  curl -i -H "Authorization: Bearer $TOKEN" %[1]s/orders

  # 403: it does not open POST /orders
  curl -i -H "Authorization: Bearer $TOKEN" -d '{"item":"lamp","quantity":1}' %[1]s/orders

  # 200: the same routes as an HTTP API
  curl -i -H "Authorization: Bearer $TOKEN" %[2]s/orders

  # an application that people sign in to: it has no secret
  APP=$(curl -s -H "Authorization: Bearer $DEVELOPER" -H "Content-Type: application/json" -d '%[14]s' %[4]s/applications | sed 's/.*"client_id":"\([^"]*\)".*/\1/')

  # the broker sends a browser to the provider, where a person signs in, and then to the application, with a code
  LOGIN=$(curl -s -o /dev/null -w '%%{redirect_url}' -c cookies.txt "%[4]s/authorize?response_type=code&client_id=$APP&redirect_uri=%[15]s&state=1&code_challenge=%[16]s&code_challenge_method=S256")
  BACK=$(curl -s -o /dev/null -w '%%{redirect_url}' --data-urlencode username=%[5]s --data-urlencode 'password=%[6]s' -d action=login "$LOGIN")
  CODE=$(curl -s -o /dev/null -w '%%{redirect_url}' -b cookies.txt "$BACK" | sed 's/.*code=\([^&]*\).*/\1/'); rm cookies.txt

  # 200: the application exchanges the code, with the verifier that only it knows
  curl -i -d grant_type=authorization_code -d client_id=$APP -d code=$CODE -d code_verifier=%[17]s %[4]s/token

  # 200: the owner of the API revokes the access; two minutes later at most it is 403
  OWNER=$(curl -s -u %[10]s:%[11]s -d grant_type=client_credentials -d scope=gatehouse:contracts %[7]s | %[12]s)
  curl -i -X PATCH -H "Authorization: Bearer $OWNER" -H "Content-Type: application/json" -d '{"status":"revoked"}' %[4]s/apis/orders/contracts/$ID

  # 204: new keys at the provider; the next token is verified all the same (ten seconds after the last fetch at the soonest)
  curl -i -X POST %[3]s/_standin/rotate-keys

`, s.REST, s.HTTP, s.IDP, s.Own, userLogin, userPassword, s.tokenURL(), developerID, developerSecret, ownerID, ownerSecret,
		`sed 's/.*"access_token":"\([^"]*\)".*/\1/'`, requestAccess, signInAccess, appRedirect, oauth.Challenge(verifier), verifier)
}

// verifier is one that everybody knows: for pasting, and nothing else.
const verifier = "a-verifier-that-everybody-knows-is-for-trying-only"

// requestAccess is how a developer asks for an application with access to the
// orders.
const requestAccess = `{"client_name":"My reports","grant_types":["client_credentials"],"scope":"orders:read","contracts":[{"api":"orders","tier":"trial"}]}`
