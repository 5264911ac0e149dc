//go:build !race

package policy_test

// sample is the part of all small tables of three routes that is tried.
const sample = 1
