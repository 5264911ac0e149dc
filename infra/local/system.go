package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/demoapi"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
)

// The cast of the walk-through, at the stand-in.
const (
	appID        = "orders-app"
	appSecret    = "orders-app-secret"
	userLogin    = "ada@example.com"
	userPassword = "correct horse"
)

// Logical ids of template.yaml that this program knows what to run for.
const (
	authorizerFunction = "AuthorizerFunction"
	demoFunction       = "DemoApiFunction"
)

// files are what the system is read from.
type files struct {
	Template string `help:"SAM template with the APIs." default:"template.yaml"`
	Config   string `help:"Configuration of the authorizer." default:"infra/gatehouse.yaml"`
}

// options say how the system runs.
type options struct {
	files     files
	trace     io.Writer    // why each request was let through or not; nil: nobody
	log       *slog.Logger // the functions' log lines; nil: nobody
	listeners []net.Listener
}

// system is everything there is, on three addresses of this machine.
type system struct {
	REST string // base URL of the REST API, stage included
	HTTP string // base URL of the HTTP API
	IDP  string // base URL of the stand-in for Okta

	standin   *standin.Server
	policyOff atomic.Bool // the REST API serves as if no authorizer were attached
	functions map[string]function
	servers   []*http.Server
	listeners []net.Listener
}

// function is a Lambda function on this machine.
type function struct {
	handler lambda.Handler
	timeout time.Duration
}

// needed is how many addresses a system listens on.
const needed = 3

// newSystem builds the system that the template describes around the given
// listeners. Serve starts it.
func newSystem(ctx context.Context, o options) (*system, error) {
	if len(o.listeners) != needed {
		return nil, fmt.Errorf("%d addresses are needed", needed)
	}
	s := &system{IDP: base(o.listeners[2]), functions: map[string]function{}, listeners: o.listeners}
	var err error
	if s.standin, err = newStandin(s.IDP); err != nil {
		return nil, err
	}
	template, err := load(o.files)
	if err != nil {
		return nil, err
	}
	idp := s.server(s.standin)
	// The authorizer fetches its keys while it starts, as in Lambda: the
	// stand-in has to answer by then.
	go serve(idp, o.listeners[2])
	if err := s.install(ctx, template, o); err != nil {
		return nil, errors.Join(err, idp.Close())
	}
	rest, web, err := s.gateways(template, o)
	if err != nil {
		return nil, errors.Join(err, idp.Close())
	}
	s.servers = []*http.Server{idp, s.server(rest), s.server(web)}
	return s, nil
}

// load reads the template with parameters that a deployment would be asked for.
func load(f files) (*samtemplate.Template, error) {
	return samtemplate.Load(f.Template, samtemplate.Options{Parameters: map[string]string{
		"OidcIssuer": "https://example.okta.com/oauth2/default", "OidcAudience": "api://default",
	}})
}

// issuer is the stand-in's authorization server that the system trusts.
func (s *system) issuer() string { return s.IDP + "/oauth2/default" }

// tokenURL is where it issues tokens.
func (s *system) tokenURL() string { return s.issuer() + "/v1/token" }

func newStandin(org string) (*standin.Server, error) {
	return standin.New(standin.Okta{
		Org:     org,
		Control: true,
		Clients: []standin.Client{{
			ID: appID, Secret: appSecret, Name: "Orders App",
			GrantTypes:   []string{standin.ClientCredentials, standin.AuthorizationCode, standin.RefreshToken},
			RedirectURIs: []string{"http://localhost:8080/callback", "https://oauth.pstmn.io/v1/callback"},
		}},
		Users: []standin.User{{Login: userLogin, Password: userPassword, Groups: []string{"Everyone", "orders-team"}}},
	})
}

// install makes the functions of the template.
func (s *system) install(ctx context.Context, template *samtemplate.Template, o options) error {
	for id, f := range template.Functions {
		var handler lambda.Handler
		switch id {
		case authorizerFunction:
			// The template takes https issuers only; what a function is told can
			// be overridden, as with sam local --env-vars.
			f.Environment["OIDC_ISSUER"] = s.issuer()
			made, err := newAuthorizer(ctx, o, f.Environment)
			if err != nil {
				return err
			}
			handler = made
		case demoFunction:
			handler = &apigw.HTTP{Handler: demoapi.API{}.Handler(), Log: o.log}
		default:
			return fmt.Errorf("%s: %s is a function this program does not know", o.files.Template, id)
		}
		s.functions[id] = function{handler: lambda.NewHandler(handler), timeout: f.Timeout}
	}
	return nil
}

// newAuthorizer is the authorizer with the environment that the template gives
// it.
func newAuthorizer(ctx context.Context, o options, environment map[string]string) (lambda.Handler, error) {
	cfg, err := config.Load(o.files.Config, lookup(environment))
	if err != nil {
		return nil, err
	}
	gate, err := authorizer.New(cfg, provider.Environment{
		HTTP: fetch.NewClient(nil), Secrets: &secret.Manager{}, Log: o.log,
	}, nil)
	if err != nil {
		return nil, err
	}
	if err := gate.Warm(ctx); err != nil {
		return nil, fmt.Errorf("fetching keys: %w", err)
	}
	return gate.Handler(o.log), nil
}

func lookup(environment map[string]string) func(string) (string, bool) {
	environment = maps.Clone(environment)
	return func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	}
}

// gateways makes the APIs of the template: one REST, one HTTP.
func (s *system) gateways(template *samtemplate.Template, o options) (rest, web http.Handler, err error) {
	for _, api := range template.APIs {
		g, err := gateway.New(gateway.Config{API: api, Invoke: s.invoke, Trace: o.trace})
		if err != nil {
			return nil, nil, err
		}
		switch {
		case api.Kind == samtemplate.REST && rest == nil:
			s.REST = base(o.listeners[0]) + "/" + api.Stage
			rest, err = s.switchable(api, g)
		case api.Kind == samtemplate.HTTP && web == nil:
			web, s.HTTP = g, base(o.listeners[1])
		default:
			err = fmt.Errorf("%s: %s is a second %s API; this program serves one of each", o.files.Template, api.LogicalID, api.Kind)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if rest == nil || web == nil {
		return nil, nil, fmt.Errorf("%s: a REST API and an HTTP API are needed", o.files.Template)
	}
	return rest, web, nil
}

// switchable serves api protected, or open while the policy is off: that is how
// the walk-through begins.
func (s *system) switchable(api samtemplate.API, protected http.Handler) (http.Handler, error) {
	demo := &apigw.HTTP{Handler: demoapi.API{Open: true}.Handler()}
	open, err := gateway.New(gateway.Config{API: api, Open: true, Invoke: func(ctx context.Context, _ string, event []byte) ([]byte, error) {
		return demo.Invoke(ctx, event)
	}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.policyOff.Load() {
			open.ServeHTTP(w, r)
			return
		}
		protected.ServeHTTP(w, r)
	}), err
}

// invoke runs a function as Lambda would: on JSON, with a deadline.
func (s *system) invoke(ctx context.Context, id string, event []byte) ([]byte, error) {
	f, ok := s.functions[id]
	if !ok {
		return nil, fmt.Errorf("there is no function %s", id)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	ctx = lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: "local"})
	return f.handler.Invoke(ctx, event)
}

// server has the limits of a server that strangers may reach, though none
// should: it listens on this machine alone.
func (*system) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10, // API Gateway takes 10 KiB; beyond this even the emulator does not read on
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}

// Serve answers until ctx ends, then lets requests finish.
func (s *system) Serve(ctx context.Context) error {
	for n, server := range s.servers[1:] {
		go serve(server, s.listeners[n])
	}
	<-ctx.Done()
	return s.Close()
}

// Close stops the system; requests have two seconds to finish.
func (s *system) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// serve returns when the server is closed, which is how it is meant to end.
func serve(s *http.Server, l net.Listener) { _ = s.Serve(l) }

func base(l net.Listener) string {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return "http://localhost:" + strconv.Itoa(a.Port)
	}
	return ""
}
