package config

import (
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Origin is the layer of the configuration that a value comes from.
type Origin string

// The origins, the later ones stronger.
const (
	// OriginDefault: nobody has said anything else.
	OriginDefault Origin = "default"
	// OriginFile: the configuration file, or what was read in its place.
	OriginFile Origin = "file"
	// OriginEnvironment: a variable, which Setting.Place names.
	OriginEnvironment Origin = "environment"
	// OriginFlag: a flag such as --set.
	OriginFlag Origin = "flag"
)

// Hidden stands where a secret's value would.
const Hidden = "(secret)"

// Setting is one key of a configuration, with the value that holds.
type Setting struct {
	// Key is the path, with the names of listeners, routes, plugins and so on:
	// listeners.trucks.limits.frame. Entries of other lists go by their index.
	Key string
	// Value is the text that a YAML file would have there: 64KiB, [a, b]. Of a
	// secret it is Hidden, or the reference by which it was given, which is none.
	Value string
	// Origin is where the value comes from, Place the exact place: file and line,
	// or Place.File alone: "environment NAME", "override". Empty for a default.
	Origin Origin
	Place  Place
	// Secret tells that the value is one that is shown to nobody.
	Secret bool
}

// From is the origin for people: default, weft.yaml:12, WEFT_LOG_LEVEL, --set.
func (s Setting) From() string { return from(s.Origin, s.Place) }

func from(origin Origin, place Place) string {
	switch origin {
	case OriginEnvironment:
		return strings.TrimPrefix(place.File, envPlace)
	case OriginFlag:
		return "--set"
	case OriginFile:
		return strings.TrimPrefix(place.String(), "./")
	}
	return string(OriginDefault)
}

// Effective lists every key that holds, in the order of the documentation; entries of
// mappings by name. What is absent and has no default is left out. A list of plain values
// is one setting. Secrets are hidden: see Setting. It is for whoever may see the
// configuration: the command, the API, the console.
func (c *Config) Effective() []Setting {
	var list []Setting
	c.outline().each(func(n *node) {
		list = append(list, Setting{Key: c.readable(n.path), Value: n.text(), Origin: n.origin, Place: n.place, Secret: n.hides()})
	})
	return list
}

// node is a key of the configuration and what is below it: a leaf with a value, a
// mapping or a list.
type node struct {
	key    string // below its parent; empty in a list
	path   string // with the indices of lists' entries
	kind   nodeKind
	value  any        // of a leaf: text, bool, int64, uint64, float64 or nil
	frame  *yaml.Node // of a frame's declaration
	below  []*node
	origin Origin
	place  Place
	secret bool
}

type nodeKind uint8

const (
	aLeaf nodeKind = iota
	aMapping
	aList
	aFrame
)

// each calls f with every node that is a setting: leaves, declarations of frames, lists
// of leaves and what is empty.
func (n *node) each(f func(*node)) {
	if n.whole() {
		f(n)
		return
	}
	for _, b := range n.below {
		b.each(f)
	}
}

// whole nodes are one setting.
func (n *node) whole() bool {
	switch n.kind {
	case aLeaf, aFrame:
		return true
	case aMapping:
		return len(n.below) == 0
	}
	for _, b := range n.below {
		if b.kind != aLeaf {
			return false
		}
	}
	return true
}

// hides tells whether the node or an entry of the list is a secret.
func (n *node) hides() bool {
	for _, b := range n.below {
		if b.hides() {
			return true
		}
	}
	return n.secret
}

// text is the node's value on one line, as YAML would have it; text without quotes.
func (n *node) text() string {
	if value, ok := n.value.(string); ok && n.kind == aLeaf {
		return value
	}
	if n.kind == aFrame {
		text, err := yaml.Marshal(n.frame)
		if err != nil {
			return ""
		}
		return strings.TrimRight(string(text), "\n")
	}
	text, err := yaml.Marshal(n.yaml(nil, true))
	if err != nil {
		return "" // leaves and lists of them can always be written
	}
	return strings.TrimRight(string(text), "\n")
}

// plain is the node as encoding/json takes it, for MarshalJSON.
func (n *node) plain() (json.RawMessage, error) {
	var b strings.Builder
	err := n.json(&b)
	return json.RawMessage(b.String()), err
}
