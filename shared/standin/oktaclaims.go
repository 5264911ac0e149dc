package standin

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// randomID returns the jti of a new access token.
func (okta) randomID() string { return "AT." + random() }

// countedID returns the jti of the nth minted access token.
func (o okta) countedID(n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", o.base, n))
	return "AT." + encode(sum[:])
}

// accessClaims returns the claims of an access token for g but for its jti. The
// scopes are the array "scp", the client is "cid", the subject of a user's
// token is the login, and a client's has no uid.
func (okta) accessClaims(g *grant, now time.Time) map[string]any {
	claims := map[string]any{}
	if g.user == nil {
		maps.Copy(claims, g.client.Claims)
	} else {
		maps.Copy(claims, userClaims(g.user))
		claims["uid"] = g.user.ID
		claims["auth_time"] = g.authTime.Unix()
	}
	maps.Copy(claims, map[string]any{
		"ver": 1,
		"iss": g.as.issuer,
		"aud": g.as.Audience,
		"sub": g.client.ID,
		"iat": now.Unix(),
		"exp": now.Add(g.as.Lifetime).Unix(),
		"cid": g.client.ID,
		"scp": append([]string{}, g.scopes...),
	})
	if g.user != nil {
		claims["sub"] = g.user.Login
	}
	return claims
}

// idClaims returns the claims of an ID token for g but for at_hash.
func (okta) idClaims(g *grant, now time.Time) map[string]any {
	claims := userClaims(g.user)
	maps.Copy(claims, map[string]any{
		"ver":                1,
		"jti":                "ID." + random(),
		"iss":                g.as.issuer,
		"aud":                g.client.ID,
		"sub":                g.user.ID,
		"iat":                now.Unix(),
		"exp":                now.Add(time.Hour).Unix(),
		"auth_time":          g.authTime.Unix(),
		"amr":                []string{"pwd"},
		"idp":                oktaID("00o", g.as.issuer),
		"preferred_username": g.user.Login,
	})
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	return claims
}

func userClaims(u *User) map[string]any {
	claims := map[string]any{}
	maps.Copy(claims, u.Claims)
	if u.Groups != nil {
		claims["groups"] = u.Groups
	}
	return claims
}

// clientOf returns the client a token was issued to: cid of an access token,
// the audience of an ID token.
func (okta) clientOf(claims map[string]any) string {
	if cid, ok := claims["cid"].(string); ok {
		return cid
	}
	aud, _ := claims["aud"].(string)
	return aud
}

// mayAsk lets any client ask about any token of its authorization server.
func (okta) mayAsk(Client, map[string]any) bool { return true }

// introspection returns what the introspection endpoint says of a live access
// or ID token. What is scp and cid in the token is scope and client_id here.
func (o okta) introspection(claims map[string]any) map[string]any {
	answer := maps.Clone(claims)
	for _, name := range []string{"ver", "cid", "scp"} {
		delete(answer, name)
	}
	answer["active"] = true
	answer["client_id"] = o.clientOf(claims)
	if _, ok := claims["uid"]; ok {
		answer["username"] = claims["sub"]
	}
	if login, ok := claims["preferred_username"]; ok {
		answer["username"] = login
	}
	if scopes, ok := claims["scp"].([]any); ok {
		answer["token_type"] = "Bearer"
		answer["scope"] = joinAny(scopes)
	}
	return answer
}

func joinAny(values []any) string {
	var names []string
	for _, v := range values {
		if name, ok := v.(string); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// refreshIntrospection returns what the introspection endpoint says of a live
// refresh token.
func (okta) refreshIntrospection(t refreshToken) map[string]any {
	return map[string]any{
		"active":     true,
		"token_type": "Bearer",
		"scope":      strings.Join(t.grant.scopes, " "),
		"client_id":  t.grant.client.ID,
		"username":   t.grant.user.Login,
		"exp":        json.Number(fmt.Sprint(t.expires.Unix())),
		"sub":        t.grant.user.Login,
	}
}
