package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// What to do about a value of the wrong type: mostly what was meant is easy to see. What is
// a secret by its form is never repeated.

// sample is a mapping of the struct's type as an error shows it, and the one that was
// probably meant where a single value was given. Both may be empty.
func sample(t reflect.Type, raw any) (such, meant string) {
	fields := fieldsOf(t)
	if len(fields) == 0 {
		return "", ""
	}
	if t == reflect.TypeFor[APIToken]() {
		return "{role: read, file: NAME.token}", "put the token into a file, and name that"
	}
	f := fields[0]
	kind := t.Field(f.index).Type
	if f.fallback != "" {
		such = fmt.Sprintf("{%s: %s}", f.key, f.fallback)
	}
	text, ok := raw.(string)
	if !ok || text == "" || len(text) > 60 || secretText(text) {
		return such, ""
	}
	switch {
	case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.String:
		return such, fmt.Sprintf("write {%s: [%q]}", f.key, text)
	case kind.Kind() == reflect.String && f.enum == nil:
		return such, fmt.Sprintf("write {%s: %q}", f.key, text)
	case kind == durationType:
		if _, err := ParseDuration(text); err == nil {
			return such, fmt.Sprintf("write {%s: %s}", f.key, text)
		}
	case slices.Contains(f.enum, text):
		return such, fmt.Sprintf("write {%s: %s}", f.key, text)
	}
	return such, ""
}

// mappingFix says how to write a mapping where something else was given.
func mappingFix(t reflect.Type, raw any) string {
	switch raw := raw.(type) {
	case bool:
		if raw {
			return "write {} for its defaults"
		}
		return "remove the key"
	case []any:
		words := make([]string, 0, len(raw))
		for _, entry := range raw {
			word, _ := entry.(string)
			if !slices.Contains(keysOf(t), word) {
				return ""
			}
			words = append(words, word+": {}")
		}
		if len(words) > 0 {
			return "write {" + strings.Join(words, ", ") + "}"
		}
	}
	return ""
}

// tableFix says how to write a mapping from names where a list was given.
func tableFix(raw any) string {
	list, _ := raw.([]any)
	for _, entry := range list {
		if m, ok := entry.(map[string]any); ok {
			if name, ok := m["name"].(string); ok && wellFormed(name) {
				return fmt.Sprintf("write the name as a key, with the others below it: %q in the place of %q", name+":", "- name: "+name)
			}
		}
	}
	return ""
}

// listFix says how to write a list where something else was given.
func listFix(entries reflect.Type, raw any) string {
	texts := entries.Kind() == reflect.String || shorthand[entries] != ""
	switch raw := raw.(type) {
	case string:
		switch {
		case texts && secretText(raw):
			return "put it between [ and ]"
		case !texts || len(raw) > 60:
		case strings.HasPrefix(raw, "["):
			return "close it with ]"
		default:
			return fmt.Sprintf("write [%s]", raw)
		}
	case map[string]any:
		keys := sortedKeys(raw)
		switch {
		case entries.Kind() != reflect.Struct || len(keys) == 0:
		case slices.Contains(keysOf(entries), keys[0]):
			return "put a list's sign before the first key: \"- " + keys[0] + ":\"; in TOML two brackets around the table's name"
		case slices.Contains(keysOf(entries), "name") && wellFormed(keys[0]):
			return fmt.Sprintf("write the name as a value: %q in the place of %q", "- name: "+keys[0], keys[0]+":")
		case texts && !slices.ContainsFunc(keys, secretText):
			return fmt.Sprintf("write [%s]", strings.Join(keys, ", "))
		}
	}
	return ""
}

// textFix says how to write text where something else was given.
func textFix(f field, raw any) string {
	switch raw := raw.(type) {
	case map[string]any:
		if keys := sortedKeys(raw); len(keys) == 1 && raw[keys[0]] == nil && !secretText(keys[0]) {
			return fmt.Sprintf("put it in quotes: \"{%s}\"", keys[0])
		}
	case int64, uint64, float64, bool:
		text := fmt.Sprint(raw)
		switch {
		case f.enum != nil && !slices.Contains(f.enum, text):
			return ""
		case f.key == "address":
			return "write an address and a port: 127.0.0.1:" + text
		}
		return "put it in quotes"
	}
	return ""
}

// truthFix says how to write a truth value.
func truthFix(raw any) string {
	switch text := strings.ToLower(fmt.Sprint(raw)); text {
	case "yes", "on", "y", "1", "true":
		return "write true"
	case "no", "off", "n", "0", "false":
		return "write false"
	}
	return ""
}

// wholeFix writes a whole number without point and exponent.
func wholeFix(raw any) string {
	if f, ok := raw.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return fmt.Sprintf("write %d", int64(f))
	}
	return ""
}

// required is what a key that must be given is expected to hold.
func required(t reflect.Type, f field) string {
	switch {
	case f.enum != nil:
		return anyOf(f.enum)
	case t.Kind() == reflect.Slice:
		return "a list"
	case t == durationType:
		return "a duration"
	case t.Kind() == reflect.Int:
		return "a whole number"
	}
	return "a value"
}

// elsewhere tells where a key belongs that is unknown at the first level: the paths of
// the keys that are called so, if they are few.
func elsewhere(key string) string {
	var paths []string
	for _, k := range Keys(nil) {
		above, last, deeper := cutLast(k.Path)
		if deeper && last == key && strings.Count(above, ".") == 0 && !slices.Contains(paths, above) {
			paths = append(paths, strings.TrimSuffix(above, "[]"))
		}
	}
	if len(paths) == 0 || len(paths) > 5 {
		return ""
	}
	return "indent it below " + anyOf(paths)
}

// cutLast divides a path at its last dot.
func cutLast(path string) (above, last string, ok bool) {
	at := strings.LastIndexByte(path, '.')
	if at < 0 {
		return "", path, false
	}
	return path[:at], path[at+1:], true
}
