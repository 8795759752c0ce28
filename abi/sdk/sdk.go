// Package sdk carries the sources of the guest SDKs, so that the binary of weft can
// write them into a plugin's project: an author needs no copy of this repository.
package sdk

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// The SDK for Go is a module of its own, which the embedding of another one cannot
// reach into: tinygo.txt is a copy of it, and of the license, that
// `go run ./tools/abigen` writes.
//
//go:embed rust/Cargo.toml rust/README.md rust/src
//go:embed assemblyscript/package.json assemblyscript/tsconfig.json assemblyscript/README.md
//go:embed assemblyscript/*.ts assemblyscript/assembly
//go:embed tinygo.txt
var files embed.FS

// The SDKs.
const (
	Rust           = "rust"
	TinyGo         = "tinygo"
	AssemblyScript = "assemblyscript"
)

// ErrUnknown is wrapped by the error about an SDK that there is not.
var ErrUnknown = errors.New("no such SDK")

// Files is the SDK of a language: contents by path, with slashes, below the
// folder that is to hold it. The license is among them. The contents are the
// caller's own.
func Files(language string) (map[string][]byte, error) {
	all := map[string][]byte{}
	packed, err := files.ReadFile("tinygo.txt")
	if err != nil {
		return nil, err
	}
	for path, text := range Unpack(packed) {
		rest, ok := strings.CutPrefix(path, "tinygo/")
		switch {
		case !ok:
			all[path] = text
		case language == TinyGo:
			all[rest] = text
		}
	}
	switch language {
	case TinyGo:
		return all, nil
	case Rust, AssemblyScript:
	default:
		return nil, fmt.Errorf("%w: %q: expected %s, %s or %s", ErrUnknown, language, Rust, TinyGo, AssemblyScript)
	}
	return all, fs.WalkDir(files, language, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		all[strings.TrimPrefix(path, language+"/")] = text
		return err
	})
}

// A packed file begins with a line that names it, between these.
const before, behind = "-- ", " --\n"

// Pack adds a text file to others. The text ends in a line feed and has no line
// that looks like the beginning of a file.
func Pack(to []byte, path string, text []byte) []byte {
	to = append(to, before+path+behind...)
	return append(to, text...)
}

// Unpack is the contents of packed files by path.
func Unpack(packed []byte) map[string][]byte {
	all := map[string][]byte{}
	var path string
	for line := range bytes.Lines(packed) {
		if bytes.HasPrefix(line, []byte(before)) && bytes.HasSuffix(line, []byte(behind)) {
			path = string(line[len(before) : len(line)-len(behind)])
			all[path] = []byte{}
			continue
		}
		all[path] = append(all[path], line...)
	}
	return all
}
