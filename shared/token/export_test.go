package token

import "gatehouse/shared/strictjson"

// VerifyJWS checks a JWS the way [Issuer.Verify] does (gate, allowed
// algorithms, key, signature), without the claims: the payloads of the
// Wycheproof vectors are not JSON.
func VerifyJWS(raw string, jwkSet []byte, allowed []string) error {
	jws, err := split(raw, strictjson.NewDecoder(nil, strictjson.Token))
	if err != nil {
		return err
	}
	list, err := parseKeys(jwkSet, allowed)
	if err != nil {
		return err
	}
	key, err := (&keys{list: list}).find(jws.header.keyID, jws.header.algorithm)
	if err != nil {
		return err
	}
	return key.verify(jws.signingInput, jws.signature)
}

// KeyIDs parses a JWK set and returns the names of the keys that are used.
func KeyIDs(jwkSet []byte, allowed []string) ([]string, error) {
	list, err := parseKeys(jwkSet, allowed)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(list))
	for _, k := range list {
		ids = append(ids, k.id)
	}
	return ids, nil
}

// Reasons for which a key set is refused as a whole, and limits, for tests.
var (
	ErrKeySet     = errKeySet
	ErrTooMany    = errTooMany
	ErrPrivateKey = errPrivateKey
	ErrSameKeyID  = errSameKeyID
	ErrNoKey      = errNoKey
)

// Times and limits that tests measure against.
const (
	KeysTTL      = keysTTL
	KeysStale    = keysStale
	KeysCooldown = keysCooldown
	MaxKeys      = maxKeys
	MaxLength    = maxLength
)
