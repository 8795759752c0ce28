// Package wasmtest builds small WebAssembly modules byte by byte, so that the
// tests of hostile guests need no toolchain (core specification 2.0, chapter 5).
package wasmtest

import (
	"encoding/binary"
	"math"

	"github.com/weftrun/weft/abi"
)

// Module is a module in the making. The zero value is an empty module; New is a
// guest that does nothing.
type Module struct {
	imports []imported
	funcs   []function
	exports []export
	globals []int32
	data    []segment
	customs []custom
	start   int // function index + 1

	// MemoryMin and MemoryMax are pages; MemoryMax 0 is no maximum, MemoryMin
	// below 0 no memory at all.
	MemoryMin, MemoryMax int
	// MemoryFlags is or-ed into the limits' flags: 2 shared, 4 64 bit.
	MemoryFlags byte
	// NoMemoryExport leaves the memory without a name.
	NoMemoryExport bool
}

type imported struct {
	module, name string
	sig          abi.Signature
}

type function struct {
	sig    abi.Signature
	locals int
	code   []byte
}

type export struct {
	name  string
	kind  byte
	index int
}

type segment struct {
	at    int32
	bytes []byte
}

type custom struct {
	name string
	data []byte
}

// BufferAt is where the input buffer of New's guest begins, BufferSize how large
// it is.
const (
	BufferAt   = 64 << 10
	BufferSize = 4 << 20
)

// New is a guest with everything that is required: a buffer of BufferSize bytes,
// and a weft_on_messages that answers count. Replace what the test is about.
func New() *Module {
	m := &Module{MemoryMin: (BufferAt + BufferSize) / 65536}
	m.Export(abi.Current.Export(), abi.Signature{})
	m.Buffer(I32(BufferAt))
	m.Hook(abi.ExportOnMessages)
	return m
}

// Buffer gives weft_buffer this code, which leaves the pointer.
func (m *Module) Buffer(code ...[]byte) *Module {
	m.Export(abi.ExportBuffer, Sig("i:i"), code...)
	return m
}

// Hook gives a hook this code; what it returns is its count, local 1. Local 0 is
// the pointer to the records; locals 2 to 5 are free.
func (m *Module) Hook(name string, code ...[]byte) *Module {
	m.Export(name, Sig("ii:i"), append(code, Get(1))...)
	return m
}

// Import adds an imported function; its index is returned. Imports come before
// the first function with code.
func (m *Module) Import(module, name, sig string) int {
	m.imports = append(m.imports, imported{module, name, Sig(sig)})
	return len(m.imports) - 1
}

// Func adds a function with four locals of i32 and returns its index.
func (m *Module) Func(sig abi.Signature, code ...[]byte) int {
	m.funcs = append(m.funcs, function{sig, 4, Code(code...)})
	return len(m.imports) + len(m.funcs) - 1
}

// Export adds an exported function, or replaces the one of that name.
func (m *Module) Export(name string, sig abi.Signature, code ...[]byte) *Module {
	index := m.Func(sig, code...)
	m.Remove(name)
	m.exports = append(m.exports, export{name, 0, index})
	return m
}

// ExportAs gives a name to something that is there: kind 0 function, 2 memory.
func (m *Module) ExportAs(name string, kind byte, index int) *Module {
	m.exports = append(m.exports, export{name, kind, index})
	return m
}

// Remove takes an export away.
func (m *Module) Remove(name string) *Module {
	for i, e := range m.exports {
		if e.name == name {
			m.exports = append(m.exports[:i:i], m.exports[i+1:]...)
			break
		}
	}
	return m
}

// Start makes the function with that index the start function.
func (m *Module) Start(index int) *Module {
	m.start = index + 1
	return m
}

// Global adds a mutable i32 global and returns its index.
func (m *Module) Global(value int32) int {
	m.globals = append(m.globals, value)
	return len(m.globals) - 1
}

// Data puts bytes into the memory before anything runs.
func (m *Module) Data(at int32, b []byte) *Module {
	m.data = append(m.data, segment{at, b})
	return m
}

// Custom adds a custom section at the end.
func (m *Module) Custom(name string, data []byte) *Module {
	m.customs = append(m.customs, custom{name, data})
	return m
}

// Bytes encodes the module.
func (m *Module) Bytes() []byte {
	out := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	var types, imports, funcs, code []byte
	count := 0
	known := make(map[string]int)
	addType := func(s abi.Signature) []byte {
		t := append(append([]byte{0x60}, valueTypes(s.Params)...), valueTypes(s.Results)...)
		index, ok := known[string(t)]
		if !ok {
			index = count
			known[string(t)] = index
			types = append(types, t...)
			count++
		}
		return uleb(uint64(index))
	}
	for _, im := range m.imports {
		imports = append(append(append(imports, name(im.module)...), name(im.name)...), 0)
		imports = append(imports, addType(im.sig)...)
	}
	for _, f := range m.funcs {
		funcs = append(funcs, addType(f.sig)...)
		body := append([]byte{1}, append(uleb(uint64(f.locals)), byte(abi.I32))...)
		body = append(append(body, f.code...), 0x0b)
		code = append(append(code, uleb(uint64(len(body)))...), body...)
	}
	out = section(out, 1, vector(count, types))
	out = section(out, 2, vector(len(m.imports), imports))
	out = section(out, 3, vector(len(m.funcs), funcs))
	out = m.memory(out)
	var globals []byte
	for _, v := range m.globals {
		globals = append(append(append(globals, byte(abi.I32), 1, 0x41), sleb(int64(v))...), 0x0b)
	}
	out = section(out, 6, vector(len(m.globals), globals))
	out = m.exported(out)
	if m.start > 0 {
		out = section(out, 8, uleb(uint64(m.start-1)))
	}
	out = section(out, 10, vector(len(m.funcs), code))
	var data []byte
	for _, d := range m.data {
		data = append(append(append(data, 0, 0x41), sleb(int64(d.at))...), 0x0b)
		data = append(append(data, uleb(uint64(len(d.bytes)))...), d.bytes...)
	}
	out = section(out, 11, vector(len(m.data), data))
	for _, c := range m.customs {
		content := append(name(c.name), c.data...)
		out = append(append(append(out, 0), uleb(uint64(len(content)))...), content...)
	}
	return out
}

func (m *Module) memory(out []byte) []byte {
	if m.MemoryMin < 0 {
		return out
	}
	limits := append([]byte{m.MemoryFlags}, uleb(uint64(m.MemoryMin))...)
	if m.MemoryMax > 0 {
		limits[0] |= 1
		limits = append(limits, uleb(uint64(m.MemoryMax))...)
	}
	return section(out, 5, vector(1, limits))
}

func (m *Module) exported(out []byte) []byte {
	list := m.exports
	if !m.NoMemoryExport && m.MemoryMin >= 0 {
		list = append([]export{{abi.ExportMemory, 2, 0}}, list...)
	}
	var exports []byte
	for _, e := range list {
		exports = append(append(append(exports, name(e.name)...), e.kind), uleb(uint64(e.index))...)
	}
	return section(out, 7, vector(len(list), exports))
}

func vector(n int, content []byte) []byte {
	if n == 0 {
		return nil
	}
	return append(uleb(uint64(n)), content...)
}

func section(out []byte, id byte, content []byte) []byte {
	if len(content) == 0 {
		return out
	}
	return append(append(append(out, id), uleb(uint64(len(content)))...), content...)
}

func valueTypes(types []abi.ValueType) []byte {
	out := uleb(uint64(len(types)))
	for _, t := range types {
		out = append(out, byte(t))
	}
	return out
}

func name(s string) []byte { return append(uleb(uint64(len(s))), s...) }

func uleb(v uint64) []byte { return binary.AppendUvarint(nil, v) }

func sleb(v int64) []byte {
	var out []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(out, c)
		}
		out = append(out, c|0x80)
	}
}

// Sig reads a signature such as "iI:i": i is i32, I i64, d f64.
func Sig(text string) abi.Signature {
	var s abi.Signature
	into := &s.Params
	for _, c := range text {
		switch c {
		case 'i':
			*into = append(*into, abi.I32)
		case 'I':
			*into = append(*into, abi.I64)
		case 'd':
			*into = append(*into, abi.F64)
		case ':':
			into = &s.Results
		}
	}
	return s
}

func f64(v float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)) }
