package functions_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"gatehouse/infra/tooltest"
	"gatehouse/shared/registry"
)

const (
	// storeTimeout is what an operation of the registry takes at most.
	storeTimeout = 3 * time.Second

	// registrationTimeout is that of template.yaml.
	registrationTimeout = 29 * time.Second
)

// newDistantTable is an organisation whose functions reach DynamoDB by a wire.
func newDistantTable(t *testing.T, proxy *tooltest.Toxiproxy) (*organisation, *tooltest.Wire) {
	t.Helper()
	o := newOrganisation(t)
	local, err := url.Parse(o.table.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	onward := httputil.NewSingleHostReverseProxy(local)
	onward.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	hs := httptest.NewUnstartedServer(onward)
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	var wire *tooltest.Wire
	hs.Listener, wire = proxy.Behind(t, hs.Listener)
	hs.Start()
	t.Cleanup(hs.Close)
	o.variables = []string{"AWS_ENDPOINT_URL_DYNAMODB=http://" + wire.Address.String()}
	return o, wire
}

// TestF16TCPFaultsMeetTheTable spoils the way to DynamoDB under functions as they
// are deployed. Nobody is let in or told of a client that is none, nothing takes
// longer than it may, and when the way is good again, so is everything.
func TestF16TCPFaultsMeetTheTable(t *testing.T) {
	t.Parallel()
	proxy := tooltest.StartToxiproxy(t)
	all := tooltest.NewSurvived(t, "faults survived: TCP, between functions and DynamoDB")
	t.Run("a contract is read", func(t *testing.T) {
		t.Parallel()
		o, wire := newDistantTable(t, proxy)
		dir := o.pack(t, "AuthorizerFunction")
		all.Run(t, tooltest.TCPFaults(), func(t *testing.T, f tooltest.TCPFault) {
			t.Helper()
			gate := o.run(t, "AuthorizerFunction", dir)
			wants := func(when string) {
				t.Helper()
				if got := decides(t, o, gate); got != "no_contract" {
					t.Errorf("%s: got %s", when, got)
				}
			}
			wants("before")
			f.Spoil(t, wire)
			tooltest.Within(t, storeTimeout, func() {
				if f.Answers {
					wants("meanwhile")
				} else if got := decides(t, o, gate); got != "no answer" {
					t.Errorf("meanwhile: got %s", got)
				}
			})
			wire.Mend(t)
			wants("afterwards")
		})
	})
	t.Run("a client is registered", func(t *testing.T) {
		t.Parallel()
		o, wire := newDistantTable(t, proxy)
		dir, made := o.pack(t, "RegistrationFunction"), len(o.Registered(""))
		all.Run(t, tooltest.TCPFaults(), func(t *testing.T, f tooltest.TCPFault) {
			t.Helper()
			register := o.run(t, "RegistrationFunction", dir)
			register.timeout = registrationTimeout
			call := func(name string) answer {
				return register.call(t, http.MethodPost, "/applications", `{"client_name":"`+name+`","grant_types":["client_credentials"],"scope":"orders:read",`+
					`"contracts":[{"api":"orders","tier":"trial"}]}`, "gatehouse:applications")
			}
			f.Spoil(t, wire)
			tooltest.Within(t, 2*storeTimeout, func() { // where one has failed no other is begun, but to clean up
				switch got := call("Meanwhile"); {
				case got.status == http.StatusCreated && f.Answers:
					made++
				case got.status != http.StatusServiceUnavailable || f.Answers:
					t.Errorf("got %d %s", got.status, got.text)
				}
			})
			wire.Mend(t)
			if got := call("Afterwards"); got.status != http.StatusCreated {
				t.Errorf("afterwards: got %d %s", got.status, got.text)
			}
			made++
			if n := len(o.Registered("")); n != made {
				t.Errorf("there are %d clients, want %d", n, made)
			}
		})
	})
}

// decides asks an authorizer about a client that nobody has seen. It returns why
// it is refused, for it has no contract, or "no answer" if that could not be read
// and nobody is told to get another token.
func decides(t *testing.T, o *organisation, gate *process) string {
	t.Helper()
	token, err := o.Mint(o.Claims(registry.NewID(), "orders:read"), nil)
	if err != nil {
		t.Fatal(err)
	}
	reply := gate.send(t, fmt.Appendf(nil, requestForOrders, token))
	var got struct {
		Error  string                 `json:"errorMessage"`
		Policy json.RawMessage        `json:"policyDocument"`
		Result struct{ Error string } `json:"context"`
	}
	if err := json.Unmarshal(reply, &got); err != nil {
		t.Fatal(err)
	}
	switch {
	case got.Result.Error != "":
		return got.Result.Error
	case got.Error != "" && got.Error != "Unauthorized" && got.Policy == nil:
		return "no answer"
	default:
		return string(reply)
	}
}
