// oidc-provider on a loopback port, as its authors configure it by default but
// for what the tests need: client registration behind an initial access token,
// a client that introspects, and two resources.
//
// node server.mjs MODULES PORT INITIAL_ACCESS_TOKEN CLIENT_ID CLIENT_SECRET

import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, port, initialAccessToken, client_id, client_secret] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(join(modules, "oidc-provider/lib/index.js")));

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id, client_secret, grant_types: [], response_types: [], redirect_uris: [] }],
  scopes: ["offline_access", "orders:read"], // the first makes refresh_token a grant type
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true, initialAccessToken },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: "orders:read",
        accessTokenFormat: resource.endsWith("/opaque") ? "opaque" : "jwt",
      }),
    },
  },
});

provider.listen(Number(port), "127.0.0.1");
