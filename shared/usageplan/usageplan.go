// Package usageplan keeps API keys in usage plans of Amazon API Gateway, by
// which it limits and counts the requests of those that an authorizer names.
//
// What a key shall be is written down elsewhere; this package makes it so, from
// whatever it finds: a key that is there already, one that is in another plan,
// one that an answer was lost about. It makes no plan and changes none: the
// limits are those of the stack that the plan belongs to.
//
// It keeps nothing, and shows nobody the value of a key.
package usageplan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"

	"gatehouse/shared/awsenv"
)

// Why a key is not what it shall be.
var (
	// ErrPlan: there is no such usage plan. The error names it.
	ErrPlan = errors.New("usageplan: there is no such usage plan")
	// ErrBusy: API Gateway takes no more changes at the moment. Nothing is under way.
	ErrBusy = errors.New("usageplan: API Gateway is busy")
	// ErrUncertain: a change was sent and its outcome is not known. It may yet
	// take effect.
	ErrUncertain = errors.New("usageplan: whether API Gateway did it is not known")
	// ErrDenied: the function's role may not do it.
	ErrDenied = errors.New("usageplan: the role may not manage API keys; the parameter UsagePlans of template.yaml allows it")
)

// Key is an API key: what it shall be, and what is known of it.
type Key struct {
	Name  string // at most 1,024 characters; people and searches find it by that
	Value string // 20 to 128 letters and digits, which no other key has
	Plan  string // id of the only usage plan it shall be in; "": there shall be no such key

	ID   string // API Gateway's; "": not known
	Held string // a plan that it was put into; "": none is known
}

// Gateway is what manages API Gateway, as the function's own role may. The
// client is made when the first key is settled, by region, credentials and
// AWS_ENDPOINT_URL_API_GATEWAY of the environment.
// The zero Gateway can be used, by several at once.
type Gateway struct {
	Client *apigateway.Client // nil: made of the environment; one that repeats requests hides what is uncertain
	Pause  time.Duration      // before a request that API Gateway was too busy for is repeated; 0: 200 ms

	once sync.Once
	err  error // of making the client
}

// Settle makes a key what it shall be and returns it with what is known of it
// then. That is worth keeping also when there is an error.
func (g *Gateway) Settle(ctx context.Context, k Key) (Key, error) {
	g.once.Do(func() { g.err = g.connect(ctx) })
	if g.err != nil {
		return k, g.err
	}
	if k.Plan == "" {
		return g.remove(ctx, k)
	}
	return g.ensure(ctx, k)
}

func (g *Gateway) connect(ctx context.Context) error {
	if g.Client != nil {
		return nil
	}
	// The configuration outlives the request that first asked for it.
	cfg, err := awsenv.Source(nil).Load(context.WithoutCancel(ctx))
	if err != nil {
		return fmt.Errorf("usageplan: %w", err)
	}
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} } // see call
	g.Client = apigateway.NewFromConfig(cfg)
	return nil
}

// remove deletes the key, and with it its places in plans.
func (g *Gateway) remove(ctx context.Context, k Key) (Key, error) {
	gone, err := g.deleted(ctx, k)
	if err == nil && !gone {
		// The id is not known, or that of one that was made anew and the answer lost.
		var found types.ApiKey
		if found, err = g.find(ctx, k); err == nil {
			k.ID, k.Held = aws.ToString(found.Id), ""
			_, err = g.deleted(ctx, k)
		}
	}
	if err != nil {
		return k, err
	}
	k.ID, k.Held = "", ""
	return k, nil
}

// deleted deletes the key of an id. It reports whether there was one.
func (g *Gateway) deleted(ctx context.Context, k Key) (bool, error) {
	if k.ID == "" {
		return false, nil
	}
	err := g.change(ctx, func(ctx context.Context) error {
		_, err := g.Client.DeleteApiKey(ctx, &apigateway.DeleteApiKeyInput{ApiKey: &k.ID})
		return err
	})
	if is[*types.NotFoundException](err) {
		return false, nil
	}
	return err == nil, failed("delete key", k, err)
}

// ensure sees that there is the key, that it is enabled, and that it is in its
// plan and no other.
func (g *Gateway) ensure(ctx context.Context, k Key) (Key, error) {
	is, err := g.known(ctx, k)
	if err != nil {
		return k, err
	}
	if is.Id == nil {
		k.ID, k.Held = "", ""
		made, err := g.create(ctx, k)
		if err != nil {
			return k, err
		}
		if made.Id != nil {
			k.ID = *made.Id
			return g.join(ctx, k, nil)
		}
		// One with this value is there: an earlier answer was lost.
		if is, err = g.find(ctx, k); err != nil {
			return k, err
		}
		if is.Id == nil {
			return k, fmt.Errorf("usageplan: key %q: one of another name has its value; delete that one", k.Name)
		}
		k.ID = *is.Id
	}
	if !is.Enabled {
		if err := g.enable(ctx, k); err != nil {
			return k, err
		}
	}
	plans, err := g.plans(ctx, k)
	if err != nil {
		return k, err
	}
	return g.join(ctx, k, plans)
}

// join puts the key, which is in these plans, into its own and no other. It
// leaves the others first: API Gateway lets no key be in two plans of one stage.
func (g *Gateway) join(ctx context.Context, k Key, plans []string) (Key, error) {
	others := slices.DeleteFunc(append(slices.Clone(plans), k.Held), func(plan string) bool { return plan == "" || plan == k.Plan })
	slices.Sort(others)
	for _, plan := range slices.Compact(others) {
		err := g.change(ctx, func(ctx context.Context) error {
			_, err := g.Client.DeleteUsagePlanKey(ctx, &apigateway.DeleteUsagePlanKeyInput{UsagePlanId: &plan, KeyId: &k.ID})
			return err
		})
		if err != nil && !is[*types.NotFoundException](err) {
			return k, failed("take key out of plan "+plan, k, err)
		}
	}
	if slices.Contains(plans, k.Plan) {
		k.Held = k.Plan
		return k, nil
	}
	// It may be there even if the answer is lost.
	k.Held = k.Plan
	err := g.change(ctx, func(ctx context.Context) error {
		_, err := g.Client.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{
			UsagePlanId: &k.Plan, KeyId: &k.ID, KeyType: aws.String("API_KEY"),
		})
		return err
	})
	switch {
	case err == nil:
		return k, nil
	case is[*types.ConflictException](err):
		return g.joined(ctx, k)
	case is[*types.NotFoundException](err):
		return g.missing(ctx, k)
	default:
		return k, failed("put key into plan "+k.Plan, k, err)
	}
}

// joined says what a conflict means: the key is in the plan already, or API
// Gateway is at another change. It makes one of an account at a time.
func (g *Gateway) joined(ctx context.Context, k Key) (Key, error) {
	err := g.call(ctx, func(ctx context.Context) error {
		_, err := g.Client.GetUsagePlanKey(ctx, &apigateway.GetUsagePlanKeyInput{UsagePlanId: &k.Plan, KeyId: &k.ID})
		return err
	})
	switch {
	case err == nil:
		return k, nil
	case is[*types.NotFoundException](err):
		return k, fmt.Errorf("%w: key %q, plan %s: the change conflicts with another", ErrBusy, k.Name, k.Plan)
	default:
		return k, failed("look for key in plan "+k.Plan, k, err)
	}
}

// missing says what was not found: the plan, or the key.
func (g *Gateway) missing(ctx context.Context, k Key) (Key, error) {
	err := g.call(ctx, func(ctx context.Context) error {
		_, err := g.Client.GetUsagePlan(ctx, &apigateway.GetUsagePlanInput{UsagePlanId: &k.Plan})
		return err
	})
	switch {
	case err == nil:
		k.ID, k.Held = "", ""
		return k, fmt.Errorf("%w: key %q was deleted this moment", ErrBusy, k.Name)
	case is[*types.NotFoundException](err):
		k.Held = ""
		return k, fmt.Errorf("%w: %s, for key %q: see usagePlan in gatehouse.yaml", ErrPlan, k.Plan, k.Name)
	default:
		return k, failed("look for plan "+k.Plan, k, err)
	}
}

// known returns the key as it is now, if its id is known and it is there.
func (g *Gateway) known(ctx context.Context, k Key) (types.ApiKey, error) {
	if k.ID == "" {
		return types.ApiKey{}, nil
	}
	var found types.ApiKey
	err := g.call(ctx, func(ctx context.Context) error {
		out, err := g.Client.GetApiKey(ctx, &apigateway.GetApiKeyInput{ApiKey: &k.ID})
		if err == nil {
			found = types.ApiKey{Id: out.Id, Enabled: out.Enabled}
		}
		return err
	})
	if is[*types.NotFoundException](err) {
		return types.ApiKey{}, nil
	}
	return found, failed("look at key", k, err)
}

// create makes the key. It returns none if there is one with this value.
func (g *Gateway) create(ctx context.Context, k Key) (types.ApiKey, error) {
	var made types.ApiKey
	err := g.change(ctx, func(ctx context.Context) error {
		out, err := g.Client.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{
			Name: &k.Name, Value: &k.Value, Enabled: true, Description: aws.String("Gatehouse keeps it for as long as the contract lasts."),
		})
		if err == nil {
			made.Id = out.Id
		}
		return err
	})
	if _, busy := busyFor(err); !busy && is[*types.ConflictException](err) {
		return types.ApiKey{}, nil
	}
	return made, failed("create key", k, err)
}

func (g *Gateway) enable(ctx context.Context, k Key) error {
	return failed("enable key", k, g.change(ctx, func(ctx context.Context) error {
		_, err := g.Client.UpdateApiKey(ctx, &apigateway.UpdateApiKeyInput{ApiKey: &k.ID, PatchOperations: []types.PatchOperation{
			{Op: types.OpReplace, Path: aws.String("/enabled"), Value: aws.String("true")},
		}})
		return err
	}))
}

// find looks for the key by its name, which API Gateway takes for the beginning
// of one, and its value.
func (g *Gateway) find(ctx context.Context, k Key) (types.ApiKey, error) {
	pages := apigateway.NewGetApiKeysPaginator(g.Client, &apigateway.GetApiKeysInput{
		NameQuery: &k.Name, IncludeValues: aws.Bool(true), Limit: aws.Int32(pageSize),
	})
	for pages.HasMorePages() {
		var page *apigateway.GetApiKeysOutput
		err := g.call(ctx, func(ctx context.Context) (err error) {
			page, err = pages.NextPage(ctx)
			return err
		})
		if err != nil {
			return types.ApiKey{}, failed("look for key", k, err)
		}
		for _, found := range page.Items {
			if aws.ToString(found.Value) == k.Value {
				return found, nil
			}
		}
	}
	return types.ApiKey{}, nil
}

// plans are those that the key is in.
func (g *Gateway) plans(ctx context.Context, k Key) ([]string, error) {
	var all []string
	pages := apigateway.NewGetUsagePlansPaginator(g.Client, &apigateway.GetUsagePlansInput{KeyId: &k.ID, Limit: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		var page *apigateway.GetUsagePlansOutput
		err := g.call(ctx, func(ctx context.Context) (err error) {
			page, err = pages.NextPage(ctx)
			return err
		})
		if err != nil {
			return nil, failed("look for plans of key", k, err)
		}
		for _, plan := range page.Items {
			all = append(all, aws.ToString(plan.Id))
		}
	}
	return all, nil
}
