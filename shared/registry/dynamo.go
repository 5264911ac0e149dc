package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"gatehouse/shared/awsenv"
	"gatehouse/shared/fetch"
)

// Times and limits of DynamoDB calls.
const (
	dynamoTimeout  = 3 * time.Second // of one operation, its repetitions included
	answerTimeout  = time.Second     // of one request: DynamoDB answers in milliseconds or hardly at all
	dynamoAttempts = 4
	dynamoBackoff  = 300 * time.Millisecond // between two requests, at most; jittered by the SDK
)

// Dynamo keeps a registry in a DynamoDB table made as [TableDefinition] says.
type Dynamo struct {
	Table   string        // name
	AWS     awsenv.Source // nil: region, credentials and AWS_ENDPOINT_URL_DYNAMODB of the environment
	HTTP    *http.Client  // nil: one that waits a second for each answer
	Timeout time.Duration // of one operation; 0: 3 s
	Now     func() time.Time
	Observe func(Consumed) // called after every request that succeeded; nil: nobody
}

// Consumed is what one request cost, in capacity units of the table and its
// indexes together.
type Consumed struct {
	Operation string // of DynamoDB: "GetItem"
	Units     float64
}

// Open returns the registry. It speaks to nobody yet.
func (d Dynamo) Open(ctx context.Context) (*Store, error) {
	if d.Table == "" {
		return nil, errors.New("registry: the table has no name")
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	cfg, err := d.AWS.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("registry: %s: %w", d.Table, err)
	}
	cfg.Retryer = newRetryer
	return &Store{now: d.Now, backend: &dynamo{
		client:  dynamodb.NewFromConfig(cfg, d.useHTTP),
		table:   d.Table,
		timeout: cmp.Or(d.Timeout, dynamoTimeout),
		observe: d.Observe,
	}}, nil
}

func (d Dynamo) useHTTP(o *dynamodb.Options) {
	switch {
	case d.HTTP != nil:
		o.HTTPClient = d.HTTP
	case d.AWS == nil:
		t := fetch.NewTransport()
		t.ResponseHeaderTimeout = answerTimeout
		o.HTTPClient = fetch.ClientOf(t)
	}
}

func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = dynamoAttempts, dynamoBackoff
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(contended))
	})
}

// contended tells the SDK to repeat a transaction that was cancelled only
// because others were at its items or the table was throttled. Nothing of it
// has been done.
func contended(err error) aws.Ternary {
	if _, ok := errors.AsType[*types.TransactionConflictException](err); ok {
		return aws.TrueTernary
	}
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return aws.UnknownTernary
	}
	for _, reason := range canceled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
		default:
			return aws.FalseTernary
		}
	}
	return aws.TrueTernary
}

type dynamo struct {
	client  *dynamodb.Client
	table   string
	timeout time.Duration
	observe func(Consumed)
}

func (*dynamo) close() error { return nil }

// capacity asks DynamoDB for what a request costs, if anyone wants to know.
func (d *dynamo) capacity() types.ReturnConsumedCapacity {
	if d.observe == nil {
		return types.ReturnConsumedCapacityNone
	}
	return types.ReturnConsumedCapacityTotal
}

func (d *dynamo) consumed(operation string, all ...types.ConsumedCapacity) {
	if d.observe == nil {
		return
	}
	c := Consumed{Operation: operation}
	for _, one := range all {
		c.Units += aws.ToFloat64(one.CapacityUnits)
	}
	d.observe(c)
}

func (d *dynamo) get(ctx context.Context, k key) (record, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	out, err := d.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:              &d.table,
		Key:                    itemKey(k),
		ConsistentRead:         aws.Bool(true),
		ReturnConsumedCapacity: d.capacity(),
	})
	if err != nil {
		return record{}, unavailable(err)
	}
	d.consumed("GetItem", deref(out.ConsumedCapacity)...)
	if len(out.Item) == 0 {
		return record{}, ErrNotFound
	}
	return fromItem(out.Item)
}

func (d *dynamo) query(ctx context.Context, q query) ([]record, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if q.before != "" && q.after >= q.before {
		return nil, false, nil
	}
	in := queryInput(q)
	in.TableName, in.ReturnConsumedCapacity = &d.table, d.capacity()
	out, err := d.client.Query(ctx, in)
	if err != nil {
		return nil, false, unavailable(err)
	}
	d.consumed("Query", deref(out.ConsumedCapacity)...)
	records := make([]record, 0, len(out.Items))
	for _, item := range out.Items {
		r, err := fromItem(item)
		if err != nil {
			return nil, false, err
		}
		records = append(records, r)
	}
	if len(records) > q.limit {
		return records[:q.limit], true, nil
	}
	return records, len(out.LastEvaluatedKey) > 0, nil
}

// write makes one change by itself and several in a transaction. A response
// that is lost is asked for again by the SDK, and the repetition may meet what
// the first request did: the attempt in the item tells that from a refusal.
func (d *dynamo) write(ctx context.Context, changes []change) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	attempt := rand.Text()
	if len(changes) > 1 {
		return d.transact(ctx, changes, attempt)
	}
	c := changes[0]
	var err error
	if c.action == remove {
		err = d.delete(ctx, c)
	} else {
		err = d.put(ctx, c, attempt)
	}
	if refused, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		if madeBy(refused.Item, attempt) {
			return nil
		}
		return c.refusal()
	}
	return unavailable(err)
}

func (d *dynamo) put(ctx context.Context, c change, attempt string) error {
	condition, values := c.condition()
	out, err := d.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           &d.table,
		Item:                                toItem(c.record, attempt),
		ConditionExpression:                 condition,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		ReturnConsumedCapacity:              d.capacity(),
	})
	if err != nil {
		return err
	}
	d.consumed("PutItem", deref(out.ConsumedCapacity)...)
	return nil
}

func (d *dynamo) delete(ctx context.Context, c change) error {
	condition, values := c.condition()
	out, err := d.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                 &d.table,
		Key:                       itemKey(c.record.key),
		ConditionExpression:       condition,
		ExpressionAttributeValues: values,
		ReturnConsumedCapacity:    d.capacity(),
	})
	if err != nil {
		return err
	}
	d.consumed("DeleteItem", deref(out.ConsumedCapacity)...)
	return nil
}

func (d *dynamo) transact(ctx context.Context, changes []change, attempt string) error {
	items := make([]types.TransactWriteItem, len(changes))
	for n, c := range changes {
		items[n] = d.transactItem(c, attempt)
	}
	out, err := d.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{
		TransactItems:          items,
		ClientRequestToken:     aws.String(attempt),
		ReturnConsumedCapacity: d.capacity(),
	})
	if err == nil {
		d.consumed("TransactWriteItems", out.ConsumedCapacity...)
		return nil
	}
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return unavailable(err)
	}
	var refusal error
	for n, reason := range canceled.CancellationReasons {
		if aws.ToString(reason.Code) != "ConditionalCheckFailed" || n >= len(changes) {
			continue
		}
		if madeBy(reason.Item, attempt) {
			return nil // all of it was made, since it is all or nothing
		}
		refusal = cmp.Or(refusal, changes[n].refusal())
	}
	if refusal == nil && contended(err) == aws.TrueTernary {
		return fmt.Errorf("%w: the store is contended", ErrInProgress)
	}
	return cmp.Or(refusal, unavailable(err))
}

func (d *dynamo) transactItem(c change, attempt string) types.TransactWriteItem {
	condition, values := c.condition()
	switch c.action {
	case remove:
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &d.table, Key: itemKey(c.record.key),
			ConditionExpression: condition, ExpressionAttributeValues: values,
		}}
	case check:
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &d.table, Key: itemKey(c.record.key),
			ConditionExpression: condition, ExpressionAttributeValues: values,
		}}
	default:
		return types.TransactWriteItem{Put: &types.Put{
			TableName: &d.table, Item: toItem(c.record, attempt),
			ConditionExpression: condition, ExpressionAttributeValues: values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}}
	}
}

// condition is what a change needs, as DynamoDB is told.
func (c change) condition() (*string, map[string]types.AttributeValue) {
	switch c.was {
	case whatever:
		return nil, nil
	case 0:
		return aws.String("attribute_not_exists(pk)"), nil
	}
	values := map[string]types.AttributeValue{":was": &types.AttributeValueMemberN{Value: strconv.FormatInt(c.was, 10)}}
	if c.action == remove {
		return aws.String("attribute_not_exists(pk) OR v = :was"), values
	}
	return aws.String("v = :was"), values
}

func madeBy(item map[string]types.AttributeValue, attempt string) bool {
	w, ok := item["w"].(*types.AttributeValueMemberS)
	return ok && w.Value == attempt
}

func deref(c *types.ConsumedCapacity) []types.ConsumedCapacity {
	if c == nil {
		return nil
	}
	return []types.ConsumedCapacity{*c}
}

// unavailable wraps what is not an answer of the store. Of DynamoDB's answers
// only the code is kept.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return fmt.Errorf("%w: DynamoDB says %s", ErrUnavailable, answer.ErrorCode())
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
