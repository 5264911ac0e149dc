package apigw

import (
	"strings"
	"sync"

	"gatehouse/shared/strictjson"
)

// authorizerEvent is all the members, of all the shapes, that are read. The
// slices share memory with the event.
type authorizerEvent struct {
	version, kind        []byte
	methodARN, routeARN  []byte
	token                []byte
	resource, httpMethod []byte
	routeKey, rawQuery   []byte
	stageVariable        []byte
	sources              [][]byte

	header, headers   [][]byte // Authorization in headers, in multiValueHeaders
	param, parameters [][]byte // access_token in queryStringParameters, in multiValueQueryStringParameters

	context struct {
		apiID, stage, method, resourcePath, routeKey, domain, requestID, eventType []byte
	}
}

// decoders of events are used again.
var decoders = sync.Pool{New: func() any { return strictjson.NewDecoder(nil, strictjson.Event) }}

func (e *authorizerEvent) read(event []byte) error {
	d, _ := decoders.Get().(*strictjson.Decoder)
	d.Reset(event)
	defer func() {
		d.Reset(nil)
		decoders.Put(d)
	}()
	err := d.Object(func(name []byte) error {
		switch string(name) {
		case "version":
			return readText(d, &e.version)
		case "type":
			return readText(d, &e.kind)
		case "methodArn":
			return readText(d, &e.methodARN)
		case "routeArn":
			return readText(d, &e.routeARN)
		case "authorizationToken":
			return readText(d, &e.token)
		case "resource":
			return readText(d, &e.resource)
		case "httpMethod":
			return readText(d, &e.httpMethod)
		case "routeKey":
			return readText(d, &e.routeKey)
		case "rawQueryString":
			return readText(d, &e.rawQuery)
		case "identitySource":
			return readTexts(d, &e.sources)
		case "headers":
			return readMembers(d, isAuthorization, &e.header)
		case "multiValueHeaders":
			return readMembers(d, isAuthorization, &e.headers)
		case "queryStringParameters":
			return readMembers(d, isAccessToken, &e.param)
		case "multiValueQueryStringParameters":
			return readMembers(d, isAccessToken, &e.parameters)
		case "stageVariables":
			return readObject(d, func(name []byte) error {
				if string(name) == stageVariable {
					return readText(d, &e.stageVariable)
				}
				return d.Skip()
			})
		case "requestContext":
			return e.readContext(d)
		default:
			return d.Skip()
		}
	})
	if err != nil {
		return err
	}
	return d.End()
}

func (e *authorizerEvent) readContext(d *strictjson.Decoder) error {
	c := &e.context
	return readObject(d, func(name []byte) error {
		switch string(name) {
		case "apiId":
			return readText(d, &c.apiID)
		case "stage":
			return readText(d, &c.stage)
		case "httpMethod":
			return readText(d, &c.method)
		case "resourcePath":
			return readText(d, &c.resourcePath)
		case "routeKey":
			return readText(d, &c.routeKey)
		case "domainName":
			return readText(d, &c.domain)
		case "requestId":
			return readText(d, &c.requestID)
		case "eventType":
			return readText(d, &c.eventType)
		case "http":
			return readObject(d, func(name []byte) error {
				if string(name) == "method" {
					return readText(d, &c.method)
				}
				return d.Skip()
			})
		default:
			return d.Skip()
		}
	})
}

func isAuthorization(name []byte) bool {
	return len(name) == len("authorization") && strings.EqualFold(string(name), "authorization")
}

// isAccessToken compares exactly: query parameters have case (RFC 6750 §2.3).
func isAccessToken(name []byte) bool { return string(name) == "access_token" }

// readText reads a string; null is as good as a missing member.
func readText(d *strictjson.Decoder, dst *[]byte) error {
	if d.Kind() == strictjson.Null {
		return d.Null()
	}
	b, err := d.String()
	*dst = b
	return err
}

// readTexts appends a string, or the strings of an array.
func readTexts(d *strictjson.Decoder, dst *[][]byte) error {
	if d.Kind() == strictjson.Array {
		return d.Array(func() error { return appendText(d, dst) })
	}
	return appendText(d, dst)
}

func appendText(d *strictjson.Decoder, dst *[][]byte) error {
	if d.Kind() == strictjson.Null {
		return d.Null()
	}
	b, err := d.String()
	*dst = append(*dst, b)
	return err
}

func readObject(d *strictjson.Decoder, member func(name []byte) error) error {
	if d.Kind() == strictjson.Null {
		return d.Null()
	}
	return d.Object(member)
}

// readMembers appends the values of the members whose name is wanted.
func readMembers(d *strictjson.Decoder, wanted func(name []byte) bool, dst *[][]byte) error {
	return readObject(d, func(name []byte) error {
		if wanted(name) {
			return readTexts(d, dst)
		}
		return d.Skip()
	})
}
