package registry_test

import (
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"gatehouse/shared/registry"
	"gatehouse/shared/registry/registrytest"
)

// dynamoAt points the SDK's environment at a DynamoDB.
func dynamoAt(t *testing.T, address string) {
	t.Helper()
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", address)
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
}

// newTable makes a table of its own for the test.
func newTable(t *testing.T) string {
	t.Helper()
	return registrytest.NewTable(t, os.Getenv("AWS_ENDPOINT_URL_DYNAMODB")).Name
}

func client(t *testing.T) *dynamodb.Client {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dynamodb.NewFromConfig(cfg)
}

func openTable(t *testing.T, d registry.Dynamo) *registry.Store {
	t.Helper()
	s, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDynamo is everything that needs a DynamoDB, so that one is started once.
func TestDynamo(t *testing.T) {
	dynamoAt(t, registrytest.DynamoDBLocal(t))
	t.Run("suite", func(t *testing.T) {
		registrytest.Run(t, func(t *testing.T, now func() time.Time) *registry.Store {
			t.Helper()
			return openTable(t, registry.Dynamo{Table: newTable(t), Now: now, Timeout: time.Minute})
		})
	})
	t.Run("F17 a lost response is no refusal", lostResponses)
	t.Run("contended transactions are tried again", contention)
	t.Run("an index that lags names nothing that has ended", laggingIndex)
	t.Run("nothing is at rest in clear", func(t *testing.T) {
		table := registrytest.NewTable(t, os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"))
		secrets := fill(t, openTable(t, registry.Dynamo{Table: table.Name, Timeout: time.Minute}))
		wantNone(t, table.Text(t), secrets)
	})
	t.Run("schema.md says what everything costs", schemaCosts)
	t.Run("cost does not grow with the number of applications", flatCost)
}

// meter adds up what was consumed.
type meter struct {
	mu       sync.Mutex // guards what follows
	requests int
	units    float64
}

func (m *meter) observe(c registry.Consumed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	m.units += c.Units
}

// cost returns what do consumes.
func (m *meter) cost(do func()) (requests int, units float64) {
	m.mu.Lock()
	m.requests, m.units = 0, 0
	m.mu.Unlock()
	do()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests, m.units
}

var crowd = flag.Int("crowd", 10_000, "how many applications the costs are compared with ten of")

func flatCost(t *testing.T) {
	var m meter
	table := newTable(t)
	s := openTable(t, registry.Dynamo{Table: table, Observe: m.observe, Timeout: time.Minute})
	type price struct {
		requests int
		units    float64
	}
	measure := func() map[string]price {
		prices := map[string]price{}
		var a registry.Application
		for what, do := range map[string]func(){
			"read a contract": func() {
				_, err := s.Contract(t.Context(), registry.ContractKey{Provider: "okta", ClientID: "none", API: "orders"})
				if !errors.Is(err, registry.ErrNotFound) {
					t.Error(err)
				}
			},
			"create": func() { a = register(t, s, time.Now()) },
			"list by owner": func() {
				if got, _, err := s.ApplicationsByOwner(t.Context(), "ada", registry.Page{Limit: 10}); err != nil || len(got) != 10 {
					t.Errorf("got %d, %v", len(got), err)
				}
			},
			"list unused": func() {
				if got, _, err := s.Unused(t.Context(), time.Now().Add(time.Hour), registry.Page{Limit: 5}); err != nil || len(got) != 5 {
					t.Errorf("got %d, %v", len(got), err)
				}
			},
		} {
			requests, units := m.cost(do)
			prices[what] = price{requests, units}
		}
		requests, units := m.cost(func() {
			c := registry.Contract{Provider: a.Provider, ClientID: a.ClientID, ApplicationID: a.ID, API: "orders", Status: registry.Pending}
			if _, err := s.CreateContract(t.Context(), c, registry.Audit{Who: "ada", What: "asked", Target: a.ID}); err != nil {
				t.Error(err)
			}
		})
		prices["ask for a contract"] = price{requests, units}
		return prices
	}
	populate(t, table, 10)
	few := measure()
	populate(t, table, *crowd)
	many := measure()
	for what, price := range few {
		t.Logf("%-20s %d requests, %.1f units; in the crowd %d and %.1f", what, price.requests, price.units, many[what].requests, many[what].units)
		if what == "list unused" { // one shard may answer where several were needed
			if many[what].requests > price.requests || many[what].units > price.units {
				t.Errorf("%s: %+v with few applications, %+v with many", what, price, many[what])
			}
		} else if many[what] != price {
			t.Errorf("%s: %+v with few applications, %+v with many", what, price, many[what])
		}
	}
}

// populate adds n applications the short way: twelve and their clients at once.
func populate(t *testing.T, table string, n int) {
	t.Helper()
	db := client(t)
	for n > 0 {
		var batch []types.WriteRequest
		for ; n > 0 && len(batch) < 24; n-- {
			a := registry.Application{
				ID: registry.NewID(), Kind: registry.Dynamic, Provider: "okta", Owner: "ada", Name: "reports",
				SecretHMAC: strings.Repeat("a", 64), Created: time.Now(),
			}
			a.ClientID = "client-" + a.ID
			items, err := registry.ApplicationItems(a)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
			}
		}
		out, err := db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{table: batch},
		})
		if err != nil || len(out.UnprocessedItems) > 0 {
			t.Fatalf("%d items left over, %v", len(out.UnprocessedItems), err)
		}
	}
}

// TestF16DynamoIsAskedAgainWithinBounds scripts what DynamoDB Local never does.
func TestF16DynamoIsAskedAgainWithinBounds(t *testing.T) {
	const prefix = `{"__type":"com.amazonaws.dynamodb.v20120810#`
	for name, row := range map[string]struct {
		status int
		body   string
		times  int32 // that DynamoDB answers so before all is well
		asked  int32
		want   error
	}{
		"throttled once: asked again":         {400, prefix + `ProvisionedThroughputExceededException"}`, 1, 2, nil},
		"the account's limit: asked again":    {400, prefix + `RequestLimitExceeded"}`, 1, 2, nil},
		"an error of DynamoDB: asked again":   {500, prefix + `InternalServerError"}`, 2, 3, nil},
		"throttled for good: four times":      {400, prefix + `ProvisionedThroughputExceededException"}`, 99, 4, registry.ErrUnavailable},
		"not allowed: once":                   {400, prefix + `AccessDeniedException","message":"hunter2"}`, 99, 1, registry.ErrUnavailable},
		"no table: once":                      {400, prefix + `ResourceNotFoundException"}`, 99, 1, registry.ErrUnavailable},
		"something that is not DynamoDB":      {502, `<html>hunter2</html>`, 99, 4, registry.ErrUnavailable},
		"a transaction in the way: try again": {400, prefix + `TransactionConflictException"}`, 1, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/x-amz-json-1.0")
				if asked.Add(1) <= row.times {
					w.WriteHeader(row.status)
					_, _ = io.WriteString(w, row.body)
					return
				}
				_, _ = io.WriteString(w, `{}`)
			}))
			defer srv.Close()
			dynamoAt(t, srv.URL)
			s := openTable(t, registry.Dynamo{Table: "gatehouse", Timeout: time.Minute})
			err := s.Append(t.Context(), registry.Audit{Who: "ada", What: "x", Target: "y"})
			if !errors.Is(err, row.want) || asked.Load() != row.asked {
				t.Errorf("got %v after %d requests, want %v after %d", err, asked.Load(), row.want, row.asked)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the answer: %v", err)
			}
		})
	}
}

func TestASilentDynamoEndsInTime(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	dynamoAt(t, srv.URL)
	s := openTable(t, registry.Dynamo{Table: "gatehouse", Timeout: 50 * time.Millisecond})
	began := time.Now()
	if _, err := s.Application(t.Context(), "id"); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v, want about 50 ms", took)
	}
}
