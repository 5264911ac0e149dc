package token_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/shared/token"
)

// vectors is what this package needs of a Wycheproof file.
type vectors struct {
	NumberOfTests int `json:"numberOfTests"`
	TestGroups    []struct {
		Comment string          `json:"comment"`
		Public  json.RawMessage `json:"public"`
		Private json.RawMessage `json:"private"`
		Tests   []struct {
			ID      int    `json:"tcId"`
			Comment string `json:"comment"`
			JWS     string `json:"jws"`
			JWE     string `json:"jwe"`
			Result  string `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

func readVectors(tb testing.TB, name string) vectors {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "wycheproof", name))
	if err != nil {
		tb.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

// Reasons for which a verdict of ours differs from Wycheproof's.
const (
	symmetric    = "policy: symmetric algorithms are not verified"
	emptyPayload = "policy: an empty payload has no claims"
	wrongAlg     = "vector's mistake: the JWK says PS256, the header PS384"
	es521        = `vector's mistake: the JWK's alg is "ES521", which is none`
	badBase64    = "vector's mistake: a ? is not base64url (RFC 7515 §2)"
)

// jwsDeviations are the vectors of json_web_signature_test.json on which we
// differ, by tcId.
func jwsDeviations() map[int]string {
	return map[int]string{
		1: symmetric, 348: symmetric, 352: symmetric,
		357: symmetric, 358: symmetric, 359: symmetric, 376: symmetric, 377: symmetric,
		259: emptyPayload, 264: emptyPayload, 268: emptyPayload,
		272: emptyPayload, 320: emptyPayload, 325: emptyPayload,
		346: wrongAlg, 350: wrongAlg,
		347: es521, 351: es521,
		372: badBase64, 373: badBase64,
	}
}

func TestWycheproofJWS(t *testing.T) {
	t.Parallel()
	v := readVectors(t, "json_web_signature_test.json")
	known, seen := jwsDeviations(), 0
	for _, g := range v.TestGroups {
		set := g.Public
		if set == nil { // symmetric: all there is
			set = g.Private
		}
		for _, tc := range g.Tests {
			seen++
			err := token.VerifyJWS(tc.JWS, jwks(string(set)), everyAlgorithm())
			checkVerdict(t, known, verdict{tc.ID, g.Comment + ": " + tc.Comment, tc.Result, err})
		}
	}
	if seen != v.NumberOfTests || seen != 401 {
		t.Errorf("ran %d vectors, the file says %d, want 401", seen, v.NumberOfTests)
	}
}

// jwkDeviations are those of json_web_key_test.json.
func jwkDeviations() map[int]string {
	return map[int]string{2: symmetric, 13: symmetric, 14: symmetric, 15: symmetric}
}

func TestWycheproofJWK(t *testing.T) {
	t.Parallel()
	v := readVectors(t, "json_web_key_test.json")
	known, seen := jwkDeviations(), 0
	for _, g := range v.TestGroups {
		set := g.Public
		if set == nil {
			set = g.Private
		}
		for _, tc := range g.Tests {
			seen++
			err := token.VerifyJWS(tc.JWS, set, everyAlgorithm())
			checkVerdict(t, known, verdict{tc.ID, g.Comment + ": " + tc.Comment, tc.Result, err})
		}
	}
	if seen != v.NumberOfTests || seen != 26 {
		t.Errorf("ran %d vectors, the file says %d, want 26", seen, v.NumberOfTests)
	}
}

type verdict struct {
	id      int
	comment string
	result  string
	err     error
}

// checkVerdict compares our verdict with the vector's, and holds the list of
// deviations complete and free of what is none.
func checkVerdict(t *testing.T, known map[int]string, v verdict) {
	t.Helper()
	deviates := (v.err == nil) != (v.result == "valid")
	reason, listed := known[v.id]
	switch {
	case deviates && !listed:
		t.Errorf("tcId %d (%s) is %s; got %v", v.id, v.comment, v.result, v.err)
	case !deviates && listed:
		t.Errorf("tcId %d (%s) no longer deviates (%s)", v.id, v.comment, reason)
	}
}

// Every JWE is refused whatever it says, also the valid ones, and none of them
// makes anything panic.
func TestWycheproofJWE(t *testing.T) {
	t.Parallel()
	v := readVectors(t, "json_web_encryption_test.json")
	i := issuer(t, ecSigner(t, "ES256"))
	seen := 0
	for _, g := range v.TestGroups {
		for _, tc := range g.Tests {
			seen++
			if _, err := token.Parse(tc.JWE); err == nil {
				t.Errorf("tcId %d (%s): Parse accepts a JWE", tc.ID, tc.Comment)
			}
			if facts, err := judge(t, i, tc.JWE); facts != nil || token.Reason(err) == "" {
				t.Errorf("tcId %d (%s): got %v, %v; want a refusal", tc.ID, tc.Comment, facts, err)
			}
		}
	}
	if seen != v.NumberOfTests || seen != 139 {
		t.Errorf("ran %d vectors, the file says %d, want 139", seen, v.NumberOfTests)
	}
}
