package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// setDefaults fills in what depends on the provider's type or on its secret.
func (p *Provider) setDefaults() {
	if p.Tokens == "" {
		p.Tokens = JWT
		if p.Secret != "" {
			p.Tokens = Auto
		}
	}
	if p.Resource == "" {
		p.Resource = resourceOf(p.Type)
	}
	names := namesOf(p.Type)
	for _, list := range []struct{ into, value *[]string }{
		{&p.Algorithms, &[]string{"RS256"}},
		{&p.ClientIDClaims, &names.clientID},
		{&p.ScopeClaims, &names.scope},
		{&p.TokenTypes, &names.typ},
		{&p.RequiredClaims, &names.required},
	} {
		if *list.into == nil {
			*list.into = *list.value
		}
	}
}

// resourceOf returns what a type of provider does with resource indicators.
func resourceOf(t ProviderType) ResourceUse {
	if t == RFC7591 || t == PingFederate {
		return PassResource
	}
	return DropResource
}

// names is what a type of provider calls things in its JWTs.
type names struct{ clientID, scope, typ, required []string }

func namesOf(t ProviderType) names {
	scope := []string{"scope", "scp"}
	switch t {
	case Okta:
		// A custom authorization server writes cid, scp and no typ.
		return names{[]string{"cid"}, []string{"scp"}, []string{"", "JWT", "at+jwt"}, nil}
	case PingFederate:
		// The access token manager says the names, the defaults are these; typ
		// is whatever it is set to, or missing.
		return names{[]string{"client_id"}, scope, []string{"", "JWT", "at+jwt"}, nil}
	case OpenAM:
		// Newer releases write client_id. The older ones name the client in aud
		// alone, which is no proof of whom the token was issued to.
		return names{[]string{"client_id"}, scope, []string{"", "JWT", "at+jwt"}, nil}
	case Keycloak:
		// client_id is gone once the scope service_account is removed; azp stays.
		return names{[]string{"azp", "client_id"}, scope, []string{"JWT", "at+jwt"}, nil}
	case RFC7591:
		return names{[]string{"client_id", "azp"}, scope, []string{"at+jwt"}, []string{"sub", "client_id", "iat", "jti"}}
	default:
		return names{} // refused by the decoder
	}
}

func (d *decoder) checkProviders(providers []Provider) {
	seen := map[string]bool{}
	for i := range providers {
		p, path := &providers[i], element("providers", i)
		d.checkName(path+".name", p.Name, seen)
		d.checkIssuer(path, p)
		d.checkSecret(path, p)
		d.checkAudiences(path, p)
		d.checkTokenTypes(path+".tokenTypes", p.TokenTypes)
		if len(p.RequiredClaims) > 64 {
			d.problem(path+".requiredClaims", "has %d elements; at most 64 are looked for", len(p.RequiredClaims))
		}
		d.checkEndpoints(path+".endpoints.", p.Endpoints)
		d.checkKeys(path, p)
		d.checkRegistrar(path, p)
		if p.MaxLifetime > 30*24*time.Hour {
			d.warn(path+".maxLifetime", "is longer than 720h; a token that leaks stays good for as long")
		}
		if p.Tokens == Introspect && p.CacheMax > time.Minute {
			d.warn(path+".cacheMax", "is longer than introspection answers are ever remembered, which is 60s")
		}
	}
}

// checkEndpoints leaves the one that registers to [decoder.checkRegistrar].
func (d *decoder) checkEndpoints(path string, e Endpoints) {
	d.checkURL(path+"jwks", e.JWKS, "#")
	d.checkURL(path+"introspection", e.Introspection, "#")
	d.checkURL(path+"authorization", e.Authorization, "#")
	d.checkURL(path+"token", e.Token, "#")
	d.checkURL(path+"revocation", e.Revocation, "#")
}

// checkName checks what logs and metrics call a provider or an API.
func (d *decoder) checkName(path, name string, seen map[string]bool) {
	switch {
	case name == "":
		return // reported by the decoder
	case len(name) > 64 || !consistsOf(name, "-_."):
		d.problem(path, "is %s; a name has at most 64 letters, digits, '-', '_' and '.'", d.shown(path))
	case seen[name]:
		d.problem(path, "is %s, a name that another one has", d.shown(path))
	}
	seen[name] = true
}

// consistsOf reports whether s has only ASCII letters, digits and the others.
func consistsOf(s, others string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune(others, r)
	})
}

func (d *decoder) checkIssuer(path string, p *Provider) {
	at := path + ".issuer"
	// RFC 8414 §2: https, no query, no fragment.
	if !d.checkURL(at, p.Issuer, "?#") {
		return
	}
	if strings.HasSuffix(p.Issuer, "/") {
		d.warn(at, "ends with a slash; tokens match only if their iss does, too")
	}
	if u, err := url.Parse(p.Issuer); err == nil && p.Type == Okta && p.Tokens != Introspect && strings.Trim(u.Path, "/") == "" {
		d.warn(at, "is Okta's org authorization server, whose access tokens only Okta may read; "+
			"name a custom one, such as …/oauth2/default, or set tokens: introspect")
	}
}

// checkURL reports whether text is a URL that may be trusted to be the server
// it names, with none of the forbidden characters. "" is left to the decoder.
func (d *decoder) checkURL(path, text, forbidden string) bool {
	if text == "" {
		return false
	}
	// A URL can hold a password or a token, so the message does not repeat it.
	u, err := url.Parse(text)
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		d.problem(path, "has a character that URLs do not have, such as a space")
	case err != nil || u.Hostname() == "":
		d.problem(path, "is no URL such as https://sso.example.com/path")
	case u.User != nil:
		d.problem(path, "has a user name or password; remove everything up to the @")
	case strings.ContainsAny(text, forbidden):
		d.problem(path, "has a query or a fragment; remove everything from the ? or #")
	case !strings.HasPrefix(text, "https://") && (!strings.HasPrefix(text, "http://") || !Loopback(u.Hostname())):
		d.problem(path, "must begin with https:// (http:// only for localhost, 127.0.0.0/8 and [::1])")
	default:
		return true
	}
	return false
}

// Loopback reports whether host names this very machine: localhost, 127.0.0.0/8
// or ::1. Only there may a provider be spoken to without TLS.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (d *decoder) checkSecret(path string, p *Provider) {
	switch {
	case d.faulty[path+".secret"]:
	case p.Secret == "" && p.Tokens == Introspect:
		d.problem(path+".secret", "is missing; tokens: introspect needs the secret of a client that may introspect")
	case p.Secret == "" && p.Tokens == Auto:
		d.warn(path+".tokens", "is auto without a secret: opaque tokens are refused")
	default:
		d.checkSecretName(path+".secret", p.Secret)
	}
}

func (d *decoder) checkAudiences(path string, p *Provider) {
	at := path + ".audiences"
	for i, audience := range p.Audiences {
		if audience == "any" || audience == "*" {
			d.problem(element(at, i), "is %s, which is compared like any other; to accept tokens made for anyone, set insecureAnyAudience: true",
				d.shown(element(at, i)))
		}
	}
	switch {
	case p.InsecureAnyAudience && d.has(at):
		d.problem(path+".insecureAnyAudience", "contradicts audiences; keep one of them")
	case p.InsecureAnyAudience:
		d.warn(path+".insecureAnyAudience", "accepts tokens that the issuer made for any other API")
	case !d.has(at):
		d.problem(at, "is missing; name the aud of this provider's tokens, such as [api://default]")
	}
}

// checkTokenTypes refuses types of JWT that must never pass as access tokens
// (RFC 8725 §3.11).
func (d *decoder) checkTokenTypes(path string, types []string) {
	others := []string{"logout+jwt", "dpop+jwt", "secevent+jwt", "client-authentication+jwt", "oauth-authz-req+jwt", "jwe"}
	for i, t := range types {
		at := element(path, i)
		switch short := strings.TrimPrefix(strings.ToLower(t), "application/"); {
		case !consistsOf(t, "!#$&-^_.+/"):
			d.problem(at, `is %s; it must be a media type such as at+jwt or JWT, or "" for none`, d.shown(at))
		case slices.Contains(others, short):
			d.problem(at, "is %s, which is no access token", d.shown(at))
		}
	}
}

func (d *decoder) checkKeys(path string, p *Provider) {
	if p.KeysFile != "" && !filepath.IsAbs(p.KeysFile) && !filepath.IsLocal(p.KeysFile) {
		d.problem(path+".keysFile", "is %s, outside of what is packed with the function", d.shown(path+".keysFile"))
	}
	at := path + ".keysOnly"
	switch {
	case !p.KeysOnly:
	case p.KeysFile == "" && !d.faulty[path+".keysFile"]:
		d.problem(at, "needs keysFile, the keys to use")
	case p.Tokens == Introspect:
		d.problem(at, "contradicts tokens: introspect, which uses no keys")
	case p.Endpoints.JWKS != "":
		d.problem(at, "contradicts endpoints.jwks; keep one of them")
	}
}
