// Package policy decides which routes of an API a caller may use, and writes
// that decision as the IAM policy document a Lambda authorizer returns.
//
// It is pure: no I/O and no clock. It does not verify tokens, does not know
// providers or contracts, and never looks at more of a request than its method
// and path.
//
// # Routes
//
// A route is a method and a path template as API Gateway knows them, such as
// "GET /orders/{id}" or "ANY /admin/{proxy+}", or "$connect" for a WebSocket
// API. A route that is not listed is refused.
//
// A template is "/", or segments that are literal, {name} (one segment that is
// not empty) or, as the last, {name+} (the whole rest of the path, which is not
// empty but may have slashes and empty segments in it). Literals are compared
// with the path as requested: byte for byte, percent-encoding not decoded. The
// names of parameters do not matter.
//
// Of the routes whose template matches a path, the most specific answers: from
// left to right, a literal is more specific than {name}, {name} than {name+}.
// Only routes that have the method compete. ANY stands for those of DELETE,
// GET, HEAD, OPTIONS, PATCH, POST and PUT that are not listed at the same
// template; HEAD needs what GET needs there unless it is listed itself. Other
// methods are never listed.
//
// # Documents
//
// API Gateway caches an answer and applies it to other requests of the same
// caller. A document therefore allows every listed route that the caller may
// use, none that it may not, and never just the requested ARN.
//
// It compares METHOD/path with the method and template of each allowed route,
// every parameter being "?*", one character or more. That crosses slashes:
// GET/orders/?* also matches GET/orders/1/audit. Where an allowed route matches
// requests that API Gateway sends to a refused one, the document denies the
// pattern of the refused one, and a Deny wins. Where that Deny would match
// requests of an allowed route (GET /files/{path+} allowed, GET /files/{name}
// refused) no document of this kind can tell the two apart; then requests that
// it would wrongly refuse get an answer of their own, which covers their route
// alone or, if that cannot be told apart either, their ARN alone.
// [Table.Report] names such routes. So, of requests for listed routes:
//
//   - a document never allows one that is refused;
//   - the answer to a request allows it if it is allowed, except where its ARN
//     alone would have to be written and is too long or has characters that IAM
//     could read as anything but themselves;
//   - the answer to one request allows another that is allowed, except where
//     the report says otherwise.
//
// The exceptions matter only while API Gateway caches answers.
//
// What a document denies it also denies with a slash at the end, for API Gateway
// may ignore one; only where an allowed {name+} takes such requests it cannot.
//
// A request for a route that is not listed is refused by its own answer. A
// cached answer to another request may match it: a route that API Gateway has
// and the table does not lies open to a neighbour's wildcard. List it with
// Refuse set in its [Requirement], and every document leaves it out.
//
// # Size
//
// Documents are meant to stay below 6,656 bytes, which leaves room for a context
// in the 8 KB that API Gateway takes. ANY is written as seven methods, and HEAD
// beside every GET. Only in a document that would be longer, ANY is written as
// "*" where that is as exact, and if that is not enough, HEAD where it is not
// listed gets answers of its own. Where that is still too long, each request
// gets the answer of its route alone: the report tells before.
package policy
