package clientdoc_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/shared/clientdoc"
)

// FuzzLifetime: no header makes a document last longer than we keep any, or a
// document last that its server does not want kept.
func FuzzLifetime(f *testing.F) {
	now := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	const date, later, long = "Sun, 01 Nov 2026 08:00:00 GMT", "Sun, 01 Nov 2026 08:30:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"
	f.Add("max-age=600", "", "", "")
	f.Add("public, S-MAXAGE=\"600\", max-age=0", later, date, "30")
	f.Add("no-store, max-age=600", later, date, "")
	f.Add("max-age=99999999999999999999", "", "", "-1")
	f.Add("max-age=600, max-age=0", "", "", "2147483647")
	f.Add("", later, date, "")
	f.Add("", long, date, "1")
	f.Add("", "0", "", "")
	f.Fuzz(func(t *testing.T, cacheControl, expires, date, age string) {
		h := http.Header{"Cache-Control": {cacheControl}, "Expires": {expires}, "Date": {date}, "Age": {age}}
		got := clientdoc.Lifetime(h, now)
		if got < clientdoc.MinAge || got > clientdoc.MaxAge {
			t.Fatalf("%v: got %v", h, got)
		}
		if got == clientdoc.MinAge {
			return
		}
		lower := strings.ToLower(cacheControl)
		until, err := http.ParseTime(expires)
		from, dateErr := http.ParseTime(date)
		if dateErr != nil {
			from = now
		}
		if !strings.Contains(lower, "max") && (err != nil || !until.After(from)) {
			t.Fatalf("%v: got %v of what has expired", h, got)
		}
		for one := range strings.SplitSeq(lower, ",") {
			switch strings.TrimSpace(one) {
			case "no-store", "no-cache", "private":
				t.Fatalf("%v: got %v of what is not to be kept", h, got)
			}
		}
	})
}
