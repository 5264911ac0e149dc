package postman

import "gatehouse/shared/oauth"

// This file is the story: which request comes when, with what, and what must
// come of it. All else is the documents'.

// Values of variables that the story asks about.
const (
	profile, muleSoft      = "profile", "mulesoft"
	selfRegistration, isOn = "self_registration", "on"
)

// ifOpen is what comes of a request where clients can register themselves, and
// where they cannot.
func ifOpen(code, otherwise int) outcome {
	return outcome{codes: []int{code}, variable: selfRegistration, value: isOn, others: []int{otherwise}}
}

// Addresses outside of the documents.
const (
	ordersURL     = "{{api_url}}/orders"
	httpOrdersURL = "{{http_api_url}}/orders"
	order         = `{"item": "lamp", "quantity": 1}`
	jsonMedia     = "application/json"
)

// story is told in this order.
func story(registration, broker *document) []folder {
	return []folder{
		people(),
		access(registration),
		manage(registration),
		calls(broker),
		signIn(broker),
		byHand(),
		strangers(registration, broker),
		rest(broker),
		cleanUp(registration),
	}
}

// ownToken is a token that somebody set up by an administrator gets at the
// provider.
func ownToken(name, about, who, scope string) step {
	return step{
		name: name, about: about, method: "POST", url: "{{provider_token_url}}", auth: basic(who + "_client"), media: jsonMedia,
		body: []member{{"grant_type", oauth.ClientCredentials}, {"scope", scope}},
		want: is(200), keep: []string{who + "_token=access_token"},
	}
}

func people() folder {
	return folder{name: "1 Tokens of people", text: "Callers of the registration API have tokens of the identity provider, by what they may do.", steps: []step{
		ownToken("A developer's token", "A developer may have applications: `gatehouse:applications`. With a provider of your own, this is a client that developers sign in with, or their own token.", "developer", "gatehouse:applications"),
		ownToken("A token of the API's owner", "Owners decide about access to their APIs: `gatehouse:contracts`.", "owner", "gatehouse:contracts"),
		ownToken("An administrator's token", "Administrators see and do everything: `gatehouse:admin`.", "admin", "gatehouse:admin"),
	}}
}

// newApplication is the request for access. It is sent twice.
func newApplication(d *document) step {
	return step{
		doc: d, operation: "createApplication", values: map[string]string{"Idempotency-Key": "{{idempotency_key}}"},
		body: []member{
			{"provider", "{{provider}}"}, {"grant_types", []string{oauth.ClientCredentials, oauth.AuthorizationCode, oauth.RefreshToken}},
			{"redirect_uris", []string{"{{redirect_uri}}"}}, {"scope", "{{scope}}"}, {"contracts.0.api", "{{api}}"}, {"contracts.0.tier", "{{tier}}"},
		},
		want: is(201),
	}
}

func access(d *document) folder {
	first, again := newApplication(d), newApplication(d)
	first.name, first.why = "Request access", "The identity provider gets a client, and the API's owner a request for access. Id and secret of the client are shown this once; they are kept in the environment."
	first.before = []string{"pm.environment.set('idempotency_key', pm.variables.replaceIn('{{$guid}}'));"}
	first.keep = []string{"application_id=id", "client_id=client_id", "client_secret=client_secret"}
	again.name, again.why = "Request access again, with the same key", "Whoever lost the answer asks again with the same `Idempotency-Key`: nothing is done twice."
	again.after = []string{
		"const answer = pm.response.json();",
		"pm.test('it is the same application', () => pm.expect(answer.id === pm.variables.get('application_id') && answer.client_secret === pm.variables.get('client_secret')).to.be.true);",
	}
	return folder{name: "2 Request access", text: "A developer asks for access to an API, and its owner grants it.", steps: []step{
		{doc: d, operation: "listApis", want: is(200)},
		{doc: d, operation: "getApi", values: map[string]string{"api": "{{api}}"}, want: is(200)},
		first, again,
		{
			doc: d, operation: "listRequests", values: map[string]string{"api": "{{api}}", "status": "pending"}, want: is(200),
			why: "The owner of the API sees who asks.",
		},
		{
			doc: d, operation: "decideContract", why: "The owner grants it.", want: is(200),
			values: map[string]string{"api": "{{api}}", "client_id": "{{client_id}}", "provider": "{{provider}}"},
			after:  []string{"pm.test('the access is granted', () => pm.expect(pm.response.json().status).to.equal('approved'));"},
		},
	}}
}

func manage(d *document) folder {
	id := map[string]string{"id": "{{application_id}}"}
	return folder{name: "3 Manage applications", text: "What a developer does with applications, and an administrator with Gatehouse.", steps: []step{
		{doc: d, operation: "listApplications", want: is(200)},
		{doc: d, operation: "getApplication", values: id, want: is(200)},
		{doc: d, operation: "changeApplication", values: id, want: is(200)},
		{doc: d, operation: "rotateSecret", values: id, want: is(200), keep: []string{"client_secret=client_secret"}},
		{doc: d, operation: "endPreviousSecret", values: id, want: is(204)},
		{doc: d, operation: "requestAccess", values: id, body: []member{{"api", "{{api}}"}, {"tier", "{{other_tier}}"}}, want: is(201)},
		{doc: d, operation: "listContracts", values: id, want: is(200)},
		{doc: d, operation: "listAudits", values: id, want: is(200)},
		{doc: d, operation: "listProviders", want: is(200)},
		{doc: d, operation: "listIntents", want: is(200)},
		{
			doc: d, operation: "forgetIntent", values: map[string]string{"marker": "{{intent}}"}, want: is(204, 404),
			why: "Set `intent` to the `marker` of one that stays in the list before. Where all is well there is none, and the answer 404.",
		},
		{doc: d, operation: "getOpenApi", want: is(200)},
	}}
}

func calls(d *document) folder {
	get := step{method: "GET", url: ordersURL, auth: bearer("access_token"), media: jsonMedia, want: is(200)}
	header, atHTTP, brokered, without, wrong, parameter := get, get, get, get, get, get
	header.name, header.about = "Call the API", "The token is in the header `Authorization`. It opens the route, for its client has access and it has the scope."
	atHTTP.name, atHTTP.about, atHTTP.url = "Call the HTTP API", "The same routes behind the other kind of API Gateway.", httpOrdersURL
	brokered.name, brokered.about, brokered.auth = "Call the API with the broker's token", "It is the provider's, whoever handed it out.", bearer("broker_token")
	without.name, without.about, without.auth, without.want = "Without a token", "401, and a challenge that leads to the metadata.", newAuth("noauth"), is(401)
	without.after = []string{"pm.test('there is a challenge', () => pm.expect(pm.response.headers.has('WWW-Authenticate')).to.be.true);"}
	wrong.name, wrong.about, wrong.want = "With a scope that is not enough", "The token may read orders, and this places one: 403.", is(403)
	wrong.method, wrong.json = "POST", order
	parameter.name = "With the token as a request parameter"
	parameter.about = "`access_token` in the query is read where the API has `profile: mulesoft`, as users of Anypoint know it: set `profile` to `mulesoft` then. " +
		"Elsewhere (`strict`) there is no token in the request: 401. Addresses end up in logs and histories; prefer the header."
	parameter.url, parameter.auth = ordersURL+"?access_token={{access_token}}", newAuth("noauth")
	parameter.want = outcome{codes: []int{200}, variable: profile, value: muleSoft, others: []int{401}}
	return folder{name: "4 Get a token and call the API", text: "The application acts for itself: client credentials.", steps: []step{
		{
			name: "A token from the provider", about: "The application is a client of the identity provider, and may ask it.", method: "POST",
			url: "{{provider_token_url}}", auth: basic("client"), media: jsonMedia, body: []member{{"grant_type", oauth.ClientCredentials}, {"scope", "{{scope}}"}},
			want: is(200), keep: []string{"access_token=access_token"},
		},
		{
			doc: d, operation: "getTokens", name: "A token from the broker", why: "Or the broker, which is the same whichever provider there is.",
			example: "itself", body: []member{{"client_id", nil}, {"client_secret", nil}, {"scope", "{{scope}}"}},
			want: is(200), keep: []string{"broker_token=access_token"},
		},
		header, atHTTP, brokered, without, wrong, parameter,
	}}
}

// authorization are the parameters of a request that sends a person to sign in.
func authorization(client string) map[string]string {
	return map[string]string{
		"client_id": client, "redirect_uri": "{{redirect_uri}}", "scope": "{{scope}}", "state": "{{state}}",
		"code_challenge": "{{code_challenge}}",
	}
}

func signIn(d *document) folder {
	begin := append(told(), "pm.environment.set('sign_in_url', location);")
	return folder{name: "5 A person signs in, step by step", text: "Code with PKCE, as a browser and the application send it: for reading, and for Newman. " +
		"The form is that of the stand-in of `make run`; with another provider use the next folder.", steps: []step{
		{
			doc: d, operation: "authorize", why: "The application makes a verifier that only it knows, and sends the browser here with its hash.", values: authorization("{{client_id}}"),
			before: proof(), want: is(303), after: append(begin, cookies()...),
		},
		{
			name: "The person signs in at the provider", about: "The form of the stand-in's page. The password goes to the provider and to nobody else.",
			method: "POST", url: "{{sign_in_url}}", auth: newAuth("noauth"), body: []member{{"username", "{{username}}"}, {"password", "{{password}}"}, {"action", "login"}},
			want: is(303), after: append(told(), "pm.environment.set('provider_state', told.state);", "pm.environment.set('provider_code', told.code);"),
		},
		{
			doc: d, operation: "comeBack", values: map[string]string{"state": "{{provider_state}}", "code": "{{provider_code}}"},
			headers: []field{{Key: "Cookie", Value: "{{browser_cookie}}", Description: "By which the broker knows the browser."}},
			want:    is(303), after: append(back(), "pm.environment.set('code', told.code);"),
		},
		{
			doc: d, operation: "getTokens", name: "The code becomes tokens", example: "code", want: is(200),
			body: []member{{"client_id", nil}, {"code", "{{code}}"}, {"code_verifier", "{{code_verifier}}"}},
			keep: []string{"person_token=access_token", "refresh_token=refresh_token"},
		},
		{name: "Call the API for the person", about: "The token opens what its scopes and the application's access open.", method: "GET", url: ordersURL, auth: bearer("person_token"), media: jsonMedia, want: is(200)},
		{
			doc: d, operation: "getTokens", name: "A new token, without the person", example: "refresh", want: is(200),
			body: []member{{"client_id", nil}, {"refresh_token", "{{refresh_token}}"}, {"scope", "{{scope}}"}, {"resource", nil}},
			keep: []string{"person_token=access_token", "refresh_token=refresh_token"},
		},
	}}
}

// byHand is signed in by Postman itself.
func byHand() folder {
	helper := newAuth("oauth2",
		"grant_type", "authorization_code_with_pkce", "challengeAlgorithm", "S256", "tokenName", "Gatehouse",
		"authUrl", "{{authorize_url}}", "accessTokenUrl", "{{token_url}}", "redirect_uri", "{{redirect_uri}}",
		"clientId", "{{client_id}}", "clientSecret", "{{client_secret}}", "client_authentication", "header", "scope", "{{scope}}",
		"accessToken", "{{person_token}}", "headerPrefix", "Bearer", "addTokenTo", "header")
	helper.attributes = append(helper.attributes, attribute{"useBrowser", true, "boolean"})
	return folder{
		name: "6 A person signs in, by Postman", auth: helper,
		text: "Open the tab *Authorization* of this folder, press *Get New Access Token*, sign in in the browser that opens, and use the token. " +
			"Postman makes the verifier and waits at its own callback, `https://oauth.pstmn.io/v1/callback`, which the application is registered with. " +
			"Postman in a browser has another, `https://oauth.pstmn.io/v1/browser-callback`: set `redirect_uri` before you request access. " +
			"Until then the requests here use the token of the folder before. A client without a secret: *Client Authentication*: *Send client credentials in body*.",
		steps: []step{
			{name: "Call the API with the token that Postman got", about: "The token is the folder's.", method: "GET", url: ordersURL, media: jsonMedia, want: is(200)},
			{name: "Read one order", about: "Another route of the same API.", method: "GET", url: ordersURL + "/1001", media: jsonMedia, want: is(200)},
		},
	}
}

func strangers(registration, broker *document) folder {
	id := map[string]string{"client_id": "{{registered_client_id}}"}
	callbacks := []string{"{{redirect_uri}}", "https://oauth.pstmn.io/v1/browser-callback"}
	consent := append(cookies(),
		"const form = pm.response.text().match(/name=\"request\" value=\"([^\"]*)\"/);",
		"pm.test('the page has a form', () => pm.expect(Boolean(form)).to.be.true);",
		"pm.environment.set('consent_request', form ? form[1] : '');")
	return folder{name: "7 Programs register themselves", text: "RFC 7591 and RFC 7592, with an initial access token. It is off until `registration.dynamic` of gatehouse.yaml names a provider; " +
		"set `self_registration` to `on` then. Where it is off, the requests are refused, and are here to show how.", steps: []step{
		{doc: registration, operation: "issueInitialAccessToken", want: is(201), keep: []string{"initial_access_token=initial_access_token"}},
		{
			doc: registration, operation: "registerClient", body: []member{{"redirect_uris", callbacks[:1]}, {"scope", "openid {{scope}}"}},
			before: forget("registration_access_token", "consent_request"), want: ifOpen(201, 403),
			keep: []string{"registered_client_id=client_id", "registration_access_token=registration_access_token"},
		},
		{doc: registration, operation: "readClient", values: id, want: ifOpen(200, 401)},
		{doc: registration, operation: "replaceClient", values: id, body: []member{{"client_id", "{{registered_client_id}}"}, {"redirect_uris", callbacks}, {"scope", "openid {{scope}}"}}, want: ifOpen(200, 401)},
		{
			doc: broker, operation: "authorize", name: "It sends a person to sign in", why: "Nobody vouches for this client, so the person is asked first.",
			values: authorization("{{registered_client_id}}"), before: proof(), want: ifOpen(200, 400), after: consent,
		},
		{
			doc: broker, operation: "decide", why: "The person does not want to.", body: []member{{"request", "{{consent_request}}"}, {"decision", "deny"}},
			headers: []field{{Key: "Cookie", Value: "{{browser_cookie}}", Description: "By which the broker knows the browser."}},
			want:    ifOpen(303, 400), after: append(back(), "pm.test('access is denied', () => pm.expect(told.error).to.equal('access_denied'));"),
		},
	}}
}

func rest(d *document) folder {
	return folder{name: "8 The broker", text: "What else clients ask the authorization server.", steps: []step{
		{
			doc: d, operation: "getServerMetadata", want: is(200),
			after: []string{"pm.test('it is the issuer', () => pm.expect(pm.response.json().issuer).to.equal(pm.variables.get('gatehouse_url')));"},
		},
		{doc: d, operation: "getServerMetadataByPath", why: "404 where the address of Gatehouse has no path.", want: is(200, 404)},
		{doc: d, operation: "getRootResourceMetadata", why: "404 where no API is at the root of this host.", want: is(200, 404)},
		{doc: d, operation: "getResourceMetadata", values: map[string]string{"path": "{{api}}"}, want: is(200)},
		{
			doc: d, operation: "introspect", body: []member{{"client_id", nil}, {"client_secret", nil}, {"token", "{{refresh_token}}"}}, want: is(200),
			after: []string{"pm.test('it is active', () => pm.expect(pm.response.json().active).to.be.true);"},
		},
		{doc: d, operation: "revoke", body: []member{{"client_id", nil}, {"token", "{{refresh_token}}"}}, want: is(200), before: []string{"pm.environment.set('revoked_token', pm.variables.get('refresh_token'));"}, after: forget("refresh_token")},
		{
			doc: d, operation: "introspect", name: "Ask about the token that was revoked", body: []member{{"client_id", nil}, {"client_secret", nil}, {"token", "{{revoked_token}}"}}, want: is(200),
			after: append([]string{"pm.test('it is not active', () => pm.expect(pm.response.json().active).to.be.false);"}, forget("revoked_token")...),
		},
		{doc: d, operation: "getOpenApi", want: is(200)},
	}}
}

func cleanUp(d *document) folder {
	id := map[string]string{"id": "{{application_id}}"}
	return folder{name: "9 Clean up", text: "The clients are gone at the provider, too, and their tokens out of the environment.", steps: []step{
		{doc: d, operation: "withdrawContract", values: map[string]string{"id": "{{application_id}}", "api": "{{api}}"}, want: is(204)},
		{
			doc: d, operation: "deleteApplication", values: id, want: is(204),
			after: forget("application_id", "client_id", "client_secret", "access_token", "broker_token", "person_token", "code", "code_verifier", "provider_code"),
		},
		{
			doc: d, operation: "deleteClient", values: map[string]string{"client_id": "{{registered_client_id}}"}, want: ifOpen(204, 401),
			after: append(forget("registration_access_token", "initial_access_token"), "pm.environment.set('registered_client_id', 'none');"),
		},
	}}
}
