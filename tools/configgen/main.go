// Command configgen writes what the structs of runtime/config say of the configuration
// file: its JSON Schema, for editors, and the table of its keys, for people.
//
//	go run ./tools/configgen          writes configs/weft.schema.json and configs/KEYS.md
//	go run ./tools/configgen -check   writes nothing; fails when the committed files are
//	                                  not what the structs give
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/weftrun/weft/runtime/config"
)

func main() {
	check := flag.Bool("check", false, "compare with the committed files instead of writing them")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "configgen:", err)
		os.Exit(1)
	}
}

// run writes the files below the root of the repository, or compares them.
func run(root string, check bool) error {
	docs, err := comments(filepath.Join(root, "runtime", "config"))
	if err != nil {
		return err
	}
	schema, err := config.Schema(docs)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"weft.schema.json": schema, "KEYS.md": table(config.Keys(docs))} {
		path := filepath.Join(root, "configs", name)
		if !check {
			if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // for everybody to read
				return err
			}
			continue
		}
		committed, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(committed, content) {
			return fmt.Errorf("%s is not what the structs give: go run ./tools/configgen", path)
		}
	}
	return nil
}
