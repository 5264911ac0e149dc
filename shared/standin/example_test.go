package standin_test

import (
	"fmt"
	"net/http/httptest"

	"gatehouse/shared/standin"
)

func Example() {
	hs := httptest.NewUnstartedServer(nil)
	srv, err := standin.New(standin.Okta{
		Org:     "http://" + hs.Listener.Addr().String(),
		Clients: []standin.Client{{ID: "demo", Secret: "demo-secret", GrantTypes: []string{standin.ClientCredentials}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	hs.Config.Handler = srv
	hs.Start()
	defer hs.Close()

	srv.Break(standin.Keys, standin.Fault{Status: 500, Times: 3})
	fmt.Println(srv.Claims("demo", "orders:read")["scp"], srv.Requests(standin.Keys))
	// Output: [orders:read] 0
}
