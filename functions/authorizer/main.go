// Command authorizer is the Lambda function that decides who gets through API
// Gateway. It reads gatehouse.yaml from beside itself, or from where
// GATEHOUSE_CONFIG says, and contracts from the table that REGISTRY_TABLE names.
package main

import (
	"context"
	"crypto/x509"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/shared/apigw"
	"gatehouse/shared/authorizer"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
)

func main() {
	log := apigw.Logger()
	handler, err := build(log)
	if err != nil {
		// A bad deployment fails here, not at the first request.
		log.Error("start", slog.String("cause", err.Error()))
		os.Exit(1)
	}
	lambda.Start(handler)
}

func build(log *slog.Logger) (lambda.Handler, error) {
	cfg, err := config.Load(config.Path(os.Getenv), os.LookupEnv)
	if err != nil {
		return nil, err
	}
	roots := fetch.Roots(os.Getenv)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	contracts, err := contractsOf(ctx, cfg, roots)
	if err != nil {
		return nil, err
	}
	gate, err := authorizer.New(cfg, provider.Environment{
		HTTP:    fetch.NewClient(roots),
		Secrets: &secret.Manager{Roots: roots},
		Log:     log,
	}, contracts)
	if err != nil {
		return nil, err
	}
	if err := gate.Warm(ctx); err != nil {
		log.Warn("warm", slog.String("cause", err.Error()))
	}
	handler := gate.Handler(log)
	handler.Metrics = os.Getenv("AWS_LAMBDA_LOG_FORMAT") == "JSON"
	return handler, nil
}

// contractsOf returns the reader of contracts in the table that REGISTRY_TABLE
// names; nil if no API requires any, or if there is no table, which the
// authorizer then refuses.
func contractsOf(ctx context.Context, cfg *config.Config, roots *x509.CertPool) (authorizer.Contracts, error) {
	table := os.Getenv("REGISTRY_TABLE")
	if table == "" || !slices.ContainsFunc(cfg.APIs, config.API.RequiresContract) {
		return nil, nil
	}
	store, err := registry.Dynamo{Table: table, Roots: roots}.Open(ctx)
	if err != nil {
		return nil, err
	}
	return store.Contract, nil
}
