package vectors

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/weftrun/weft/abi"
)

//go:embed vectors/*.json records/*.json v1.0/*.wasm v1.1/*.wasm
var files embed.FS

// Vectors reads every vector, in the order of their files.
func Vectors() ([]Vector, error) {
	var all []Vector
	err := each("vectors", func(file string, doc []byte) error {
		var list []Vector
		if err := decode(doc, &list); err != nil {
			return err
		}
		for i := range list {
			list[i].Name = file + "/" + list[i].Name
			list[i].setDefaults()
		}
		all = append(all, list...)
		return nil
	})
	return all, err
}

func (v *Vector) setDefaults() {
	for i := range v.Steps {
		s := &v.Steps[i]
		if s.Hook == 0 {
			s.Hook = 1
		}
		s.Times = max(s.Times, 1)
	}
}

// Guest is a conformance guest as it was released.
type Guest struct {
	// Version is that of the ABI that it was built for, such as v1.0.
	Version string
	// Language is rust, go or assemblyscript.
	Language string
	Wasm     []byte
}

// Passes tells whether the guest's version has what the vector is about.
func (g *Guest) Passes(v *Vector) bool {
	if v.Since == "" {
		return true
	}
	has, _ := abi.ParseVersionExport(abi.ExportVersionPrefix + strings.ReplaceAll(strings.TrimPrefix(g.Version, "v"), ".", "_"))
	needs, _ := abi.ParseVersionExport(abi.ExportVersionPrefix + strings.ReplaceAll(strings.TrimPrefix(v.Since, "v"), ".", "_"))
	return has.Runs(needs)
}

// Guests reads the modules of all versions.
func Guests() ([]Guest, error) {
	paths, err := fs.Glob(files, "v*/*.wasm")
	if err != nil {
		return nil, err
	}
	var guests []Guest
	for _, p := range paths {
		wasm, err := files.ReadFile(p)
		if err != nil {
			return nil, err
		}
		version, file := path.Split(p)
		guests = append(guests, Guest{path.Clean(version), strings.TrimSuffix(file, ".wasm"), wasm})
	}
	return guests, nil
}

// each hands every JSON file of a folder to read, named without its ending.
func each(folder string, read func(name string, doc []byte) error) error {
	entries, err := files.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		doc, err := files.ReadFile(folder + "/" + e.Name())
		if err != nil {
			return err
		}
		if err := read(strings.TrimSuffix(e.Name(), ".json"), doc); err != nil {
			return fmt.Errorf("%s/%s: %w", folder, e.Name(), err)
		}
	}
	return nil
}

// decode reads a whole document; a key that the type does not have is an error.
func decode(doc []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%w: before byte %d: %w", ErrFile, d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: something stands behind the document", ErrFile)
	}
	return nil
}
