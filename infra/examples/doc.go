// Package examples holds the tests of the examples in the folders below: each
// template runs in the emulator of API Gateway, with the real authorizer in front
// of its backend. There is nothing in the package but tests.
package examples
