// Command demoapi is the Lambda function of the API that the walk-through
// protects.
package main

import (
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/shared/apigw"
	"gatehouse/shared/demoapi"
)

func main() {
	// DEMO_OPEN=true serves without an authorizer: the walk-through starts so.
	api := demoapi.API{Open: os.Getenv("DEMO_OPEN") == "true"}
	lambda.Start(&apigw.HTTP{Handler: api.Handler(), Log: apigw.Logger()})
}
