// A client by oauth4webapi, the certified relying-party code, with all of its own
// checks on; only http is allowed, because the servers are on this machine.
//
// node client.mjs MODULES
//
// The first line of standard input is the client: issuer, client_id (if there is
// none it registers itself), client_secret, method, redirect_uri, scope, resource.
// Each line of output is a step and what came of it; or {"open"}, an address for a
// person's browser, of which the next line of input says where it was sent at last.

import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const oauth = await import(pathToFileURL(join(process.argv[2], "oauth4webapi/build/index.js")));

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => (await input.next()).value;
const write = (line) => console.log(JSON.stringify(line));

const config = JSON.parse(await read());
const client = { client_id: config.client_id };
const secretOf = {
  client_secret_basic: oauth.ClientSecretBasic,
  client_secret_post: oauth.ClientSecretPost,
  none: () => oauth.None(),
}[config.method];
const auth = secretOf(config.client_secret);
const confidential = config.method !== "none";

const options = {
  [oauth.allowInsecureRequests]: true,
  // Its third version left this to the user: RFC 6749 section 5.1.
  [oauth.customFetch]: async (url, init) => {
    const response = await fetch(url, init);
    if (init.method === "POST" && response.headers.get("cache-control") !== "no-store") {
      throw new Error(`${url} can be kept: ${response.headers.get("cache-control")}`);
    }
    return response;
  },
};

// problem is what a person would be told of an error.
function problem(e) {
  if (e instanceof oauth.ResponseBodyError) return `${e.status} ${e.error}`;
  if (e instanceof oauth.WWWAuthenticateChallengeError) return `${e.response.status} ${e.cause.map((c) => c.scheme)}`;
  if (e instanceof oauth.AuthorizationResponseError) return e.error;
  return e.message;
}

async function step(name, act) {
  let got;
  try {
    got = await act();
  } catch (e) {
    got = problem(e);
  }
  write({ step: name, got });
}

let as;

await step("the metadata are its own, with PKCE and iss", async () => {
  const issuer = new URL(config.issuer);
  const response = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...options });
  as = await oauth.processDiscoveryResponse(issuer, response);
  return `${as.issuer === config.issuer}, ${as.code_challenge_methods_supported}, ${as.authorization_response_iss_parameter_supported}`;
});

if (!client.client_id) {
  await step("it registers itself", async () => {
    const metadata = { client_name: "A stranger", redirect_uris: [config.redirect_uri], token_endpoint_auth_method: config.method, scope: config.scope };
    metadata.grant_types = ["authorization_code", "refresh_token"];
    const response = await oauth.dynamicClientRegistrationRequest(as, metadata, options);
    const registered = await oauth.processDynamicClientRegistrationResponse(response);
    client.client_id = registered.client_id;
    return `${registered.token_endpoint_auth_method}, ${registered.scope}`;
  });
}

// authorize has a person sign in, and returns what the client is told.
async function authorize(changes = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: config.redirect_uri,
    response_type: "code",
    scope: config.scope,
    resource: config.resource,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...changes,
  });
  write({ open: url.href });
  return { verifier, state, told: new URL(await read()) };
}

async function redeem({ verifier, state, told }) {
  const parameters = oauth.validateAuthResponse(as, client, told, state);
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, config.redirect_uri, verifier, options);
  return oauth.processAuthorizationCodeResponse(as, client, response);
}

async function refresh(token, changes = {}) {
  const response = await oauth.refreshTokenGrantRequest(as, client, auth, token, { ...options, additionalParameters: changes });
  return oauth.processRefreshTokenResponse(as, client, response);
}

async function introspect(token) {
  const response = await oauth.introspectionRequest(as, client, auth, token, options);
  const is = await oauth.processIntrospectionResponse(as, client, response);
  if (!is.active) return Object.keys(is).length === 1 ? "inactive" : is;
  return is.client_id === client.client_id ? `active, ${is.scope.split(" ").sort().join(" ")}` : is;
}

async function revoke(token) {
  const response = await oauth.revocationRequest(as, client, auth, token, options);
  await oauth.processRevocationResponse(response);
  return "revoked";
}

// said is what an answer with tokens says.
const said = (t) => `${t.token_type}, ${t.expires_in > 0 ? "expires" : "lasts"}, ${t.refresh_token ? "refresh token" : "no refresh token"}, ${t.scope}`;

await step("a scope that it may not have is refused at its redirect URI", async () => {
  const { state, told } = await authorize({ scope: "orders:admin" });
  oauth.validateAuthResponse(as, client, told, state);
});

let answer;
await step("a person signs in", async () => {
  answer = await authorize();
  return [...answer.told.searchParams.keys()].sort().join();
});
await step("the answer is not taken for another's of this server", () => oauth.validateAuthResponse(as, client, answer.told, oauth.generateRandomState()));
await step("the answer is not taken for another server's", () =>
  oauth.validateAuthResponse({ ...as, issuer: "https://elsewhere.example.com" }, client, answer.told, answer.state));

let first, second;
await step("the code becomes tokens", async () => said((first = await redeem(answer))));
if (confidential) {
  await step("the access token is active", () => introspect(first.access_token));
  await step("the refresh token is active", () => introspect(first.refresh_token));
} else {
  await step("it may not ask about tokens", () => introspect(first.access_token));
}
await step("the refresh token becomes another", async () => {
  second = await refresh(first.refresh_token);
  return `${second.refresh_token !== first.refresh_token && second.access_token !== first.access_token}, ${said(second)}`;
});
await step("and another, with tokens for less", async () => said((second = await refresh(second.refresh_token, { scope: "orders:read" }))));
await step("but none for more than was granted", () => refresh(second.refresh_token, { scope: "orders:admin" }));
if (confidential) {
  await step("the first refresh token is not active any more", () => introspect(first.refresh_token));
}
await step("the last one is revoked", () => revoke(second.refresh_token));
await step("twice, which is fine", () => revoke(second.refresh_token));
if (confidential) {
  await step("it is not active any more", () => introspect(second.refresh_token));
  await step("nor is the access token that came with it, if anybody asks the provider", () => introspect(second.access_token));
}
await step("the revoked refresh token brings nothing", () => refresh(second.refresh_token));

async function own(auth) {
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, { scope: "orders:read", resource: config.resource }, options);
  return oauth.processClientCredentialsResponse(as, client, response);
}

let mine;
await step("it asks for a token of its own", async () => said((mine = await own(auth))));
if (confidential) {
  await step("that token is active", () => introspect(mine.access_token));
  await step("it is revoked", () => revoke(mine.access_token));
  await step("it is not active any more, if anybody asks the provider", () => introspect(mine.access_token));
  await step("a wrong secret brings nothing", async () => said(await own(secretOf("wrong"))));
}

await step("a wrong verifier brings nothing", async () => {
  answer = await authorize();
  return said(await redeem({ ...answer, verifier: oauth.generateRandomCodeVerifier() }));
});
await step("and the right one nothing after it", async () => said(await redeem(answer)));

await step("a code becomes tokens once", async () => {
  answer = await authorize();
  return said((first = await redeem(answer)));
});
await step("the same code brings nothing", async () => said(await redeem(answer)));
await step("and ends what it had brought", () => refresh(first.refresh_token));

process.exit(0); // standard input is still open
