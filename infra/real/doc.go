// Package real holds the tests that take the adapters of package provider to
// real identity providers: Keycloak, OpenAM and the OpenID-certified npm module
// oidc-provider; and the certified relying party oauth4webapi to the broker.
// There is nothing in it but tests.
//
// All of it comes from Maven Central and the npm registry once, stays in the
// user's cache, and runs on loopback ports until the tests end. Where Java (21
// for Keycloak, 17 for OpenAM), Maven, Node.js or npm is missing the tests are
// skipped; in CI (environment variable CI) they fail. They say nothing about
// vendors that nobody can download; those have stand-ins.
package real
