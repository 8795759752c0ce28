package server

import (
	"fmt"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/config"
)

// PluginSpec is what weft would load a declared plugin with: its configuration,
// grants and limits. The error names the plugin's place in the configuration.
func PluginSpec(cfg *config.Config, name string) (plugins.Spec, error) {
	declared, ok := cfg.Plugins[name]
	if !ok {
		return plugins.Spec{}, fmt.Errorf("the configuration has no plugins.%s", name)
	}
	spec, err := pluginSpec(name, declared, nil)
	if err != nil {
		return spec, fmt.Errorf("plugins.%s.file: %w (%s)", name, err, cfg.Place("plugins."+name+".file"))
	}
	return spec, nil
}
