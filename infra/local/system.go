package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"gatehouse/infra/local/awsprofile"
	"gatehouse/infra/local/gateway"
	"gatehouse/infra/local/samtemplate"
	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/broker"
	"gatehouse/shared/config"
	"gatehouse/shared/demoapi"
	"gatehouse/shared/fetch"
	"gatehouse/shared/portal"
	"gatehouse/shared/provider"
	"gatehouse/shared/reconciler"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/standin"
	"gatehouse/shared/usageplan/usageplantest"
)

// The cast of the walk-through, at the stand-in. The developer and the owner are
// clients that an administrator has set up; applications are registered.
const (
	developerID     = "developer"
	developerSecret = "developer-secret"
	ownerID         = "orders-owner"
	ownerSecret     = "orders-owner-secret"
	portalID        = "portal"
	portalSecret    = "portal-secret"
	apiToken        = "00standin-api-token"
	userLogin       = "ada@example.com"
	userPassword    = "correct horse"
	ordersTeam      = "orders-team"
)

// Logical ids of template.yaml that this program knows what to run for.
const (
	authorizerFunction   = "AuthorizerFunction"
	registrationFunction = "RegistrationFunction"
	brokerFunction       = "BrokerFunction"
	reconcilerFunction   = "ReconcilerFunction"
	demoFunction         = "DemoApiFunction"
)

// reconcileEvery is how often the reconciler runs here.
const reconcileEvery = time.Minute

// files are what the system is read from.
type files struct {
	Template string `help:"SAM template with the APIs." default:"template.yaml"`
	Config   string `help:"Configuration of the functions." default:"infra/gatehouse.yaml"`
}

// options say how the system runs.
type options struct {
	files     files
	trace     io.Writer    // why each request was let through or not; nil: nobody
	log       *slog.Logger // the functions' log lines; nil: nobody
	listeners []net.Listener
	now       func() time.Time // nil: time.Now
	data      string           // file of the registry; "": memory
	metrics   string           // namespace of the metrics in the log lines; "": none are there
}

// system is everything there is, on four addresses of this machine.
type system struct {
	REST string // base URL of the REST API, stage included
	HTTP string // base URL of the HTTP API
	IDP  string // base URL of the stand-in for Okta
	Own  string // base URL of Gatehouse's own API

	standin   *standin.Server
	store     *registry.Store       // in memory, as the stand-in's clients are
	keys      *usageplantest.Server // API Gateway's API keys, in the template's usage plans
	folder    string                // of what the functions would find in Secrets Manager
	now       func() time.Time
	metrics   string      // their namespace; "": none
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
const needed = 4

// newSystem builds the system that the template describes around the given
// listeners. Serve starts it.
func newSystem(ctx context.Context, o options) (*system, error) {
	if len(o.listeners) != needed {
		return nil, fmt.Errorf("%d addresses are needed", needed)
	}
	if o.now == nil {
		o.now = time.Now
	}
	s := &system{
		IDP: base(o.listeners[2]), Own: base(o.listeners[3]), functions: map[string]function{}, listeners: o.listeners, now: o.now, metrics: o.metrics,
	}
	var err error
	if s.standin, err = newStandin(s.IDP, s.Own, o.now); err != nil {
		return nil, err
	}
	template, err := load(o.files)
	if err != nil {
		return nil, err
	}
	s.localize(template)
	s.keys = usageplantest.New(plans(template))
	if s.store, err = (registry.Embedded{Path: o.data, Now: o.now}).Open(); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "gatehouse."); err != nil {
		return nil, err
	}
	idp := s.server(s.standin)
	// The authorizer fetches its keys while it starts, as in Lambda: the
	// stand-in has to answer by then.
	go serve(idp, o.listeners[2])
	err = s.install(ctx, template, o)
	var apis gateways
	if err == nil {
		apis, err = s.gateways(template, o)
	}
	if err != nil {
		return nil, errors.Join(err, idp.Close(), os.RemoveAll(s.folder))
	}
	s.servers = []*http.Server{s.server(apis.rest), s.server(apis.web), idp, s.server(apis.own)}
	return s, nil
}

// plans are the usage plans of the template, with their stages.
func plans(template *samtemplate.Template) map[string]string {
	all := map[string]string{}
	for _, api := range template.APIs {
		for _, plan := range api.UsagePlans {
			all[plan.ID] = api.LogicalID + "/" + api.Stage
		}
	}
	return all
}

// Addresses that the template takes, which wants https, in the place of this
// program's.
const (
	publicURL      = "https://gatehouse.example.com"
	ordersResource = "https://api.example.com/orders"
)

// load reads the template with parameters that a deployment would be asked for.
func load(f files) (*samtemplate.Template, error) {
	return samtemplate.Load(f.Template, samtemplate.Options{Parameters: map[string]string{
		"OidcIssuer": "https://example.okta.com/oauth2/default", "OidcAudience": "api://default", "SignInGroup": "Everyone",
		"PublicUrl": publicURL, "OrdersResource": ordersResource,
	}})
}

// localize puts this program's addresses into what the template's APIs answer by
// themselves.
func (s *system) localize(template *samtemplate.Template) {
	here := strings.NewReplacer(publicURL, s.Own)
	for _, api := range template.APIs {
		for _, response := range api.GatewayResponses {
			for name, value := range response.Headers {
				response.Headers[name] = here.Replace(value)
			}
		}
		if api.Kind == samtemplate.REST {
			s.REST = base(s.listeners[0]) + "/" + api.Stage
		}
	}
}

// issuer is the stand-in's authorization server that the system trusts.
func (s *system) issuer() string { return s.IDP + "/oauth2/default" }

// tokenURL is where it issues tokens.
func (s *system) tokenURL() string { return s.issuer() + "/v1/token" }

func newStandin(org, own string, now func() time.Time) (*standin.Server, error) {
	program := []string{standin.ClientCredentials}
	return standin.New(standin.Okta{
		Org:      org,
		Control:  true,
		APIToken: apiToken,
		Now:      now,
		AuthorizationServers: []standin.AuthorizationServer{{ID: "default", Scopes: []string{
			"orders:read", "orders:write", "orders:admin", config.ScopeApplications, config.ScopeContracts, config.ScopeAdmin,
		}}},
		Clients: []standin.Client{
			{ID: developerID, Secret: developerSecret, Name: "A developer's command line", GrantTypes: program},
			{
				ID: portalID, Secret: portalSecret, Name: "The Gatehouse portal", GrantTypes: []string{standin.AuthorizationCode},
				RedirectURIs: []string{own + "/portal/callback"},
			},
			{ID: ownerID, Secret: ownerSecret, Name: "The orders team", GrantTypes: program, Claims: map[string]any{"groups": []string{ordersTeam}}},
		},
		Users: []standin.User{{Login: userLogin, Password: userPassword, Groups: []string{"Everyone", ordersTeam}}},
	})
}

// install makes the functions of the template.
func (s *system) install(ctx context.Context, template *samtemplate.Template, o options) error {
	secrets, err := s.secrets()
	if err != nil {
		return err
	}
	env := provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{AWS: awsprofile.Load}, Log: o.log, Now: o.now}
	for id, f := range template.Functions {
		// The template takes https issuers only; what a function is told can be
		// overridden, as with sam local --env-vars.
		f.Environment["OIDC_ISSUER"], f.Environment["PUBLIC_URL"], f.Environment["ORDERS_RESOURCE"] = s.issuer(), s.Own, s.REST+"/orders"
		f.Environment["ORDERS_URL"] = s.REST
		maps.Copy(f.Environment, secrets)
		cfg, err := config.Load(o.files.Config, lookup(f.Environment))
		if err != nil {
			return err
		}
		handler, err := s.handler(ctx, id, cfg, env)
		if err != nil {
			return err
		}
		if handler == nil {
			return fmt.Errorf("%s: %s is a function this program does not know", o.files.Template, id)
		}
		s.functions[id] = function{handler: lambda.NewHandler(handler), timeout: f.Timeout}
	}
	return nil
}

// secrets writes what the functions would find in Secrets Manager, and returns
// the variables that lead there. The keys are gone when the program ends, as is
// what they seal.
func (s *system) secrets() (map[string]string, error) {
	variables := map[string]string{}
	for name, text := range map[string]string{
		"ADMIN_SECRET":      `{"authorization":"SSWS ` + apiToken + `"}`,
		"REGISTRATION_KEYS": `{"current":"` + rand.Text() + rand.Text() + `"}`,
		"BROKER_KEYS":       `{"current":"` + rand.Text() + rand.Text() + `"}`,
		"PORTAL_SECRET":     `{"client_id":"` + portalID + `","client_secret":"` + portalSecret + `"}`,
	} {
		path := filepath.Join(s.folder, strings.ToLower(name)+".json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
		variables[name] = "file:" + path
	}
	return variables, nil
}

// handler is a function as its main makes it, with the store and the clock of
// this program; nil if there is no such function.
func (s *system) handler(ctx context.Context, id string, cfg *config.Config, env provider.Environment) (lambda.Handler, error) {
	switch id {
	case authorizerFunction:
		gate, err := authorizer.New(cfg, env, s.store.Contract)
		if err != nil {
			return nil, err
		}
		if err := gate.Warm(ctx); err != nil {
			return nil, fmt.Errorf("fetching keys: %w", err)
		}
		handler := gate.Handler(env.Log)
		handler.Metrics = s.metrics
		return handler, nil
	case registrationFunction, reconcilerFunction:
		service, err := registration.New(cfg, env, s.store)
		if err != nil {
			return nil, err
		}
		service.APIKeys = s.keys.Gateway().Settle
		if id == registrationFunction {
			if !cfg.HasPortal() {
				return &apigw.HTTP{Handler: service.Handler(), Function: "registration", Log: env.Log, Metrics: s.metrics, Now: s.now}, nil
			}
			pages, err := portal.New(cfg, portal.Environment{
				Registration: service.Handler(), Box: service.Box, Providers: service.Providers, HTTP: env.HTTP, Secrets: env.Secrets, Now: s.now,
			})
			if err != nil {
				return nil, err
			}
			return &apigw.HTTP{Handler: pages.Handler(service.Handler()), Function: "registration", Log: env.Log, Metrics: s.metrics, Now: s.now}, nil
		}
		return &reconciler.Reconciler{Log: env.Log, Metrics: s.metrics, Now: s.now, Jobs: []reconciler.Job{
			{Name: "interrupted", Run: service.FinishInterrupted},
			{Name: "unused", Run: service.ReapUnused},
			{Name: "usage", Run: service.KeepUsagePlans},
			{Name: "providers", Run: service.LookAtProviders},
			reconciler.KeepKeys(service.Providers, s.store),
		}}, nil
	case brokerFunction:
		server, err := broker.New(cfg, env, s.store, fetch.NewGuardedClient())
		if err != nil {
			return nil, err
		}
		return &apigw.HTTP{Handler: server.Handler(), Function: "broker", Log: env.Log, Metrics: s.metrics, Now: s.now}, nil
	case demoFunction:
		return &apigw.HTTP{Handler: demoapi.API{}.Handler(), Log: env.Log, Now: s.now}, nil
	}
	return nil, nil
}

func lookup(environment map[string]string) func(string) (string, bool) {
	environment = maps.Clone(environment)
	return func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	}
}

// gateways are the APIs of the template: one REST and one HTTP API to protect,
// and Gatehouse's own.
type gateways struct{ rest, web, own http.Handler }

func (s *system) gateways(template *samtemplate.Template, o options) (gateways, error) {
	var all gateways
	for _, api := range template.APIs {
		g, err := gateway.New(gateway.Config{API: api, Invoke: s.invoke, KeyPlan: s.keys.PlanOf, Trace: o.trace, Now: s.now})
		if err != nil {
			return gateways{}, err
		}
		switch own := api.StageVariables["gatehouse"] == config.BuiltInAPI; {
		case own && all.own == nil:
			all.own = g
		case !own && api.Kind == samtemplate.REST && all.rest == nil:
			all.rest, err = s.switchable(api, g)
		case !own && api.Kind == samtemplate.HTTP && all.web == nil:
			all.web, s.HTTP = g, base(o.listeners[1])
		default:
			err = fmt.Errorf("%s: %s is a second %s API; this program serves one of each", o.files.Template, api.LogicalID, api.Kind)
		}
		if err != nil {
			return gateways{}, err
		}
	}
	if all.rest == nil || all.web == nil || all.own == nil {
		return gateways{}, fmt.Errorf("%s: a REST API, an HTTP API and Gatehouse's own API are needed", o.files.Template)
	}
	return all, nil
}

// switchable serves api protected, or open while the policy is off: that is how
// the walk-through begins.
func (s *system) switchable(api samtemplate.API, protected http.Handler) (http.Handler, error) {
	demo := &apigw.HTTP{Handler: demoapi.API{Open: true}.Handler()}
	open, err := gateway.New(gateway.Config{API: api, Open: true, Now: s.now, Invoke: func(ctx context.Context, _ string, event []byte) ([]byte, error) {
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

// Serve answers until ctx ends, then lets requests finish. Meanwhile the
// reconciler runs on its schedule.
func (s *system) Serve(ctx context.Context) error {
	for n, server := range s.servers {
		if n != 2 { // the identity provider has been answering from the start
			go serve(server, s.listeners[n])
		}
	}
	every := time.NewTicker(reconcileEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			// What it comes to, and whatever fails, is in its log line.
			_, _ = s.invoke(ctx, reconcilerFunction, []byte(`{}`))
		case <-ctx.Done():
			return s.Close()
		}
	}
}

// Close stops the system; requests have two seconds to finish. What is open then
// is closed: browsers keep connections that nothing was sent on.
func (s *system) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var errs []error
	for _, server := range s.servers {
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.store.Close(), os.RemoveAll(s.folder))...)
}

// serve returns when the server is closed, which is how it is meant to end.
func serve(s *http.Server, l net.Listener) { _ = s.Serve(l) }

func base(l net.Listener) string {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return "http://localhost:" + strconv.Itoa(a.Port)
	}
	return ""
}
