package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

// TestConfigPrint prints the built-in example: with the origins of its values, as JSON,
// and without its key.
func TestConfigPrint(t *testing.T) {
	got := weft(t, "config", "print", "--origins", "--set", "drain=3s")
	for _, want := range []string{"drain: 3s # --set\n", "level: info # default\n", "    address: 127.0.0.1:7400 # (built in) weft.yaml:10\n", "key: (secret)"} {
		if got.code != exitOK || !strings.Contains(got.out, want) {
			t.Errorf("code %d; %q is missing in:\n%s%s", got.code, want, got.out, got.errOut)
		}
	}
	got = weft(t, "config", "print", "--origins", "--json")
	var list struct {
		Settings []struct{ Key, Value, Origin, Place string }
	}
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list.Settings) < 50 || strings.Contains(got.out, "weft-demo-key") {
		t.Errorf("%d settings, %v:\n%s", len(list.Settings), err, got.out)
	}

	// What was printed is a configuration, except for the secret.
	folder := t.TempDir()
	key := filepath.Join(folder, "key")
	if err := os.WriteFile(key, []byte("planted\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	printed := weft(t, "config", "print", "--set", "plugins.auth.config.key=${file:"+key+"}")
	if printed.code != exitOK || strings.Contains(printed.out, "planted") || !strings.Contains(printed.out, "key: ${file:"+key+"}") {
		t.Fatalf("code %d:\n%s%s", printed.code, printed.out, printed.errOut)
	}
	file := filepath.Join(folder, "printed.yaml")
	if err := os.WriteFile(file, []byte(printed.out), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := weft(t, "config", "print", "-c", file); again.code != exitOK || body(again.out) != body(printed.out) {
		t.Errorf("code %d: it prints differently again:\n%s%s", again.code, again.out, again.errOut)
	}
}

// body is what was printed without its first line, which names the file.
func body(printed string) string {
	_, rest, _ := strings.Cut(printed, "\n")
	return rest
}

// TestConfigSchema prints a schema that names itself.
func TestConfigSchema(t *testing.T) {
	got := weft(t, "config", "schema")
	var schema struct {
		ID string `json:"$id"`
	}
	if err := json.Unmarshal([]byte(got.out), &schema); err != nil || got.code != exitOK || schema.ID != config.SchemaID {
		t.Errorf("code %d, %v, id %q", got.code, err, schema.ID)
	}
}
