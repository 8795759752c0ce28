package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder fills the struct from a tree and collects what does not fit.
type decoder struct {
	places   map[string]Place
	frames   map[string]Frame
	problems Problems
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
	prioritiesType = reflect.TypeFor[Priorities]()
	configType     = reflect.TypeFor[PluginConfig]()
	frameType      = reflect.TypeFor[Frame]()
)

// shorthand is the key that a struct's scalar form stands for.
var shorthand = map[reflect.Type]string{
	reflect.TypeFor[ChainEntry](): "plugin",
	reflect.TypeFor[Target]():     "to",
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
	case sizeType, durationType, prioritiesType:
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

// bounds checks what the tags say about a value that was given.
func (d *decoder) bounds(v reflect.Value, f field, raw any, path string) {
	switch {
	case f.enum != nil && v.Kind() == reflect.String:
		for _, allowed := range f.enum {
			if v.String() == allowed {
				return
			}
		}
		if _, ok := raw.(string); ok {
			d.problem(path, Problem{Cause: "unknown value", Value: show(raw), Expected: anyOf(f.enum), Fix: didYouMean(v.String(), f.enum)})
		}
	case f.min != "" && v.CanInt():
		least, most := bound(v.Type(), f.min), bound(v.Type(), f.max)
		if n := v.Int(); n < least || n > most {
			d.problem(path, Problem{Cause: "out of range", Value: fmt.Sprint(v.Interface()), Expected: fmt.Sprintf("%s to %s", f.min, f.max)})
		}
	}
}

// bound reads a bound in the form that the field's type has.
func bound(t reflect.Type, text string) int64 {
	switch t {
	case sizeType:
		s, err := ParseSize(text)
		if err == nil {
			return int64(s)
		}
	case durationType:
		dur, err := ParseDuration(text)
		if err == nil {
			return int64(dur)
		}
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil {
			return n
		}
	}
	panic(fmt.Sprintf("config: tag with a bound %q of type %s", text, t))
}

func (d *decoder) unit(v reflect.Value, raw any, path string) {
	if raw == nil {
		return
	}
	n, isInt := raw.(int64)
	text, isText := raw.(string)
	var err error
	switch v.Type() {
	case sizeType:
		var size Size
		if isText {
			size, err = ParseSize(text)
		} else if size = Size(n); !isInt {
			err = ErrUnit
		}
		if err != nil {
			d.wrongType(path, raw, "a size", "write it like 64KiB, 1MiB or 1048576")
			return
		}
		v.SetInt(int64(size))
	case durationType:
		var dur Duration
		switch {
		case isText:
			dur, err = ParseDuration(text)
		case !isInt || n != 0:
			err = ErrUnit
		}
		if err != nil {
			fix := "write it like 500ms, 15s or 1m30s"
			if isInt {
				fix = fmt.Sprintf("add a unit: %ds", n)
			}
			d.wrongType(path, raw, "a duration", fix)
			return
		}
		v.SetInt(int64(dur))
	case prioritiesType:
		d.priorities(v, raw, path)
	}
}

// pluginConfig keeps the subtree as JSON.
func (d *decoder) pluginConfig(v reflect.Value, raw any, path string) {
	if raw == nil {
		return
	}
	text, err := json.Marshal(raw)
	if err != nil {
		reason := &json.UnsupportedValueError{}
		p := Problem{Cause: "cannot be written as JSON"}
		if errors.As(err, &reason) {
			p.Found = reason.Str
		}
		d.problem(path, p)
		return
	}
	v.SetBytes(text)
}

// frame keeps a declaration as it is written, or encodes it anew.
func (d *decoder) frame(v reflect.Value, raw any, path string) {
	if _, ok := raw.(map[string]any); !ok {
		d.wrongType(path, raw, "a mapping with a frame's declaration", "")
		return
	}
	_, name, _ := strings.Cut(path, ".")
	if cut, ok := d.frames[name]; ok {
		v.Set(reflect.ValueOf(cut))
		return
	}
	text, err := yaml.Marshal(raw)
	if err != nil {
		d.problem(path, Problem{Cause: "cannot be written as YAML", Found: err.Error()})
		return
	}
	v.Set(reflect.ValueOf(Frame{Doc: text, Line: d.places[path].Line}))
}

func (d *decoder) priorities(v reflect.Value, raw any, path string) {
	const highest = 7
	low, high, ok := 0, highest, true
	switch raw := raw.(type) {
	case int64:
		low, high = int(min(max(raw, -1), math.MaxInt16)), int(min(max(raw, -1), math.MaxInt16))
	case string:
		low, high, ok = parsePriorities(strings.ReplaceAll(raw, " ", ""), highest)
	default:
		ok = false
	}
	if !ok || low < 0 || high > highest || low > high {
		d.problem(path, Problem{Cause: "not a range of priorities", Value: show(raw), Expected: "0 to 7", Fix: `write it like 4, ">=4", "<3" or "2-5"`})
		return
	}
	v.Set(reflect.ValueOf(Priorities{uint8(low), uint8(high)}))
}

func parsePriorities(text string, highest int) (low, high int, ok bool) {
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		ok = err == nil && n >= 0 && n <= highest
		return n
	}
	switch {
	case strings.HasPrefix(text, ">="):
		return number(text[2:]), highest, ok
	case strings.HasPrefix(text, "<="):
		return 0, number(text[2:]), ok
	case strings.HasPrefix(text, ">"):
		return number(text[1:]) + 1, highest, ok
	case strings.HasPrefix(text, "<"):
		return 0, number(text[1:]) - 1, ok
	}
	if a, b, isRange := strings.Cut(text, "-"); isRange {
		low = number(a)
		lowOK := ok
		high = number(b)
		return low, high, ok && lowOK
	}
	low = number(text)
	return low, low, ok
}
