package postman

import (
	"encoding/json"
	"fmt"
	"strings"
)

// This file is the scripts. None of them writes to the console: tokens and
// secrets go from answers into variables, and nowhere else.

// quote is a value as JavaScript writes it.
func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "undefined" // of numbers and strings, and lists and maps of these, there is none
	}
	return string(text)
}

// tests is the script after a request. The answers are the media types that may
// come, by status; nil: nobody says.
func (s step) tests(answers map[string][]string) []string {
	wanted := quote(s.want.codes)
	if s.want.variable != "" {
		wanted = fmt.Sprintf("pm.variables.get(%s) === %s ? %s : %s", quote(s.want.variable), quote(s.want.value), wanted, quote(s.want.others))
	}
	lines := []string{
		"const wanted = " + wanted + ";",
		"pm.test('the status is ' + wanted.join(' or '), () => pm.expect(pm.response.code).to.be.oneOf(wanted));",
	}
	if answers != nil {
		lines = append(lines,
			"const media = "+quote(answers)+"[pm.response.code];",
			"if (media) pm.test('the answer is ' + (media.join(' or ') || 'without a body'), () => {",
			"  const type = (pm.response.headers.get('Content-Type') || '').split(';')[0];",
			"  if (media.length) pm.expect(type).to.be.oneOf(media);",
			"  else if (pm.response.code < 300) pm.expect(pm.response.text().length).to.equal(0);",
			"  if (type.includes('json')) pm.response.json();",
			"});",
		)
	}
	body := s.keeping()
	if body = append(body, s.after...); len(body) > 0 {
		lines = append(lines, fmt.Sprintf("if (pm.response.code === %d) {", s.want.codes[0]))
		for _, line := range body {
			lines = append(lines, "  "+line)
		}
		lines = append(lines, "}")
	}
	return lines
}

// keeping keeps members of the answer in variables.
func (s step) keeping() []string {
	if len(s.keep) == 0 {
		return nil
	}
	lines := []string{"const answer = pm.response.json();"}
	var names []string
	for _, k := range s.keep {
		_, name, _ := strings.Cut(k, "=")
		names = append(names, name)
	}
	lines = append(lines, fmt.Sprintf("pm.test('the answer has %s', () => pm.expect(%s.filter((name) => !answer[name])).to.be.empty);", strings.Join(names, ", "), quote(names)))
	for _, k := range s.keep {
		variable, name, _ := strings.Cut(k, "=")
		lines = append(lines, fmt.Sprintf("pm.environment.set(%s, answer[%s]);", quote(variable), quote(name)))
	}
	return lines
}

// forget empties variables.
func forget(variables ...string) []string {
	var lines []string
	for _, v := range variables {
		lines = append(lines, fmt.Sprintf("pm.environment.set(%s, '');", quote(v)))
	}
	return lines
}

// told reads the query of the address that a browser would be sent to.
func told() []string {
	return []string{
		"const location = pm.response.headers.get('Location') || '';",
		"const told = {};",
		"location.split('?').slice(1).join('?').split('&').forEach((pair) => {",
		"  const at = pair.indexOf('=');",
		"  told[decodeURIComponent(pair.slice(0, at))] = decodeURIComponent(pair.slice(at + 1).replace(/\\+/g, ' '));",
		"});",
	}
}

// back checks that a browser is sent back to the application, and by whom.
func back() []string {
	return append(told(),
		"pm.test('it is sent back to the application', () => pm.expect(location.startsWith(pm.variables.get('redirect_uri') + '?')).to.be.true);",
		"pm.test('with its state', () => pm.expect(told.state === pm.variables.get('state')).to.be.true);",
		"pm.test('by this server', () => pm.expect(told.iss).to.equal(pm.variables.get('gatehouse_url')));",
	)
}

// cookies keeps what a browser would: it does not send the cookies of https to
// this machine's http by itself here.
func cookies() []string {
	return []string{
		"pm.environment.set('browser_cookie', pm.response.headers.filter((h) => h.key.toLowerCase() === 'set-cookie').map((h) => h.value.split(';')[0]).join('; '));",
	}
}

// proof makes a verifier, its challenge (RFC 7636) and a state.
func proof() []string {
	return []string{
		"const hashes = require('crypto-js');",
		"const base64url = (words) => hashes.enc.Base64.stringify(words).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');",
		"const verifier = base64url(hashes.lib.WordArray.random(32));",
		"pm.environment.set('code_verifier', verifier);",
		"pm.environment.set('code_challenge', base64url(hashes.SHA256(verifier)));",
		"pm.environment.set('state', base64url(hashes.lib.WordArray.random(16)));",
	}
}
