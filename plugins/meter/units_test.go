package meter_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/plugins/meter"
)

// What a unit of fuel may take at most, where the guest's author works against the
// meter: a budget is exceeded by no more than this divided by what was calibrated.
const worstUnit = 2.0 // ns

// missing is the shape that no cost per instruction can bound: each read waits for
// the one before, and for the main memory.
const missing = "reads all over 4 MiB"

// repeated is a module whose export run turns a loop n times around the body. It
// has 16 locals of each type, behind local 0.
func repeated(locals int, body []byte) []byte {
	types := []vt{i32, i64, f32, f64, v128}
	out := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	section := func(id byte, content []byte) {
		out = append(append(append(out, id), uleb(uint64(len(content)))...), content...)
	}
	section(1, []byte{2, 0x60, 1, i32, 1, i32, 0x60, 0, 0})
	section(3, []byte{3, 0, 1, 0})
	section(4, []byte{1, 0x70, 1, 4, 8})
	section(5, []byte{1, 1, 1, 64})
	section(6, []byte{1, i32, 1, 0x41, 0, 0x0b})
	section(7, slices.Concat([]byte{1}, text("run"), []byte{0, 0}))
	section(9, []byte{1, 0, 0x41, 0, 0x0b, 2, 1, 2})
	code := slices.Concat(vector(len(types), func(i int) []byte { return append(uleb(uint64(locals)), types[i]) }),
		[]byte{0x03, 0x40}, body, []byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}, get(1), []byte{0x0b})
	empty := []byte{0, 0x0b}
	same := slices.Concat([]byte{0}, get(0), []byte{0x0b})
	section(10, vector(3, func(i int) []byte {
		f := [][]byte{code, empty, same}[i]
		return append(uleb(uint64(len(f))), f...)
	}))
	return out
}

// localOf is a local of repeated.
func localOf(t vt, locals, i int) int {
	return 1 + slices.Index([]vt{i32, i64, f32, f64, v128}, t)*locals + i%locals
}

// storeOf stores what is on the stack.
func storeOf(t vt) []byte {
	switch t {
	case i32:
		return []byte{0x36, 0, 0}
	case i64:
		return []byte{0x37, 0, 0}
	case f32:
		return []byte{0x38, 0, 0}
	case f64:
		return []byte{0x39, 0, 0}
	}
	return []byte{0xfd, 0x0b, 0, 0}
}

// single is a loop around some copies of one instruction, its operands in locals.
func single(in instr) []byte {
	const locals = 4
	init := slices.Concat(get(0), set(localOf(i32, locals, 1)), get(0), []byte{0xac}, set(localOf(i64, locals, 1)),
		get(0), []byte{0xb2}, set(localOf(f32, locals, 1)), get(0), []byte{0xb7}, set(localOf(f64, locals, 1)),
		get(0), []byte{0xfd, 0x11}, set(localOf(v128, locals, 1)))
	return repeated(locals, slices.Concat(init, times(24, func(i int) []byte {
		b := []byte{0x41, byte(i % 4 * 16)}
		for j, p := range in.params {
			if (in.imm == 'm' || in.imm == 'M') && j == 0 {
				b = append(b, 0x41, 16)
				continue
			}
			b = append(b, get(localOf(p, locals, 1))...)
		}
		b = append(b, in.code...)
		switch in.imm {
		case 'm':
			b = append(b, 0, 0)
		case 'M':
			b = append(b, 0, 0, 0)
		case 'l':
			b = append(b, 0)
		case 's':
			b = append(b, make([]byte, 16)...)
		}
		return append(b, storeOf(in.result)...)
	})))
}

// shapes are loops that do more than they seem to pay for.
func shapes() map[string][]byte {
	const many = 400
	locals := func(t vt, i int) int { return localOf(t, many, i) }
	return map[string][]byte{
		"400 locals moved": repeated(many, slices.Concat(get(locals(i32, 0)), times(many-1, func(i int) []byte {
			return slices.Concat(get(locals(i32, i+1)), set(locals(i32, i)))
		}), set(locals(i32, many-1)))),
		"400 vectors moved": repeated(many, slices.Concat(get(locals(v128, 0)), times(many-1, func(i int) []byte {
			return slices.Concat(get(locals(v128, i+1)), set(locals(v128, i)))
		}), set(locals(v128, many-1)))),
		"400 locals beside the way": repeated(many, slices.Concat([]byte{0x23, 0, 0x04, 0x40}, times(many, func(i int) []byte {
			return slices.Concat([]byte{0x23, 0}, set(locals(i32, i)))
		}), []byte{0x0b})),
		"400 locals beside, used": repeated(many, slices.Concat([]byte{0x23, 0, 0x04, 0x40}, times(many, func(i int) []byte {
			return slices.Concat([]byte{0x23, 0}, set(locals(i32, i)))
		}), []byte{0x0b, 0x23, 0, 0x04, 0x40}, times(many, func(i int) []byte {
			return slices.Concat(get(locals(i32, i)), []byte{0x24, 0})
		}), []byte{0x0b})),
		"constants stored in locals": repeated(many, times(many, func(i int) []byte {
			return slices.Concat([]byte{0x44, byte(i), 1, 2, 3, 4, 5, 6, 7}, set(locals(f64, i)))
		})),
		"memory.grow of nothing": repeated(1, times(8, func(int) []byte { return []byte{0x41, 0, 0x40, 0, 0x1a} })),
		"memory.grow too far":    repeated(1, times(8, func(int) []byte { return []byte{0x41, 0xff, 0, 0x40, 0, 0x1a} })),
		"memory.size":            repeated(1, times(8, func(int) []byte { return []byte{0x3f, 0, 0x24, 0} })),
		"memory.fill of nothing": repeated(1, times(8, func(int) []byte { return []byte{0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x0b, 0} })),
		"memory.fill of 64 KiB":  repeated(1, []byte{0x41, 0, 0x41, 7, 0x41, 0x80, 0x80, 4, 0xfc, 0x0b, 0}),
		"memory.fill of 7 bytes": repeated(1, times(8, func(int) []byte { return []byte{0x41, 0, 0x41, 7, 0x41, 7, 0xfc, 0x0b, 0} })),
		"memory.copy of nothing": repeated(1, times(8, func(int) []byte { return []byte{0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x0a, 0, 0} })),
		"memory.copy of 7 bytes": repeated(1, times(8, func(int) []byte { return []byte{0x41, 0, 0x41, 9, 0x41, 7, 0xfc, 0x0a, 0, 0} })),
		"memory.copy of 64 KiB":  repeated(1, []byte{0x41, 0, 0x41, 0, 0x41, 0x80, 0x80, 4, 0xfc, 0x0a, 0, 0}),
		"table.fill of 4":        repeated(1, times(8, func(int) []byte { return []byte{0x41, 0, 0xd0, 0x70, 0x41, 4, 0xfc, 0x11, 0} })),
		"table.copy of 4":        repeated(1, times(8, func(int) []byte { return []byte{0x41, 0, 0x41, 0, 0x41, 4, 0xfc, 0x0e, 0, 0} })),
		"table.grow of nothing":  repeated(1, times(8, func(int) []byte { return []byte{0xd0, 0x70, 0x41, 0, 0xfc, 0x0f, 0, 0x1a} })),
		"table.get and set":      repeated(1, times(8, func(int) []byte { return []byte{0x41, 3, 0x41, 0, 0x25, 0, 0x26, 0} })),
		"ref.func":               repeated(1, times(8, func(int) []byte { return []byte{0x41, 3, 0xd2, 1, 0x26, 0} })),
		"empty calls":            repeated(1, times(8, func(int) []byte { return []byte{0x10, 1} })),
		"empty indirect calls":   repeated(1, times(8, func(int) []byte { return []byte{0x41, 0, 0x11, 1, 0} })),
		"br_table": repeated(1, times(8, func(i int) []byte {
			return slices.Concat([]byte{0x02, 0x40, 0x02, 0x40, 0x02, 0x40}, get(0), []byte{0x41, byte(i), 0x76, 0x41, 3, 0x71, 0x0e, 3, 0, 1, 2, 0, 0, 0x0b, 0x0b, 0x0b})
		})),
		"unforeseeable branches": repeated(2, slices.Concat(
			get(1), []byte{0x41, 0x8d, 0xcc, 0xe5, 0, 0x6c, 0x41, 0xdf, 0xe6, 0xbb, 0xe3, 3, 0x6a}, set(1),
			times(8, func(i int) []byte {
				return slices.Concat(get(1), []byte{0x41, byte(16 + i), 0x76, 0x41, 1, 0x71, 0x04, 0x40, 0x23, 0, 0x41, 1, 0x6a, 0x24, 0, 0x0b})
			}))),
		missing: repeated(2, slices.Concat([]byte{0x41, 63, 0x40, 0, 0x1a}, times(64, func(i int) []byte {
			return slices.Concat(get(1), []byte{0x41, 0x8d, 0xcc, 0xe5, 0, 0x6c, 0x41, 0xdf, 0xe6, 0xbb, 0xe3, 3, 0x6a}, set(1), get(1), []byte{0x41, 0xff, 0xff, 0xff, 1, 0x71, 0x28, 0, 0}, get(1), []byte{0x6a}, set(1))
		}))),
	}
}

// TestUnitTable prints what a unit takes, for each instruction by itself where it
// is far from the middle, and for loops that are made to take long:
//
//	go test ./plugins/meter -run TestUnitTable -v -overhead
func TestUnitTable(t *testing.T) {
	if !*overhead {
		t.Skip("with -overhead it measures")
	}
	type row struct {
		name string
		ns   float64
	}
	var rows []row
	for _, in := range numeric() {
		rows = append(rows, row{fmt.Sprintf("% x", in.code), nsPerUnit(t, single(in))})
	}
	slices.SortFunc(rows, func(a, b row) int { return int((b.ns - a.ns) * 1e6) })
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d instructions, the middle %.3f ns a unit; the dearest and the cheapest:\n", len(rows), rows[len(rows)/2].ns)
	for i, r := range rows {
		if i < 16 || i >= len(rows)-5 {
			fmt.Fprintf(&b, "  %-28s %8.3f\n", r.name, r.ns)
		}
	}
	b.WriteString("shapes:\n")
	for name, wasm := range shapes() {
		ns := nsPerUnit(t, wasm)
		fmt.Fprintf(&b, "  %-28s %8.3f\n", name, ns)
		if ns > worstUnit && name != missing {
			t.Errorf("%s: %.2f ns a unit", name, ns)
		}
	}
	t.Log(b.String())
}

// nsPerUnit gives the least of a few runs.
func nsPerUnit(t testing.TB, wasm []byte) float64 {
	t.Helper()
	g, err := start(t, wasm, meter.Options{MaxPages: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(t.Context())
	f := g.ExportedFunction("run")
	n, best := uint64(4), 0.0
	for round := 0; round < 5; {
		g.fuel.Set(meter.MaxFuel)
		took := run(t, f, n)
		if took.Microseconds() < 60 && n < 1<<24 {
			n *= 2
			continue
		}
		if ns := float64(took) / float64(meter.MaxFuel-int64(g.fuel.Get())); round == 0 || ns < best {
			best = ns
		}
		round++
	}
	return best
}

// TestCosts: each instruction costs at least what its class says, and not much
// more.
func TestCosts(t *testing.T) {
	const copies = 50
	empty, _ := spentBy(t, nil)
	for _, in := range numeric() {
		body := times(copies, func(int) []byte {
			var b []byte
			for _, p := range in.params {
				b = append(b, get(localOf(p, 1, 0))...)
			}
			b = append(b, in.code...)
			switch in.imm {
			case 'm':
				b = append(b, 0, 0)
			case 'M':
				b = append(b, 0, 0, 0)
			case 'l':
				b = append(b, 0)
			case 's':
				b = append(b, make([]byte, 16)...)
			}
			return append(b, 0x1a)
		})
		spent, err := spentBy(t, body)
		if err != nil && !strings.Contains(err.Error(), "wasm error") {
			t.Fatalf("% x: %v", in.code, err)
		}
		if each := float64(spent-empty) / copies; each < float64(in.cost) || each > 10*float64(in.cost) {
			t.Errorf("% x costs %.2f: its class says %d", in.code, each, in.cost)
		}
	}
}

func spentBy(t *testing.T, body []byte) (int64, error) {
	t.Helper()
	g, err := start(t, repeated(1, body), meter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(t.Context())
	_, _, left, err := g.call(t, "run", plenty, 1)
	return plenty - left, err
}
