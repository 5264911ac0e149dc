package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxText is the most bytes of a value after its variables are replaced. All
// variables of a Lambda function together may have 4 KiB.
const maxText = 8 << 10

// scalar sets text, a number, a boolean or a duration.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, tag reflect.StructTag, path string) {
	text, ok := d.plain(n, v.Kind(), path)
	if !ok {
		return
	}
	if text == "" && v.Kind() == reflect.String {
		// As if the key were not there, so that an empty variable sets nothing.
		// Lists look for empty elements themselves.
		if tag.Get("required") != "" {
			d.problem(path, "is empty")
		}
		v.SetString(tag.Get("default"))
		return
	}
	if err := setText(v, text, tag); err != nil {
		d.problem(path, "is %s; it %v", d.shown(path), err)
	}
}

// plain returns the text of a scalar whose YAML type suits the kind of value.
func (d *decoder) plain(n *yaml.Node, into reflect.Kind, path string) (string, bool) {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	variable := strings.Contains(n.Value, "${")
	switch {
	case n.Kind != yaml.ScalarNode:
		d.problem(path, "is %s; it must be one value", kind(n))
	case quoted && !variable && (into == reflect.Int || into == reflect.Bool):
		d.problem(path, "is text; write it without quotes")
	case into == reflect.String:
		return d.text(n, path)
	default:
		return d.expand(n, path)
	}
	return "", false
}

// text returns the value of a scalar that must be text.
func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	if n.ShortTag() != "!!str" {
		d.problem(path, "is %s; it must be text, so quote it", kind(n))
		return "", false
	}
	text, ok := d.expand(n, path)
	switch {
	case !ok:
		return "", false
	case strings.ContainsFunc(text, unprintable):
		d.problem(path, "contains a line break or another control character")
	case strings.TrimSpace(text) != text:
		d.problem(path, "begins or ends with a space")
	default:
		return text, true
	}
	return "", false
}

func unprintable(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }

// expand replaces the variables in a scalar.
func (d *decoder) expand(n *yaml.Node, path string) (string, bool) {
	var missing []string
	text, err := expand(n.Value, func(name string) (string, bool) {
		value, ok := d.env(name)
		if !ok && !slices.Contains(missing, name) {
			missing = append(missing, name)
			d.problem(path, "needs the environment variable %s, which is not set", name)
		}
		return value, true
	})
	if err != nil {
		d.problem(path, "%s", err)
	}
	return text, err == nil && missing == nil
}

// expand replaces ${NAME} in text by what env has, and $${ by ${.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "${")
		if escaped, cut := strings.CutSuffix(before, "$"); ok && cut {
			b.WriteString(escaped + "${")
			text = rest
			continue
		}
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !isVariable(name) {
			return "", errors.New("has a ${ that names no variable; write ${NAME}, or $${ for a literal ${")
		}
		value, _ := env(name)
		if b.WriteString(value); b.Len() > maxText {
			return "", fmt.Errorf("is longer than %d KiB with its variables", maxText>>10)
		}
		text = after
	}
}

func isVariable(name string) bool {
	letters := func(r rune) bool { return r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' }
	for i, r := range name {
		if !letters(r) && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

func setString(v reflect.Value, text string, tag reflect.StructTag) error {
	if values := strings.Fields(tag.Get("enum")); len(values) > 0 && !slices.Contains(values, text) {
		return fmt.Errorf("must be one of %s%s", strings.Join(values, ", "), didYouMean(text, values))
	}
	v.SetString(text)
	return nil
}

func setInt(v reflect.Value, text string, tag reflect.StructTag) error {
	least, most := tag.Get("min"), tag.Get("max")
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n < number(least) || n > number(most) {
		return fmt.Errorf("must be a whole number from %s to %s", least, most)
	}
	v.SetInt(int64(n))
	return nil
}

func setDuration(v reflect.Value, text string, tag reflect.StructTag) error {
	value, ok := duration(text)
	if !ok {
		return errors.New("must be a duration with a unit, such as 500ms, 30s, 10m or 1h")
	}
	least, _ := duration(tag.Get("min"))
	most, _ := duration(tag.Get("max"))
	if value < least || value > most {
		return fmt.Errorf("must be from %s to %s", tag.Get("min"), tag.Get("max"))
	}
	v.SetInt(int64(value))
	return nil
}

// duration reads whole numbers of h, m, s and ms, or a bare 0.
func duration(text string) (time.Duration, bool) {
	if strings.Trim(text, "0123456789hms") != "" {
		return 0, false
	}
	value, err := time.ParseDuration(text)
	return value, err == nil
}

func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 31)
	return n
}
