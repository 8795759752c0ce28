package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Docs is what the keys mean, by type and field: "Listener.Name". The documentation
// comments of this package are where it comes from.
type Docs map[string]string

// SchemaID is the address under which the schema is published.
const SchemaID = "https://raw.githubusercontent.com/weftrun/weft/main/configs/weft.schema.json"

// schemaKey is a key of the file that editors read and weft does not.
const schemaKey = "$schema"

// What texts look like that have a form of their own.
const (
	patternReference = `^([Bb]earer |[Bb]asic )?(\$\{(env|file):[^{}]*\})*$`
	patternName      = `^[a-z][a-z0-9_-]{0,63}$`
	patternSize      = `^\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*(B|KiB|MiB|GiB|TiB|PiB|kB|KB|MB|GB|TB)?\s*$`
	patternDuration  = `^\s*(0|\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)\s*$`
	patternPercent   = `^\s*(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*%)\s*$`
	patternFactor    = `^\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*$`
	patternRate      = `^\s*(0|[0-9]+\s*/\s*[smh])\s*$`
	patternPriority  = `^\s*([0-7]|(>=|<=|>|<)\s*[0-7]|[0-7]\s*-\s*[0-7])\s*$`
)

// Schema is the JSON Schema (draft 2020-12) of the configuration file. It refuses what
// Load refuses by shape: unknown and missing keys, wrong types, unknown values, numbers
// out of range. What depends on several keys, and bounds of quantities in text, only Load
// knows.
func Schema(docs Docs) ([]byte, error) {
	s := &schemer{docs: docs, defs: map[string]*object{}}
	root := s.structure(reflect.TypeFor[Config]())
	properties, _ := root.get("properties").(*object)
	properties.front(schemaKey, newObject("type", "string", "description", "The address of this schema, for editors."))
	out := newObject("$schema", "https://json-schema.org/draft/2020-12/schema", "$id", SchemaID, "title", "The configuration of weft")
	for _, key := range root.keys {
		out.set(key, root.values[key])
	}
	defs := newObject()
	for _, name := range sortedKeys(s.defs) {
		defs.set(name, s.defs[name])
	}
	out.set("$defs", defs)
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return nil, fmt.Errorf("config: writing the schema: %w", err)
	}
	return b.Bytes(), nil
}

// schemer makes one definition of each struct.
type schemer struct {
	docs Docs
	defs map[string]*object
}

// structure is a struct as a mapping.
func (s *schemer) structure(t reflect.Type) *object {
	properties, required := newObject(), []string{}
	for _, f := range fieldsOf(t) {
		field := t.Field(f.index)
		value := s.value(field.Type, f)
		if text := s.docs[t.Name()+"."+field.Name]; text != "" {
			value.front("description", text)
		}
		if f.fallback != "" {
			value.set("default", coerce(field.Type, f.fallback))
		}
		properties.set(f.key, value)
		if f.required {
			required = append(required, f.key)
		}
	}
	out := newObject()
	if text := s.docs[t.Name()]; text != "" {
		out.set("description", text)
	}
	out.set("type", "object")
	if len(required) == 0 {
		out.set("type", []string{"object", "null"})
	}
	out.set("additionalProperties", false)
	out.set("properties", properties)
	if len(required) > 0 {
		out.set("required", required)
	}
	return out
}

// ref refers to a struct's definition.
func (s *schemer) ref(t reflect.Type) *object {
	if _, known := s.defs[t.Name()]; !known {
		s.defs[t.Name()] = nil // a struct may contain itself
		s.defs[t.Name()] = s.structure(t)
	}
	return newObject("$ref", "#/$defs/"+t.Name())
}

// value is the schema of a key's value.
func (s *schemer) value(t reflect.Type, f field) *object {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if unit := s.unit(t, f); unit != nil {
		return unit
	}
	switch t.Kind() {
	case reflect.Struct:
		if key := shorthand[t]; key != "" {
			short := newObject("type", "string", "minLength", 1)
			for _, own := range fieldsOf(t) {
				if own.key == key {
					short = s.text(own)
				}
			}
			return newObject("anyOf", []*object{short, s.ref(t)})
		}
		return s.ref(t)
	case reflect.Slice:
		list := newObject("type", orNull("array", f), "items", s.value(t.Elem(), field{required: t.Elem().Kind() != reflect.String}))
		if t.Elem().Kind() == reflect.String {
			list.set("items", newObject("type", "string"))
		}
		if f.required {
			list.set("minItems", 1)
		}
		return list
	case reflect.Map:
		table := newObject("type", orNull("object", f))
		if f.form == formName {
			table.set("propertyNames", newObject("pattern", patternName))
		}
		table.set("additionalProperties", s.value(t.Elem(), field{}))
		return table
	case reflect.Bool:
		return newObject("type", orNull("boolean", f))
	case reflect.Int:
		number := newObject("type", orNull("integer", f))
		bounded(number, t, f)
		return number
	}
	return s.text(f)
}

// text is a string, one of a few words, or a name.
func (s *schemer) text(f field) *object {
	if f.enum == nil {
		out := newObject("type", orNull("string", f))
		if f.required {
			out.set("minLength", 1)
		}
		switch {
		case f.form == formName:
			out.set("pattern", patternName)
		case f.refers:
			out.set("pattern", patternReference)
		}
		return out
	}
	words := []any{}
	for _, word := range f.enum {
		words = append(words, word)
	}
	if !f.required {
		if words = append(words, nil); f.fallback == "" {
			words = append(words, "")
		}
	}
	return newObject("enum", words)
}

// unit is the schema of a type that is written in a form of its own, nil for any other.
func (s *schemer) unit(t reflect.Type, f field) *object {
	text := func(pattern string) *object { return newObject("type", "string", "pattern", pattern) }
	zero := newObject("const", 0)
	var ways []*object
	switch t {
	case configType:
		return newObject() // whatever the plugin takes
	case frameType:
		return newObject("type", "object", "description", "The declaration of a frame format: runtime/frame/README.md.")
	case firstBytesType:
		patterns := newObject("type", "array", "items", s.ref(reflect.TypeFor[BytePattern]()), "maxItems", maxBytePatterns)
		ways = []*object{newObject("enum", []any{FirstBytesAuto, FirstBytesOff, false}), patterns}
	case prioritiesType:
		ways = []*object{newObject("type", "integer", "minimum", 0, "maximum", 7), text(patternPriority)}
	case sizeType:
		number := newObject("type", "integer")
		bounded(number, t, f)
		ways = []*object{text(patternSize), number}
	case factorType:
		number := newObject("type", "number", "minimum", 0)
		ways = []*object{text(patternFactor), number}
	case durationType:
		ways = []*object{text(patternDuration), zero}
	case percentType:
		ways = []*object{text(patternPercent), zero}
	case rateType:
		ways = []*object{text(patternRate), zero}
	default:
		return nil
	}
	if !f.required {
		ways = append(ways, newObject("type", "null"))
	}
	return newObject("anyOf", ways)
}

// bounded adds the bounds that the tags give a number.
func bounded(o *object, t reflect.Type, f field) {
	if f.min == "" {
		return
	}
	o.set("minimum", bound(t, f.min))
	o.set("maximum", bound(t, f.max))
}

// orNull permits a key without a value, which is as if it was not there.
func orNull(kind string, f field) any {
	if f.required {
		return kind
	}
	return []string{kind, "null"}
}

// object is a JSON object whose keys stay in their order.
type object struct {
	keys   []string
	values map[string]any
}

func newObject(pairs ...any) *object {
	o := &object{values: map[string]any{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.set(fmt.Sprint(pairs[i]), pairs[i+1])
	}
	return o
}

func (o *object) get(key string) any { return o.values[key] }

func (o *object) set(key string, value any) {
	if _, known := o.values[key]; !known {
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
}

// front sets a key that is new and comes first.
func (o *object) front(key string, value any) {
	if _, known := o.values[key]; !known {
		o.keys = append([]string{key}, o.keys...)
	}
	o.values[key] = value
}

// MarshalJSON writes the keys in their order.
func (o *object) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, key := range o.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(key))
		b.WriteByte(':')
		var value bytes.Buffer
		encoder := json.NewEncoder(&value)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(o.values[key]); err != nil {
			return nil, err
		}
		b.Write(bytes.TrimRight(value.Bytes(), "\n"))
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}
