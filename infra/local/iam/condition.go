package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is what a condition comes to.
type answer int

const (
	unknown answer = iota
	no
	yes
)

// condition is one operator on one key. Several must all hold; of its values,
// one is enough, or, negated, none.
type condition struct {
	key     string // in lower case: keys are compared without regard to it
	negated bool
	// match compares the request's value; nil when the operator is not
	// supported. Its second result is false when the value has the wrong type.
	match func(value string) (matched, typed bool)
}

func (c condition) evaluate(request Context) answer {
	value := request.value(c.key)
	if value == "" || c.match == nil {
		return unknown
	}
	matched, typed := c.match(value)
	switch {
	case !typed:
		return unknown
	case matched != c.negated:
		return yes
	default:
		return no
	}
}

// value returns a key as text, "" when the request does not have it.
func (c Context) value(key string) string {
	switch key {
	case "aws:sourceip":
		return c.SourceIP
	case "aws:useragent":
		return c.UserAgent
	case "aws:sourcevpce":
		return c.VPCEndpoint
	case "aws:securetransport": // API Gateway has no plain HTTP
		return "true"
	case "aws:currenttime":
		if !c.Now.IsZero() {
			return c.Now.Format(time.RFC3339Nano)
		}
	}
	return ""
}

func parseConditions(raw json.RawMessage) ([]condition, error) {
	operators, err := members(raw)
	if err != nil {
		return nil, fmt.Errorf("condition: %w", err)
	}
	var conditions []condition
	for operator, raw := range operators {
		keys, err := members(raw)
		if err != nil {
			return nil, fmt.Errorf("condition: %s: %w", operator, err)
		}
		for key, raw := range keys {
			c, err := parseCondition(operator, raw)
			if err != nil {
				return nil, fmt.Errorf("condition: %s: %s: %w", operator, key, err)
			}
			c.key = strings.ToLower(key)
			conditions = append(conditions, c)
		}
	}
	return conditions, nil
}

func parseCondition(operator string, raw json.RawMessage) (condition, error) {
	values, err := conditionValues(raw)
	if err != nil {
		return condition{}, err
	}
	c := condition{negated: operator == "StringNotEquals" || operator == "NotIpAddress"}
	switch operator {
	case "StringEquals", "StringNotEquals":
		c.match = matchString(values, exactPattern)
	case "StringLike":
		c.match = matchString(values, resourcePattern)
	case "IpAddress", "NotIpAddress":
		c.match, err = matchAddress(values)
	case "DateLessThan":
		c.match, err = matchTime(values, time.Time.Before)
	case "DateGreaterThan":
		c.match, err = matchTime(values, time.Time.After)
	case "Bool":
		c.match, err = matchBool(values)
	}
	return c, err
}

// conditionValues reads one value or an array of them; JSON's true and false
// are the words.
func conditionValues(raw json.RawMessage) ([]string, error) {
	raws := []json.RawMessage{raw}
	if isArray(raw) {
		if err := json.Unmarshal(raw, &raws); err != nil {
			return nil, err
		}
	}
	if len(raws) == 0 {
		return nil, errors.New("has no value")
	}
	var values []string
	for _, raw := range raws {
		var value string
		if word := string(raw); word == "true" || word == "false" {
			value = word
		} else if err := json.Unmarshal(raw, &value); err != nil || word == "null" {
			return nil, errors.New("a value is neither a string nor a boolean")
		}
		values = append(values, value)
	}
	return values, nil
}

func matchString(values []string, read func(string) pattern) func(string) (bool, bool) {
	var patterns []pattern
	for _, v := range values {
		p := read(v)
		if p.unknown {
			return nil
		}
		patterns = append(patterns, p)
	}
	return func(value string) (bool, bool) {
		return slices.ContainsFunc(patterns, func(p pattern) bool { return p.match(value) }), true
	}
}

func matchAddress(values []string) (func(string) (bool, bool), error) {
	var prefixes []netip.Prefix
	for _, v := range values {
		if !strings.Contains(v, "/") {
			addr, err := netip.ParseAddr(v)
			if err != nil {
				return nil, errors.New("a value is neither an address nor a CIDR block")
			}
			prefixes = append(prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(v)
		if err != nil {
			return nil, errors.New("a value is neither an address nor a CIDR block")
		}
		prefixes = append(prefixes, prefix)
	}
	return func(value string) (bool, bool) {
		addr, err := netip.ParseAddr(value)
		addr = addr.Unmap()
		return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) }), err == nil
	}, nil
}

func matchTime(values []string, compare func(a, b time.Time) bool) (func(string) (bool, bool), error) {
	var times []time.Time
	for _, v := range values {
		t, err := parseTime(v)
		if err != nil {
			return nil, errors.New("a value is neither a date, as in 2026-11-24T00:00:00Z, nor seconds since 1970")
		}
		times = append(times, t)
	}
	return func(value string) (bool, bool) {
		at, err := parseTime(value)
		return slices.ContainsFunc(times, func(t time.Time) bool { return compare(at, t) }), err == nil
	}, nil
}

func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(seconds, 0), err
}

func matchBool(values []string) (func(string) (bool, bool), error) {
	for _, v := range values {
		if v != "true" && v != "false" {
			return nil, errors.New("a value is neither true nor false")
		}
	}
	return func(value string) (bool, bool) {
		return slices.Contains(values, value), value == "true" || value == "false"
	}, nil
}
