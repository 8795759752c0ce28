package router

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/weftrun/weft/abi"
)

// Errors about templates.
var (
	// ErrTemplate is wrapped by every error about a template's text.
	ErrTemplate = errors.New("malformed template")
	// ErrMissing is wrapped when a placeholder has no value, or an empty one.
	ErrMissing = errors.New("the template's placeholder has no value")
	// ErrUnsafe is wrapped when a value would reach beyond its level.
	ErrUnsafe = errors.New("the placeholder's value is not allowed in its place")
	// ErrTooLong is wrapped when the result is longer than abi.MaxTopic.
	ErrTooLong = errors.New("the template's result is too long")
)

// Values answers what stands for a placeholder. The bytes are borrowed for the
// time of the call. An empty value counts as none.
type Values interface {
	Value(name string) (value []byte, ok bool)
}

// AttributeValues is a Values that looks a name up in the first block, then in
// the second: a session's context, then its message's attributes.
type AttributeValues struct{ First, Second abi.Attributes }

// Value implements Values.
func (v *AttributeValues) Value(name string) ([]byte, bool) {
	if value, ok := v.First.Get(name); ok {
		return value, true
	}
	return v.Second.Get(name)
}

// Template is a text with placeholders in braces: truck/{identity}/telemetry.
// {{ and }} stand for the braces themselves. A Template is immutable and may be
// used by any number of goroutines.
//
// In templates of topics and patterns a value must stay within its level. One
// that holds '/', a wildcard character ('#', '+', '*') or a zero byte is refused
// with ErrUnsafe, and so is one that begins with '$' where the template begins
// with the placeholder: a truck that calls itself 7/# can neither publish in
// another's name nor subscribe to another's messages. {name...} lets '/' pass;
// the other bytes stay refused.
type Template struct {
	text   string
	parts  []part
	kind   templateKind
	unsafe [256]bool
}

// templateKind is what a template's values are held to.
type templateKind uint8

const (
	raw       templateKind = iota // anything goes
	plainText                     // not empty, no zero byte, bounded
	levelled                      // and within its level
)

// part is a literal, or a placeholder if it has a name.
type part struct {
	literal string
	name    string
	levels  bool // {name...}
	missing error
	unsafe  error
}

// TopicTemplate parses a template whose result is a topic.
func TopicTemplate(text string) (*Template, error) {
	t, err := parseTemplate(text, levelled, "#+*\x00")
	if err != nil {
		return nil, err
	}
	if err := ValidateTopic([]byte(t.sample())); err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrTemplate, text, err)
	}
	return t, nil
}

// PatternTemplate parses a template whose result is a pattern. Wildcards stand
// in the template's text, never in a value.
func PatternTemplate(text string) (*Template, error) {
	t, err := parseTemplate(text, levelled, "#+*\x00")
	if err != nil {
		return nil, err
	}
	if err := ValidatePattern(t.sample()); err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrTemplate, text, err)
	}
	return t, nil
}

// TextTemplate parses a template whose result is a name or a key, or any other
// text without levels: only the zero byte is refused in values.
func TextTemplate(text string) (*Template, error) {
	return parseTemplate(text, plainText, "\x00")
}

// RawTemplate parses a template whose result is any bytes, such as a payload: no
// value is refused for what it holds, an empty one stands, and the result may be
// of any length.
func RawTemplate(text string) (*Template, error) { return parseTemplate(text, raw, "") }

// sample is the template with a harmless value in each placeholder.
func (t *Template) sample() string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.literal)
		if p.name != "" {
			b.WriteByte('x')
		}
	}
	return b.String()
}

func parseTemplate(text string, kind templateKind, refused string) (*Template, error) {
	if text == "" {
		return nil, fmt.Errorf("%w: it is empty", ErrTemplate)
	}
	t := &Template{text: text, kind: kind}
	for _, c := range []byte(refused) {
		t.unsafe[c] = true
	}
	var literal strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			literal.WriteByte(c)
			i++
		case c == '}':
			return nil, fmt.Errorf("%w %q: a } without { at offset %d; write }} for the brace itself", ErrTemplate, text, i)
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, fmt.Errorf("%w %q: the { at offset %d is not closed; write {{ for the brace itself", ErrTemplate, text, i)
			}
			t.literal(&literal)
			if err := t.placeholder(text[i+1:i+end], i); err != nil {
				return nil, err
			}
			i += end
		default:
			literal.WriteByte(c)
		}
	}
	t.literal(&literal)
	return t, nil
}

func (t *Template) literal(b *strings.Builder) {
	if b.Len() > 0 {
		t.parts = append(t.parts, part{literal: b.String()})
		b.Reset()
	}
}

func (t *Template) placeholder(inner string, at int) error {
	name, levels := strings.CutSuffix(inner, "...")
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != "" {
		return fmt.Errorf("%w %q: {%s} at offset %d is no placeholder; expected a name of letters, digits, '_', '-' and '.', or name... for several levels",
			ErrTemplate, t.text, inner, at)
	}
	t.parts = append(t.parts, part{
		name:    name,
		levels:  levels,
		missing: fmt.Errorf("%w: {%s} in %q", ErrMissing, inner, t.text),
		unsafe:  fmt.Errorf("%w: {%s} in %q must not hold '/', a wildcard or a zero byte, nor begin a topic with '$'", ErrUnsafe, inner, t.text),
	})
	return nil
}

// String is the template's text.
func (t *Template) String() string { return t.text }

// Fixed reports whether the template has no placeholder: its result never changes.
func (t *Template) Fixed() bool { return len(t.parts) == 1 && t.parts[0].name == "" }

// Names lists the placeholders in order, each once.
func (t *Template) Names() []string {
	var names []string
	seen := map[string]bool{}
	for _, p := range t.parts {
		if p.name != "" && !seen[p.name] {
			seen[p.name] = true
			names = append(names, p.name)
		}
	}
	return names
}

// Append appends the template's result to dst. On an error, which wraps
// ErrMissing, ErrUnsafe or ErrTooLong, it returns dst as it was. It does not
// allocate but to grow dst; the errors are made when the template is parsed.
func (t *Template) Append(dst []byte, values Values) ([]byte, error) {
	start := len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		if p.name == "" {
			dst = append(dst, p.literal...)
			continue
		}
		value, ok := values.Value(p.name)
		if !ok || len(value) == 0 && t.kind != raw {
			return dst[:start], p.missing
		}
		if !t.safe(p, value, len(dst) == start) {
			return dst[:start], p.unsafe
		}
		dst = append(dst, value...)
	}
	if len(dst)-start > abi.MaxTopic && t.kind != raw {
		return dst[:start], ErrTooLong
	}
	return dst, nil
}

func (t *Template) safe(p *part, value []byte, first bool) bool {
	if t.kind == raw {
		return true
	}
	for _, c := range value {
		if t.unsafe[c] {
			return false
		}
	}
	if t.kind != levelled {
		return true
	}
	return (p.levels || bytes.IndexByte(value, '/') < 0) && !(first && value[0] == '$')
}
