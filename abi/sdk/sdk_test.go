package sdk_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/weftrun/weft/abi/sdk"
)

// TestFiles compares what the binary carries with what lies in the folders.
func TestFiles(t *testing.T) {
	for language, entry := range map[string]string{
		sdk.Rust: "src/lib.rs", sdk.TinyGo: "go.mod", sdk.AssemblyScript: "assembly/index.ts",
	} {
		got, err := sdk.Files(language)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{entry, "README.md", "LICENSE"} {
			if len(got[want]) == 0 {
				t.Errorf("%s: no %s", language, want)
			}
		}
		for path, text := range got {
			from := filepath.Join(language, filepath.FromSlash(path))
			if path == "LICENSE" {
				from = "../../LICENSE"
			}
			have, err := os.ReadFile(from)
			if err != nil || !bytes.Equal(have, text) {
				t.Errorf("%s: the copy is not what the file is (go run ./tools/abigen): %v", from, err)
			}
		}
	}
	if _, err := sdk.Files("cobol"); !errors.Is(err, sdk.ErrUnknown) {
		t.Errorf("an SDK that there is not: %v", err)
	}
}

// TestNothingIsMissing looks the other way round: whatever a plugin can use is
// carried.
func TestNothingIsMissing(t *testing.T) {
	got, err := sdk.Files(sdk.TinyGo)
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	err = filepath.WalkDir("tinygo", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return err
		}
		name, _ := filepath.Rel("tinygo", path)
		if test, _ := filepath.Match("*_test.go", d.Name()); !test && got[filepath.ToSlash(name)] == nil {
			missing = append(missing, name)
		}
		return nil
	})
	if err != nil || len(missing) > 0 {
		t.Errorf("not carried (go run ./tools/abigen): %q, %v", missing, err)
	}
}

func TestPack(t *testing.T) {
	packed := sdk.Pack(sdk.Pack(nil, "a", []byte("one\n\ntwo\n")), "b/c", nil)
	got := sdk.Unpack(packed)
	if len(got) != 2 || string(got["a"]) != "one\n\ntwo\n" || !slices.Equal(got["b/c"], []byte{}) {
		t.Errorf("%q", got)
	}
}
