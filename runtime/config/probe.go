package config

import (
	"reflect"
	"strings"
)

// TakesRestart tells whether a change of the key at the path, as Key.Path has it, takes
// effect only after a restart. It asks Reloadable about two configurations that have one of
// everything and differ in that key alone.
func TakesRestart(path string) bool {
	from, to := &Config{}, &Config{}
	populate(reflect.ValueOf(from).Elem())
	populate(reflect.ValueOf(to).Elem())
	if !strings.HasPrefix(path, "consul") { // what is registered there keeps its address
		from.Consul.Register, to.Consul.Register = nil, nil
	}
	_, always := to.Reloadable(from, from)
	alter(reflect.ValueOf(to).Elem(), strings.Split(path, "."))
	_, restart := to.Reloadable(from, from)
	return len(restart) > len(always)
}

// populate gives every list and mapping one entry and every pointer a value.
func populate(v reflect.Value) {
	if opaque(v.Type()) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		populate(v.Elem())
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			populate(v.Field(f.index))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		populate(v.Index(0))
	case reflect.Map:
		entry := reflect.New(v.Type().Elem()).Elem()
		populate(entry)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("NAME"), entry)
	}
}

// opaque types are one value, whatever is in them.
func opaque(t reflect.Type) bool {
	return t == configType || t == frameType || t == prioritiesType || t == firstBytesType
}

// alter changes what is at the path.
func alter(v reflect.Value, path []string) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if len(path) == 0 || opaque(v.Type()) {
		replace(v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		key, isList := strings.CutSuffix(path[0], "[]")
		for _, f := range fieldsOf(v.Type()) {
			if f.key != key {
				continue
			}
			if v = v.Field(f.index); isList && v.Type() != firstBytesType {
				v = v.Index(0)
			}
			alter(v, path[1:])
			return
		}
	case reflect.Map:
		entry := reflect.New(v.Type().Elem()).Elem()
		entry.Set(v.MapIndex(reflect.ValueOf(path[0])))
		alter(entry, path[1:])
		v.SetMapIndex(reflect.ValueOf(path[0]), entry)
	}
}

// replace puts another value into the place of one; lists and mappings get an entry more.
func replace(v reflect.Value) {
	switch v.Type() {
	case configType:
		v.SetBytes([]byte("{}"))
		return
	case frameType:
		v.Set(reflect.ValueOf(Frame{Doc: []byte("other")}))
		return
	case firstBytesType:
		v.Set(reflect.ValueOf(FirstBytes{Mode: "other"}))
		return
	case prioritiesType:
		v.Set(reflect.ValueOf(Priorities{Max: 1}))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "other")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Slice:
		entry := reflect.New(v.Type().Elem()).Elem()
		populate(entry)
		if entry.Kind() == reflect.Struct && entry.FieldByName("Name").IsValid() {
			entry.FieldByName("Name").SetString("other")
		}
		v.Set(reflect.Append(v, entry))
	case reflect.Map:
		entry := reflect.New(v.Type().Elem()).Elem()
		populate(entry)
		v.SetMapIndex(reflect.ValueOf("other"), entry)
	}
}
