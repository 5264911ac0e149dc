package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/infra/tooltest"
)

const standards = "../../docs/standards.md"

var (
	// aTest is the name of a test that begins with the numbers of requirements, or
	// of a part of a test that does.
	aTest   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)((?:_?(?:CI|[A-Z])[0-9]+)+)(?:[A-Z_][A-Za-z0-9_]*)?)\(|\.Run\("((?:CI|[A-Z])[0-9]+) `)
	aNumber = regexp.MustCompile(`(CI|[A-Z])([0-9]+)`)
	aRow    = regexp.MustCompile(`^\| ((?:CI|[A-Z])[0-9]+) \|`)
	notDone = "## What is not done"
)

// TestStandards holds the table of requirements against the tests.
func TestStandards(t *testing.T) {
	t.Parallel()
	tests := testsByNumber(t)
	var want bytes.Buffer
	rows, done := map[string]bool{}, true
	text := contents(t, standards)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		done = done && line != notDone
		if m := aRow.FindStringSubmatch(line); m != nil {
			number := m[1]
			if rows[number] {
				t.Errorf("%s is there twice", number)
			}
			rows[number] = true
			switch proofs := tests[number]; {
			case done && len(proofs) == 0:
				t.Errorf("%s has no test", number)
			case done:
				cells := strings.Split(line, " | ")
				line = strings.Join(append(cells[:3], strings.Join(proofs, ", ")), " | ") + " |"
			case len(proofs) > 0:
				t.Errorf("%s is not done, and has the tests %v", number, proofs)
			}
		}
		fmt.Fprintln(&want, line)
	}
	for number := range tests {
		if !rows[number] {
			t.Errorf("%v: there is no requirement %s", tests[number], number)
		}
	}
	noneIsMissing(t, rows)
	faults := 0
	for number := range rows {
		if strings.HasPrefix(number, "F") {
			faults++
		}
	}
	tooltest.Count(t, "requirements with a test that is named after them", int64(len(tests)))
	tooltest.Count(t, "requirements of these, faults that are survived", int64(faults))
	if *update {
		if err := os.WriteFile(standards, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), string(text)); diff != "" {
		t.Errorf("%s: go test ./infra/local -run Standards -update (-want +got):\n%s", standards, diff)
	}
}

// testsByNumber are the tests of the repository that name requirements, as a
// reader finds them: `package.Test`.
func testsByNumber(t *testing.T) map[string][]string {
	t.Helper()
	tests := map[string][]string{}
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range aTest.FindAllSubmatch(contents(t, filepath.Join("../..", path)), -1) {
			name, numbers := string(m[1]), string(m[2])
			if name == "" {
				name, numbers = filepath.Base(path), string(m[3])
			}
			for _, number := range aNumber.FindAllString(numbers, -1) {
				proof := fmt.Sprintf("`%s.%s`", filepath.Base(filepath.Dir(path)), name)
				if !slices.Contains(tests[number], proof) {
					tests[number] = append(tests[number], proof)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, proofs := range tests {
		slices.Sort(proofs)
	}
	return tests
}

// noneIsMissing fails unless the requirements of each kind are numbered from 1
// without a gap.
func noneIsMissing(t *testing.T, rows map[string]bool) {
	t.Helper()
	last := map[string]int{}
	for number := range rows {
		m := aNumber.FindStringSubmatch(number)
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		last[m[1]] = max(last[m[1]], n)
	}
	for _, kind := range slices.Sorted(maps.Keys(last)) {
		for n := 1; n <= last[kind]; n++ {
			if number := kind + strconv.Itoa(n); !rows[number] {
				t.Errorf("%s is missing", number)
			}
		}
	}
}
