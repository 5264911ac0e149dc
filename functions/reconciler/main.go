// Command reconciler is the Lambda function that runs on a schedule: it ends
// what was interrupted at identity providers, deletes clients that nobody uses,
// has API Gateway keep the API keys of contracts, keeps the administrators' tokens
// alive, and keeps the providers' keys for authorizers that start while a provider
// is down. It is configured as command registration is.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/shared/apigw"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/reconciler"
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
	"gatehouse/shared/usageplan"
)

func main() {
	log, metrics := apigw.Logger(), apigw.Namespace(os.Getenv)
	handler, err := build(log)
	if err != nil {
		apigw.NotStarted(log, metrics, "reconciler", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}

func build(log *slog.Logger) (lambda.Handler, error) {
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
	service, err := registration.New(cfg, provider.Environment{HTTP: fetch.NewClient(), Secrets: secrets, Log: log}, store)
	if err != nil {
		return nil, err
	}
	service.APIKeys = (&usageplan.Gateway{}).Settle
	return &reconciler.Reconciler{
		Jobs: []reconciler.Job{
			{Name: "interrupted", Run: service.FinishInterrupted},
			{Name: "unused", Run: service.ReapUnused},
			{Name: "usage", Run: service.KeepUsagePlans},
			{Name: "providers", Run: service.LookAtProviders},
			reconciler.KeepKeys(service.Providers, store),
		},
		Log: log, Metrics: apigw.Namespace(os.Getenv),
	}, service.Check(ctx)
}
