package config_test

import (
	"reflect"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

// TestBounds reads the bounds in all tags: one that cannot be read ends whoever
// writes the key.
func TestBounds(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(at string, v reflect.Type)
	walk = func(at string, v reflect.Type) {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || seen[v] {
			return
		}
		seen[v] = true
		for i := range v.NumField() {
			f := v.Field(i)
			for _, tag := range []string{"min", "max", "default"} {
				text, ok := f.Tag.Lookup(tag)
				if !ok {
					continue
				}
				var err error
				switch f.Type {
				case reflect.TypeFor[config.Size]():
					_, err = config.ParseSize(text)
				case reflect.TypeFor[config.Duration]():
					_, err = config.ParseDuration(text)
				}
				if err != nil {
					t.Errorf("%s.%s: %s: %v", at, f.Name, tag, err)
				}
			}
			walk(at+"."+f.Name, f.Type)
		}
	}
	walk("Config", reflect.TypeFor[config.Config]())
}
