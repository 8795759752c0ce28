package meter_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	. "github.com/weftrun/weft/plugins/internal/wasmtest"
	"github.com/weftrun/weft/plugins/meter"
)

// joined makes a module of sections.
func joined(sections ...[]byte) []byte {
	return append([]byte{0, 'a', 's', 'm', 1, 0, 0, 0}, slices.Concat(sections...)...)
}

func sect(id byte, content ...[]byte) []byte {
	c := slices.Concat(content...)
	return append(append([]byte{id}, uleb(uint64(len(c)))...), c...)
}

// withCode is a module with one function of type () -> (), a memory, a table and a
// global, and code with two locals of i32.
func withCode(code ...byte) []byte { return one(1, 0, 0, 2, code) }

// TestReach: no index and no label leads to what the meter adds, in code that runs
// and in code that does not.
func TestReach(t *testing.T) {
	dead := func(code ...byte) []byte { return append([]byte{0x00}, code...) }
	for name, code := range map[string][]byte{
		"reads the fuel":            {0x23, 1, 0x1a},
		"sets the fuel":             {0x42, 0, 0x24, 1},
		"sets the depth":            {0x42, 0, 0x24, 2},
		"sets the fuel, dead":       dead(0x42, 0, 0x24, 1),
		"reads the fuel's local":    {0x20, 2, 0x1a},
		"sets the length, dead":     dead(0x21, 3),
		"leaves by the cold exit":   {0x0c, 1},
		"leaves by it in a block":   {0x02, 0x40, 0x41, 0, 0x0d, 2, 0x0b},
		"leaves by it, dead":        dead(0x0c, 1),
		"leaves by a table of it":   {0x41, 0, 0x0e, 1, 0, 1},
		"leaves by a table, dead":   dead(0x41, 0, 0x0e, 1, 1, 0),
		"a block of an added type":  {0x02, 2, 0x0b},
		"one far away, dead":        dead(0x02, 0xff, 0xff, 3, 0x0b),
		"calls what is not there":   {0x10, 1},
		"calls it indirectly":       {0x41, 0, 0x11, 2, 0},
		"through another table":     {0x41, 0, 0x11, 0, 1},
		"refers to what is not":     {0xd2, 1, 0x1a},
		"a segment that is not":     {0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x0c, 0, 0},
		"a table that is not, dead": dead(0xfc, 0x10, 1, 0x1a),
	} {
		_, _, err := meter.Rewrite(withCode(code...), meter.Options{})
		if !errors.Is(err, meter.ErrMalformed) || !strings.Contains(err.Error(), "function 0") || !strings.Contains(err.Error(), "offset") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnsupported: what weft does not run is refused by name.
func TestUnsupported(t *testing.T) {
	memory := func(b ...byte) []byte { return joined(sect(5, b)) }
	imported := func(kind ...byte) []byte { return joined(sect(2, []byte{1}, text("m"), text("n"), kind)) }
	for says, wasm := range map[string][]byte{
		"tail call":            withCode(0x12, 0),
		"exception":            withCode(0x08, 0),
		"exceptions":           withCode(0x1f, 0x40, 0, 0x0b),
		"threads":              withCode(0xfe, 0x03, 0),
		"garbage collection":   withCode(0xfb, 0x00, 0),
		"typed references":     withCode(0xd4),
		"relaxed":              withCode(0xfd, 0x80, 2),
		"several memories":     withCode(0x41, 0, 0x28, 0x42, 1, 0, 0x1a),
		"memory 1":             withCode(0x3f, 1, 0x1a),
		"2 memories":           memory(2, 0, 1, 0, 1),
		"wasm32":               memory(1, 4, 1),
		"without threads":      memory(1, 3, 1, 2),
		"imports a memory":     imported(2, 0, 1),
		"imports a table":      imported(1, 0x70, 0, 1),
		"extended constant":    joined(sect(6, []byte{1, i32, 0, 0x41, 1, 0x41, 1, 0x6a, 0x0b})),
		"initial value":        joined(sect(4, []byte{1, 0x40, 0, 0x70, 0, 1, 0xd0, 0x70, 0x0b})),
		"belongs to the meter": (&Module{MemoryMin: 1}).Export(meter.ExportFuel, Sig(":")).Bytes(),
		`"weft:depth"`:         (&Module{MemoryMin: 1}).Export(meter.ExportDepth, Sig(":")).Bytes(),
	} {
		if _, _, err := meter.Rewrite(wasm, meter.Options{}); !errors.Is(err, meter.ErrUnsupported) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// TestTooMuch: more of something than plugins ever need is refused before anything
// is made of it.
func TestTooMuch(t *testing.T) {
	for says, wasm := range map[string][]byte{
		"locals":          one(1, 0, 0, 5000),
		"nested":          withCode(append(bytes.Repeat([]byte{0x02, 0x40}, 2000), bytes.Repeat([]byte{0x0b}, 2000)...)...),
		"labels":          withCode(append([]byte{0x41, 0, 0x0e, 0x80, 0x80, 8}, make([]byte, 1<<17+1)...)...),
		"parameters":      one(1, 100, 0, 0),
		"could take":      one(600, 0, 0, 4000),
		"begins with":     joined(sect(4, []byte{1, 0x70, 0, 0xff, 0xff, 0x7f})),
		"tables":          joined(sect(4, []byte{17}, bytes.Repeat([]byte{0x70, 0, 1}, 17))),
		"globals":         joined(sect(6, uleb(20_000), bytes.Repeat([]byte{i32, 0, 0x41, 0, 0x0b}, 20_000))),
		"types":           joined(sect(1, uleb(30_000), bytes.Repeat([]byte{0x60, 0, 0}, 30_000))),
		"data segments":   joined(sect(5, []byte{1, 0, 1}), sect(11, uleb(200_000), bytes.Repeat([]byte{1, 0}, 200_000))),
		"more memory":     joined(sect(5, []byte{1, 0, 200, 1})),
		"elements":        joined(sect(4, []byte{1, 0x70, 0, 1}), sect(9, []byte{1, 5, 0x70}, uleb(1<<20+1), bytes.Repeat([]byte{0xd0, 0x70, 0x0b}, 1<<20+1))),
		"element segment": joined(sect(4, []byte{1, 0x70, 0, 1}), sect(9, uleb(200_000), bytes.Repeat([]byte{1, 0, 0}, 200_000))),
	} {
		if _, _, err := meter.Rewrite(wasm, meter.Options{MaxPages: 16}); !errors.Is(err, meter.ErrTooComplex) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// TestBounds: the memory's and the tables' maximum are set, and stay lower if they
// were.
func TestBounds(t *testing.T) {
	for _, c := range []struct {
		memory   []byte
		most     uint32
		reported uint32
	}{
		{[]byte{1, 0, 2}, 7, 7},
		{[]byte{1, 1, 2, 5}, 7, 5},
		{[]byte{1, 1, 2, 50}, 7, 7},
		{[]byte{1, 1, 2, 50}, 0, 50},
		{[]byte{1, 0, 2}, 0, 65536},
	} {
		wasm := joined(sect(1, []byte{1, 0x60, 1, i32, 1, i32}), sect(3, []byte{1, 0}), sect(4, []byte{1, 0x70, 0, 1}), sect(5, c.memory),
			sect(7, []byte{1}, text("grow"), []byte{0, 0}), sect(10, []byte{1, 6, 0, 0x20, 0, 0x40, 0, 0x0b}))
		out, report, err := meter.Rewrite(wasm, meter.Options{MaxPages: c.most, StartFuel: plenty})
		if err != nil || report.MaxPages != c.reported {
			t.Errorf("%+v: %d, %v", c, report.MaxPages, err)
			continue
		}
		if c.reported > 64 {
			continue
		}
		r := wazero.NewRuntime(t.Context())
		m, err := r.Instantiate(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.ExportedFunction("grow").Call(t.Context(), uint64(c.reported-1)); err != nil || int32(got[0]) != -1 {
			t.Errorf("%+v: growing beyond gives %v, %v", c, got, err)
		}
		if got, err := m.ExportedFunction("grow").Call(t.Context(), uint64(c.reported-2)); err != nil || int32(got[0]) != 2 {
			t.Errorf("%+v: growing to the bound gives %v, %v", c, got, err)
		}
		r.Close(t.Context())
	}
}

// TestDamagedNames: a name section that cannot be read does not matter, and its
// counts are not believed.
func TestDamagedNames(t *testing.T) {
	for _, names := range [][]byte{
		{1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f}, // four billion names
		{0, 0xff, 0xff, 0xff, 0xff, 0x0f},    // a name of 4 GB
		{1, 4, 1, 0, 1, 0xff},                // no UTF-8
		{2, 3, 1, 0, 9},
		{7},
	} {
		wasm := append(withCode(), sect(0, text("name"), names)...)
		out, report, err := meter.Rewrite(wasm, meter.Options{})
		if err != nil || !report.NamesLeft {
			t.Errorf("% x: %v, left out: %v", names, err, report.NamesLeft)
			continue
		}
		r := wazero.NewRuntime(t.Context())
		if err := valid(t.Context(), r, out); err != nil {
			t.Errorf("% x: %v", names, err)
		}
		r.Close(t.Context())
	}
	good := append(withCode(), sect(0, text("name"), []byte{0, 2, 1, 'm', 1, 5, 1, 0, 2, 'f', 'n', 2, 6, 1, 0, 1, 0, 1, 'x'})...)
	if out, report, err := meter.Rewrite(good, meter.Options{}); err != nil || report.NamesLeft || !bytes.Contains(out, []byte("\x02fn")) {
		t.Errorf("good names: %+v, %v", report, err)
	}
}

// TestStartSection: the start section has its own budget.
func TestStartSection(t *testing.T) {
	m := &Module{MemoryMin: 1}
	m.Start(m.Func(Sig(":"), Loop()))
	out, _, err := meter.Rewrite(m.Bytes(), meter.Options{StartFuel: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	r := wazero.NewRuntime(t.Context())
	defer r.Close(t.Context())
	if _, err := r.Instantiate(t.Context(), out); err == nil || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("a start function that loops for ever: %v", err)
	}
}

// TestSame: the same module gives the same bytes, and a call costs the same each
// time.
func TestSame(t *testing.T) {
	g := generate(7)
	a, _, errA := meter.Rewrite(g.plain, meter.Options{MaxPages: 3})
	b, _, errB := meter.Rewrite(g.plain, meter.Options{MaxPages: 3})
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("two rewritings differ: %v, %v", errA, errB)
	}
	m := &Module{MemoryMin: 1}
	m.Export("work", Sig("i:i"), EachRecord(Get(2), Load8(0), Drop), Get(0))
	m2, err := start(t, m.Bytes(), meter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, first, _ := m2.call(t, "work", 1<<30, 0)
	for range 3 {
		if _, _, again, _ := m2.call(t, "work", 1<<30, 0); again != first {
			t.Errorf("%d are left, then %d", first, again)
		}
	}
}
