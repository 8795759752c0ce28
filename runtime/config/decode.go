package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// decoder fills the struct from a tree and collects what does not fit.
type decoder struct {
	places   map[string]Place
	frames   map[string]Frame
	problems Problems
	field    field // that is being decoded
}

// field is what the tags of a struct field say.
type field struct {
	index    int
	key      string
	fallback string
	required bool
	enum     []string
	min, max string
}

// fieldsOf lists the fields of a struct that are keys.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("koanf")
		if key == "" || key == "-" {
			continue
		}
		at := field{index: i, key: key, fallback: f.Tag.Get("default"), required: f.Tag.Get("required") != "", min: f.Tag.Get("min"), max: f.Tag.Get("max")}
		if enum := f.Tag.Get("enum"); enum != "" {
			at.enum = strings.Split(enum, ",")
		}
		fields = append(fields, at)
	}
	return fields
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.key)
	}
	return keys
}

func (d *decoder) problem(path string, p Problem) {
	p.Key = path
	d.problems = append(d.problems, p)
}

func (d *decoder) wrongType(path string, raw any, expected, fix string) {
	d.problem(path, Problem{Cause: "wrong type", Value: show(raw), Found: kind(raw), Expected: expected, Fix: fix})
}

// unit are the types that are written in a form of their own.
var (
	sizeType       = reflect.TypeFor[Size]()
	durationType   = reflect.TypeFor[Duration]()
	percentType    = reflect.TypeFor[Percent]()
	factorType     = reflect.TypeFor[Factor]()
	prioritiesType = reflect.TypeFor[Priorities]()
	configType     = reflect.TypeFor[PluginConfig]()
	frameType      = reflect.TypeFor[Frame]()
	grantsType     = reflect.TypeFor[Grants]()
)

// shorthand is the key that a struct's scalar form stands for.
var shorthand = map[reflect.Type]string{
	reflect.TypeFor[ChainEntry]():   "plugin",
	reflect.TypeFor[Target]():       "to",
	reflect.TypeFor[Rollout]():      "mode",
	reflect.TypeFor[ModbusTarget](): "device",
}

// value decodes raw into v. A nil raw leaves v as it is.
func (d *decoder) value(v reflect.Value, raw any, path string) {
	if v.Kind() == reflect.Pointer {
		if raw == nil && v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem() != prioritiesType {
			raw = map[string]any{} // "clock:" grants like "clock: {}"
		}
		if raw != nil {
			v.Set(reflect.New(v.Type().Elem()))
			d.value(v.Elem(), raw, path)
		}
		return
	}
	switch v.Type() {
	case configType:
		d.pluginConfig(v, raw, path)
	case frameType:
		d.frame(v, raw, path)
	case sizeType, durationType, percentType, factorType, prioritiesType:
		d.unit(v, raw, path)
	default:
		d.plain(v, raw, path)
	}
}

func (d *decoder) plain(v reflect.Value, raw any, path string) {
	if v.Kind() == reflect.Struct {
		d.structure(v, raw, path)
		return
	}
	if raw == nil {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if text, ok := raw.(string); ok {
			v.SetString(text)
		} else {
			d.wrongType(path, raw, "text", quoteFix(raw))
		}
	case reflect.Bool:
		if b, ok := raw.(bool); ok {
			v.SetBool(b)
		} else {
			d.wrongType(path, raw, "true or false", "")
		}
	case reflect.Int:
		if i, ok := raw.(int64); ok {
			v.SetInt(i)
		} else {
			d.wrongType(path, raw, "a whole number", "")
		}
	case reflect.Slice:
		d.list(v, raw, path)
	case reflect.Map:
		d.table(v, raw, path)
	}
}

func quoteFix(raw any) string {
	switch raw.(type) {
	case int64, uint64, float64, bool:
		return "put it in quotes"
	}
	return ""
}

func (d *decoder) list(v reflect.Value, raw any, path string) {
	entries, ok := raw.([]any)
	if !ok {
		fix := ""
		if kind := v.Type().Elem().Kind(); kind == reflect.String || shorthand[v.Type().Elem()] != "" {
			if text, isText := raw.(string); isText && len(text) <= 60 {
				fix = fmt.Sprintf("write [%s]", text)
			}
		}
		d.wrongType(path, raw, "a list", fix)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(entries), len(entries)))
	for i, entry := range entries {
		at := join(path, strconv.Itoa(i))
		if entry == nil {
			d.problem(at, Problem{Cause: "empty entry in a list", Fix: "remove it, or give it a value"})
			continue
		}
		d.value(v.Index(i), entry, at)
	}
}

func (d *decoder) table(v reflect.Value, raw any, path string) {
	entries, ok := raw.(map[string]any)
	if !ok {
		d.wrongType(path, raw, "a mapping from names", "")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	for _, name := range sortedKeys(entries) {
		entry := reflect.New(v.Type().Elem()).Elem()
		d.value(entry, entries[name], join(path, name))
		v.SetMapIndex(reflect.ValueOf(name), entry)
	}
}

// structure fills a struct: its defaults first, then what raw holds.
func (d *decoder) structure(v reflect.Value, raw any, path string) {
	if key := shorthand[v.Type()]; key != "" {
		if text, ok := raw.(string); ok {
			raw = map[string]any{key: text}
		}
	}
	keys, ok := raw.(map[string]any)
	if !ok && raw != nil {
		expected := "a mapping"
		if key := shorthand[v.Type()]; key != "" {
			expected = "text, or a mapping with the key " + key
		}
		d.wrongType(path, raw, expected, "")
	}
	fields := fieldsOf(v.Type())
	known := make(map[string]bool, len(fields))
	for _, f := range fields {
		known[f.key] = true
		at := join(path, f.key)
		d.fallback(v.Field(f.index), f, at)
		given, present := keys[f.key]
		if present {
			d.field = f
			d.value(v.Field(f.index), given, at)
		}
		switch {
		case given != nil && given != "":
			d.bounds(v.Field(f.index), f, given, at)
		case f.required && (ok || raw == nil):
			d.problem(at, Problem{Cause: "missing key", Expected: "a value"})
		case present && given == "" && f.enum != nil && f.fallback != "":
			d.bounds(v.Field(f.index), f, given, at)
		}
	}
	for _, key := range sortedKeys(keys) {
		if !known[key] {
			d.unknown(v.Type(), key, join(path, key))
		}
	}
}

func (d *decoder) unknown(t reflect.Type, key, path string) {
	if t == grantsType && key == "filter" {
		d.problem(path, Problem{Cause: "not in this version", Expected: "no such grant: filters in the kernel are not there yet", Fix: "remove it"})
		return
	}
	p := Problem{Cause: "unknown key", Fix: didYouMean(key, keysOf(t))}
	if p.Fix == "" {
		if p.Expected = anyOf(keysOf(t)); p.Expected == "" {
			p.Fix = "remove it: nothing can be set here"
		}
	}
	d.problem(path, p)
}

// fallback sets a field to the default that its tag holds.
func (d *decoder) fallback(v reflect.Value, f field, path string) {
	if v.Kind() == reflect.Struct && v.Type() != frameType {
		d.structure(v, nil, path)
		return
	}
	if f.fallback == "" {
		return
	}
	d.value(v, coerce(v.Type(), f.fallback), path)
}
