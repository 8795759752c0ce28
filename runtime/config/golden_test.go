package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/config"
)

var update = flag.Bool("update", false, "write the expected texts anew")

// TestCases loads every configuration in testdata/cases and compares the error's
// text with the file of the same name and .want; "ok" is no error. A line
// "# env NAME=VALUE" in the file sets a variable, "# set KEY=VALUE" an override.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.*")
	if err != nil {
		t.Fatal(err)
	}
	cases, broken := 0, 0
	for _, file := range files {
		if ext := filepath.Ext(file); ext == ".want" || ext == ".wasm" {
			continue
		}
		cases++
		if want, err := os.ReadFile(file + ".want"); err == nil && string(want) != "ok\n" {
			broken++
		}
		t.Run(filepath.Base(file), func(t *testing.T) { checkCase(t, file) })
	}
	if cases < 90 || broken < 60 {
		t.Errorf("only %d cases were found, %d of them broken", cases, broken)
	}
}

func checkCase(t *testing.T, file string) {
	o := caseOptions(t, file)
	got := "ok\n"
	if _, err := config.Load(o); err != nil {
		got = err.Error() + "\n"
	}
	got = strings.ReplaceAll(got, "testdata/cases/", "")
	if strings.Contains(got, "planted") {
		t.Errorf("a secret is shown:\n%s", got)
	}
	if *update {
		if err := os.WriteFile(file+".want", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file + ".want")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// caseOptions is how a case is loaded.
func caseOptions(t *testing.T, file string) config.Options {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o := config.Options{File: file, Presets: presets, StdPlugins: []string{"jwt-auth", "rate-limit"}, Overrides: map[string]string{}}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if variable, ok := strings.CutPrefix(line, "# env "); ok {
			o.Env = append(o.Env, variable)
		}
		if set, ok := strings.CutPrefix(line, "# set "); ok {
			key, value, _ := strings.Cut(set, "=")
			o.Overrides[key] = value
		}
	}
	return o
}

var presets = []string{"mcp-node", "mcp-flag", "mcp-magic", "mcp-seq", "mcp-cmd", "line", "length32", "modbus-tcp", "modbus-rtu"}
