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
)

// runCommand serves the system until it is interrupted.
type runCommand struct {
	files

	Port  int  `help:"First of three ports in a row: the REST API, the HTTP API, the identity provider." default:"8080" short:"p"`
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

// listen opens the three ports on this machine alone. Port 0 takes any that are
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
			err = fmt.Errorf("port %d is taken by another program; choose three free ones in a row with --port %d", port, first+1000)
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

// invite prints what to try. Each line works when pasted.
func (s *system) invite(out io.Writer) {
	fmt.Fprintf(out, `Gatehouse is running. Stop it with Ctrl-C.

  REST API           %s
  HTTP API           %s
  identity provider  %s  (a stand-in for Okta; user %s, password %q)

Try, in another terminal:

  # 401: no token
  curl -i %s/orders

  # a token of the client %s
  TOKEN=$(curl -s -u %s:%s -d grant_type=client_credentials -d scope=orders:read %s | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

  # 200: orders:read opens GET /orders
  curl -i -H "Authorization: Bearer $TOKEN" %s/orders

  # 403: it does not open POST /orders
  curl -i -H "Authorization: Bearer $TOKEN" -d '{"item":"lamp","quantity":1}' %s/orders

  # the same routes as an HTTP API
  curl -i -H "Authorization: Bearer $TOKEN" %s/orders

  # new keys at the provider: the next token is verified all the same (ten seconds after the last fetch at the soonest)
  curl -X POST %s/_standin/rotate-keys

`, s.REST, s.HTTP, s.issuer(), userLogin, userPassword,
		s.REST, appID, appID, appSecret, s.tokenURL(), s.REST, s.REST, s.HTTP, s.IDP)
}
