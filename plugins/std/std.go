// Package std holds the plugins that ship with weft, compiled, so that the
// binary needs no file beside it. The source of each lies in its folder.
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

// Open returns the binary of the plugin called name.
func Open(name string) ([]byte, error) {
	b, err := files.ReadFile(name + "/" + name + ".wasm")
	if err != nil {
		return nil, fmt.Errorf("%w: %q; expected one of %s", ErrUnknown, name, strings.Join(Names(), ", "))
	}
	return b, nil
}

// Names lists the plugins in alphabetical order.
func Names() []string {
	var names []string
	entries, _ := fs.ReadDir(files, ".")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
