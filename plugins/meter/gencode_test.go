package meter_test

import (
	"encoding/binary"
	"math"
	"slices"
)

// Locals of every generated function beyond its parameters: a number for each
// loop, one that holds a length, and some of each type.
const loopLocals = 6

func (g *generator) function(index int) []byte {
	sig := g.types[g.funcs[index]]
	g.b, g.labels, g.left = nil, nil, 25+g.IntN(60)
	g.locals = append(slices.Clone(sig.params), slices.Repeat([]vt{i32}, loopLocals+1)...)
	own := []vt{i32, i64, f32, f64, v128, funcref, externref}
	for range g.IntN(6) {
		own = append(own, g.value())
	}
	g.locals = append(g.locals, own...)
	declared := vector(loopLocals+1+len(own), func(i int) []byte {
		return []byte{1, append(slices.Repeat([]vt{i32}, loopLocals+1), own...)[i]}
	})
	g.labels = []label{{types: sig.results}}
	g.exact(2 * (4 + int64(len(g.locals))/4))
	g.bound()
	g.statements(len(sig.params), 0)
	g.all(sig.results)
	return slices.Concat(declared, g.b, []byte{0x0b})
}

// exact adds half units to the exact count.
func (g *generator) exact(halves int64) {
	if !g.count || halves == 0 {
		return
	}
	c := uleb(uint64(len(g.globals)))
	g.b = append(append(g.b, 0x23), c...)
	g.b = append(append(g.b, 0x42), sleb(halves)...)
	g.b = append(append(append(g.b, 0x7c), 0x24), c...)
}

// op emits an instruction that costs so many units.
func (g *generator) op(cost int64, code ...byte) {
	g.exact(2 * cost)
	g.b = append(g.b, code...)
}

// raw emits what costs nothing.
func (g *generator) raw(code ...byte) { g.b = append(g.b, code...) }

// bound traps when the guest has run for long enough.
func (g *generator) bound() {
	g.op(1, 0x23, gasGlobal)
	g.op(0, 0x41, 1)
	g.op(1, 0x6a)
	g.op(1, 0x24, gasGlobal)
	g.op(1, 0x23, gasGlobal)
	g.op(0, append([]byte{0x41}, sleb(300)...)...)
	g.op(1, 0x4b)
	g.op(1, 0x04, 0x40)
	g.raw(0x00, 0x0b)
}

func (g *generator) local(t vt, from int) int {
	var fit []int
	for i := from; i < len(g.locals); i++ {
		if g.locals[i] == t {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		return -1
	}
	return fit[g.IntN(len(fit))]
}

// set is local.set or, with 0x22, local.tee: half a unit.
func (g *generator) set(code byte, local int) {
	g.exact(1)
	g.b = append(append(g.b, code), uleb(uint64(local))...)
}

// all leaves values of these types.
func (g *generator) all(types []vt) {
	for _, t := range types {
		g.expression(t, 2)
	}
}

func (g *generator) expression(t vt, depth int) {
	g.left--
	if t == funcref || t == externref {
		g.reference(t)
		return
	}
	if depth <= 0 || g.left < 0 {
		g.leaf(t)
		return
	}
	switch g.IntN(12) {
	case 0, 1:
		g.leaf(t)
	case 2: // select
		g.expression(t, depth-1)
		g.expression(t, depth-1)
		g.expression(i32, depth-1)
		if g.IntN(2) == 0 {
			g.op(2, 0x1b)
		} else {
			g.op(2, 0x1c, 1, t)
		}
	case 3: // if with a result
		g.expression(i32, depth-1)
		g.op(1, 0x04, t)
		g.labels = append(g.labels, label{types: []vt{t}})
		g.expression(t, depth-1)
		g.exact(1)
		g.raw(0x05)
		g.expression(t, depth-1)
		g.exact(1)
		g.raw(0x0b)
		g.labels = g.labels[:len(g.labels)-1]
	case 4: // block, left by a branch with the value
		g.raw(0x02, t)
		g.labels = append(g.labels, label{types: []vt{t}})
		g.expression(t, depth-1)
		g.expression(i32, depth-1)
		g.exact(1)
		g.op(1, 0x0d, 0)
		g.raw(0x1a)
		g.expression(t, depth-1)
		g.exact(1)
		g.raw(0x0b)
		g.labels = g.labels[:len(g.labels)-1]
	case 5: // tee
		g.expression(t, depth-1)
		if l := g.local(t, len(g.locals)-7); l >= 0 {
			g.set(0x22, l)
		}
	default:
		g.pureInstruction(t, depth)
	}
}

func (g *generator) pureInstruction(t vt, depth int) {
	in := g.pure[t][g.IntN(len(g.pure[t]))]
	for i, p := range in.params {
		if (in.imm == 'm' || in.imm == 'M') && i == 0 {
			g.address(depth)
			continue
		}
		g.expression(p, depth-1)
	}
	code := slices.Clone(in.code)
	if in.imm == 'm' || in.imm == 'M' {
		code = append(code, byte(g.IntN(int(in.most)+1)))
		code = append(code, uleb(uint64(g.IntN(300)))...)
	}
	switch in.imm {
	case 'l':
		code = append(code, byte(g.IntN(int(in.most))))
	case 'M':
		code = append(code, byte(g.IntN(16>>in.most)))
	case 's':
		for range 16 {
			code = append(code, byte(g.IntN(32)))
		}
	}
	g.op(in.cost, code...)
}

// address leaves an address, mostly inside of the memory.
func (g *generator) address(depth int) {
	g.expression(i32, depth-1)
	if g.IntN(20) > 0 {
		g.op(0, append([]byte{0x41}, sleb(0x3fff)...)...)
		g.op(1, 0x71)
	}
}

func (g *generator) leaf(t vt) {
	switch g.IntN(4) {
	case 0:
		for i, got := range g.globals {
			if got == t && i > 0 && g.IntN(2) == 0 {
				g.op(1, append([]byte{0x23}, uleb(uint64(i))...)...)
				return
			}
		}
		fallthrough
	case 1, 2:
		if l := g.local(t, 0); l >= 0 {
			g.raw(append([]byte{0x20}, uleb(uint64(l))...)...)
			return
		}
		fallthrough
	default:
		g.constant(t)
	}
}

func (g *generator) constant(t vt) {
	interesting := []int64{0, 1, -1, 7, 64, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64}
	v := interesting[g.IntN(len(interesting))]
	switch t {
	case i32:
		g.raw(append([]byte{0x41}, sleb(int64(int32(v)))...)...)
	case i64:
		g.raw(append([]byte{0x42}, sleb(v)...)...)
	case f32:
		f := []float32{0, 1, -1.5, 1e30, float32(math.Inf(1)), 16777217}[g.IntN(6)]
		g.raw(binary.LittleEndian.AppendUint32([]byte{0x43}, math.Float32bits(f))...)
	case f64:
		f := []float64{0, 1, -1.5, 1e300, math.Inf(-1), 4294967296}[g.IntN(6)]
		g.raw(binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(f))...)
	case v128:
		b := binary.LittleEndian.AppendUint64([]byte{0xfd, 0x0c}, uint64(v))
		g.op(2, binary.LittleEndian.AppendUint64(b, g.Uint64())...)
	}
}

func (g *generator) reference(t vt) {
	switch g.IntN(4) {
	case 0:
		g.raw(append([]byte{0x20}, uleb(uint64(g.local(t, 0)))...)...)
	case 1:
		g.raw(0xd0, t)
	case 2:
		if t == funcref {
			g.op(800, append([]byte{0xd2}, uleb(uint64(g.IntN(len(g.funcs))))...)...)
			return
		}
		fallthrough
	default:
		table := g.table(t)
		if table < 0 {
			g.raw(0xd0, t)
			return
		}
		g.small(7)
		g.op(4, 0x25, byte(table))
	}
}

func (g *generator) table(t vt) int {
	for i, got := range g.tables {
		if got == t && (i == len(g.tables)-1 || g.IntN(2) == 0) {
			return i
		}
	}
	return slices.Index(g.tables, t)
}

// small leaves an i32 that is mostly at most mask.
func (g *generator) small(mask int64) {
	g.expression(i32, 1)
	if g.IntN(25) > 0 {
		g.op(0, append([]byte{0x41}, sleb(mask)...)...)
		g.op(1, 0x71)
	}
}
