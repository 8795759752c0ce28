package frame

import (
	"embed"
	"fmt"
	"slices"
	"sync"
)

//go:embed presets/*.yaml
var presetFiles embed.FS

// presetNames in the order of the protocol table: the frames of weft's own
// family, then the generic ones.
var presetNames = []string{"mcp-node", "mcp-flag", "mcp-magic", "mcp-seq", "mcp-cmd", "line", "length32"}

// compiled is every preset, compiled when the first is asked for. A preset that
// does not compile is a mistake of ours that no test let through.
var compiled = sync.OnceValue(func() map[string]*Format {
	formats := make(map[string]*Format, len(presetNames))
	for _, name := range presetNames {
		doc, _ := PresetSource(name)
		f, err := Parse(name, doc)
		if err != nil {
			panic(fmt.Sprintf("preset %s: %v", name, err))
		}
		formats[name] = f
	}
	return formats
})

// Preset returns the format that ships with weft under the name.
func Preset(name string) (*Format, bool) {
	f, ok := compiled()[name]
	return f, ok
}

// Presets lists the names of the presets.
func Presets() []string { return slices.Clone(presetNames) }

// PresetSource returns a preset's declaration, a good start for one's own.
func PresetSource(name string) (doc []byte, ok bool) {
	if !slices.Contains(presetNames, name) {
		return nil, false
	}
	doc, err := presetFiles.ReadFile("presets/" + name + ".yaml")
	return doc, err == nil
}
