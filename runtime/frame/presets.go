package frame

import (
	"embed"
	"fmt"
	"slices"
	"sync"
)

//go:embed presets/*.yaml
var presetFiles embed.FS

// presetNames are the declared ones in the order of the protocol table: the frames
// of weft's own family, then the generic ones.
var presetNames = []string{"mcp-node", "mcp-flag", "mcp-magic", "mcp-seq", "mcp-cmd", "line", "length32"}

// compiled is every preset, compiled when the first is asked for. A preset that
// does not compile is a mistake of ours that no test let through.
var compiled = sync.OnceValue(func() map[string]*Format {
	formats := make(map[string]*Format, len(presetNames)+len(modbusNames))
	for _, name := range presetNames {
		doc, _ := PresetSource(name)
		f, err := Parse(name, doc)
		if err != nil {
			panic(fmt.Sprintf("preset %s: %v", name, err))
		}
		formats[name] = f
	}
	for _, name := range modbusNames {
		formats[name] = newModbus(name)
	}
	return formats
})

// Preset returns the format that ships with weft under the name.
func Preset(name string) (*Format, bool) {
	f, ok := compiled()[name]
	return f, ok
}

// Presets lists the names of the presets: the declared ones, then those that code
// reads and writes.
func Presets() []string { return slices.Concat(presetNames, modbusNames) }

// PresetSource returns a preset's declaration, a good start for one's own; ok is
// false for the Modbus formats, which are code.
func PresetSource(name string) (doc []byte, ok bool) {
	if !slices.Contains(presetNames, name) {
		return nil, false
	}
	doc, err := presetFiles.ReadFile("presets/" + name + ".yaml")
	return doc, err == nil
}
