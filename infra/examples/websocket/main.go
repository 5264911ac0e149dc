// Command websocket is the Lambda function of a WebSocket API that Gatehouse
// protects; template.yaml tells how.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"gatehouse/infra/examples/websocket/talk"
	"gatehouse/shared/apigw"
)

func main() {
	lambda.Start(&talk.Handler{Log: apigw.Logger()})
}
