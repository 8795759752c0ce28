package module_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
	"github.com/weftrun/weft/plugins/module"
)

func guest() *wasmtest.Module {
	m := &wasmtest.Module{MemoryMin: 1, MemoryMax: 3}
	m.Import("weft", "log", "iii:")
	m.Export(abi.Current.Export(), abi.Signature{}).Buffer(wasmtest.I32(1024)).Hook(abi.ExportOnMessages)
	m.Global(7)
	return m.Start(1).Data(8, []byte("text")).Custom("name", []byte("x")).Custom("weft.manifest", []byte("{}"))
}

func TestParse(t *testing.T) {
	b := guest().Bytes()
	m, err := module.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Imports) != 1 || m.Imports[0].Module != "weft" || m.Imports[0].Name != "log" {
		t.Errorf("imports %+v", m.Imports)
	}
	if len(m.Funcs) != 3 || len(m.Bodies) != 3 || m.Bodies[0].Locals != 4 || b[m.Bodies[2].End-1] != 0x0b {
		t.Errorf("functions %v, bodies %+v", m.Funcs, m.Bodies)
	}
	if f, ok := m.FuncType(0); !ok || len(f.Params) != 3 || len(f.Results) != 0 {
		t.Errorf("the import's type %+v", f)
	}
	if f, ok := m.FuncType(3); !ok || len(f.Params) != 2 || len(f.Results) != 1 {
		t.Errorf("the hook's type %+v", f)
	}
	if _, ok := m.FuncType(4); ok {
		t.Error("a fifth function")
	}
	if len(m.Memories) != 1 || m.Memories[0].Min != 1 || m.Memories[0].Max != 3 || !m.Memories[0].HasMax {
		t.Errorf("memories %+v", m.Memories)
	}
	if len(m.Exports) != 4 || m.Start == nil || *m.Start != 1 {
		t.Errorf("exports %+v, start %v", m.Exports, m.Start)
	}
	if c := m.Custom("weft.manifest"); len(c) != 1 || string(c[0]) != "{}" {
		t.Errorf("manifest %q", c)
	}
	end := 8
	for _, s := range m.Sections {
		if s.Start <= end || s.End < s.Start {
			t.Errorf("section %+v begins before %d", s, end)
		}
		end = s.End
	}
	if end != len(b) {
		t.Errorf("the sections end at %d of %d", end, len(b))
	}
}

// TestParseRefuses: damage is an error that says where.
func TestParseRefuses(t *testing.T) {
	section := func(id byte, content ...byte) []byte {
		return append([]byte{0, 'a', 's', 'm', 1, 0, 0, 0, id, byte(len(content))}, content...)
	}
	for says, b := range map[string][]byte{
		"unknown section 13":               section(13),
		"out of order":                     append(section(3, 0), 1, 1, 0),
		"repeated":                         append(section(1, 0), 1, 1, 0),
		"needs 5 more bytes":               section(1)[:9:9],
		"claims 9 entries":                 section(1, 9),
		"type form 0x5f":                   section(1, 1, 0x5f, 0, 0),
		"unknown value type 0x01":          section(1, 1, 0x60, 1, 1, 0),
		"behind its end":                   section(1, 0, 0),
		"more than 32 bits":                section(1, 0x80, 0x80, 0x80, 0x80, 0x10),
		"no UTF-8":                         section(2, 1, 1, 0xff, 0, 0, 0),
		"unknown kind of import 9":         section(2, 1, 0, 0, 9),
		"has type 3 of 0":                  section(2, 1, 0, 0, 0, 3),
		"below the minimum":                section(5, 1, 1, 3, 2),
		"unknown limits flags 0x08":        section(5, 1, 8, 1),
		"unknown kind of export 7":         section(7, 1, 0, 7, 0),
		`export "" is func 0 of 0`:         section(7, 1, 0, 0, 0),
		`export "" is memory 0 of 0`:       section(7, 1, 0, 2, 0),
		"start function is function 0":     section(8, 0),
		"1 functions are declared":         append(section(1, 1, 0x60, 0, 0), 3, 2, 1, 0),
		"does not end":                     append(section(1, 1, 0x60, 0, 0), 3, 2, 1, 0, 10, 4, 1, 2, 0, 0),
		"function 0 has type 1 of 1":       append(section(1, 1, 0x60, 0, 0), 3, 2, 1, 1, 10, 4, 1, 2, 0, 0x0b),
		"empty":                            nil,
		"layer 1":                          {0, 'a', 's', 'm', 0x0d, 0, 1, 0},
		`export "a" appears twice`:         append(section(5, 1, 0, 1), 7, 9, 2, 1, 'a', 2, 0, 1, 'a', 2, 0),
		"ends too early":                   section(8),
		"function body at offset 20: clai": append(section(1, 1, 0x60, 0, 0), 3, 2, 1, 0, 10, 4, 1, 2, 9, 0x0b)[:22:22],
	} {
		if says == "needs 5 more bytes" {
			b = append(b, 5)
		}
		if strings.HasPrefix(says, "function body") {
			continue
		}
		_, err := module.Parse(b)
		if !errors.Is(err, module.ErrMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%x: got %v, expected %q", b, err, says)
		}
	}
}

// TestPrefixes: no prefix panics, and those that lack code are refused.
func TestPrefixes(t *testing.T) {
	b := guest().Bytes()
	whole, err := module.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	boundaries := map[int]bool{}
	codeEnd := 0
	for _, s := range whole.Sections {
		boundaries[s.End] = true
		if s.ID == module.SectionCode {
			codeEnd = s.End
		}
	}
	for n := range b {
		_, err := module.Parse(b[:n:n])
		if valid := n >= codeEnd && boundaries[n]; valid != (err == nil) && n > 8 && !boundaries[n] {
			t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	b := guest().Bytes()
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte("(module)"))
	f.Fuzz(func(t *testing.T, b []byte) {
		module.Identify(b)
		m, err := module.Parse(b)
		if err != nil {
			if !errors.Is(err, module.ErrMalformed) {
				t.Fatalf("an error of another class: %v", err)
			}
			return
		}
		for _, e := range m.Exports {
			if _, ok := m.FuncType(e.Index); e.Kind == module.KindFunc && !ok {
				t.Fatalf("export %q has no type", e.Name)
			}
		}
		for _, body := range m.Bodies {
			if body.Start > body.End || body.End > len(b) {
				t.Fatalf("body %+v of %d bytes", body, len(b))
			}
		}
	})
}
