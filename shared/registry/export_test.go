package registry

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// ApplicationItems are the items of an active application that is new.
func ApplicationItems(a Application) ([]map[string]types.AttributeValue, error) {
	a.State = Active
	r, err := a.record(0)
	if err != nil {
		return nil, err
	}
	to, err := newRecord(clientKey(a.Client()), reference{Application: a.ID}, 0)
	return []map[string]types.AttributeValue{toItem(r, "w"), toItem(to, "w")}, err
}
