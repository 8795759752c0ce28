package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"testing"
)

// TestDocumentOfThisProgram: this test's own program is described, the same twice, with
// every module that is in it.
func TestDocumentOfThisProgram(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var documents [2][]byte
	for i := range documents {
		file := filepath.Join(t.TempDir(), "sbom.json")
		if err := run(program, file); err != nil {
			t.Fatal(err)
		}
		if documents[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(documents[0], documents[1]) {
		t.Error("the same program has two documents")
	}
	var d bom
	if err := json.Unmarshal(documents[0], &d); err != nil {
		t.Fatal(err)
	}
	if d.Format != "CycloneDX" || d.Spec != "1.6" || d.Metadata.Component.Name != info.Main.Path || len(d.Components) != len(info.Deps)+1 || len(d.Dependencies[0].On) != len(d.Components) {
		t.Errorf("it is not complete:\n%s", documents[0])
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(d.Serial) {
		t.Errorf("the serial number is %s", d.Serial)
	}
}

func TestModules(t *testing.T) {
	b, err := document(&debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Path: "example.org/a", Version: "v1.0.0"}, Deps: []*debug.Module{
		{Path: "example.org/b", Version: "v2.0.0+incompatible", Sum: "h1:x"},
		{Path: "example.org/c", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/d", Version: "v1.1.0"}},
	}}, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"pkg:golang/example.org/b@v2.0.0%2Bincompatible"`, `"pkg:golang/example.org/d@v1.1.0"`, `"pkg:golang/std@1.26.8"`, `"h1:x"`} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s is not in\n%s", want, b)
		}
	}
	if bytes.Contains(b, []byte("example.org/c")) {
		t.Error("a module that was replaced is not in the program")
	}
	if _, err := document(&debug.BuildInfo{}, nil); !errors.Is(err, errNoModule) {
		t.Error(err)
	}
}
