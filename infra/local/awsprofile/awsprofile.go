// Package awsprofile connects to AWS the way a person does: with a profile, single
// sign-on and whatever else the AWS CLI knows, none of which a function has.
package awsprofile

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Load is an [awsenv.Source].
func Load(ctx context.Context) (aws.Config, error) { return config.LoadDefaultConfig(ctx) }
