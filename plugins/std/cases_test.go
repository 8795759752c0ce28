package std_test

import (
	"path/filepath"
	"testing"

	"github.com/weftrun/weft/plugins/cases"
	"github.com/weftrun/weft/plugins/std"
)

// TestCases runs the case files that lie beside each plugin, as `weft plugin test`
// does.
func TestCases(t *testing.T) {
	for _, name := range std.Names() {
		t.Run(name, func(t *testing.T) { cases.Run(t, "", filepath.Join(name, "cases")) })
	}
}
