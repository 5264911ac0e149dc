package config_test

// meaningRefusals are about what values mean, alone and together.
var meaningRefusals = []refusal{
	{
		"a name with a space is refused",
		"name: orders", "name: my orders",
		`7:11: apis[0].name: is "my orders"; a name has at most 64 letters, digits, '-', '_' and '.'`, unseen,
	},
	{
		"a name of more than 64 characters is refused",
		"name: orders", "name: ooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo",
		`7:11: apis[0].name: is "ooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo"; a name has at most 64 letters, digits, '-', '_' and '.'`, unseen,
	},
	{
		"two providers of one name are refused",
		"apis:", `  - {name: okta, type: okta, issuer: "https://b.example.com/x", audiences: [b]}
apis:`,
		`6:12: providers[1].name: is "okta", a name that another one has`, unseen,
	},
	{
		"two APIs of one name are refused",
		"    routes:", `    match: {stageVariable: a}
    routes: [{route: GET /}]
  - name: orders
    providers: [okta]
    match: {stageVariable: b}
    routes:`,
		`11:11: apis[1].name: is "orders", a name that another one has`, unseen,
	},
	{
		"an unknown provider is refused, with the near one",
		"[okta]", "[okat]",
		`8:17: apis[0].providers[0]: is "okat", which is no provider; did you mean "okta"?`, unseen,
	},
	{
		"an unknown provider is refused, with all there are",
		"[okta]", "[keycloak]",
		`8:17: apis[0].providers[0]: is "keycloak", which is no provider; there are okta`, unseen,
	},
	{
		"two providers of an API with one issuer are refused",
		"apis:\n  - name: orders\n    providers: [okta]", `  - {name: okta2, type: okta, issuer: 'https://example.okta.com/oauth2/default', audiences: [b]}
apis:
  - name: orders
    providers: [okta, okta2]`,
		`9:23: apis[0].providers[1]: has the same issuer as "okta", and tokens are told apart by it`, unseen,
	},
	{
		"an issuer without TLS is refused",
		"https://example.okta.com/oauth2/default", "http://example.com",
		"4:13: providers[0].issuer: must begin with https:// (http:// only for localhost, 127.0.0.0/8 and [::1])", unseen,
	},
	{
		"an issuer on a host that only looks local is refused",
		"https://example.okta.com/oauth2/default", "http://localhost.example.com",
		"4:13: providers[0].issuer: must begin with https:// (http:// only for localhost, 127.0.0.0/8 and [::1])", unseen,
	},
	{
		"an issuer in capital letters is refused",
		"https://example.okta.com/oauth2/default", "HTTPS://example.com",
		"4:13: providers[0].issuer: must begin with https:// (http:// only for localhost, 127.0.0.0/8 and [::1])", unseen,
	},
	{
		"an issuer with a query is refused",
		"https://example.okta.com/oauth2/default", "https://example.com/?a=b",
		"4:13: providers[0].issuer: has a query or a fragment; remove everything from the ? or #", unseen,
	},
	{
		"an issuer with a fragment is refused",
		"https://example.okta.com/oauth2/default", "https://example.com/#",
		"4:13: providers[0].issuer: has a query or a fragment; remove everything from the ? or #", unseen,
	},
	{
		"an issuer with a password is refused, and not shown",
		"https://example.okta.com/oauth2/default", "https://user:hunter2@example.com/",
		"4:13: providers[0].issuer: has a user name or password; remove everything up to the @", unseen,
	},
	{
		"an issuer with a space is refused",
		"https://example.okta.com/oauth2/default", "https://example.com/a b",
		"4:13: providers[0].issuer: has a character that URLs do not have, such as a space", unseen,
	},
	{
		"an issuer without a host is refused",
		"https://example.okta.com/oauth2/default", "https:///oauth2",
		"4:13: providers[0].issuer: is no URL such as https://sso.example.com/path", unseen,
	},
	{
		"an issuer that is no URL is refused",
		"https://example.okta.com/oauth2/default", "example.com",
		"4:13: providers[0].issuer: is no URL such as https://sso.example.com/path", unseen,
	},
	{
		"an endpoint without TLS is refused",
		"    type: okta", "    type: okta\n    endpoints: {jwks: http://example.com/keys}",
		"4:23: providers[0].endpoints.jwks: must begin with https:// (http:// only for localhost, 127.0.0.0/8 and [::1])", unseen,
	},
	{
		"an endpoint with a fragment is refused",
		"    type: okta", `    type: okta
    endpoints: {introspection: "https://example.com/i#x"}`,
		"4:32: providers[0].endpoints.introspection: has a query or a fragment; remove everything from the ? or #", unseen,
	},
	{
		"an authorization endpoint with a fragment is refused",
		"    type: okta", `    type: okta
    endpoints: {authorization: "https://example.com/authorize#x"}`,
		"4:32: providers[0].endpoints.authorization: has a query or a fragment; remove everything from the ? or #", unseen,
	},
	{
		"a token endpoint with a password is refused, and not shown",
		"    type: okta", "    type: okta\n    endpoints: {token: 'https://app:hunter2@example.com/token'}",
		"4:24: providers[0].endpoints.token: has a user name or password; remove everything up to the @", unseen,
	},
	{
		"a revocation endpoint without TLS is refused",
		"    type: okta", "    type: okta\n    endpoints: {revocation: http://example.com/revoke}",
		"4:29: providers[0].endpoints.revocation: must begin with https:// (http:// only for localhost, 127.0.0.0/8 and [::1])", unseen,
	},
	{
		"introspection without a secret is refused",
		"    type: okta", "    type: okta\n    tokens: introspect",
		"2:5: providers[0].secret: is missing; tokens: introspect needs the secret of a client that may introspect", unseen,
	},
	{
		"introspection with a secret that is not there says that once",
		"    type: okta", "    type: okta\n    tokens: introspect\n    secret: ${SECRET}",
		"5:13: providers[0].secret: needs the environment variable SECRET, which is not set", unseen,
	},
	{
		"a secret that is no name of one is refused, and not shown",
		"    type: okta", "    type: okta\n    secret: '{\"client_secret\":\"hunter2\"}'",
		"4:13: providers[0].secret: is no ARN or name of a secret; keep the secret itself in Secrets Manager", unseen,
	},
	{
		"a secret file without a path is refused",
		"    type: okta", "    type: okta\n    secret: 'file:'",
		"4:13: providers[0].secret: names no file; write file: and its path", unseen,
	},
	{
		"a provider without audiences is refused",
		"    audiences: [\"api://default\"]\n", "",
		"2:5: providers[0].audiences: is missing; name the aud of this provider's tokens, such as [api://default]", unseen,
	},
	{
		"audiences and any audience are refused together",
		"    type: okta", "    type: okta\n    insecureAnyAudience: true",
		"4:26: providers[0].insecureAnyAudience: contradicts audiences; keep one of them", unseen,
	},
	{
		"the audience any is refused, with the dangerous key",
		`["api://default"]`, "[any]",
		`5:17: providers[0].audiences[0]: is "any", which is compared like any other; to accept tokens made for anyone, set insecureAnyAudience: true`, unseen,
	},
	{
		"audiences: any is refused",
		`["api://default"]`, "any",
		"5:16: providers[0].audiences: is text; it must be a list, even of one: [ ]", seen,
	},
	{
		"a symmetric algorithm is refused",
		"    type: okta", "    type: okta\n    algorithms: [HS256]",
		`4:18: providers[0].algorithms[0]: is "HS256"; it must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519; did you mean "RS256"?`, seen,
	},
	{
		"the algorithm none is refused",
		"    type: okta", "    type: okta\n    algorithms: [RS256, none]",
		`4:25: providers[0].algorithms[1]: is "none"; it must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519`, seen,
	},
	{
		"the type of another kind of token is refused",
		"    type: okta", "    type: okta\n    tokenTypes: [application/LOGOUT+jwt]",
		`4:18: providers[0].tokenTypes[0]: is "application/LOGOUT+jwt", which is no access token`, unseen,
	},
	{
		"a token type that is no media type is refused",
		"    type: okta", "    type: okta\n    tokenTypes: [a b]",
		`4:18: providers[0].tokenTypes[0]: is "a b"; it must be a media type such as at+jwt or JWT, or "" for none`, unseen,
	},
	{
		"keysOnly without keysFile is refused",
		"    type: okta", "    type: okta\n    keysOnly: true",
		"4:15: providers[0].keysOnly: needs keysFile, the keys to use", unseen,
	},
	{
		"keysOnly with introspection is refused",
		"    type: okta", `    type: okta
    keysOnly: true
    keysFile: k.json
    tokens: introspect
    secret: a`,
		"4:15: providers[0].keysOnly: contradicts tokens: introspect, which uses no keys", unseen,
	},
	{
		"keysOnly with a place to fetch keys from is refused",
		"    type: okta", `    type: okta
    keysOnly: true
    keysFile: k.json
    endpoints: {jwks: https://example.com/k}`,
		"4:15: providers[0].keysOnly: contradicts endpoints.jwks; keep one of them", unseen,
	},
	{
		"a keys file outside of the function is refused",
		"    type: okta", "    type: okta\n    keysFile: ../k.json",
		`4:15: providers[0].keysFile: is "../k.json", outside of what is packed with the function`, unseen,
	},
	{
		"several APIs without a match are refused",
		"        scopes: [orders:read]\n", `        scopes: [orders:read]
  - name: two
    providers: [okta]
    routes: [{route: GET /}]
`,
		"7:5: apis[0].match: is missing; with several APIs each needs one, such as {stageVariable: orders}\n" +
			"12:5: apis[1].match: is missing; with several APIs each needs one, such as {stageVariable: orders}", unseen,
	},
	{
		"an empty match among several APIs is refused",
		"    routes:\n      - route: GET /orders\n        scopes: [orders:read]\n", `    match: {}
    routes: [{route: GET /}]
  - name: two
    providers: [okta]
    match: {domains: [a.example.com]}
    routes: [{route: GET /}]
`,
		"9:12: apis[0].match: is missing; with several APIs each needs one, such as {stageVariable: orders}", unseen,
	},
	{
		"two APIs with one stage variable are refused",
		"    routes:\n      - route: GET /orders\n        scopes: [orders:read]\n", `    match: {stageVariable: a}
    routes: [{route: GET /}]
  - name: two
    providers: [okta]
    match: {stageVariable: a}
    routes: [{route: GET /}]
`,
		`13:28: apis[1].match.stageVariable: is "a", which apis[0].match has already`, unseen,
	},
	{
		"two APIs with one API id are refused",
		"    routes:\n      - route: GET /orders\n        scopes: [orders:read]\n", `    match: {apiIds: [a1, b2]}
    routes: [{route: GET /}]
  - name: two
    providers: [okta]
    match: {apiIds: [c3, a1]}
    routes: [{route: GET /}]
`,
		`13:26: apis[1].match.apiIds[1]: is "a1", which apis[0].match has already`, unseen,
	},
	{
		"an API id that is none is refused",
		"    routes:", "    match: {apiIds: [A1]}\n    routes:",
		`9:22: apis[0].match.apiIds[0]: is "A1"; it must be an API id such as a1b2c3d4e5`, unseen,
	},
	{
		"a domain with a path is refused",
		"    routes:", "    match: {domains: [api.example.com/v1]}\n    routes:",
		`9:23: apis[0].match.domains[0]: is "api.example.com/v1"; it must be a host name in lower case, such as api.example.com`, unseen,
	},
	{
		"a domain in capital letters is refused",
		"    routes:", "    match: {domains: [API.example.com]}\n    routes:",
		`9:23: apis[0].match.domains[0]: is "API.example.com"; it must be a host name in lower case, such as api.example.com`, unseen,
	},
	{
		"a stage variable that API Gateway cannot hold is refused",
		"    routes:", "    match: {stageVariable: a b}\n    routes:",
		`9:28: apis[0].match.stageVariable: is "a b"; it must be letters, digits and -._~:/?#&=, which is what stage variables hold`, unseen,
	},
	{
		"a place for tokens that is none is refused",
		"    routes:", "    tokenIn: [cookie]\n    routes:",
		`9:15: apis[0].tokenIn[0]: is "cookie"; it must be one of header, query`, seen,
	},
	{
		"an exposed claim with a name of the authorizer's own is refused",
		"    routes:", "    exposeClaims: [email, error]\n    routes:",
		`9:27: apis[0].exposeClaims[1]: is "error", a name that the authorizer's own answer uses`, unseen,
	},
	{
		"two scopes in one are refused",
		"        scopes: [orders:read]", "        scopes: [a b]",
		`11:18: apis[0].routes[0].scopes[0]: is "a b"; a scope has no space, quote or backslash: write two of them as two elements`, unseen,
	},
	{
		"a route without a method is refused",
		"route: GET /orders", "route: /orders",
		`10:16: apis[0].routes[0].route: route "/orders": is not "METHOD /path" or "$connect"`, unseen,
	},
	{
		"a route that is listed twice is refused at the second",
		"        scopes: [orders:read]\n", `        scopes: [orders:read]
      - route: GET /{a}
      - route: GET /{b}
      - route: GET /orders
`,
		`13:16: apis[0].routes[2].route: route "GET /{b}": is listed already, as "GET /{a}"` + "\n" +
			`14:16: apis[0].routes[3].route: route "GET /orders": is listed already, as "GET /orders"`, unseen,
	},
	{
		"a refused route that wants a scope is refused",
		"        scopes: [orders:read]", "        scopes: [a]\n        refuse: true",
		`10:16: apis[0].routes[0].route: route "GET /orders": is refused to everybody, so it cannot want scopes or claims`, unseen,
	},
	{
		"a scope with a variable is shown as written",
		"        scopes: [orders:read]", "        scopes: [\"${PASSWORD}\"]\n        anyScope: [\"${PASSWORD}\"]",
		`10:16: apis[0].routes[0].route: route "GET /orders": the scope "${PASSWORD}" occurs twice`, unseen,
	},
	{
		"a route with a variable is shown as written",
		"route: GET /orders", "route: GET /${PASSWORD}/",
		`10:16: apis[0].routes[0].route: is "GET /${PASSWORD}/", which is refused with what variables hold; write the API's routes out to see why`, unseen,
	},
	{
		"claims that are a list are refused",
		"        scopes: [orders:read]", "        claims: [groups]",
		"11:17: apis[0].routes[0].claims: is a list; it must name claims and their values, such as {groups: platform}", seen,
	},
	{
		"claims without a claim are refused",
		"        scopes: [orders:read]", "        claims: {}",
		"11:17: apis[0].routes[0].claims: is empty; it must name claims and their values, such as {groups: platform}", seen,
	},
	{
		"a claim without a value is refused",
		"        scopes: [orders:read]", "        claims: {groups: [], tenant: , team: ''}",
		"11:26: apis[0].routes[0].claims.groups: is an empty list; name a value or remove the claim\n" +
			"11:38: apis[0].routes[0].claims.tenant: is empty; it must be text, so quote it\n" +
			"11:46: apis[0].routes[0].claims.team: is empty", seen,
	},
	{
		"a claim with a fraction is refused",
		"        scopes: [orders:read]", "        claims: {level: 1.0}",
		"11:25: apis[0].routes[0].claims.level: is a number; it must be text, so quote it", unseen,
	},
	{
		"a claim with a number that tokens do not write so is refused",
		"        scopes: [orders:read]", "        claims: {level: 007}",
		"11:25: apis[0].routes[0].claims.level: is a number; it must be text, so quote it", unseen,
	},
	{
		"a claim with a mapping is refused",
		"        scopes: [orders:read]", "        claims: {groups: {any: a}}",
		"11:26: apis[0].routes[0].claims.groups: is a mapping; it must be a value or a list of values", seen,
	},
	{
		"several problems are reported at once, in the order of the file",
		"", `resultCache: 2h
providers:
  - name: okta
    type: okat
    issuer: http://example.com
    secret: ${SECRET}
    algorithms: [RS256, HS256]
apis:
  - name: orders
    providers: [okta, keycloak]
    tokenin: [header]
    routes:
      - {route: GET /orders, scopes: [a, a]}
      - {route: GET orders}
      - {route: GET /orders}
  - name: orders
`,
		`1:14: resultCache: is "2h"; it must be from 0s to 1h` + "\n" +
			"3:5: providers[0].audiences: is missing; name the aud of this provider's tokens, such as [api://default]\n" +
			`4:11: providers[0].type: is "okat"; it must be one of okta, pingfederate, openam, keycloak, rfc7591; did you mean "okta"?` + "\n" +
			"5:13: providers[0].issuer: must begin with https:// (http:// only for localhost, 127.0.0.0/8 and [::1])\n" +
			"6:13: providers[0].secret: needs the environment variable SECRET, which is not set\n" +
			`7:25: providers[0].algorithms[1]: is "HS256"; it must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519; did you mean "RS256"?` + "\n" +
			"9:5: apis[0].match: is missing; with several APIs each needs one, such as {stageVariable: orders}\n" +
			`10:23: apis[0].providers[1]: is "keycloak", which is no provider; there are okta` + "\n" +
			`11:5: apis[0].tokenin: is no key here; did you mean "tokenIn"?` + "\n" +
			`13:42: apis[0].routes[0].scopes[1]: is repeated: "a"` + "\n" +
			`14:17: apis[0].routes[1].route: route "GET orders": the path does not begin with /` + "\n" +
			`15:17: apis[0].routes[2].route: route "GET /orders": is listed already, as "GET /orders"` + "\n" +
			"16:5: apis[1].providers: is missing\n" +
			"16:5: apis[1].routes: is missing\n" +
			"16:5: apis[1].match: is missing; with several APIs each needs one, such as {stageVariable: orders}\n" +
			`16:11: apis[1].name: is "orders", a name that another one has`, seen,
	},
}
