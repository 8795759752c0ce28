package config

import (
	"reflect"
	"strconv"
	"strings"
)

// decoder fills the struct from a tree and collects what does not fit.
type decoder struct {
	places   map[string]Place
	frames   map[string]Frame
	secrets  *secrets // nil: references stay text
	problems Problems
	field    field // that is being decoded
}

// field is what the tags of a struct field say.
type field struct {
	index    int
	key      string
	fallback string
	required bool
	secret   bool // text is hidden
	refers   bool // text must be a reference
	secrets  bool // in a mapping, under each name
	enum     []string
	min, max string
	form     string // of text, or of a mapping's keys: formName
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
		at := field{index: i, key: key, fallback: f.Tag.Get("default"), required: f.Tag.Get("required") != "", secret: f.Tag.Get("secret") != "", refers: f.Tag.Get("secret") == "reference", secrets: f.Tag.Get("secret") == "all", min: f.Tag.Get("min"), max: f.Tag.Get("max"), form: f.Tag.Get("form")}
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
	value := show(raw)
	if d.field.secret {
		value = ""
	}
	d.problem(path, Problem{Cause: "wrong type", Value: value, Found: kind(raw), Expected: expected, Fix: fix})
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
	rateType       = reflect.TypeFor[Rate]()
	firstBytesType = reflect.TypeFor[FirstBytes]()
)

// shorthand is the key that a struct's scalar form stands for.
var shorthand = map[reflect.Type]string{
	reflect.TypeFor[ChainEntry]():     "plugin",
	reflect.TypeFor[Target]():         "to",
	reflect.TypeFor[Rollout]():        "mode",
	reflect.TypeFor[ModbusTarget]():   "device",
	reflect.TypeFor[UpstreamMember](): "address",
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
	case firstBytesType:
		d.firstBytes(v, raw, path)
	case sizeType, durationType, percentType, factorType, rateType, prioritiesType:
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
			if d.field.refers && text != "" && !onlyRefers(text) {
				d.problem(path, Problem{Cause: "a secret in the configuration", Expected: "a reference: ${env:NAME} or ${file:PATH}", Fix: "put it into a variable or a file, and name that"})
				return
			}
			if d.field.secret {
				text = d.resolve(text, path)
			}
			v.SetString(text)
		} else {
			expected := "text"
			if d.field.enum != nil {
				expected = anyOf(d.field.enum)
			}
			d.wrongType(path, raw, expected, textFix(d.field, raw))
		}
	case reflect.Bool:
		if b, ok := raw.(bool); ok {
			v.SetBool(b)
		} else {
			d.wrongType(path, raw, "true or false", truthFix(raw))
		}
	case reflect.Int:
		if i, ok := raw.(int64); ok {
			v.SetInt(i)
		} else {
			d.wrongType(path, raw, "a whole number", wholeFix(raw))
		}
	case reflect.Slice:
		d.list(v, raw, path)
	case reflect.Map:
		d.table(v, raw, path)
	}
}

func (d *decoder) list(v reflect.Value, raw any, path string) {
	entries, ok := raw.([]any)
	if !ok {
		d.wrongType(path, raw, "a list", listFix(v.Type().Elem(), raw))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(entries), len(entries)))
	of := d.field
	for i, entry := range entries {
		at := join(path, strconv.Itoa(i))
		d.field = of // and not the last of the entry before
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
		d.wrongType(path, raw, "a mapping from names", tableFix(raw))
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	of := d.field
	for _, name := range sortedKeys(entries) {
		d.field = of // and not the last of the entry before
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
		d.noMapping(v.Type(), raw, path)
	}
	fields := fieldsOf(v.Type())
	known := make(map[string]bool, len(fields))
	for _, f := range fields {
		known[f.key] = true
		at := join(path, f.key)
		d.field = f
		d.fallback(v.Field(f.index), f, at)
		given, present := keys[f.key]
		if present {
			d.field = f // the default may have been a struct
			d.value(v.Field(f.index), given, at)
		}
		switch {
		case given != nil && given != "":
			d.bounds(v.Field(f.index), f, given, at)
		case f.required && (ok || raw == nil):
			d.problem(at, Problem{Cause: "missing key", Expected: required(v.Field(f.index).Type(), f)})
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

// noMapping reports what is not a mapping.
func (d *decoder) noMapping(t reflect.Type, raw any, path string) {
	if key := shorthand[t]; key != "" {
		d.wrongType(path, raw, "text, or a mapping with the key "+key, "")
		return
	}
	such, fix := sample(t, raw)
	expected := "a mapping"
	if such != "" {
		expected += ", such as " + such
	}
	if fix == "" || d.field.secret && t != reflect.TypeFor[APIToken]() {
		fix = mappingFix(t, raw)
	}
	d.wrongType(path, raw, expected, fix)
}

func (d *decoder) unknown(t reflect.Type, key, path string) {
	p := Problem{Cause: "unknown key", Fix: didYouMean(key, keysOf(t))}
	if p.Fix == "" && t == reflect.TypeFor[Config]() {
		p.Fix = elsewhere(key)
	}
	if p.Fix == "" {
		if p.Expected = anyOf(keysOf(t)); p.Expected == "" {
			p.Fix = "remove it: nothing can be set here"
		}
	}
	d.problem(path, p)
}

// fallback sets a field to the default that its tag holds.
func (d *decoder) fallback(v reflect.Value, f field, path string) {
	if v.Kind() == reflect.Struct && v.Type() != frameType && v.Type() != firstBytesType {
		d.structure(v, nil, path)
		return
	}
	if f.fallback == "" {
		return
	}
	d.value(v, coerce(v.Type(), f.fallback), path)
}
