// Package std holds the plugins that ship with weft, compiled, so that the
// binary needs no file beside it. The source of each lies in its folder; in the
// configuration `file: "std:NAME"` names one.
package std

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed */*.wasm
var files embed.FS

// ErrUnknown is wrapped by the error about a plugin that is not there.
var ErrUnknown = errors.New("no such standard plugin")

// Open returns the binary of the plugin called name. It is the caller's own.
func Open(name string) ([]byte, error) {
	b, err := files.ReadFile(name + "/" + name + ".wasm")
	if err != nil {
		return nil, fmt.Errorf("%w: %q%s", ErrUnknown, name, hint(name))
	}
	return b, nil
}

// Names lists the plugins in alphabetical order.
func Names() []string {
	var names []string
	entries, _ := fs.ReadDir(files, ".") // a folder of an embed.FS can always be read
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// hint says which plugin was probably meant, and which there are.
func hint(name string) string {
	names := Names()
	for _, n := range names {
		if near(name, n) {
			return fmt.Sprintf("; did you mean %q?", n)
		}
	}
	return "; expected one of " + strings.Join(names, ", ")
}

// near reports whether a name is another one misspelt: a part of it that is long
// enough, or all of it with at most two letters changed, added or left out.
func near(a, b string) bool {
	const part, typos = 3, 2
	if len(a) >= part && (strings.Contains(b, a) || strings.Contains(a, b)) {
		return true
	}
	return len(a) > typos && distance(a, b) <= typos
}

// distance is the edit distance by Levenshtein.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
