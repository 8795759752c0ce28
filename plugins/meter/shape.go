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

// effort estimates how many nanoseconds the compiler takes for the function that
// was just scanned, at most.
func (s *scanner) effort() int64 {
	loops, blocks, locals := int64(len(s.regions)), int64(len(s.order)), int64(s.body.count)+1
	join := func(ways int64) int64 {
		return locals*effortJoin + (ways*locals*locals+ways*ways)*effortWay
	}
	sum := join(int64(s.blocks[exit].in))
	for _, b := range s.order {
		blk := &s.blocks[b]
		sum += int64(s.regions[blk.region].depth) * locals * effortNest
		if blk.in > 1 || s.regions[blk.region].head == b {
			sum += join(int64(blk.in))
		}
	}
	return sum + s.work*effortStep + s.moved*effortValue + s.listed*effortLabel + locals*effortLocal +
		loops*loops*effortLoop + blocks*blocks*effortBlock + s.calls*s.calls*effortCall
}

// allowed is how much effort the module may take.
func (w *rewriter) allowed() int64 {
	return min(effortBase+int64(len(w.wasm))*effortByte, effortMost)
}
