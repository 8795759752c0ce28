package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// envPlace begins the name of a place in the environment.
const envPlace = "environment "

// overridePlace is the place of an override.
const overridePlace = "override"

// outliner makes nodes of a configuration. Beside each value it has what was given in
// its place, before types and defaults; nil where nothing was.
type outliner struct{ c *Config }

// outline is the configuration as nodes.
func (c *Config) outline() *node {
	o := outliner{c}
	root := &node{kind: aMapping}
	var given any
	if c.origin != nil {
		given = c.origin.tree
	}
	root.below = o.structure(reflect.ValueOf(c).Elem(), given, "")
	return root
}

// structure makes nodes of a struct's fields.
func (o outliner) structure(v reflect.Value, given any, path string) []*node {
	if text, ok := given.(string); ok {
		if key := shorthand[v.Type()]; key != "" {
			given = map[string]any{key: text}
		}
	}
	keys, _ := given.(map[string]any)
	var list []*node
	for _, f := range fieldsOf(v.Type()) {
		raw, present := keys[f.key]
		if inherits(v) && !present {
			continue // said elsewhere: it is not this place's to say
		}
		if n := o.field(v.Field(f.index), f, raw, present, join(path, f.key)); n != nil {
			n.key = f.key
			list = append(list, n)
		}
	}
	return list
}

// inherits tells that the struct has values that another part of the configuration gave
// it.
func inherits(v reflect.Value) bool {
	consul, ok := v.Interface().(UpstreamConsul)
	return ok && consul.inherited
}

// field is nil where nothing was given and nothing holds by default.
func (o outliner) field(v reflect.Value, f field, raw any, present bool, path string) *node {
	absent := v.IsZero() && f.fallback == "" && !present
	switch {
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if present && raw == nil {
			raw = map[string]any{} // "clock:" is "clock: {}"
		}
		return o.value(v.Elem(), f, raw, path)
	case v.Kind() == reflect.Struct && v.Type() != firstBytesType:
		n := o.value(v, f, raw, path)
		if len(n.below) == 0 {
			return nil
		}
		return n
	case absent, v.Type() == configType && v.IsNil():
		return nil
	}
	return o.value(v, f, raw, path)
}

// value is one value, of whatever type.
func (o outliner) value(v reflect.Value, f field, raw any, path string) *node {
	n := o.at(path, raw)
	n.secret = f.secret
	switch v.Type() {
	case configType:
		o.pluginConfig(n, v, raw)
		return n
	case frameType:
		return o.declaration(n, v)
	case firstBytesType:
		return o.firstBytes(n, v, f, raw)
	case prioritiesType, sizeType, durationType, percentType, factorType, rateType:
		n.value = fmt.Sprint(v.Interface())
		return n
	}
	switch v.Kind() {
	case reflect.Struct:
		n.kind, n.below = aMapping, o.structure(v, raw, path)
	case reflect.Slice:
		o.list(n, v, f, raw)
	case reflect.Map:
		o.table(n, v, f, raw)
	case reflect.String:
		text, ok := raw.(string)
		if !ok || text == "" {
			text = v.String()
		}
		n.scalar(text)
	case reflect.Bool:
		n.value = v.Bool()
	default:
		n.value = v.Int()
	}
	return n
}

// at is a node with its origin.
func (o outliner) at(path string, raw any) *node {
	n := &node{path: path, origin: OriginDefault}
	if raw == nil {
		return n
	}
	n.place = o.c.Place(path)
	switch {
	case strings.HasPrefix(n.place.File, envPlace):
		n.origin = OriginEnvironment
	case n.place.File == overridePlace:
		n.origin = OriginFlag
	default:
		n.origin = OriginFile
	}
	return n
}

// list makes entries of a slice; those that a shorthand says all of are text.
func (o outliner) list(n *node, v reflect.Value, f field, raw any) {
	n.kind = aList
	given, _ := raw.([]any)
	for i := range v.Len() {
		var entry any
		if i < len(given) {
			entry = given[i]
		}
		n.below = append(n.below, o.entry(v.Index(i), field{secret: f.secret}, entry, join(n.path, strconv.Itoa(i))))
	}
}

// table makes entries of a map, by name.
func (o outliner) table(n *node, v reflect.Value, f field, raw any) {
	n.kind = aMapping
	given, _ := raw.(map[string]any)
	for _, name := range sortedStrings(v.MapKeys()) {
		below := f
		below.secret = f.secrets || f.secret && secretName(name)
		b := o.entry(v.MapIndex(reflect.ValueOf(name)), below, given[name], join(n.path, name))
		b.key = name
		n.below = append(n.below, b)
	}
}

// entry is an entry of a list or a mapping, in its shorthand where that says all of it.
func (o outliner) entry(v reflect.Value, f field, raw any, path string) *node {
	if key := shorthand[v.Type()]; key != "" && v.Type() != reflect.TypeFor[Rollout]() {
		var text string
		for _, f := range fieldsOf(v.Type()) {
			if f.key == key {
				text = v.Field(f.index).String()
			}
		}
		short := reflect.New(v.Type()).Elem()
		(&decoder{}).structure(short, text, "")
		if reflect.DeepEqual(short.Interface(), v.Interface()) {
			n := o.at(path, raw)
			n.value = text
			return n
		}
	}
	return o.value(v, f, raw, path)
}

// firstBytes is a word or a list of patterns.
func (o outliner) firstBytes(n *node, v reflect.Value, f field, raw any) *node {
	first, _ := v.Interface().(FirstBytes)
	if first.Mode == FirstBytesList {
		o.list(n, v.FieldByName("Patterns"), f, raw)
	} else {
		n.value = first.Mode
	}
	return n
}

// declaration is a frame's, as it was written.
func (o outliner) declaration(n *node, v reflect.Value) *node {
	frame, _ := v.Interface().(Frame)
	var doc yaml.Node
	if err := yaml.Unmarshal(frame.Doc, &doc); err == nil && len(doc.Content) == 1 {
		n.kind, n.frame = aFrame, doc.Content[0]
		return n
	}
	n.kind = aMapping // what has no content
	return n
}

// pluginConfig is what was given, with its references; else what the plugin is handed.
func (o outliner) pluginConfig(n *node, v reflect.Value, raw any) {
	if raw == nil {
		decoder := json.NewDecoder(bytes.NewReader(v.Bytes()))
		decoder.UseNumber()
		if err := decoder.Decode(&raw); err != nil {
			raw = string(v.Bytes())
		}
	}
	o.untyped(n, raw, false)
}

// untyped is a value of a plugin's configuration. Below a key that sounds like a secret
// all text is one, and below one that sounds like a password a number, too.
func (o outliner) untyped(n *node, value any, secret bool) {
	switch value := value.(type) {
	case map[string]any:
		n.kind = aMapping
		for _, key := range sortedKeys(value) {
			b := o.at(join(n.path, key), value)
			b.key = key
			if _, text := value[key].(string); !text && scalarSecret(key, value[key]) {
				b.secret, b.value = true, Hidden
			} else {
				o.untyped(b, value[key], secret || secretName(key))
			}
			n.below = append(n.below, b)
		}
	case []any:
		n.kind = aList
		for i, entry := range value {
			b := o.at(join(n.path, strconv.Itoa(i)), value)
			o.untyped(b, entry, secret)
			n.below = append(n.below, b)
		}
	case string:
		n.secret = secret
		n.scalar(value)
	case json.Number:
		n.value = number(value)
	default:
		n.value = value
	}
}

// scalar is text, hidden if it is a secret.
func (n *node) scalar(text string) {
	n.secret = text != "" && (n.secret || secretText(text) || refers(text))
	n.value = text
	if n.secret && !onlyRefers(text) {
		n.value = Hidden
	}
}

func sortedStrings(values []reflect.Value) []string {
	names := make(map[string]bool, len(values))
	for _, v := range values {
		names[v.String()] = true
	}
	return sortedKeys(names)
}
