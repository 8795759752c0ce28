package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/weftrun/weft/abi/sdk"
)

// packed is the copy of the Go SDK that package sdk embeds: see there.
const packed = "abi/sdk/tinygo.txt"

// pack puts the license and the Go SDK, without its tests, into one text.
func pack(root string) ([]byte, error) {
	license, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	out := sdk.Pack(nil, "LICENSE", license)
	from := filepath.Join(root, "abi/sdk")
	return out, filepath.WalkDir(filepath.Join(from, "tinygo"), func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case d.IsDir() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		out = sdk.Pack(out, filepath.ToSlash(name), text)
		return nil
	})
}
