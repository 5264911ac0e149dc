package apigw

import (
	"fmt"
	"strings"
)

// connect is the route of a WebSocket handshake, the only one that has an
// authorizer.
const connect = "$connect"

// ARN is a parsed method ARN (methodArn or routeArn):
//
//	arn:{Partition}:execute-api:{Region}:{Account}:{APIID}/{Stage}/{Method}{Path}
//
// Everything before Method is letters, digits, "-" and "_" (Stage may be
// "$default"), so that none of it means anything to IAM's pattern language.
// Path is the caller's: raw, and it may hold ":", "*", "?" and "${".
type ARN struct {
	Partition string // such as "aws", "aws-cn", "aws-us-gov"
	Region    string
	Account   string
	APIID     string
	Stage     string
	Method    string // "" for a WebSocket handshake
	Path      string // begins with "/"; "$connect" for a WebSocket handshake
}

// Prefix returns the part that all routes of the stage share,
// "arn:{Partition}:execute-api:{Region}:{Account}:{APIID}/{Stage}", without a
// slash at its end.
func (a ARN) Prefix() string {
	return "arn:" + a.Partition + ":execute-api:" + a.Region + ":" + a.Account + ":" + a.APIID + "/" + a.Stage
}

func parseARN(s string) (ARN, error) {
	var a ARN
	var arn, service string
	rest := s
	for _, field := range [...]*string{&arn, &a.Partition, &service, &a.Region, &a.Account} {
		*field, rest, _ = strings.Cut(rest, ":")
	}
	for _, field := range [...]*string{&a.APIID, &a.Stage} {
		*field, rest, _ = strings.Cut(rest, "/")
	}
	if arn != "arn" || service != "execute-api" {
		return ARN{}, fmt.Errorf("apigw: %w: not of execute-api", ErrARN)
	}
	if !isName(a.Partition) || !isName(a.Region) || !isName(a.Account) || !isName(a.APIID) ||
		!isName(a.Stage) && a.Stage != "$default" {
		return ARN{}, fmt.Errorf("apigw: %w: a part is missing or has unusual characters", ErrARN)
	}
	if rest == connect {
		a.Path = connect
		return a, nil
	}
	a.Method, a.Path, _ = strings.Cut(rest, "/")
	a.Path = rest[len(a.Method):]
	if a.Path == "" {
		a.Path = "/"
	}
	if !isName(a.Method) {
		return ARN{}, fmt.Errorf("apigw: %w: the method is missing or has unusual characters", ErrARN)
	}
	return a, nil
}

// isName reports whether s is letters, digits, "-" and "_", and not empty.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c|0x20-'a' >= 26 && c-'0' >= 10 && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}
