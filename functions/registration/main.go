// Command registration is the Lambda function that registers client
// applications at the identity providers and keeps who may call which API. It
// reads gatehouse.yaml from beside itself, or from where GATEHOUSE_CONFIG says,
// and keeps its records in the table that REGISTRY_TABLE names.
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
	"gatehouse/shared/registration"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
)

func main() {
	log := apigw.Logger()
	service, err := build()
	if err != nil {
		// A bad deployment fails here, not at the first request.
		log.Error("start", slog.String("cause", err.Error()))
		os.Exit(1)
	}
	lambda.Start(&apigw.HTTP{Handler: service.Handler(), Log: log})
}

func build() (*registration.Service, error) {
	cfg, err := config.Load(config.Path(os.Getenv), os.LookupEnv)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	roots := fetch.Roots(os.Getenv)
	store, err := registry.Dynamo{Table: os.Getenv("REGISTRY_TABLE"), Roots: roots}.Open(ctx)
	if err != nil {
		return nil, err
	}
	secrets := &secret.Manager{Roots: roots}
	service, err := registration.New(cfg, provider.Environment{HTTP: fetch.NewClient(roots), Secrets: secrets}, store)
	if err != nil {
		return nil, err
	}
	return service, service.Check(ctx)
}
