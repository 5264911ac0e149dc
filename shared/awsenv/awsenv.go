// Package awsenv reads what clients of AWS need from the environment that Lambda
// gives a function. The SDK's own config package looks in profiles, in containers
// and on EC2, too, for which it brings four more services to each function: a
// fifth of its cold start.
package awsenv

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/logging"

	"gatehouse/shared/fetch"
)

// Source is where a client gets region, credentials and endpoints from. The zero
// Source is the environment.
type Source func(context.Context) (aws.Config, error)

// Load returns what s knows.
func (s Source) Load(ctx context.Context) (aws.Config, error) {
	if s != nil {
		return s(ctx)
	}
	return fromEnvironment(os.Getenv) //nolint:forbidigo // what Lambda and people set for the SDK
}

// Reasons for which there is nothing to connect with.
var (
	errRegion      = errors.New("AWS: no region: Lambda sets AWS_REGION; where nobody does, set it yourself")
	errCredentials = errors.New("AWS: no credentials: Lambda sets AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; " +
		"where nobody does, set them yourself, or run eval $(aws configure export-credentials --format env)")
)

// fromEnvironment reads the variables that the SDK would read, by the names that
// are in the AWS SDKs and Tools Reference Guide: AWS_REGION, AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL, that with a service's
// name behind it, AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT.
func fromEnvironment(getenv func(string) string) (aws.Config, error) {
	cfg := aws.Config{
		Region:        getenv("AWS_REGION"),
		Credentials:   credentials(getenv),
		HTTPClient:    fetch.NewClient(),
		ConfigSources: []any{variables(getenv)},
		Logger:        logging.Nop{}, // nothing but the handler logs while serving
	}
	if cfg.Region == "" {
		return aws.Config{}, errRegion
	}
	if url := getenv("AWS_ENDPOINT_URL"); url != "" {
		cfg.BaseEndpoint = &url
	}
	return cfg, nil
}

func credentials(getenv func(string) string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		c := aws.Credentials{
			AccessKeyID:     getenv("AWS_ACCESS_KEY_ID"),
			SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"),
			SessionToken:    getenv("AWS_SESSION_TOKEN"),
			Source:          "environment",
		}
		if !c.HasKeys() {
			return aws.Credentials{}, errCredentials
		}
		return c, nil
	})
}

// variables answers what the SDK's clients ask of a configuration.
type variables func(string) string

// GetServiceBaseEndpoint is asked for the endpoint of one service.
func (v variables) GetServiceBaseEndpoint(_ context.Context, sdkID string) (url string, found bool, err error) {
	url = v("AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(sdkID, " ", "_")))
	return url, url != "", nil
}

// GetUseFIPSEndpoint is asked whether to use endpoints with FIPS 140 cryptography.
func (v variables) GetUseFIPSEndpoint(context.Context) (state aws.FIPSEndpointState, found bool, err error) {
	if v.on("AWS_USE_FIPS_ENDPOINT") {
		return aws.FIPSEndpointStateEnabled, true, nil
	}
	return aws.FIPSEndpointStateUnset, false, nil
}

// GetUseDualStackEndpoint is asked whether to use endpoints with IPv6.
func (v variables) GetUseDualStackEndpoint(context.Context) (state aws.DualStackEndpointState, found bool, err error) {
	if v.on("AWS_USE_DUALSTACK_ENDPOINT") {
		return aws.DualStackEndpointStateEnabled, true, nil
	}
	return aws.DualStackEndpointStateUnset, false, nil
}

func (v variables) on(name string) bool { return strings.EqualFold(v(name), "true") }
