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

	"github.com/weftrun/weft/abi/spelling"
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
	if n := spelling.Nearest(name, names); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return "; expected one of " + strings.Join(names, ", ")
}
