package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

const marker = "mArKeD-0123456789"

// leaf is a key that a text may stand at.
type leaf struct {
	path   []string // names of mappings are x, entries of lists are []
	secret bool     // nothing at it is shown
}

// leaves walks the configuration's shape, which the schema is made of.
func leaves(t reflect.Type, at []string, secret bool, depth int, found func(leaf)) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	below := func(name string) []string { return append(append([]string{}, at...), name) }
	switch {
	case depth > 12:
	case t.Kind() == reflect.Struct && t.NumField() > 0 && hasKeys(t):
		if secret { // what stands in the place of the mapping; what is in it has keys of its own
			found(leaf{at, true})
			secret = false
		} else if len(at) > 0 {
			found(leaf{at, false})
		}
		for i := range t.NumField() {
			f := t.Field(i)
			key := f.Tag.Get("koanf")
			if key == "" || key == "-" {
				continue
			}
			leaves(f.Type, below(key), secret || f.Tag.Get("secret") != "", depth+1, found)
		}
	case t.Kind() == reflect.Map:
		found(leaf{at, secret}) // what stands in the place of the whole
		leaves(t.Elem(), below("x"), secret, depth+1, found)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		found(leaf{at, secret})
		leaves(t.Elem(), below("[]"), secret, depth+1, found)
	default:
		found(leaf{at, secret})
	}
}

func hasKeys(t reflect.Type) bool {
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("koanf"); key != "" && key != "-" {
			return true
		}
	}
	return false
}

// document puts a value at a path.
func document(path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	inner := document(path[1:], value)
	if path[0] == "[]" {
		return []any{inner}
	}
	return map[string]any{path[0]: inner}
}

// shownOf is everything that a configuration, or the error about it, shows to anybody.
func shownOf(doc any) (shown string, loaded bool, err error) {
	text, err := json.Marshal(doc)
	if err != nil {
		return "", false, err
	}
	c, err := config.Load(config.Options{File: "weft.json", Data: text, Presets: presets})
	if err != nil {
		return fmt.Sprintf("%v\n%+v\n%q", err, err, err), false, nil
	}
	var out bytes.Buffer
	for _, p := range []config.Printing{{}, {Origins: true}, {Given: true}, {Given: true, Origins: true}} {
		if err := c.WriteYAML(&out, p); err != nil {
			return "", true, err
		}
		if err := c.WriteJSON(&out, p); err != nil {
			return "", true, err
		}
	}
	for _, s := range c.Effective() {
		fmt.Fprintf(&out, "%+v\n", s)
	}
	fmt.Fprintf(&out, "%v\n%+v\n%s\n", c, c, c)
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("configuration", "config", c)
	return out.String(), true, nil
}

// files are keys of paths, in which an address is no address any more.
var files = []string{"ca", "cert", "key", "client_ca", "token_file", "file"}

// No secret is in an error, and none in what is printed, at whatever key it stands:
// neither a plain one at a key for secrets, nor a password in an address at any key.
func TestNoKeyShowsItsSecret(t *testing.T) {
	keys, secrets := 0, map[string]bool{}
	leaves(reflect.TypeFor[config.Config](), nil, false, 0, func(l leaf) {
		keys++
		key := strings.Join(l.path, ".")
		values := []any{"Bearer " + marker, "-----BEGIN PRIVATE KEY-----\n" + marker + "\n", "eyJhbGciOiJIUzI1NiJ9.eyJ9." + marker}
		address := "nats://user:" + marker + "@host:1"
		values = append(values, map[string]any{address: nil}) // a key of its own
		if last := l.path[len(l.path)-1]; !slices.Contains(files, last) && key != "trust.keys.[]" && key != "plugins.x.file" {
			values = append(values, address, []any{address}, "user:"+marker+"@host", "nats://"+marker+"@host:1", []any{"u:" + marker + "/@host"})
		}
		if l.secret {
			secrets[key] = true
			values = append(values, marker, []any{marker}, map[string]any{"a": marker}, marker+" ${env:ABSENT_"+"VARIABLE}", "${env:"+"ABSENT_VARIABLE")
		}
		for _, value := range values {
			shown, loaded, err := shownOf(document(l.path, value))
			if err != nil {
				t.Errorf("%s: %v", key, err)
			}
			if names, ok := value.(map[string]any); ok && loaded && names["a"] == nil {
				continue // it is a name there, and no value
			}
			if at := strings.Index(shown, marker); at >= 0 {
				t.Errorf("%s with %v shows it: %s", key, value, shown[max(0, at-120):min(len(shown), at+60)])
			}
		}
	})
	for _, key := range []string{"backbone.password", "backbone.token", "tracing.headers.x", "upstreams.x.http.headers.x"} {
		if !secrets[key] {
			t.Errorf("%s is not among the keys for secrets: %v", key, secrets)
		}
	}
	if keys < 300 {
		t.Errorf("only %d keys", keys)
	}
}
