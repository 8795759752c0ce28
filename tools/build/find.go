package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Language is what a plugin is written in.
type Language string

// The languages.
const (
	Rust           Language = "rust"
	AssemblyScript Language = "assemblyscript"
	Go             Language = "go"
)

// ErrProject is wrapped by errors about a folder that is no plugin's project, or
// one in which something is missing.
var ErrProject = errors.New("not a plugin's project")

// Plugin is a plugin's source.
type Plugin struct {
	// Folder is where it lies, absolute.
	Folder   string
	Language Language
	// Source is the file that pulls in the others, below Folder.
	Source string
	// Cargo says that there is a Cargo.toml, by which it is built.
	Cargo bool
	// Manifest is its manifest.json.
	Manifest []byte
}

// Sources maps the file that makes a folder a plugin to its language. A project
// has the file of its language's own build tool beside it.
var Sources = []struct {
	File     string
	Language Language
}{
	{"src/lib.rs", Rust}, {"plugin.rs", Rust},
	{"assembly/index.ts", AssemblyScript}, {"plugin.ts", AssemblyScript},
	{"main.go", Go},
}

// Open looks at a folder: what language it is, where its source begins, what its
// manifest says. Its errors wrap ErrProject.
func Open(folder string) (*Plugin, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: %s is no folder", ErrProject, folder)
	}
	p := &Plugin{Folder: folder}
	var names string
	for _, s := range Sources {
		names += ", " + s.File
		if _, err := os.Stat(filepath.Join(folder, s.File)); err != nil {
			continue
		}
		if p.Source != "" && p.Language != s.Language {
			return nil, fmt.Errorf("%w: %s has two sources, %s and %s: a plugin has one", ErrProject, folder, p.Source, s.File)
		}
		if p.Source == "" {
			p.Source, p.Language = s.File, s.Language
		}
	}
	if p.Source == "" {
		return nil, fmt.Errorf("%w: %s has none of %s; weft plugin new makes a project", ErrProject, folder, names[2:])
	}
	if _, err := os.Stat(filepath.Join(folder, "Cargo.toml")); err == nil && p.Language == Rust {
		p.Cargo = true
	}
	if p.Manifest, err = os.ReadFile(filepath.Join(folder, "manifest.json")); err != nil {
		return nil, fmt.Errorf(`%w: %s has no manifest.json; one that does is {"name": %q, "version": "0.1.0"}`, ErrProject, folder, filepath.Base(folder))
	}
	return p, nil
}

// Name is the plugin's name by its manifest.
func (p *Plugin) Name() (string, error) {
	m, err := checkManifest(p.Manifest)
	return m.Name, err
}
