package policy

import "slices"

// Grant is which of a table's requirements a caller meets, and so which of its
// routes it may use. It is comparable, and can be the key of a map. The zero
// value allows nothing. It belongs to the [Table] that returned it.
type Grant struct {
	met string // a bit for each of Table.needs, without zero bytes at the end
}

// need is a requirement in numbers: of Table.scopes and Table.claims.
type need struct {
	scopes, anyScope []int
	claims           []claimNeed
	refuse           bool
}

type claimNeed struct {
	claim int
	anyOf []string
}

// compile numbers the scopes and claims of a requirement.
func (t *Table) compile(r Requirement) need {
	n := need{refuse: r.Refuse}
	for _, s := range r.Scopes {
		n.scopes = append(n.scopes, t.scopeNumber(s))
	}
	for _, s := range r.AnyScope {
		n.anyScope = append(n.anyScope, t.scopeNumber(s))
	}
	for _, c := range r.Claims {
		i := slices.Index(t.claims, c.Name)
		if i < 0 {
			i = len(t.claims)
			t.claims = append(t.claims, c.Name)
		}
		n.claims = append(n.claims, claimNeed{i, c.AnyOf})
	}
	return n
}

func (t *Table) scopeNumber(scope string) int {
	n, ok := t.scopes[scope]
	if !ok {
		n = len(t.scopes)
		t.scopes[scope] = n
	}
	return n
}

// need adds a requirement. Of many, a caller has the first scope of few: only
// those are looked at.
func (t *Table) need(n need) {
	number := len(t.needs)
	t.needs = append(t.needs, n)
	if len(n.scopes) == 0 {
		t.others = append(t.others, number)
		return
	}
	scope := n.scopes[0]
	t.first = append(t.first, make([][]int, max(0, len(t.scopes)-len(t.first)))...)
	t.first[scope] = append(t.first[scope], number)
}

// held is what a caller has of what a table asks for.
type held struct {
	scopes []uint64   // a bit for each of Table.scopes
	claims [][]string // the values of each of Table.claims
}

func (h held) scope(n int) bool { return h.scopes[n/64]&(1<<(n%64)) != 0 }

func (n *need) metBy(h held) bool {
	if n.refuse {
		return false
	}
	for _, s := range n.scopes {
		if !h.scope(s) {
			return false
		}
	}
	if len(n.anyScope) > 0 && !slices.ContainsFunc(n.anyScope, h.scope) {
		return false
	}
	for _, c := range n.claims {
		if !intersect(h.claims[c.claim], c.anyOf) {
			return false
		}
	}
	return true
}

// Grant compares a caller, whose token is valid, with every distinct
// requirement of the table.
func (t *Table) Grant(c Caller) Grant {
	var scopeRoom [16]uint64 // 1,024 scopes without an allocation
	var metRoom [64]byte     // 512 requirements
	h, met := held{scopes: scopeRoom[:]}, metRoom[:]
	if words := (len(t.scopes) + 63) / 64; words > len(scopeRoom) {
		h.scopes = make([]uint64, words)
	}
	if bytes := (len(t.needs) + 7) / 8; bytes > len(metRoom) {
		met = make([]byte, bytes)
	}
	for _, s := range c.Scopes {
		if n, ok := t.scopes[s]; ok {
			h.scopes[n/64] |= 1 << (n % 64)
		}
	}
	if len(t.claims) > 0 {
		h.claims = make([][]string, len(t.claims))
		for i, name := range t.claims {
			h.claims[i] = c.claim(name)
		}
	}
	t.meet(t.others, h, met)
	for _, s := range c.Scopes {
		if n, ok := t.scopes[s]; ok && n < len(t.first) {
			t.meet(t.first[n], h, met)
		}
	}
	return grantOf(met)
}

// meet marks in met those of some needs that are met.
func (t *Table) meet(needs []int, h held, met []byte) {
	for _, i := range needs {
		if t.needs[i].metBy(h) {
			met[i/8] |= 1 << (i % 8)
		}
	}
}

// grantOf makes equal grants equal values.
func grantOf(met []byte) Grant {
	for len(met) > 0 && met[len(met)-1] == 0 {
		met = met[:len(met)-1]
	}
	return Grant{string(met)}
}

func (c Caller) claim(name string) []string {
	if c.Claim == nil {
		return nil
	}
	return c.Claim(name)
}

// Allows reports whether the caller may use r.
func (g Grant) Allows(r Route) bool { return r.entry > 0 && g.meets(r.need) }

// Empty reports whether the caller may use no route at all.
func (g Grant) Empty() bool { return g.met == "" }

func (g Grant) meets(need int) bool {
	return need/8 < len(g.met) && g.met[need/8]&(1<<(need%8)) != 0
}

// Refusal returns why c may not use r, as one of the words [NotListed],
// [Refused], [MissingScope] and [MissingClaim], and for MissingScope the scopes
// that would do: all that the route needs, whether c has them or not (RFC 6750
// §3), with one of those of which any is enough. Both are empty for a route
// that c may use.
func (t *Table) Refusal(r Route, c Caller) (reason string, scopes []string) {
	if r.entry <= 0 || r.entry > len(t.entries) {
		return NotListed, nil
	}
	want := t.rules[t.entries[r.entry-1].rule].Requirement
	if want.Refuse {
		return Refused, nil
	}
	anyMet := len(want.AnyScope) == 0 || intersect(want.AnyScope, c.Scopes)
	allMet := !slices.ContainsFunc(want.Scopes, func(s string) bool { return !slices.Contains(c.Scopes, s) })
	if !anyMet || !allMet {
		return MissingScope, want.enough(c)
	}
	for _, claim := range want.Claims {
		if !intersect(c.claim(claim.Name), claim.AnyOf) {
			return MissingClaim, nil
		}
	}
	return "", nil
}

// enough returns scopes that meet r: of AnyScope, the one that c has or the first.
func (r Requirement) enough(c Caller) []string {
	scopes := slices.Clone(r.Scopes)
	if len(r.AnyScope) == 0 {
		return scopes
	}
	i := max(0, slices.IndexFunc(r.AnyScope, func(s string) bool { return slices.Contains(c.Scopes, s) }))
	return append(scopes, r.AnyScope[i])
}
