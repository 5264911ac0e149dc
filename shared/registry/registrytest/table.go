package registrytest

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"gatehouse/shared/registry"
)

// Table is a table of its own at a DynamoDB that is not AWS's.
type Table struct {
	Name     string
	Endpoint string // URL of the DynamoDB
}

// NewTable makes a table for a registry.
func NewTable(tb testing.TB, endpoint string) Table {
	tb.Helper()
	t := Table{Name: "gatehouse-" + registry.NewID(), Endpoint: endpoint}
	if _, err := t.client().CreateTable(tb.Context(), registry.TableDefinition(t.Name)); err != nil {
		tb.Fatal(err)
	}
	return t
}

// Environment leads the AWS SDK of a process to the table's DynamoDB. Elsewhere
// its credentials open nothing.
func (t Table) Environment() []string {
	return []string{
		"AWS_ENDPOINT_URL_DYNAMODB=" + t.Endpoint, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=x",
		"REGISTRY_TABLE=" + t.Name,
	}
}

func (t Table) client() *dynamodb.Client {
	nobody := func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "x"}, nil
	}
	return dynamodb.New(dynamodb.Options{
		Region: "eu-west-1", BaseEndpoint: &t.Endpoint, Credentials: aws.CredentialsProviderFunc(nobody),
	})
}

// Text is everything that the table holds.
func (t Table) Text(tb testing.TB) string {
	tb.Helper()
	var all strings.Builder
	pages := dynamodb.NewScanPaginator(t.client(), &dynamodb.ScanInput{TableName: &t.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for _, item := range page.Items {
			for name, value := range item {
				all.WriteString(name + "=" + text(tb, value) + " ")
			}
			all.WriteByte('\n')
		}
	}
	return all.String()
}

func text(tb testing.TB, value types.AttributeValue) string {
	tb.Helper()
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	default:
		tb.Fatalf("an attribute is a %T, which no registry writes", value)
		return ""
	}
}
