package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzForms has a person send anything with each form, and ask for each page
// with anything in its query: nothing breaks, no mark-up of theirs is on the
// page, they are sent nowhere else, and requests are tried at the API alone.
func FuzzForms(f *testing.F) {
	pages := []struct{ method, at string }{
		{http.MethodPost, "/apis/orders/request"}, {http.MethodPost, "/try"}, {http.MethodPost, "/applications/{id}/edit"}, {http.MethodPost, "/applications/{id}/secret"},
		{http.MethodPost, "/applications/{id}/secret/previous"}, {http.MethodPost, "/applications/{id}/delete"}, {http.MethodPost, "/applications/{id}/withdraw"},
		{http.MethodPost, "/inbox/orders"}, {http.MethodPost, "/signout"}, {http.MethodGet, "/apis/orders/request"}, {http.MethodGet, "/applications"}, {http.MethodGet, "/inbox"},
		{http.MethodGet, "/try"}, {http.MethodGet, "/audit"}, {http.MethodGet, "/signin"}, {http.MethodGet, "/callback"}, {http.MethodGet, "/applications/{id}/edit"},
	}
	for n := range pages {
		f.Add(uint8(n), "")
		f.Add(uint8(n), "api=orders&status=approved&tier=gold&client=%3CMARK%3E&reason=%22%3E%3CMARK%3E&next=//evil.example&code=x&state=y&cursor=%3CMARK%3E")
	}
	for name, values := range request("Reports", "trial") {
		form := request("Reports", "trial")
		form[name] = append(values, `"><MARK x='`)
		f.Add(uint8(0), form.Encode())
		form.Set(name, `"><MARK x='`)
		f.Add(uint8(0), form.Encode())
		f.Add(uint8(2), form.Encode())
	}
	for _, path := range []string{"/orders", "//evil.example/", "/orders?a=<MARK>", "/../x", `/\evil.example`, "/orders/%2e%2e/", "@evil.example", "/orders/{id}"} {
		f.Add(uint8(1), url.Values{"api": {"orders"}, "method": {"GET"}, "path": {path}, "place": {"header"}, "token": {"<MARK>"}}.Encode())
	}
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		s := newSite(t, settings{})
		p := s.signIn(t, "ada", "")
		id, _, secretText := p.application("Mine", "gold")
		page := pages[int(n)%len(pages)]
		at, form := "/portal"+strings.ReplaceAll(page.at, "{id}", id), values
		if page.method == http.MethodGet {
			at, form = at+"?"+values.Encode(), nil
		}
		got := p.send(page.method, at, form)
		if got.Status >= 500 && got.Status != http.StatusBadGateway || strings.Contains(got.Body, "<MARK") || strings.Contains(got.Body+s.log.String(), secretText) {
			t.Fatalf("%s %s %q: got %d %s", page.method, at, form, got.Status, got.Body)
		}
		to := got.Header["Location"]
		if to != "" && !strings.HasPrefix(to, "/portal") && !strings.HasPrefix(to, publicURL+"/portal") && !strings.HasPrefix(to, org+"/oauth2/default/v1/authorize?") {
			t.Fatalf("%s %s %q: sent to %s", page.method, at, form, to)
		}
		for _, r := range s.calls {
			if !strings.HasPrefix(r.URL.String(), apiURL+"/") || slices.Contains(strings.Split(r.URL.Path, "/"), "..") {
				t.Fatalf("%q: asks %s", form, r.URL)
			}
		}
	})
}
