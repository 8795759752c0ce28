package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weftrun/weft/tools/build"
)

// guest is one plugin's source and where its binary belongs, below the root.
type guest struct {
	folder   string
	language build.Language
	source   string
	target   string
	manifest []byte
}

// sources maps the file that makes a folder a guest to its language.
var sources = map[string]build.Language{
	"plugin.rs": build.Rust,
	"plugin.ts": build.AssemblyScript,
	"main.go":   build.Go,
}

// places are the folders below which guests lie. A guest of a released version
// of the ABI is built to vectors/v<version>, where it stays for ever.
var places = []struct {
	folder string
	target func(folder string) string
}{
	{"plugins/std", beside},
	{"examples", beside},
	{"abi/vectors/guests", func(folder string) string {
		return "abi/vectors/v1.1/" + filepath.Base(folder) + ".wasm"
	}},
	{"tools/guests/testdata", beside},
	{"tools/soak", beside},
}

func beside(folder string) string { return filepath.Join(folder, filepath.Base(folder)+".wasm") }

// find lists the guests below root, in order of their folders; only those in
// the given folders if there are any.
func find(root string, only []string) ([]guest, error) {
	var guests []guest
	for _, place := range places {
		base := filepath.Join(root, place.folder)
		err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				if d != nil && d.Name() == "node_modules" {
					return filepath.SkipDir
				}
				return err
			}
			lang, ok := sources[d.Name()]
			if !ok {
				return nil
			}
			folder, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			manifest, err := os.ReadFile(filepath.Join(filepath.Dir(path), "manifest.json"))
			if os.IsNotExist(err) {
				return nil // a program, a module of another guest: no guest of its own
			}
			if err != nil {
				return err
			}
			if n := len(guests); n > 0 && guests[n-1].folder == folder {
				return fmt.Errorf("%s: two sources, of %s and of %s: a guest has one", folder, guests[n-1].language, lang)
			}
			guests = append(guests, guest{folder, lang, d.Name(), place.target(folder), manifest})
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	if len(only) == 0 {
		return guests, nil
	}
	var chosen []guest
	for _, folder := range only {
		folder = filepath.Clean(folder)
		at := slices.IndexFunc(guests, func(g guest) bool { return g.folder == folder })
		if at < 0 {
			return nil, fmt.Errorf("%s is no guest: expected manifest.json and one of plugin.rs, plugin.ts, main.go in a folder below %s", folder, placeNames())
		}
		chosen = append(chosen, guests[at])
	}
	return chosen, nil
}

func placeNames() string {
	var names []string
	for _, p := range places {
		names = append(names, p.folder)
	}
	return strings.Join(names, ", ")
}
