package registry

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// ApplicationItems are the items of an active application that is new.
func ApplicationItems(a Application) ([]map[string]types.AttributeValue, error) {
	a.State = Active
	r, err := a.record(0)
	if err != nil {
		return nil, err
	}
	to, err := newRecord(clientKey(a.Client()), clientRecord{Application: a.ID}, 0)
	return []map[string]types.AttributeValue{toItem(r, "w"), toItem(to, "w")}, err
}

// RawItem is all that an item of the table says.
func RawItem(item map[string]types.AttributeValue) (string, error) {
	r, err := fromItem(item)
	return fmt.Sprintf("%v %v %v %s\n", r.key, r.list, r.due, r.data), err
}
