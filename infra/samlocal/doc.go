// Package samlocal holds the tests that take the functions and the API of the
// walk-through to sam local: what sam build makes, in containers, behind SAM's
// emulation of API Gateway. There is nothing in it but tests.
//
// The containers are those of a Docker engine of the tests' own. It has network,
// mounts and processes to itself, which end with it: nothing in there reaches a
// network, or another engine. The image that AWS publishes for the runtime cannot
// be had without a network; a small Debian stands in for it under its name, made
// by debootstrap once and kept in the user's cache.
//
// It takes Linux, root, and the programs that engine_linux_test.go lists. Where
// one is missing the tests are skipped; in CI (environment variable CI) they fail.
package samlocal
