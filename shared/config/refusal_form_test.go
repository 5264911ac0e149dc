package config_test

// formRefusals are about YAML, keys, variables and values by themselves.
var formRefusals = []refusal{
	{
		"an empty file is refused",
		"", "",
		"1:1: is empty; it needs providers and apis", seen,
	},
	{
		"a file of comments is refused",
		"", "# nothing\n",
		"1:1: is empty; it needs providers and apis", seen,
	},
	{
		"text that is no mapping is refused",
		"", "orders\n",
		"1:1: is text; it must have keys: publicURL, resultCache, providers, apis, registration, broker", seen,
	},
	{
		"what is not YAML is refused at its line",
		"    type: okta", "    type: okta: x",
		"3:1: is not YAML: mapping values are not allowed in this context", seen,
	},
	{
		"an unquoted variable inside brackets is explained",
		`["api://default"]`, "[${AUDIENCE}]",
		`5:1: is not YAML: did not find expected ',' or ']' in what begins here; inside [ ] and { }, quote what has braces: "${NAME}", "GET /orders/{id}"`, seen,
	},
	{
		"an unquoted path parameter inside braces is explained",
		"      - route: GET /orders\n        scopes: [orders:read]", "      - {route: GET /orders/{id}}",
		`10:1: is not YAML: did not find expected ',' or '}' in what begins here; inside [ ] and { }, quote what has braces: "${NAME}", "GET /orders/{id}"`, seen,
	},
	{
		"a second document is refused",
		"apis:", "---\napis:",
		"6:1: holds a second document; write one, without a further ---", seen,
	},
	{
		"an anchor and its alias are refused",
		"audiences: [\"api://default\"]\napis:\n  - name: orders", `audiences: &a ["api://default"]
    algorithms: *a
apis:
  - name: orders`,
		"5:16: providers[0].audiences: has an anchor; remove it and write values out where they are needed\n" +
			"6:17: providers[0].algorithms: is an alias; write the value out", seen,
	},
	{
		"an alias of nothing is refused",
		"providers: [okta]", "providers: *none",
		"8:16: is not YAML: an alias of nothing; write the value out", seen,
	},
	{
		"wrong indentation is refused where the list begins",
		"    issuer", "   issuer",
		"2:1: is not YAML: did not find expected '-' indicator in what begins here", seen,
	},
	{
		"a merge key is refused",
		`    audiences: ["api://default"]`, "    audiences: &a [\"api://default\"]\n    <<: {tokens: jwt}",
		"5:16: providers[0].audiences: has an anchor; remove it and write values out where they are needed\n" +
			"6:5: providers[0]: has a merge key (<<); write the keys out", unseen,
	},
	{
		"a tag is refused",
		"name: okta\n", "name: !!str okta\n",
		"2:11: providers[0].name: has a tag; remove it, the key says what kind of value it is", unseen,
	},
	{
		"an anchor under an unknown key is refused, too",
		"    routes:", "    x: {y: [&z 1]}\n    routes:",
		"9:5: apis[0].x: is no key here; there are name, providers, match, profile, tokenIn, httpAnswer, contract, resource, url, owners, tiers, introspectedBy, exposeClaims, routes\n" +
			"9:13: apis[0].x.y[0]: has an anchor; remove it and write values out where they are needed", seen,
	},
	{
		"an unknown key is refused, with the known one that is near",
		"    routes:", "    httpanswer: iam\n    routes:",
		`9:5: apis[0].httpanswer: is no key here; did you mean "httpAnswer"?`, seen,
	},
	{
		"an unknown key with none near is refused, with all there are",
		"    routes:", "    priority: high\n    routes:",
		"9:5: apis[0].priority: is no key here; there are name, providers, match, profile, tokenIn, httpAnswer, contract, resource, url, owners, tiers, introspectedBy, exposeClaims, routes", seen,
	},
	{
		"an unknown key at the top is refused",
		"providers:\n  - name", "version: x\nproviders:\n  - name",
		"1:1: version: is no key here; there are publicURL, resultCache, providers, apis, registration, broker", seen,
	},
	{
		"a repeated key is refused, with the line of the first",
		"    type: okta", "    type: okta\n    type: okta",
		"4:5: providers[0].type: is repeated; line 3 has it already", seen,
	},
	{
		"a key that is a list is refused",
		"    routes:", "    ? [a, b]\n    : c\n    routes:",
		"9:7: apis[0]: has a list as a key; a key is a word", seen,
	},
	{
		"a missing key is reported at what should have it",
		"  - name: okta\n    type: okta\n", "  - type: okta\n",
		"2:5: providers[0].name: is missing; write for example name: okta", seen,
	},
	{
		"a missing list is reported",
		"    providers: [okta]\n", "",
		"7:5: apis[0].providers: is missing", seen,
	},
	{
		"a file without APIs is refused",
		`apis:
  - name: orders
    providers: [okta]
    routes:
      - route: GET /orders
        scopes: [orders:read]
`, "",
		"1:1: apis: is missing", seen,
	},
	{
		"an API without routes is refused",
		"    routes:\n      - route: GET /orders\n        scopes: [orders:read]\n", "    routes: []\n",
		"9:13: apis[0].routes: is an empty list; name at least one", seen,
	},
	{
		"a key without a value is refused",
		"    providers: [okta]", "    providers:",
		"8:15: apis[0].providers: has no value; give it one", seen,
	},
	{
		"a key without a value that need not be there is refused",
		"    type: okta", "    type: okta\n    secret:",
		"4:12: providers[0].secret: has no value; give it one or remove the key", seen,
	},
	{
		"a very long key and a very long value are cut",
		"    type: okta", "    type: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n    kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: 1",
		`3:11: providers[0].type: is "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"; it must be one of okta, pingfederate, openam, keycloak, rfc7591` + "\n" +
			`4:5: providers[0]."kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk…": is no key here; there are name, type, issuer, secret, adminSecret, openRegistration, afterCreate, tokens, audiences, insecureAnyAudience, algorithms, clientIDClaims, scopeClaims, tokenTypes, requiredClaims, requestTimeout, endpoints, resource, keysFile, keysOnly, maxLifetime, leeway, cacheEntries, cacheMax`, seen,
	},
	{
		"text for a list is refused",
		"[okta]", "okta",
		"8:16: apis[0].providers: is text; it must be a list, even of one: [ ]", seen,
	},
	{
		"a list for text is refused",
		"    type: okta", "    type: [okta]",
		"3:11: providers[0].type: is a list; it must be one value", seen,
	},
	{
		"a list for a mapping is refused",
		"    routes:", "    match: [orders]\n    routes:",
		"9:12: apis[0].match: is a list; it must have keys: stageVariable, apiIds, domains", seen,
	},
	{
		"an unquoted number for text is refused",
		"name: orders", "name: 17",
		"7:11: apis[0].name: is a number; it must be text, so quote it", seen,
	},
	{
		"an unquoted boolean for text is refused",
		"        scopes: [orders:read]", "        scopes: [true]",
		"11:18: apis[0].routes[0].scopes[0]: is a boolean; it must be text, so quote it", seen,
	},
	{
		"a quoted number is refused",
		"    type: okta", "    type: okta\n    cacheEntries: \"5\"",
		"4:19: providers[0].cacheEntries: is text; write it without quotes", seen,
	},
	{
		"a negative number is refused",
		"    type: okta", "    type: okta\n    cacheEntries: -1",
		`4:19: providers[0].cacheEntries: is "-1"; it must be a whole number from 0 to 100000`, seen,
	},
	{
		"a number above its bound is refused",
		"    type: okta", "    type: okta\n    cacheEntries: 100001",
		`4:19: providers[0].cacheEntries: is "100001"; it must be a whole number from 0 to 100000`, seen,
	},
	{
		"a word for a boolean is refused",
		"    type: okta", "    type: okta\n    keysOnly: no",
		`4:15: providers[0].keysOnly: is "no"; it must be true or false`, seen,
	},
	{
		"a duration without a unit is refused",
		"    type: okta", "    type: okta\n    requestTimeout: 5",
		`4:21: providers[0].requestTimeout: is "5"; it must be a duration with a unit, such as 500ms, 30s, 10m or 1h`, seen,
	},
	{
		"a duration with a fraction is refused",
		"    type: okta", "    type: okta\n    requestTimeout: 1.5s",
		`4:21: providers[0].requestTimeout: is "1.5s"; it must be a duration with a unit, such as 500ms, 30s, 10m or 1h`, seen,
	},
	{
		"a duration below its bound is refused",
		"    type: okta", "    type: okta\n    requestTimeout: 99ms",
		`4:21: providers[0].requestTimeout: is "99ms"; it must be from 100ms to 10s`, unseen,
	},
	{
		"a duration above its bound is refused",
		"    type: okta", "    type: okta\n    requestTimeout: 11s",
		`4:21: providers[0].requestTimeout: is "11s"; it must be from 100ms to 10s`, unseen,
	},
	{
		"a result cache of part of a second is refused",
		"providers:\n  - name", "resultCache: 1500ms\nproviders:\n  - name",
		`1:14: resultCache: is "1500ms"; API Gateway counts whole seconds`, unseen,
	},
	{
		"a result cache of more than API Gateway has is refused",
		"providers:\n  - name", "resultCache: 61m\nproviders:\n  - name",
		`1:14: resultCache: is "61m"; it must be from 0s to 1h`, unseen,
	},
	{
		"a leeway of 0 is refused",
		"    type: okta", "    type: okta\n    leeway: 0",
		`4:13: providers[0].leeway: is "0"; it must be from 1s to 60s`, seen,
	},
	{
		"a leeway of more than a minute is refused",
		"    type: okta", "    type: okta\n    leeway: 61s",
		`4:13: providers[0].leeway: is "61s"; it must be from 1s to 60s`, unseen,
	},
	{
		"an unlimited lifetime is refused",
		"    type: okta", "    type: okta\n    maxLifetime: 0",
		`4:18: providers[0].maxLifetime: is "0"; it must be from 1m to 876000h`, seen,
	},
	{
		"a lifetime of more than a century is refused",
		"    type: okta", "    type: okta\n    maxLifetime: 876001h",
		`4:18: providers[0].maxLifetime: is "876001h"; it must be from 1m to 876000h`, unseen,
	},
	{
		"a word that is not among the values is refused, with the near one",
		"type: okta", "type: oktaa",
		`3:11: providers[0].type: is "oktaa"; it must be one of okta, pingfederate, openam, keycloak, rfc7591; did you mean "okta"?`, seen,
	},
	{
		"a contract that is neither required nor none is refused",
		"    routes:", "    contract: optional\n    routes:",
		`9:15: apis[0].contract: is "optional"; it must be one of required, none`, seen,
	},
	{
		"a use of resource indicators that there is not is refused",
		"    type: okta", "    type: okta\n    resource: ignore",
		`4:15: providers[0].resource: is "ignore"; it must be one of pass, drop, audience`, seen,
	},
	{
		"a word that is like none of the values is refused",
		"    routes:", "    profile: lenient\n    routes:",
		`9:14: apis[0].profile: is "lenient"; it must be one of strict, mulesoft`, seen,
	},
	{
		"a repeated element is refused",
		"        scopes: [orders:read]", "        scopes: [a, b, a]",
		`11:24: apis[0].routes[0].scopes[2]: is repeated: "a"`, seen,
	},
	{
		"an empty element is refused",
		"        scopes: [orders:read]", `        scopes: [""]`,
		"11:18: apis[0].routes[0].scopes[0]: is empty", seen,
	},
	{
		"empty text where there must be some is refused",
		"name: orders", `name: ""`,
		"7:11: apis[0].name: is empty", seen,
	},
	{
		"a control character is refused",
		"name: orders", "name: \"or\\tders\"",
		"7:11: apis[0].name: contains a line break or another control character", unseen,
	},
	{
		"a space at the end is refused",
		"name: orders", `name: "orders "`,
		"7:11: apis[0].name: begins or ends with a space", unseen,
	},
	{
		"a missing variable is refused by its name",
		"name: orders", "name: ${PREFIX}-${STAGE}",
		"7:11: apis[0].name: needs the environment variable PREFIX, which is not set\n" +
			"7:11: apis[0].name: needs the environment variable STAGE, which is not set", unseen,
	},
	{
		"an empty variable is refused where there must be text",
		"issuer: https://example.okta.com/oauth2/default", "issuer: ${EMPTY}",
		"4:13: providers[0].issuer: is empty", unseen,
	},
	{
		"an empty variable in a list is refused",
		`["api://default"]`, `["${EMPTY}"]`,
		"5:17: providers[0].audiences[0]: is empty", unseen,
	},
	{
		"a variable with a line break is refused",
		"name: orders", "name: a${BREAK}",
		"7:11: apis[0].name: contains a line break or another control character", unseen,
	},
	{
		"a variable that makes a value too long is refused",
		"name: orders", "name: ${LONG}",
		"7:11: apis[0].name: is longer than 8 KiB with its variables", unseen,
	},
	{
		"a ${ without a name is refused",
		"name: orders", "name: ${}",
		"7:11: apis[0].name: has a ${ that names no variable; write ${NAME}, or $${ for a literal ${", unseen,
	},
	{
		"a ${ without an end is refused",
		"name: orders", `name: "${A-B}"`,
		"7:11: apis[0].name: has a ${ that names no variable; write ${NAME}, or $${ for a literal ${", unseen,
	},
	{
		"what a variable holds is not shown",
		"type: okta", "type: ${PASSWORD}",
		`3:11: providers[0].type: is "${PASSWORD}"; it must be one of okta, pingfederate, openam, keycloak, rfc7591`, unseen,
	},
	{
		"a variable in the name of a claim is refused",
		"        scopes: [orders:read]", `        claims: {"${EMPTY}": a}`,
		"11:18: apis[0].routes[0].claims.${EMPTY}: is no name of a claim; variables are for values", unseen,
	},
}
