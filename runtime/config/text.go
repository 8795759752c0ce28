package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// envPrefix begins the name of every environment variable that is a key.
const envPrefix = "WEFT_"

// coerce turns text from the environment, an override or a default into the kind
// of value that a file would hold for the type. Text that does not fit stays
// text, so that decoding it reports what was found.
func coerce(t reflect.Type, text string) any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case durationType, sizeType, prioritiesType:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		return text
	case configType:
		return structured(text)
	}
	switch t.Kind() {
	case reflect.Bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	case reflect.Int:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case reflect.Struct, reflect.Map:
		return structured(text)
	case reflect.Slice:
		trimmed := strings.TrimSpace(text)
		if trimmed == "" {
			return []any{}
		}
		if strings.HasPrefix(trimmed, "[") {
			return structured(trimmed)
		}
		var list []any
		for part := range strings.SplitSeq(text, ",") {
			list = append(list, strings.TrimSpace(part))
		}
		return list
	}
	return text
}

// structured reads text in YAML's flow style ({...} or [...]); any other text,
// and what cannot be read, stays text.
func structured(text string) any {
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		if value, err := parseValue(trimmed); err == nil {
			return value
		}
	}
	return text
}

// target is where a piece of text belongs: the path to it and the type there;
// nil inside a plugin's configuration, which has no types.
type target struct {
	path []string
	t    reflect.Type
}

// locate follows a dotted key through the types. The tree tells which entries
// the lists have.
func locate(t reflect.Type, tree any, segments []string) (target, Problem, bool) {
	var at target
	for i, segment := range segments {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		key, sub, found := child(tree, segment)
		known, leaf, missing := []string(nil), false, ""
		switch {
		case t == configType:
			at.path = append(at.path, segments[i:]...)
			return at, Problem{}, true
		case t.Kind() == reflect.Struct:
			next := reflect.Type(nil)
			for _, f := range fieldsOf(t) {
				if f.key == segment {
					next = t.Field(f.index).Type
				}
			}
			if known = keysOf(t); next != nil {
				t, known = next, nil
			} else {
				leaf = true
			}
		case t.Kind() == reflect.Map:
			t = t.Elem()
		case t.Kind() == reflect.Slice:
			if t = t.Elem(); !found {
				known, leaf = entryNames(tree), true
				missing = "an entry that is there: "
			}
		default:
			leaf = true
		}
		if leaf {
			p := Problem{Cause: "unknown key", Key: strings.Join(segments, "."), Fix: didYouMean(segment, known)}
			switch {
			case len(known) > 0:
				p.Expected = missing + anyOf(known)
			case missing != "":
				p.Fix = "name it in the file first: the list has no entry"
			default:
				p.Fix = fmt.Sprintf("remove .%s: %s has no keys", strings.Join(segments[i:], "."), strings.Join(segments[:i], "."))
			}
			return at, p, false
		}
		at.path, tree = append(at.path, key), sub
	}
	at.t = t
	return at, Problem{}, true
}

// entryNames are the names of a list's entries, their indices where they have
// none.
func entryNames(list any) []string {
	var names []string
	entries, _ := list.([]any)
	for i, entry := range entries {
		name := strconv.Itoa(i)
		if m, ok := entry.(map[string]any); ok {
			if text, ok := m["name"].(string); ok && text != "" {
				name = text
			}
		}
		names = append(names, name)
	}
	return names
}

// envKeys lists, by the name that it has in the environment, each key that can
// follow in a value of the type.
func envKeys(t reflect.Type, tree any) map[string]string {
	keys := make(map[string]string)
	switch {
	case t == configType || t.Kind() == reflect.Map:
		if m, ok := tree.(map[string]any); ok {
			for key := range m {
				keys[envName(key)] = key
			}
		}
	case t.Kind() == reflect.Struct:
		for _, key := range keysOf(t) {
			keys[envName(key)] = key
		}
	case t.Kind() == reflect.Slice:
		for i, name := range entryNames(tree) {
			keys[strconv.Itoa(i)] = strconv.Itoa(i)
			keys[envName(name)] = name
		}
	}
	return keys
}

// envName is a key as it stands in the name of a variable: upper case, '_' for
// whatever is neither letter nor digit.
func envName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}

// envPath finds the key that a variable's name, without the prefix, stands for.
func envPath(t reflect.Type, tree any, name string) ([]string, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	keys := envKeys(t, tree)
	for _, upper := range sortedKeys(keys) {
		key := keys[upper]
		if name == upper {
			return []string{key}, true
		}
		rest, ok := strings.CutPrefix(name, upper+"_")
		if !ok {
			continue
		}
		_, sub, _ := child(tree, key)
		if _, deeper := sub.(map[string]any); t == configType && !deeper {
			continue
		}
		if path, ok := envPath(below(t, key), sub, rest); ok {
			return append([]string{key}, path...), true
		}
	}
	if t == configType && name != "" {
		return []string{strings.ToLower(name)}, true
	}
	return nil, false
}

// below is the type of the values under a key of the type.
func below(t reflect.Type, key string) reflect.Type {
	switch {
	case t == configType:
		return t
	case t.Kind() == reflect.Struct:
		for _, f := range fieldsOf(t) {
			if f.key == key {
				return t.Field(f.index).Type
			}
		}
	case t.Kind() == reflect.Map || t.Kind() == reflect.Slice:
		return t.Elem()
	}
	return reflect.TypeFor[string]()
}

// EnvKeys lists the names of the variables of the keys that are always there:
// WEFT_LOG_LEVEL and so on. Entries of lists and mappings are addressed by their
// names, as in WEFT_LISTENERS_TRUCKS_ADDRESS.
func EnvKeys() []string { return variables(reflect.TypeFor[Config](), nil, envPrefix) }

// variables lists the variables of a type; the tree tells which entries its lists
// and mappings have.
func variables(t reflect.Type, tree any, prefix string) []string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	keys := envKeys(t, tree)
	if t == configType || t == frameType || len(keys) == 0 {
		return []string{strings.TrimSuffix(prefix, "_")}
	}
	var names []string
	for _, upper := range sortedKeys(keys) {
		_, sub, _ := child(tree, keys[upper])
		names = append(names, variables(below(t, keys[upper]), sub, prefix+upper+"_")...)
	}
	return names
}
