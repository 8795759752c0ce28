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
			d.problem(path, Problem{Cause: "out of range", Value: fmt.Sprint(raw), Expected: fmt.Sprintf("%s to %s", f.min, f.max)})
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
	case percentType:
		share, err := ParsePercent(text)
		if err == nil {
			return int64(share)
		}
	case factorType:
		factor, err := ParseFactor(text)
		if err == nil {
			return int64(factor)
		}
	case rateType:
		rate, err := ParseRate(text)
		if err == nil {
			return int64(rate)
		}
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil {
			return n
		}
	}
	panic(fmt.Sprintf("config: tag with a bound %q of type %s", text, t))
}

// withUnit is a number as the duration that was probably meant: in the unit of the default,
// or else in the largest one with which it is within the bounds.
func (f field) withUnit(n int64) string {
	units := []string{"s", "ms", "us"}
	for _, small := range units[1:] {
		if strings.HasSuffix(f.fallback, small) {
			units = append([]string{small}, units...)
		}
	}
	for _, unit := range units {
		text := fmt.Sprint(n, unit)
		d, err := ParseDuration(text)
		if err == nil && (f.min == "" || int64(d) >= bound(durationType, f.min) && int64(d) <= bound(durationType, f.max)) {
			return text
		}
	}
	return fmt.Sprint(n, "s")
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
				fix = "add a unit: " + d.field.withUnit(n)
			}
			d.wrongType(path, raw, "a duration", fix)
			return
		}
		v.SetInt(int64(dur))
	case percentType:
		share, err := ParsePercent(fmt.Sprint(raw))
		if err != nil {
			fix := "write it like 0.1% or 5%"
			if n, err := strconv.ParseFloat(fmt.Sprint(raw), 64); err == nil && n <= 100 {
				fix = fmt.Sprintf("add a unit: %v%%", raw)
			}
			d.wrongType(path, raw, "a percentage", fix)
			return
		}
		v.SetInt(int64(share))
	case factorType:
		factor, err := ParseFactor(fmt.Sprint(raw))
		if err != nil {
			d.wrongType(path, raw, "a factor", "write it like 1.5 or 2")
			return
		}
		v.SetInt(int64(factor))
	case rateType:
		rate, err := ParseRate(fmt.Sprint(raw))
		if err != nil {
			fix := "write it like 1000/s, 600/m or 10/h"
			if isInt {
				fix = fmt.Sprintf("add a unit: %d/s", n)
			}
			d.wrongType(path, raw, "a rate", fix)
			return
		}
		v.SetInt(int64(rate))
	case prioritiesType:
		d.priorities(v, raw, path)
	}
}

// pluginConfig keeps the subtree as JSON.
func (d *decoder) pluginConfig(v reflect.Value, raw any, path string) {
	if raw == nil {
		return
	}
	text, err := json.Marshal(d.tree(raw, path))
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

// firstBytes reads how datagrams must begin.
func (d *decoder) firstBytes(v reflect.Value, raw any, path string) {
	switch raw := raw.(type) {
	case nil:
		return
	case bool: // off without quotes, as YAML 1.1 has it
		if !raw {
			v.Set(reflect.ValueOf(FirstBytes{Mode: FirstBytesOff}))
			return
		}
	case string:
		if raw == FirstBytesAuto || raw == FirstBytesOff {
			v.Set(reflect.ValueOf(FirstBytes{Mode: raw}))
			return
		}
	case []any:
		f := FirstBytes{Mode: FirstBytesList}
		d.value(reflect.ValueOf(&f.Patterns).Elem(), raw, path)
		v.Set(reflect.ValueOf(f))
		return
	}
	d.wrongType(path, raw, "auto, off or a list of patterns", `write it like [{offset: 0, hex: "5744"}]`)
}
