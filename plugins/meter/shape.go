package meter

import (
	"fmt"

	"github.com/weftrun/weft/plugins/module"
)

// checkShape refuses modules with more of something than plugins ever need.
func (w *rewriter) checkShape() error {
	for _, l := range []struct {
		found, most int
		what        string
		section     byte
	}{
		{len(w.mod.Types), maxTypes, "types", module.SectionType},
		{len(w.functions), maxFunctions, "functions", module.SectionFunction},
		{len(w.mod.Exports), maxExports, "exports", module.SectionExport},
	} {
		if l.found > l.most {
			s, _ := w.section(l.section)
			return fmt.Errorf("%w: it has %d %s (section at offset %d): at most %d are allowed; split the plugin", ErrTooComplex, l.found, l.what, s.Start, l.most)
		}
	}
	for i, t := range w.mod.Types {
		if n := max(len(t.Params), len(t.Results)); n > maxArity {
			return fmt.Errorf("%w: type %d has %d parameters or results: at most %d are allowed; pass them in memory", ErrTooComplex, i, n, maxArity)
		}
	}
	return nil
}

// effort estimates how many steps the compiler takes for the function: it looks at
// each instruction, and where ways meet at each local.
func (s *scanner) effort() int64 {
	return s.work + int64(len(s.order))*int64(s.body.count)
}
