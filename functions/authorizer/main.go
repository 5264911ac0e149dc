// Command authorizer is the Lambda function that decides who gets through API
// Gateway. It reads gatehouse.yaml from beside itself, or from where
// GATEHOUSE_CONFIG says, and contracts from the table that REGISTRY_TABLE names.
package main

import (
	"context"
	"log/slog"
	"os"
	"runtime"
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
	// Lambda asks one thing at a time, and a second thread costs more than it
	// brings: a third of the time of an invocation. See docs/performance.
	if os.Getenv("GOMAXPROCS") == "" && os.Getenv("AWS_LAMBDA_MAX_CONCURRENCY") == "" {
		runtime.GOMAXPROCS(1)
	}
	log, metrics := apigw.Logger(), apigw.Namespace(os.Getenv)
	handler, err := build(log)
	if err != nil {
		apigw.NotStarted(log, metrics, "authorizer", err)
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
	env := provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}, Log: log}
	var contracts authorizer.Contracts
	if table := os.Getenv("REGISTRY_TABLE"); table != "" {
		store, err := registry.Dynamo{Table: table}.Open(ctx)
		if err != nil {
			return nil, err
		}
		contracts = store.Contract
		env.LastGood = func(ctx context.Context, name string) ([]byte, time.Time, error) {
			keys, err := store.Keys(ctx, name)
			return keys.Set, keys.Fetched, err
		}
	}
	gate, err := authorizer.New(cfg, env, contracts)
	if err != nil {
		return nil, err
	}
	if err := gate.Warm(ctx); err != nil {
		log.Warn("warm", slog.String("cause", err.Error()))
	}
	handler := gate.Handler(log)
	handler.Metrics = apigw.Namespace(os.Getenv)
	return handler, nil
}
