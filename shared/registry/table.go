package registry

import (
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TTLAttribute is the attribute that time to live is switched on for.
const TTLAttribute = "ttl"

// TableDefinition returns the table and its indexes as schema.md describes
// them. Backups, deletion protection, encryption and time to live are settings
// that do not come with CreateTable's essentials; the template makes them.
func TableDefinition(name string) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{
		TableName:   aws.String(name),
		BillingMode: types.BillingModePayPerRequest,
		KeySchema:   keySchema("pk", "sk"),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			{
				IndexName:  aws.String("list"),
				KeySchema:  keySchema("lpk", "lsk"),
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
			},
			{
				IndexName:  aws.String("due"),
				KeySchema:  keySchema("dpk", "dsk"),
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
			},
		},
	}
	for _, attribute := range []string{"pk", "sk", "lpk", "lsk", "dpk", "dsk"} {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{
			AttributeName: aws.String(attribute), AttributeType: types.ScalarAttributeTypeS,
		})
	}
	return in
}

func keySchema(partition, sort string) []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(partition), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(sort), KeyType: types.KeyTypeRange},
	}
}

func itemKey(k key) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": text(k.partition), "sk": text(k.sort)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func toItem(r record, attempt string) map[string]types.AttributeValue {
	item := itemKey(r.key)
	item["v"] = &types.AttributeValueMemberN{Value: strconv.FormatInt(r.version, 10)}
	item["w"] = text(attempt)
	item["d"] = text(string(r.data))
	if r.list != (key{}) {
		item["lpk"], item["lsk"] = text(r.list.partition), text(r.list.sort)
	}
	if r.due != (key{}) {
		item["dpk"], item["dsk"] = text(r.due.partition), text(r.due.sort)
	}
	if !r.expires.IsZero() {
		item[TTLAttribute] = &types.AttributeValueMemberN{Value: strconv.FormatInt(r.expires.Unix(), 10)}
	}
	return item
}

// fromItem reads an item. One that came from the due index has only keys.
func fromItem(item map[string]types.AttributeValue) (record, error) {
	r := record{
		key:  key{stringOf(item["pk"]), stringOf(item["sk"])},
		list: key{stringOf(item["lpk"]), stringOf(item["lsk"])},
		due:  key{stringOf(item["dpk"]), stringOf(item["dsk"])},
		data: []byte(stringOf(item["d"])),
	}
	if n, ok := item[TTLAttribute].(*types.AttributeValueMemberN); ok {
		seconds, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil {
			return record{}, fmt.Errorf("%w: %s: %s", ErrCorrupt, r.key.partition, TTLAttribute)
		}
		r.expires = time.Unix(seconds, 0)
	}
	if n, ok := item["v"].(*types.AttributeValueMemberN); ok {
		var err error
		if r.version, err = strconv.ParseInt(n.Value, 10, 64); err != nil {
			return record{}, fmt.Errorf("%w: %s: v", ErrCorrupt, r.key.partition)
		}
	}
	return r, nil
}

func stringOf(v types.AttributeValue) string {
	s, ok := v.(*types.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return s.Value
}

// queryInput returns the query for one record more than the page has, which
// tells whether there is a next page.
func queryInput(q query) *dynamodb.QueryInput {
	in := &dynamodb.QueryInput{
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": text(q.partition)},
		Limit:                     aws.Int32(int32(min(q.limit, maxPage) + 1)), //nolint:gosec // at most 101
	}
	partition, sort := "pk", "sk"
	switch q.index {
	case listIndex:
		in.IndexName, partition, sort = aws.String("list"), "lpk", "lsk"
	case dueIndex:
		in.IndexName, partition, sort = aws.String("due"), "dpk", "dsk"
	case table:
		in.ConsistentRead = aws.Bool(true)
	}
	condition := partition + " = :p"
	// BETWEEN includes both ends: no sort key is a bare time, so the upper end
	// meets none, and a NUL makes the lower one the first key after it.
	switch {
	case q.after != "" && q.before != "":
		condition += " AND " + sort + " BETWEEN :after AND :before"
		in.ExpressionAttributeValues[":after"] = text(q.after + "\x00")
		in.ExpressionAttributeValues[":before"] = text(q.before)
	case q.after != "":
		condition += " AND " + sort + " > :after"
		in.ExpressionAttributeValues[":after"] = text(q.after)
	case q.before != "":
		condition += " AND " + sort + " < :before"
		in.ExpressionAttributeValues[":before"] = text(q.before)
	}
	in.KeyConditionExpression = &condition
	return in
}
