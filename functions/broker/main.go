// Command broker is the Lambda function that is an OAuth 2.1 authorization
// server in front of the identity providers. It reads gatehouse.yaml from beside
// itself, or from where GATEHOUSE_CONFIG says, and keeps what must happen once
// in the table that REGISTRY_TABLE names.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/shared/apigw"
	"gatehouse/shared/broker"
	"gatehouse/shared/config"
	"gatehouse/shared/fetch"
	"gatehouse/shared/provider"
	"gatehouse/shared/registry"
	"gatehouse/shared/secret"
)

func main() {
	log, metrics := apigw.Logger(), apigw.Namespace(os.Getenv)
	server, err := build(log)
	if err != nil {
		apigw.NotStarted(log, metrics, "broker", err)
		os.Exit(1)
	}
	lambda.Start(&apigw.HTTP{Handler: server.Handler(), Log: log, Metrics: metrics, Function: "broker"})
}

func build(log *slog.Logger) (*broker.Server, error) {
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
	env := provider.Environment{HTTP: fetch.NewClient(), Secrets: &secret.Manager{}, Log: log}
	server, err := broker.New(cfg, env, store, fetch.NewGuardedClient())
	if err != nil {
		return nil, err
	}
	return server, server.Check(ctx)
}
