// An authorizer as the README of aws-jwt-verify leads to it. JWKS, if set, is the
// key set itself.
import { JwtVerifier } from "aws-jwt-verify";

const verifier = JwtVerifier.create({
  issuer: process.env.ISSUER,
  audience: "api://default",
  jwksUri: process.env.JWKS_URL,
});
if (process.env.JWKS) {
  verifier.cacheJwks(JSON.parse(process.env.JWKS));
}

export const handler = async (event) => {
  const claims = await verifier.verify(event.headers.Authorization.slice("Bearer ".length));
  return {
    principalId: claims.sub,
    policyDocument: {
      Version: "2012-10-17",
      Statement: [{ Action: "execute-api:Invoke", Effect: "Allow", Resource: event.methodArn }],
    },
    context: { client_id: claims.cid },
  };
};
