package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Printing says how a configuration is written.
type Printing struct {
	// Origins writes beside each value where it comes from. JSON becomes a list of the
	// settings with their origins, which is no configuration.
	Origins bool
	// Given leaves out what is a default.
	Given bool
}

// WriteYAML writes what holds as a configuration file, which loads again, but for secrets
// that are hidden (Hidden stands in their place) and paths, which stay relative to the
// folder that they were relative to.
func (c *Config) WriteYAML(w io.Writer, p Printing) error {
	root := c.outline()
	if p.Given {
		root.prune()
	}
	comment := func(*node) string { return "" }
	if p.Origins {
		comment = func(n *node) string { return from(n.origin, n.place) }
	}
	if len(root.below) == 0 {
		_, err := io.WriteString(w, "{}\n")
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root.yaml(comment, false)); err != nil {
		return fmt.Errorf("config: writing YAML: %w", err)
	}
	return encoder.Close()
}

// WriteJSON writes what WriteYAML does as JSON.
func (c *Config) WriteJSON(w io.Writer, p Printing) error {
	root := c.outline()
	if p.Given {
		root.prune()
	}
	var value any
	if p.Origins {
		type setting struct {
			Key    string `json:"key"`
			Value  string `json:"value"`
			Origin Origin `json:"origin"`
			Place  string `json:"place,omitempty"`
			Secret bool   `json:"secret,omitempty"`
		}
		list := []setting{}
		root.each(func(n *node) {
			list = append(list, setting{c.readable(n.path), n.text(), n.origin, n.place.String(), n.hides()})
		})
		value = map[string]any{"settings": list}
	} else {
		text, err := root.plain()
		if err != nil {
			return fmt.Errorf("config: writing JSON: %w", err)
		}
		value = text
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// prune takes out what is a default; what is left of mappings without content goes, too.
func (n *node) prune() {
	kept := n.below[:0]
	for _, b := range n.below {
		empty := len(b.below) == 0
		if b.kind == aMapping || b.kind == aList && !b.whole() {
			b.prune()
		}
		switch {
		case b.whole() && b.origin == OriginDefault && n.kind == aMapping:
		case len(b.below) == 0 && !empty && n.kind == aMapping && b.origin == OriginDefault:
		default:
			kept = append(kept, b)
		}
	}
	n.below = kept
}

// yaml is the node as one of YAML's; flow writes it on one line.
func (n *node) yaml(comment func(*node) string, flow bool) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if flow || len(n.below) == 0 {
		out.Style = yaml.FlowStyle
	}
	switch n.kind {
	case aFrame:
		return n.frame
	case aLeaf:
		out = scalarNode(n.value)
	case aList:
		out.Kind, out.Tag = yaml.SequenceNode, "!!seq"
		for _, b := range n.below {
			entry := comment
			if n.whole() {
				out.Style, entry = yaml.FlowStyle, nil
			}
			out.Content = append(out.Content, b.yaml(entry, out.Style == yaml.FlowStyle))
		}
	case aMapping:
		for _, b := range n.below {
			key := scalarNode(b.key)
			out.Content = append(out.Content, key, b.yaml(comment, flow))
		}
	}
	if comment != nil && n.whole() {
		out.LineComment = comment(n)
	}
	return out
}

func scalarNode(value any) *yaml.Node {
	out := &yaml.Node{}
	if err := out.Encode(value); err != nil || out.Kind != yaml.ScalarNode {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: fmt.Sprint(value)}
	}
	return out
}

// json writes the node; keys stay in their order.
func (n *node) json(b *strings.Builder) error {
	switch n.kind {
	case aMapping:
		b.WriteByte('{')
		for i, below := range n.below {
			if i > 0 {
				b.WriteByte(',')
			}
			key, err := json.Marshal(below.key)
			if err != nil {
				return err
			}
			b.Write(key)
			b.WriteByte(':')
			if err := below.json(b); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	case aList:
		b.WriteByte('[')
		for i, below := range n.below {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := below.json(b); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	}
	value := n.value
	if n.kind == aFrame {
		if err := n.frame.Decode(&value); err != nil {
			return err
		}
	}
	text, err := json.Marshal(value)
	b.Write(text)
	return err
}
