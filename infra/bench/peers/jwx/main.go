// Command jwx is an authorizer as jwx/v2's documentation leads to it: the typed
// handler of aws-lambda-go, and jwt.Parse with a key set that is cached.
package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/lestrrat-go/jwx/v2/jwk" //nolint:depguard // a peer: what one writes with jwx alone
	"github.com/lestrrat-go/jwx/v2/jwt" //nolint:depguard // a peer: what one writes with jwx alone
)

func main() {
	url, issuer := os.Getenv("JWKS_URL"), os.Getenv("ISSUER") //nolint:forbidigo // it has nothing but its environment
	cache := jwk.NewCache(context.Background())
	if err := cache.Register(url, jwk.WithMinRefreshInterval(10*time.Minute)); err != nil {
		os.Exit(1)
	}
	set := jwk.NewCachedSet(cache, url)
	lambda.Start(func(ctx context.Context, e events.APIGatewayCustomAuthorizerRequestTypeRequest) (events.APIGatewayCustomAuthorizerResponse, error) {
		raw := strings.TrimPrefix(e.Headers["Authorization"], "Bearer ")
		t, err := jwt.Parse([]byte(raw), jwt.WithKeySet(set), jwt.WithIssuer(issuer), jwt.WithAudience("api://default"), jwt.WithContext(ctx))
		if err != nil {
			return events.APIGatewayCustomAuthorizerResponse{}, err
		}
		client, _ := t.Get("cid")
		return events.APIGatewayCustomAuthorizerResponse{
			PrincipalID: t.Subject(),
			PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{Version: "2012-10-17", Statement: []events.IAMPolicyStatement{
				{Action: []string{"execute-api:Invoke"}, Effect: "Allow", Resource: []string{e.MethodArn}},
			}},
			Context: map[string]any{"client_id": client},
		}, nil
	})
}
