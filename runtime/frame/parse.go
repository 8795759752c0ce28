package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxDocument is the longest declaration in bytes.
const maxDocument = 64 << 10

// Parse compiles a declaration written in YAML. name is what the format is called
// in listings and errors. The error is a *DeclarationError that lists every
// problem with its key and line, and wraps ErrDeclaration.
func Parse(name string, doc []byte) (*Format, error) {
	d, err := ParseDeclaration(name, doc)
	if err != nil {
		return nil, err
	}
	return Compile(name, d)
}

// ParseMap compiles a declaration that was already read into plain maps, lists
// and scalars, as the frames of a configuration are. Its problems name no lines.
func ParseMap(name string, declaration map[string]any) (*Format, error) {
	doc, err := yaml.Marshal(declaration)
	if err != nil {
		return nil, &DeclarationError{name, []Problem{{Path: "declaration", Found: err.Error(), Expected: "maps, lists, texts and numbers"}}}
	}
	f, err := Parse(name, doc)
	var bad *DeclarationError
	if errors.As(err, &bad) {
		for i := range bad.Problems {
			bad.Problems[i].Line = 0
		}
	}
	return f, err
}

// ParseDeclaration reads a declaration without compiling it: unknown keys and
// values of the wrong kind are refused, what they mean together is not looked at.
func ParseDeclaration(name string, doc []byte) (Declaration, error) {
	var d Declaration
	p := &parser{problems: problems{lines: map[string]int{}}}
	if len(doc) > maxDocument {
		p.add("declaration", fmt.Sprintf("%d bytes", len(doc)), fmt.Sprintf("at most %d", maxDocument), "")
		return d, p.err(name)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(doc))
	var root yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		p.add("declaration", "an empty document", "the key fields or text", "")
	case err != nil:
		p.add("declaration", strings.TrimPrefix(err.Error(), "yaml: "), "YAML", "")
	default:
		var second yaml.Node
		if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
			p.add("declaration", "a second document", "one", "remove everything from --- on")
		}
		if len(root.Content) == 1 {
			p.declaration(root.Content[0], &d)
		}
	}
	d.lines = p.lines
	return d, p.err(name)
}

// parser reads YAML nodes into a Declaration.
type parser struct{ problems }

func (p *parser) declaration(n *yaml.Node, d *Declaration) {
	p.mapping(n, "", map[string]func(*yaml.Node, string){
		"description": func(n *yaml.Node, at string) { p.text(n, at, &d.Description) },
		"endian":      func(n *yaml.Node, at string) { p.text(n, at, &d.Endian) },
		"limit":       func(n *yaml.Node, at string) { p.bytes(n, at, &d.Limit) },
		"type":        func(n *yaml.Node, at string) { p.text(n, at, &d.Type) },
		"recover":     func(n *yaml.Node, at string) { p.text(n, at, &d.Recover) },
		"fields": func(n *yaml.Node, at string) {
			if n.Kind != yaml.SequenceNode {
				p.add(at, describe(n), "a list of fields", "")
				return
			}
			d.Fields = make([]Field, len(n.Content))
			for i, c := range n.Content {
				p.field(resolve(c), fmt.Sprintf("%s[%d]", at, i), &d.Fields[i])
			}
		},
		"text": func(n *yaml.Node, at string) {
			d.Text = new(Text)
			p.mapping(n, at, map[string]func(*yaml.Node, string){
				"delimiter": func(n *yaml.Node, at string) { p.text(n, at, &d.Text.Delimiter) },
				"trim":      func(n *yaml.Node, at string) { p.text(n, at, &d.Text.Trim) },
				"embedded":  func(n *yaml.Node, at string) { p.text(n, at, &d.Text.Embedded) },
			})
		},
		"heartbeat": func(n *yaml.Node, at string) {
			d.Heartbeat = new(Heartbeat)
			p.mapping(n, at, map[string]func(*yaml.Node, string){
				"is":     func(n *yaml.Node, at string) { p.numbers(n, at, &d.Heartbeat.Is) },
				"empty":  func(n *yaml.Node, at string) { p.truth(n, at, &d.Heartbeat.Empty) },
				"send":   func(n *yaml.Node, at string) { p.numbers(n, at, &d.Heartbeat.Send) },
				"answer": func(n *yaml.Node, at string) { p.numbers(n, at, &d.Heartbeat.Answer) },
			})
		},
	})
}

func (p *parser) field(n *yaml.Node, at string, f *Field) {
	p.mapping(n, at, map[string]func(*yaml.Node, string){
		"name":      func(n *yaml.Node, at string) { p.text(n, at, &f.Name) },
		"size":      func(n *yaml.Node, at string) { p.size(n, at, &f.Size) },
		"endian":    func(n *yaml.Node, at string) { p.text(n, at, &f.Endian) },
		"role":      func(n *yaml.Node, at string) { p.text(n, at, &f.Role) },
		"attribute": func(n *yaml.Node, at string) { p.text(n, at, &f.Attribute) },
		"const":     func(n *yaml.Node, at string) { p.number(n, at, &f.Const) },
		"default":   func(n *yaml.Node, at string) { p.number(n, at, &f.Default) },
		"min":       func(n *yaml.Node, at string) { p.number(n, at, &f.Min) },
		"max":       func(n *yaml.Node, at string) { p.number(n, at, &f.Max) },
		"values":    func(n *yaml.Node, at string) { p.values(n, at, &f.Values) },
		"other":     func(n *yaml.Node, at string) { p.text(n, at, &f.Other) },
		"encode":    func(n *yaml.Node, at string) { p.numbers(n, at, &f.Encode) },
		"zero":      func(n *yaml.Node, at string) { p.text(n, at, &f.Zero) },
		"counts":    func(n *yaml.Node, at string) { p.text(n, at, &f.Counts) },
		"checksum":  func(n *yaml.Node, at string) { p.text(n, at, &f.Checksum) },
		"covers":    func(n *yaml.Node, at string) { p.text(n, at, &f.Covers) },
		"poly":      func(n *yaml.Node, at string) { p.number(n, at, &f.Poly) },
		"init":      func(n *yaml.Node, at string) { p.number(n, at, &f.Init) },
		"xorout":    func(n *yaml.Node, at string) { p.number(n, at, &f.XorOut) },
		"refin":     func(n *yaml.Node, at string) { f.RefIn = new(bool); p.truth(n, at, f.RefIn) },
		"refout":    func(n *yaml.Node, at string) { f.RefOut = new(bool); p.truth(n, at, f.RefOut) },
	})
}

func (p *parser) text(n *yaml.Node, at string, to *string) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.add(at, describe(n), "a text", "")
		return
	}
	*to = n.Value
}

func (p *parser) truth(n *yaml.Node, at string, to *bool) {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		p.add(at, describe(n), "true or false", "")
		return
	}
	*to = n.Value == "true"
}

// number reads an unsigned integer: decimal, or with 0x, 0o or 0b in front.
func (p *parser) number(n *yaml.Node, at string, to **uint64) {
	if n.Kind == yaml.ScalarNode {
		if v, ok := parseNumber(n.Value); ok {
			*to = &v
			return
		}
	}
	p.add(at, describe(n), "a whole number of at most 64 bits, such as 85 or 0x55", "")
}

func parseNumber(s string) (uint64, bool) {
	if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' {
		return 0, false // decimal to some readers, octal to others
	}
	v, err := strconv.ParseUint(s, 0, 64)
	return v, err == nil
}

func (p *parser) size(n *yaml.Node, at string, to *int) {
	if n.Kind == yaml.ScalarNode {
		if v, ok := parseNumber(n.Value); ok && v >= 1 && v <= 8 {
			*to = int(v)
			return
		}
	}
	p.add(at, describe(n), "a whole number of bytes from 1 to 8", "leave size out for a field of variable length")
	*to = 1 // so that no further problem follows from this one
}

// bytes reads a number of bytes: 512, 64KiB, 1MiB.
func (p *parser) bytes(n *yaml.Node, at string, to *int) {
	if n.Kind == yaml.ScalarNode {
		digits, unit := n.Value, uint64(1)
		for suffix, u := range map[string]uint64{"KiB": 1 << 10, "MiB": 1 << 20} {
			if head, ok := strings.CutSuffix(n.Value, suffix); ok {
				digits, unit = strings.TrimSpace(head), u
			}
		}
		if v, ok := parseNumber(digits); ok && v > 0 && v <= 1<<30/unit {
			*to = int(v * unit)
			return
		}
	}
	p.add(at, describe(n), "a number of bytes such as 512, 64KiB or 1MiB", "")
}

// numbers reads a map from names to numbers.
func (p *parser) numbers(n *yaml.Node, at string, to *map[string]uint64) {
	*to = map[string]uint64{}
	p.each(n, at, func(key string, value *yaml.Node, at string) {
		var v *uint64
		if p.number(value, at, &v); v != nil {
			(*to)[key] = *v
		}
	})
}

// values reads a map from numbers to texts.
func (p *parser) values(n *yaml.Node, at string, to *map[uint64]string) {
	*to = map[uint64]string{}
	p.each(n, at, func(key string, value *yaml.Node, at string) {
		raw, ok := parseNumber(key)
		if !ok {
			p.add(at, "the key "+strconv.Quote(key), "a whole number, such as 1 or 0x01", "")
			return
		}
		if _, twice := (*to)[raw]; twice {
			p.add(at, "the value a second time", "each value once", "")
			return
		}
		var v string
		p.text(value, at, &v)
		(*to)[raw] = v
	})
}

// mapping calls the reader of each key that n has.
func (p *parser) mapping(n *yaml.Node, at string, readers map[string]func(*yaml.Node, string)) {
	known := make([]string, 0, len(readers))
	for key := range readers {
		known = append(known, key)
	}
	p.each(n, at, func(key string, value *yaml.Node, at string) {
		read, ok := readers[key]
		if !ok {
			p.add(at, "an unknown key", "one of "+list(known), suggest(key, known))
			return
		}
		read(value, at)
	})
}

// each calls do for every key of the mapping n, and remembers the keys' lines.
func (p *parser) each(n *yaml.Node, at string, do func(key string, value *yaml.Node, at string)) {
	if at == "" {
		p.lines["declaration"] = n.Line
	} else if _, ok := p.lines[at]; !ok {
		p.lines[at] = n.Line
	}
	if n.Kind != yaml.MappingNode {
		path := at
		if path == "" {
			path = "declaration"
		}
		p.add(path, describe(n), "keys with values", "")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		path := key.Value
		if at != "" {
			path = at + "." + key.Value
		}
		if seen[key.Value] {
			p.add(path, "the key a second time", "each key once", "")
			continue
		}
		seen[key.Value] = true
		p.lines[path] = key.Line
		do(key.Value, resolve(n.Content[i+1]), path)
	}
}

// resolve follows an alias. An alias of an alias does not exist in YAML.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// describe says what a node is, for "found".
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys with values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	case len(n.Value) > 40:
		return strconv.Quote(n.Value[:40]) + "..."
	case n.Tag == "!!str":
		return strconv.Quote(n.Value)
	}
	return n.Value
}
