package meter_test

import "slices"

// statements emits some code that leaves nothing. The loops' counters are the
// locals from counters on.
func (g *generator) statements(counters, loops int) {
	for range 1 + g.IntN(6) {
		if g.left < 0 {
			return
		}
		g.statement(counters, loops)
	}
}

func (g *generator) statement(counters, loops int) {
	g.left--
	length := counters + loopLocals
	switch g.IntN(22) {
	case 0, 1, 2:
		t := g.value()
		g.expression(t, 3)
		if l := g.local(t, length+1); l >= 0 {
			g.set(0x21, l)
		} else {
			g.raw(0x1a)
		}
	case 3:
		i := 1 + g.IntN(len(g.globals)-1)
		g.expression(g.globals[i], 2)
		g.op(1, append([]byte{0x24}, uleb(uint64(i))...)...)
	case 4, 5:
		g.store()
	case 6, 7:
		g.branching(counters, loops)
	case 8, 9, 10:
		if loops < loopLocals && len(g.labels) < 6 {
			g.loop(counters, loops)
		}
	case 11, 12:
		g.block(counters, loops)
	case 13:
		g.conditional()
	case 14, 15:
		g.call(g.IntN(8) == 0, length)
	case 16, 17:
		g.bulk(length)
	case 18:
		g.tableOp(length)
	case 19:
		g.op(0, 0x41, 1)
		g.set(0x22, length)
		g.growMemory(length)
	case 20:
		g.pureInstruction(i32, 2)
		g.raw(0x1a)
	case 21:
		if g.IntN(6) == 0 {
			g.dead()
		}
	}
}

func (g *generator) store() {
	g.address(2)
	i := g.IntN(14)
	switch {
	case i < 9:
		t := []vt{i32, i64, f32, f64, i32, i32, i64, i64, i64}[i]
		most := []int{2, 3, 2, 3, 0, 1, 0, 1, 2}[i]
		g.expression(t, 2)
		g.op(2, append([]byte{byte(0x36 + i), byte(g.IntN(most + 1))}, uleb(uint64(g.IntN(200)))...)...)
	case i == 9:
		g.expression(v128, 2)
		g.op(2, append([]byte{0xfd, 0x0b, byte(g.IntN(5))}, uleb(uint64(g.IntN(200)))...)...)
	default:
		lane := i - 10
		g.expression(v128, 2)
		g.op(2, slices.Concat([]byte{0xfd, byte(0x58 + lane), byte(lane)}, uleb(uint64(g.IntN(200))), []byte{byte(g.IntN(16 >> lane))})...)
	}
}

func (g *generator) branching(counters, loops int) {
	g.expression(i32, 2)
	g.op(1, 0x04, 0x40)
	g.labels = append(g.labels, label{})
	g.statements(counters, loops)
	if g.IntN(2) == 0 {
		g.raw(0x05)
		g.statements(counters, loops)
	}
	g.raw(0x0b)
	g.labels = g.labels[:len(g.labels)-1]
}

// loop counts a local down; it may be left and repeated earlier.
func (g *generator) loop(counters, loops int) {
	counter := counters + loops
	g.op(0, 0x41, byte(1+g.IntN(6)))
	g.set(0x21, counter)
	g.raw(0x03, 0x40)
	g.labels = append(g.labels, label{})
	g.exact(2)
	g.bound()
	g.statements(counters, loops+1)
	g.raw(append([]byte{0x20}, uleb(uint64(counter))...)...)
	g.op(0, 0x41, 1)
	g.op(1, 0x6b)
	g.set(0x22, counter)
	g.op(1, 0x0d, 0)
	if g.IntN(3) == 0 {
		g.statements(counters, loops+1)
	}
	g.raw(0x0b)
	g.labels = g.labels[:len(g.labels)-1]
}

// block is one, or a loop, that takes and gives values by a type of the module, or none.
func (g *generator) block(counters, loops int) {
	i := g.IntN(len(g.types))
	t := g.types[i]
	g.all(t.params)
	loop := g.IntN(5) == 0
	if loop {
		g.exact(int64(len(t.params)))
		g.raw(append([]byte{0x03}, sleb(int64(i))...)...)
		g.labels = append(g.labels, label{types: t.params})
		g.exact(2)
		g.bound()
	} else {
		g.raw(append([]byte{0x02}, sleb(int64(i))...)...)
		g.labels = append(g.labels, label{types: t.results})
	}
	for range t.params {
		g.raw(0x1a)
	}
	g.statements(counters, loops)
	g.all(t.results)
	if !loop { // nothing else leads to the end of a loop
		g.exact(int64(len(t.results)))
	}
	g.raw(0x0b)
	g.labels = g.labels[:len(g.labels)-1]
	for range t.results {
		g.raw(0x1a)
	}
}

// conditional branches, with values, to one label or several.
func (g *generator) conditional() {
	n := g.IntN(len(g.labels))
	types := g.labels[len(g.labels)-1-n].types
	switch g.IntN(3) {
	case 0:
		g.all(types)
		g.expression(i32, 2)
		g.exact(int64(len(types)))
		g.op(1, append([]byte{0x0d}, uleb(uint64(n))...)...)
		for range types {
			g.raw(0x1a)
		}
	case 1: // to several labels that take the same
		var same []int
		for i := range g.labels {
			other := g.labels[len(g.labels)-1-i]
			if slices.Equal(other.types, types) {
				same = append(same, i)
			}
		}
		g.raw(0x02, 0x40)
		g.expression(i32, 1)
		g.op(1, 0x0d, 0)
		g.all(types)
		g.expression(i32, 2)
		g.exact(int64(len(types)))
		targets := g.IntN(5)
		code := append([]byte{0x0e}, uleb(uint64(targets))...)
		for range targets + 1 {
			code = append(code, uleb(uint64(same[g.IntN(len(same))]+1))...)
		}
		g.op(3, code...)
		g.raw(0x0b)
	default:
		g.expression(i32, 2)
		g.op(1, 0x04, 0x40)
		if g.IntN(2) == 0 {
			g.all(types)
			g.exact(int64(len(types)))
			g.op(1, append([]byte{0x0c}, uleb(uint64(n+1))...)...)
		} else {
			g.all(g.labels[0].types)
			g.exact(int64(len(g.labels[0].types)))
			g.op(1, 0x0f)
		}
		if g.IntN(3) == 0 {
			g.unreachableCode()
		}
		g.raw(0x0b)
	}
}

// dead traps, or leaves the function, with code behind it.
func (g *generator) dead() {
	g.expression(i32, 1)
	g.op(1, 0x04, 0x40)
	g.raw(0x00)
	g.unreachableCode()
	g.raw(0x0b)
}

// unreachableCode is valid only because it is never reached.
func (g *generator) unreachableCode() {
	g.raw([][]byte{
		{0x6a, 0x1a}, {0x02, 0x40, 0x0c, 0, 0x0b}, {0x03, 0x40, 0x0c, 0, 0x0b}, {0xfc, 0x0b, 0}, {0x40, 0, 0x1a}, {0x0d, 0},
		{0x04, 0x40, 0x05, 0x0b}, {0x0e, 1, 0, 0}, {0x20, 0x00, 0x1a}, {0x1b, 0x1a},
	}[g.IntN(8)]...)
}

func (g *generator) call(indirect bool, length int) {
	f := g.IntN(len(g.funcs))
	t := g.funcs[f]
	arity := int64(len(g.types[t].params) + len(g.types[t].results))
	g.all(g.types[t].params)
	switch {
	case indirect:
		g.small(7)
		g.exact(arity)
		g.op(10, slices.Concat([]byte{0x11}, uleb(uint64(t)), []byte{0})...)
	case f < g.imports:
		g.exact(arity)
		g.op(100, append([]byte{0x10}, uleb(uint64(f))...)...)
	default:
		g.exact(arity)
		g.op(4, append([]byte{0x10}, uleb(uint64(f))...)...)
	}
	for range g.types[t].results {
		g.raw(0x1a)
	}
}

// byLength counts the cost of the length on the stack: half a unit times
// multiplier, divided by divisor.
func (g *generator) byLength(length int, shift byte) {
	g.exact(1)
	g.b = append(append(g.b, 0x22), uleb(uint64(length))...)
	if !g.count {
		return
	}
	c := uleb(uint64(len(g.globals)))
	g.b = append(append(g.b, 0x23), c...)
	g.b = append(append(g.b, 0x20), uleb(uint64(length))...)
	g.b = append(g.b, 0xad, 0x42, shift, 0x88, 0x42, 1, 0x86, 0x7c, 0x24)
	g.b = append(g.b, c...)
}

func (g *generator) bulk(length int) {
	switch g.IntN(5) {
	case 0:
		g.address(1)
		g.expression(i32, 1)
		g.small(0x3ff)
		g.byLength(length, 3)
		g.op(150, 0xfc, 0x0b, 0)
	case 1:
		g.address(1)
		g.address(1)
		g.small(0x3ff)
		g.byLength(length, 3)
		g.op(30, 0xfc, 0x0a, 0, 0)
	case 2, 3:
		segment := byte(g.IntN(g.data))
		g.address(1)
		g.small(15)
		g.small(15)
		g.byLength(length, 3)
		g.op(40, 0xfc, 0x08, segment, 0)
	default:
		g.op(10, 0xfc, 0x09, byte(g.IntN(g.data)))
	}
}

func (g *generator) tableOp(length int) {
	table := g.IntN(len(g.tables))
	t := g.tables[table]
	i := byte(table)
	switch g.IntN(7) {
	case 0:
		g.small(7)
		g.reference(t)
		g.op(4, 0x26, i)
	case 1:
		g.op(2, 0xfc, 0x10, i)
		g.raw(0x1a)
	case 2:
		g.reference(t)
		g.small(3)
		g.byLength(length, 0)
		g.op(600, 0xfc, 0x0f, i)
		g.raw(0x1a)
	case 3:
		g.small(7)
		g.reference(t)
		g.small(3)
		g.byLength(length, 0)
		g.op(30, 0xfc, 0x11, i)
	case 4:
		from := g.table(t)
		g.small(7)
		g.small(7)
		g.small(3)
		g.byLength(length, 0)
		g.op(30, 0xfc, 0x0e, i, byte(from))
	case 5:
		e := g.IntN(len(g.elems))
		if g.elems[e] != t {
			return
		}
		g.small(7)
		g.small(3)
		g.small(3)
		g.byLength(length, 0)
		g.op(40, 0xfc, 0x0c, byte(e), i)
	default:
		g.op(10, 0xfc, 0x0d, byte(g.IntN(len(g.elems))))
	}
}

// growMemory grows by one page, which costs only if it can be.
func (g *generator) growMemory(length int) {
	g.op(60, 0x40, 0)
	g.set(0x22, length)
	g.op(0, 0x41, 0x7f)
	g.op(1, 0x47)
	if g.count { // it has grown: a page's price
		g.b = append(g.b, 0x04, 0x40)
		g.exact(2 * 4000)
		g.b = append(g.b, 0x0b)
		return
	}
	g.b = append(g.b, 0x1a)
}
