//go:build race

package policy_test

// sample is the part of all small tables of three routes that is tried: under
// the race detector they would take most of a minute.
const sample = 7
