package meter_test

import (
	"math/rand/v2"
	"slices"
)

// generated is a module made from a seed: valid, terminating, with code of every
// kind. plain is the module; counted is the same one with a global more, in which
// each instruction adds its exact cost, in half units, before it runs.
type generated struct {
	plain, counted []byte
	calls          []string // exports without parameters
}

const exportCount = "exact"

type signature struct{ params, results []vt }

// generator makes one form. Both forms draw the same random numbers.
type generator struct {
	*rand.Rand
	count   bool
	types   []signature
	funcs   []int // type of each function, imports first
	imports int
	globals []vt // all mutable
	tables  []vt
	elems   []vt // type of each element segment
	data    int
	pure    map[vt][]instr

	// of the function that is made
	b      []byte
	locals []vt
	labels []label
	left   int // how much code it may still get
}

// label is an open block: what a branch to it takes along.
type label struct{ types []vt }

func generate(seed uint64) generated {
	return generated{
		plain:   (&generator{Rand: rand.New(rand.NewPCG(seed, 1))}).module(),
		counted: (&generator{Rand: rand.New(rand.NewPCG(seed, 1)), count: true}).module(),
		calls:   []string{"f0", "f1", "f2"},
	}
}

var pure = func() map[vt][]instr {
	m := make(map[vt][]instr)
	for _, in := range numeric() {
		m[in.result] = append(m[in.result], in)
	}
	return m
}()

var valueTypes = []vt{i32, i32, i32, i64, i64, f32, f64, v128}

func (g *generator) value() vt { return valueTypes[g.IntN(len(valueTypes))] }

func (g *generator) values(most int) (types []vt) {
	for range g.IntN(most + 1) {
		types = append(types, g.value())
	}
	return types
}

// The first globals have a purpose: 0 is the guest's own bound on what it runs.
const gasGlobal = 0

func (g *generator) module() []byte {
	g.pure = pure
	g.types = []signature{{nil, nil}, {[]vt{i32}, []vt{i32}}, {nil, []vt{i32}}, {nil, []vt{i64, i32}}}
	for range g.IntN(5) {
		g.types = append(g.types, signature{g.values(4), g.values(3)})
	}
	g.imports = g.IntN(3)
	for range g.imports {
		g.funcs = append(g.funcs, 1)
	}
	own := 3 + g.IntN(4)
	for i := range own {
		t := []int{0, 2, 3}
		if i < 3 {
			g.funcs = append(g.funcs, t[i])
		} else {
			g.funcs = append(g.funcs, g.IntN(len(g.types)))
		}
	}
	g.globals = []vt{i32}
	for range 1 + g.IntN(4) {
		g.globals = append(g.globals, g.value())
	}
	g.globals = append(g.globals, funcref, externref)
	g.tables = []vt{funcref}
	for range g.IntN(3) {
		g.tables = append(g.tables, []vt{funcref, externref}[g.IntN(2)])
	}
	elements := g.elementSection()
	data := g.dataSection()
	code := vector(own, func(i int) []byte {
		body := g.function(g.imports + i)
		return append(uleb(uint64(len(body))), body...)
	})
	out := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	section := func(id byte, content []byte) {
		out = append(append(append(out, id), uleb(uint64(len(content)))...), content...)
	}
	custom := func(name string, content ...byte) {
		section(0, append(text(name), content...))
	}
	custom("before", 1, 2, 3)
	section(1, vector(len(g.types), func(i int) []byte {
		return slices.Concat([]byte{0x60}, uleb(uint64(len(g.types[i].params))), g.types[i].params, uleb(uint64(len(g.types[i].results))), g.types[i].results)
	}))
	section(2, vector(g.imports, func(i int) []byte { return slices.Concat(text("host"), text("f"), []byte{0, 1}) }))
	section(3, vector(own, func(i int) []byte { return uleb(uint64(g.funcs[g.imports+i])) }))
	section(4, vector(len(g.tables), func(i int) []byte {
		return slices.Concat([]byte{g.tables[i], 1}, uleb(8), uleb(24))
	}))
	section(5, []byte{1, 1, 1, 3})
	count := 0
	if g.count {
		count = 1
	}
	section(6, vector(len(g.globals)+count, func(i int) []byte {
		if i == len(g.globals) {
			return []byte{i64, 1, 0x42, 0, 0x0b}
		}
		return append(append([]byte{g.globals[i], 1}, zero(g.globals[i])...), 0x0b)
	}))
	section(7, g.exports(count))
	start := g.IntN(3) == 0
	if start {
		section(8, uleb(uint64(g.imports)))
	}
	section(9, elements)
	section(12, uleb(uint64(g.data)))
	custom("middle")
	section(10, code)
	section(11, data)
	custom("name", 1, 5, 1, 0, 2, 'f', 'n')
	custom("after", 9)
	return out
}

func (g *generator) exports(count int) []byte {
	export := func(name string, kind byte, index int) []byte {
		return slices.Concat(text(name), []byte{kind}, uleb(uint64(index)))
	}
	all := [][]byte{export("memory", 2, 0), export("f0", 0, g.imports), export("f1", 0, g.imports+1), export("f2", 0, g.imports+2)}
	for i, t := range g.globals {
		if t != funcref && t != externref {
			all = append(all, export("g"+string(rune('0'+i)), 3, i))
		}
	}
	if count > 0 {
		all = append(all, export(exportCount, 3, len(g.globals)))
	}
	return vector(len(all), func(i int) []byte { return all[i] })
}

// elementSection has segments of all eight kinds.
func (g *generator) elementSection() []byte {
	return vector(8, func(kind int) []byte {
		var b []byte
		t := funcref
		b = append(b, byte(kind))
		if kind&1 == 0 {
			if kind&2 != 0 {
				b = append(b, 0)
			}
			b = append(b, 0x41, byte(g.IntN(4)), 0x0b)
		}
		if kind&3 != 0 {
			if kind&4 != 0 {
				if kind&1 != 0 && g.IntN(2) == 0 {
					t = externref
				}
				b = append(b, t)
			} else {
				b = append(b, 0)
			}
		}
		g.elems = append(g.elems, t)
		n := g.IntN(5)
		if kind == 3 {
			n = len(g.funcs) // declares all for ref.func
		}
		b = append(b, uleb(uint64(n))...)
		for i := range n {
			f := g.IntN(len(g.funcs))
			if kind == 3 {
				f = i
			}
			switch {
			case kind&4 == 0:
				b = append(b, uleb(uint64(f))...)
			case t == externref || g.IntN(3) == 0:
				b = append(b, 0xd0, t, 0x0b)
			default:
				b = append(append(append(b, 0xd2), uleb(uint64(f))...), 0x0b)
			}
		}
		return b
	})
}

func (g *generator) dataSection() []byte {
	g.data = 3
	return vector(g.data, func(i int) []byte {
		content := make([]byte, g.IntN(40))
		for j := range content {
			content[j] = byte(g.Uint32())
		}
		head := [][]byte{{0, 0x41, 16, 0x0b}, {1}, {2, 0, 0x41, 48, 0x0b}}[i]
		return slices.Concat(head, uleb(uint64(len(content))), content)
	})
}

func vector(n int, of func(i int) []byte) []byte {
	out := uleb(uint64(n))
	for i := range n {
		out = append(out, of(i)...)
	}
	return out
}

func text(s string) []byte { return append(uleb(uint64(len(s))), s...) }

// zero is a constant expression without its end.
func zero(t vt) []byte {
	switch t {
	case i32:
		return []byte{0x41, 0}
	case i64:
		return []byte{0x42, 0}
	case f32:
		return []byte{0x43, 0, 0, 0, 0}
	case f64:
		return []byte{0x44, 0, 0, 0, 0, 0, 0, 0, 0}
	case v128:
		return append([]byte{0xfd, 0x0c}, make([]byte, 16)...)
	}
	return []byte{0xd0, t}
}
