package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"gatehouse/shared/awsenv"
)

// Manager is AWS Secrets Manager. The client is made when the first secret is
// needed: an authorizer that verifies by keys alone never makes one.
type Manager struct {
	AWS awsenv.Source // nil: region, credentials and AWS_ENDPOINT_URL_SECRETS_MANAGER of the environment

	once   sync.Once
	client *secretsmanager.Client
	err    error
}

func (m *Manager) value(ctx context.Context, id string) ([]byte, error) {
	m.once.Do(func() { m.client, m.err = connect(ctx, m.AWS) })
	if m.err != nil {
		return nil, m.err
	}
	out, err := m.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(id)})
	if err != nil {
		return nil, fmt.Errorf("secret: %s: %w", id, err)
	}
	if out.SecretString == nil {
		return nil, fmt.Errorf("secret: %s: it has no string value", id)
	}
	return []byte(*out.SecretString), nil
}

func connect(ctx context.Context, source awsenv.Source) (*secretsmanager.Client, error) {
	// The configuration outlives the request that first asked for it.
	cfg, err := source.Load(context.WithoutCancel(ctx))
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	cfg.RetryMaxAttempts = 2
	return secretsmanager.NewFromConfig(cfg), nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's own configuration names the file
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, errors.New("secret: reading the file")
	}
	return b, nil
}
