package cases

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/abi"
)

// content is bytes that are expected: exactly, as the same JSON, or as a part.
type content struct {
	bytes    []byte
	json     bool // compare as JSON: order of keys and white space do not count
	contains bool // it is enough that they occur
}

// text reads a scalar as it is written.
func (r *reader) text(n *yaml.Node, what string) string {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || isNull(n) && n.Value != "" && n.Value != "~" && n.Value != "null" {
		r.fail(n, "%s is %s: expected text", what, found(n))
		return ""
	}
	if isNull(n) {
		return ""
	}
	return n.Value
}

func (r *reader) boolean(n *yaml.Node, what string) bool {
	n = resolve(n)
	var b bool
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&b) != nil {
		r.fail(n, "%s is %s: expected true or false", what, found(n))
	}
	return b
}

func (r *reader) number(n *yaml.Node, what string, most uint64) uint64 {
	n = resolve(n)
	var u uint64
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || n.Decode(&u) != nil || u > most {
		limit := strconv.FormatUint(most, 10)
		if most == math.MaxUint64 {
			limit = "2^64-1"
		}
		r.fail(n, "%s is %s: expected a whole number from 0 to %s", what, found(n), limit)
		return 0
	}
	return u
}

func (r *reader) duration(n *yaml.Node, what string) time.Duration {
	d, err := time.ParseDuration(r.text(n, what))
	if err != nil || d <= 0 {
		r.fail(n, "%s is %s: expected a duration such as 2s or 50us", what, found(resolve(n)))
		return 0
	}
	return d
}

// size reads a number of bytes: 65536, 64KiB, 4MiB.
func (r *reader) size(n *yaml.Node, what string) int64 {
	text, unit := strings.TrimSpace(r.text(n, what)), int64(1)
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 1 || v > math.MaxInt64/unit {
		r.fail(n, "%s is %s: expected a size such as 4MiB", what, found(resolve(n)))
		return 0
	}
	return v * unit
}

// oneOf reads a name out of a few; the result is its place, or 0.
func (r *reader) oneOf(n *yaml.Node, what string, names ...string) int {
	text := r.text(n, what)
	for i, name := range names {
		if text == name {
			return i
		}
	}
	r.fail(n, "%s is %s: expected %s", what, found(resolve(n)), strings.Join(names, ", "))
	return 0
}

// bytesFields are the ways in which bytes are written; each sets to.
func (r *reader) bytesFields(known fields, given *int, to *content) {
	read := func(key string, convert func(n *yaml.Node)) {
		known[key] = func(n *yaml.Node) {
			if *given++; *given == 2 {
				r.fail(n, "%s: the bytes are given twice: expected one of text, json, hex, base64, file", key)
			}
			convert(n)
		}
	}
	read("text", func(n *yaml.Node) { to.bytes = []byte(r.text(n, "text")) })
	read("json", func(n *yaml.Node) { to.bytes, to.json = r.json(n), true })
	read("hex", func(n *yaml.Node) {
		b, err := hex.DecodeString(strings.Join(strings.Fields(r.text(n, "hex")), ""))
		if err != nil {
			r.fail(n, "hex is %s: expected pairs of hexadecimal digits", found(resolve(n)))
		}
		to.bytes = b
	})
	read("base64", func(n *yaml.Node) {
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(r.text(n, "base64")), ""))
		if err != nil {
			r.fail(n, "base64 is %s: %v", found(resolve(n)), err)
		}
		to.bytes = b
	})
	read("file", func(n *yaml.Node) {
		b, err := os.ReadFile(r.beside(r.text(n, "file")))
		if err != nil {
			r.fail(n, "%v", err)
		}
		to.bytes = b
	})
}

// beside is a path that the file names, relative to its folder.
func (r *reader) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.folder, path)
}

// content reads what is expected of bytes: a text, or a mapping that says how
// they are written.
func (r *reader) content(n *yaml.Node, what string) *content {
	c := &content{}
	if resolve(n).Kind == yaml.ScalarNode {
		c.bytes = []byte(r.text(n, what))
		return c
	}
	given, known := 0, fields{}
	r.bytesFields(known, &given, c)
	known["contains"] = func(n *yaml.Node) {
		given++
		c.bytes, c.contains = []byte(r.text(n, "contains")), true
	}
	r.mapping(n, what, known)
	if given == 0 {
		r.fail(n, "%s: expected a text, or one of text, json, hex, base64, file, contains", what)
	}
	return c
}

// attributes reads a block of names and values in the order of the file.
func (r *reader) attributes(n *yaml.Node, what string) abi.Attributes {
	var a abi.Attributes
	r.pairs(n, what, func(key, value *yaml.Node) {
		text := r.text(value, what+"."+key.Value)
		if key.Value == "" || len(key.Value) > abi.MaxAttribute || len(text) > abi.MaxAttribute {
			r.fail(key, "%s: a name or value is empty or longer than %d bytes", what, abi.MaxAttribute)
			return
		}
		a = a.AppendString(key.Value, text)
	})
	return a
}

// block reads what is expected of attributes; a null value is an attribute that
// must not be there.
func (r *reader) block(n *yaml.Node, what string, all bool) *block {
	b := &block{all: all}
	r.pairs(n, what, func(key, value *yaml.Node) {
		p := pair{name: key.Value, absent: isNull(resolve(value))}
		if !p.absent {
			p.value = r.text(value, what+"."+key.Value)
		}
		b.pairs = append(b.pairs, p)
	})
	return b
}

// json turns a node into JSON: keys in the order of the file, numbers as written
// where JSON writes them so.
func (r *reader) json(n *yaml.Node) []byte {
	var b bytes.Buffer
	r.appendJSON(&b, n)
	return b.Bytes()
}

func (r *reader) appendJSON(b *bytes.Buffer, n *yaml.Node) {
	n = resolve(n)
	switch n.Kind {
	case yaml.MappingNode:
		comma := ""
		b.WriteByte('{')
		r.pairs(n, "JSON", func(key, value *yaml.Node) {
			b.WriteString(comma)
			appendText(b, key.Value)
			b.WriteByte(':')
			r.appendJSON(b, value)
			comma = ","
		})
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, entry := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			r.appendJSON(b, entry)
		}
		b.WriteByte(']')
	default:
		r.scalarJSON(b, n)
	}
}

func (r *reader) scalarJSON(b *bytes.Buffer, n *yaml.Node) {
	var v any
	switch n.ShortTag() {
	case "!!null":
		b.WriteString("null")
		return
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			b.WriteString(n.Value)
			return
		}
		fallthrough
	case "!!bool":
		if err := n.Decode(&v); err == nil {
			if text, err := json.Marshal(v); err == nil {
				b.Write(text)
				return
			}
		}
		r.fail(n, "%s cannot be written as JSON", found(n))
		b.WriteString("null")
	default:
		appendText(b, n.Value)
	}
}

// appendText writes a JSON text without escaping what HTML would.
func appendText(b *bytes.Buffer, text string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string can always be encoded
	b.Truncate(b.Len() - 1)
}
