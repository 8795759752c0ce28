package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Key is one key of the configuration file, for its documentation.
type Key struct {
	// Path is where it stands: listeners[].limits.frame; NAME stands for a key of the
	// operator's.
	Path string
	// Type says what its value is like: text, duration, 1ms to 24h.
	Type string
	// Default is what holds where the key is absent; empty: nothing, or it must be given.
	Default string
	// Required keys must be given.
	Required bool
	// Mapping: its value is a mapping with fixed keys, which are listed as well.
	Mapping bool
	// Meaning is its documentation.
	Meaning string
}

// Keys lists every key in the order of the documentation.
func Keys(docs Docs) []Key {
	k := &keyLister{docs: docs}
	k.structure(reflect.TypeFor[Config](), "")
	return k.keys
}

type keyLister struct {
	docs Docs
	keys []Key
}

// structure lists a struct's keys, and what is below each.
func (k *keyLister) structure(t reflect.Type, path string) {
	for _, f := range fieldsOf(t) {
		field := t.Field(f.index)
		key := Key{Path: join(path, f.key), Type: typeName(field.Type, f), Default: f.fallback, Required: f.required, Meaning: k.docs[t.Name()+"."+field.Name]}
		key.Mapping = isMapping(field.Type)
		k.keys = append(k.keys, key)
		k.below(field.Type, key.Path)
	}
}

// isMapping tells structs that are written as a mapping.
func isMapping(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && !opaque(t)
}

// below lists the keys under a key.
func (k *keyLister) below(t reflect.Type, path string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == configType || t == frameType || t == prioritiesType:
	case t == firstBytesType:
		k.structure(reflect.TypeFor[BytePattern](), path+"[]")
	case t.Kind() == reflect.Slice:
		k.below(t.Elem(), path+"[]")
	case t.Kind() == reflect.Map:
		k.below(t.Elem(), join(path, "NAME"))
	case t.Kind() == reflect.Struct:
		k.structure(t, path)
	}
}

// typeName is a type as people call it, with its bounds.
func typeName(t reflect.Type, f field) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	bounds := ""
	if f.min != "" {
		bounds = fmt.Sprintf(", %s to %s", f.min, f.max)
	}
	names := map[reflect.Type]string{
		sizeType: "size", durationType: "duration", percentType: "percentage", factorType: "factor", rateType: "rate",
		prioritiesType: "range of priorities", configType: "anything", frameType: "frame declaration", firstBytesType: "auto, off or a list",
	}
	if name, ok := names[t]; ok {
		return name + bounds
	}
	short := ""
	if key := shorthand[t]; key != "" {
		short = ", or its " + key + " alone"
	}
	switch t.Kind() {
	case reflect.Struct:
		return "mapping" + short
	case reflect.Slice:
		return "list of " + plural(typeName(t.Elem(), field{}))
	case reflect.Map:
		return "mapping from names to " + plural(typeName(t.Elem(), field{}))
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "number" + bounds
	}
	switch {
	case f.enum != nil:
		return anyOf(f.enum)
	case f.form == formName:
		return "name"
	}
	return "text"
}

func plural(name string) string {
	head, rest, cut := strings.Cut(name, ",")
	if head == "mapping" {
		head = "mappings"
	}
	if head == "frame declaration" {
		head = "frame declarations"
	}
	if cut {
		return head + "," + strings.Replace(rest, "its", "their", 1)
	}
	return head
}
