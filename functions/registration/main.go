// Command registration is the Lambda function that registers client
// applications at the identity providers and keeps who may call which API, and
// serves the portal, the pages on which people ask for both. It
// reads gatehouse.yaml from beside itself, or from where GATEHOUSE_CONFIG says,
// and keeps its records in the table that REGISTRY_TABLE names.
package main

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/portal"
	"gatehouse/shared/provider"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/usageplan"
)

func main() {
	log, metrics := apigw.Logger(), apigw.Namespace(os.Getenv)
	handler, err := build()
	if err != nil {
		apigw.NotStarted(log, metrics, "registration", err)
		os.Exit(1)
	}
	lambda.Start(&apigw.HTTP{Handler: handler, Log: log, Metrics: metrics, Function: "registration"})
}

func build() (http.Handler, error) {
	cfg, err := config.Load(config.Path(os.Getenv), os.LookupEnv)
	if err != nil {
		return nil, err
	}
	if err := fetch.OneSource(os.Getenv, os.Setenv); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	store, err := registry.Dynamo{Table: os.Getenv("REGISTRY_TABLE")}.Open(ctx)
	if err != nil {
		return nil, err
	}
	secrets := &secret.Manager{}
	env := provider.Environment{HTTP: fetch.NewClient(), Secrets: secrets}
	service, err := registration.New(cfg, env, store)
	if err != nil {
		return nil, err
	}
	service.APIKeys = (&usageplan.Gateway{}).Settle
	handler := service.Handler()
	if err := service.Check(ctx); err != nil || !cfg.HasPortal() {
		return handler, err
	}
	pages, err := portal.New(cfg, portal.Environment{
		Registration: handler, Box: service.Box, Providers: service.Providers, HTTP: env.HTTP, Secrets: secrets,
	})
	if err != nil {
		return nil, err
	}
	return pages.Handler(handler), pages.Check(ctx)
}
