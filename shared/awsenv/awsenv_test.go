package awsenv_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"gatehouse/shared/awsenv"
)

// asked is an HTTP client that notes what it is asked, and as whom, and does not
// answer.
type asked struct{ host, token, credential string }

var errNobody = errors.New("nobody is there")

func (a *asked) Do(r *http.Request) (*http.Response, error) {
	credential, _, _ := strings.Cut(r.Header.Get("Authorization"), ",") // without the signature, which differs by time
	*a = asked{r.URL.Scheme + "://" + r.URL.Host, r.Header.Get("X-Amz-Security-Token"), credential}
	return nil, errNobody
}

// Where a function's clients go is where those of the SDK's own configuration go.
func TestEndpoints(t *testing.T) {
	const ireland = "https://dynamodb.eu-west-1.amazonaws.com"
	for name, test := range map[string]struct {
		environment map[string]string
		dynamodb    string
	}{
		"of the region":      {nil, ireland},
		"of another service": {map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://secrets.test"}, ireland},
		"of one service":     {map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "http://table.test"}, "http://table.test"},
		"of all services":    {map[string]string{"AWS_ENDPOINT_URL": "http://all.test"}, "http://all.test"},
		"of one service before that of all": {
			map[string]string{"AWS_ENDPOINT_URL": "http://all.test", "AWS_ENDPOINT_URL_DYNAMODB": "http://table.test"}, "http://table.test",
		},
		"set to nothing": {map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "", "AWS_ENDPOINT_URL_SECRETS_MANAGER": ""}, ireland},
		"in China":       {map[string]string{"AWS_REGION": "cn-north-1"}, "https://dynamodb.cn-north-1.amazonaws.com.cn"},
		"with FIPS 140":  {map[string]string{"AWS_REGION": "us-east-1", "AWS_USE_FIPS_ENDPOINT": "true"}, "https://dynamodb-fips.us-east-1.amazonaws.com"},
		"with IPv6":      {map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://dynamodb.eu-west-1.api.aws"},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, test.environment)
			ours, err := awsenv.Source(nil).Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sdks, err := config.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, want := ask(t, ours), ask(t, sdks)
			if got[0].host != test.dynamodb || !slices.Equal(got, want) {
				t.Errorf("got %q, want what the SDK does, %q, and %s", got, want, test.dynamodb)
			}
		})
	}
}

// ask asks DynamoDB and Secrets Manager.
func ask(t *testing.T, cfg aws.Config) []asked {
	t.Helper()
	var table, secrets asked
	cfg.RetryMaxAttempts = 1
	cfg.HTTPClient = &table
	if _, err := dynamodb.NewFromConfig(cfg).ListTables(t.Context(), &dynamodb.ListTablesInput{}); !errors.Is(err, errNobody) {
		t.Error(err)
	}
	cfg.HTTPClient = &secrets
	if _, err := secretsmanager.NewFromConfig(cfg).ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}); !errors.Is(err, errNobody) {
		t.Error(err)
	}
	return []asked{table, secrets}
}

// environment is what Lambda sets, and more.
func environment(t *testing.T, more map[string]string) {
	t.Helper()
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"} {
		t.Setenv(name, "")
	}
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session",
	} {
		t.Setenv(name, value)
	}
	for name, value := range more {
		t.Setenv(name, value)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	environment(t, map[string]string{"AWS_REGION": ""})
	if _, err := awsenv.Source(nil).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("without a region: %v", err)
	}
	environment(t, map[string]string{"AWS_SECRET_ACCESS_KEY": ""})
	cfg, err := awsenv.Source(nil).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Credentials.Retrieve(t.Context()); err == nil || !strings.Contains(err.Error(), "AWS_SECRET_ACCESS_KEY") || strings.Contains(err.Error(), "AKIDEXAMPLE") {
		t.Errorf("without a key: %v", err)
	}
}

func TestASourceOfOnesOwn(t *testing.T) {
	t.Parallel()
	own := awsenv.Source(func(context.Context) (aws.Config, error) { return aws.Config{Region: "mars-north-1"}, nil })
	if cfg, err := own.Load(t.Context()); err != nil || cfg.Region != "mars-north-1" {
		t.Errorf("got %s, %v", cfg.Region, err)
	}
}
