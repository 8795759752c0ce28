// Command abigen copies the constants of package abi into the guest SDKs: one
// file each for Rust, Go and AssemblyScript. The Go package is the single
// source; a test fails when a copy on disk differs from what abigen would write.
// It also packs the Go SDK into one file, for package sdk to embed.
//
//	go run ./tools/abigen          # write the files
//	go run ./tools/abigen -check   # compare; exit code 1 and the names of stale files
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "compare the files with what would be written, change nothing")
	root := flag.String("root", ".", "the repository's root folder")
	flag.Parse()
	if err := run(*root, *check, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "abigen:", err)
		os.Exit(1)
	}
}

// errStale is wrapped by the error that names the files that -check found
// different.
var errStale = errors.New("out of date, run: go run ./tools/abigen")

// target is one file that abigen writes.
type target struct {
	path   string // below the repository's root
	render func([]group) []byte
}

var targets = []target{
	{"abi/sdk/rust/src/abi.rs", renderRust},
	{"abi/sdk/tinygo/abi.go", renderGo},
	{"abi/sdk/assemblyscript/assembly/abi.ts", renderAssemblyScript},
}

func run(root string, check bool, out io.Writer) error {
	groups, err := load(filepath.Join(root, "abi"))
	if err != nil {
		return err
	}
	var stale []error
	for _, t := range targets {
		stale = append(stale, keep(root, t.path, t.render(groups), check, out))
	}
	sdk, err := pack(root) // of what was just written
	if err != nil {
		return err
	}
	return errors.Join(append(stale, keep(root, packed, sdk, check, out))...)
}

// keep writes a file if it is not what it should be, or says so.
func keep(root, name string, want []byte, check bool, out io.Writer) error {
	path := filepath.Join(root, name)
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, want) {
		return nil
	}
	if check {
		return fmt.Errorf("%s: %w", name, errStale)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "wrote", name)
	return err
}
