// Command mcp is the Lambda function of an MCP server behind an API Gateway
// that Gatehouse protects; README.md tells how.
package main

import (
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/infra/examples/mcp/ordertools"
	"gatehouse/shared/apigw"
)

func main() {
	server := ordertools.Server{AllowedOrigin: os.Getenv("ALLOWED_ORIGIN")}
	lambda.Start(&apigw.HTTP{Handler: server.Handler(), Log: apigw.Logger()})
}
