package std_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/plugins/std"
)

// TestReadmes loads each plugin with the configuration that its README shows.
func TestReadmes(t *testing.T) {
	env := newEnv(t)
	for _, name := range std.Names() {
		text, err := os.ReadFile(filepath.Join(name, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		var block strings.Builder
		for line := range strings.Lines(string(text)) {
			if indented, ok := strings.CutPrefix(line, "    "); ok {
				block.WriteString(indented)
			}
		}
		var shown map[string]struct {
			File   string
			Config any
		}
		if err := yaml.Unmarshal([]byte(block.String()), &shown); err != nil || len(shown) != 1 {
			t.Fatalf("%s: %v, %d plugins", name, err, len(shown))
		}
		for _, p := range shown {
			config, err := json.Marshal(p.Config)
			if err != nil || p.File != "std:"+name {
				t.Errorf("%s: file %q, %v", name, p.File, err)
			}
			if _, err := load(t, env, use{name: name, config: string(config)}); err != nil {
				t.Error(err)
			}
		}
	}
}
