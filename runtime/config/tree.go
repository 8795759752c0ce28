package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A tree is a configuration before it has types: map[string]any, []any, string,
// bool, int64, uint64, float64 and nil. A path names one of its values: keys and
// list indices divided by dots.

// maxDepth and maxNodes bound a tree, aliases followed.
const (
	maxDepth = 64
	maxNodes = 1 << 17
)

// source is what was read from one file.
type source struct {
	tree   map[string]any
	places map[string]Place // of each key's path
	frames map[string]Frame // declarations that could be cut out of the file's text
	sum    [32]byte         // SHA-256 of the text
	blank  bool             // nothing stands in it
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// child returns the key under which the segment is found in the value: a map's
// key, a list's index, or the name of the list's entry that has it.
func child(value any, segment string) (key string, sub any, ok bool) {
	switch value := value.(type) {
	case map[string]any:
		sub, ok = value[segment]
		return segment, sub, ok
	case []any:
		for i, entry := range value {
			if m, isMap := entry.(map[string]any); isMap && m["name"] == segment {
				return strconv.Itoa(i), entry, true
			}
		}
		if i, err := strconv.Atoi(segment); err == nil && i >= 0 && i < len(value) {
			return strconv.Itoa(i), value[i], true
		}
	}
	return segment, nil, false
}

// put sets the value at the path, making the maps on the way. It fails where the
// path leads through a list that has no such entry, or through a scalar.
func put(value any, path []string, leaf any) (any, error) {
	if len(path) == 0 {
		return leaf, nil
	}
	key, sub, found := child(value, path[0])
	switch value := value.(type) {
	case nil:
		below, err := put(nil, path[1:], leaf)
		return map[string]any{path[0]: below}, err
	case map[string]any:
		below, err := put(sub, path[1:], leaf)
		value[key] = below
		return value, err
	case []any:
		if !found {
			return value, fmt.Errorf("the list has no entry %q", path[0])
		}
		i, _ := strconv.Atoi(key)
		below, err := put(sub, path[1:], leaf)
		value[i] = below
		return value, err
	}
	return value, fmt.Errorf("%q is not below a mapping", path[0])
}

// kind is what a value of a tree is called in an error.
func kind(value any) string {
	switch value.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "true or false"
	case int64, uint64, int:
		return "a whole number"
	case float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return fmt.Sprintf("a %T", value)
}

// show is the value as an error prints it; lists and mappings are not printed.
func show(value any) string {
	switch value := value.(type) {
	case string:
		if shownSecret(value) {
			return Hidden
		}
		if len(value) > 60 {
			return strconv.Quote(strings.ToValidUTF8(value[:60], "")) + "..."
		}
		return strconv.Quote(value)
	case nil, []any, map[string]any:
		return ""
	}
	return fmt.Sprint(value)
}

// shownSecret tells whether a text is a secret by its form, and was not redacted.
func shownSecret(text string) bool { return secretText(text) && !strings.Contains(text, ":xxxxx@") }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
