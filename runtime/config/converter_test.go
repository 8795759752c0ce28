package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

// A descriptor set is part of the configuration: another content is another configuration,
// and what was loaded keeps what it was loaded with.
func TestDescriptors(t *testing.T) {
	dir := t.TempDir()
	set := filepath.Join(dir, "a.binpb")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(set, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := config.Options{File: filepath.Join(dir, "weft.yaml"), Data: []byte(`
converters:
  in: {from: protobuf, to: json, descriptor: a.binpb, message: acme.A}
  out: {from: json, to: protobuf, descriptor: a.binpb, message: acme.A}
`)}
	write("one")
	first := load(t, o)
	if first.FilesChanged() || first.Converters["in"].Path != set || string(first.Converters["out"].Set) != "one" {
		t.Errorf("%+v", first.Converters)
	}
	same := load(t, o)
	if ch := first.Changes(same); ch.Any() {
		t.Errorf("nothing has changed: %+v", ch)
	}
	write("two")
	if !first.FilesChanged() {
		t.Error("the set has changed")
	}
	second := load(t, o)
	if ch := first.Changes(second); !slices.Equal(ch.Keys(), []string{"converters"}) || second.FilesChanged() || string(first.Converters["in"].Set) != "one" {
		t.Errorf("%v, %+v", ch.Keys(), first.Converters)
	}
	if err := os.Remove(set); err != nil {
		t.Fatal(err)
	}
	if !second.FilesChanged() {
		t.Error("the set is gone")
	}
	for what, change := range map[string]func() error{
		"no such file": func() error { return nil },
		"found a folder; expected a descriptor set": func() error { return os.Mkdir(set, 0o700) },
		"at most 67108864 are read":                 func() error { write(""); return os.Truncate(set, 64<<20+1) },
	} {
		if err := os.RemoveAll(set); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
