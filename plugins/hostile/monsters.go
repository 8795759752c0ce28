package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// monsters lists modules that no tool writes.
func monsters() []Guest {
	made := func(name string, class error, make func() []byte, words ...string) Guest {
		g := refusal(name, class, words...)
		g.Make = make
		return g
	}
	runs := func(g Guest, make func() []byte) Guest {
		g.Make = make
		return g
	}
	return []Guest{
		made("no-module", plugins.ErrNotWasm, func() []byte { return []byte("\x7fELF\x02\x01\x01") }, "ELF"),
		made("truncated-header", plugins.ErrNotWasm, func() []byte { return good()[:6] }, "cut off in its header"),
		made("truncated", plugins.ErrMalformed, func() []byte { g := good(); return g[:len(g)-9] }, "cut off"),
		made("section-repeated", plugins.ErrMalformed, func() []byte { return append(good(), raw(10, 0)...) }, "section 10 is repeated or out of order"),
		made("section-unknown", plugins.ErrMalformed, func() []byte { return append(good(), raw(99)...) }, "unknown section 99"),
		made("section-endless", plugins.ErrMalformed, func() []byte { return append(good(), 0, 0xff, 0xff, 0xff, 0xff, 0x0f) }, "needs 4294967295 more bytes"),
		made("number-overlong", plugins.ErrMalformed, func() []byte { return append(good(), 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f) }, "more than 32 bits"),
		made("name-1gb", plugins.ErrMalformed, func() []byte { return append(good(), raw(0, uleb(1<<30)...)...) }, "needs 1073741824 more bytes"),
		made("types-4g", plugins.ErrMalformed, func() []byte { return module(raw(1, uleb(1<<32-1)...)) }, "claims 4294967295 entries"),
		made("locals-4g", plugins.ErrCompile, func() []byte { return body([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b}) }, "more than 4096 locals"),
		made("compile-bomb", plugins.ErrCompile, func() []byte { return compileBomb(true) }, "too complex"),
		made("compile-bomb-flat", plugins.ErrCompile, func() []byte { return compileBomb(false) }, "too complex"),
		made("nesting", plugins.ErrCompile, nesting, "nest"),
		made("br-table", plugins.ErrCompile, branchTable, "label"),
		made("functions", plugins.ErrCompile, func() []byte { return functions(100_001) }, "at most 100000 are allowed"),
		made("billion-elements", plugins.ErrCompile, billionElements, "elements"),
		made("billion-segments", plugins.ErrCompile, billionSegments, "segments"),
		made("data-outside", plugins.ErrTrap, func() []byte { return guest().Data(-8, make([]byte, 16)).Bytes() }, "data"),
		made("table-4g", plugins.ErrCompile, func() []byte { return insert(guest().Bytes(), raw(4, join([]byte{1, 0x70, 0}, uleb(1<<32-1))...), 5) }, "a table begins with 4294967295 elements"),
		made("memory-4gib", plugins.ErrMemory, func() []byte { return pages(65536) }, "allowed are 16MiB"),
		made("memory-64", plugins.ErrMemory, func() []byte { m := guest(); m.MemoryFlags = 4; return m.Bytes() }, "64-bit"),
		made("memory-shared", plugins.ErrMemory, func() []byte { m := guest(); m.MemoryFlags, m.MemoryMax = 2, 100; return m.Bytes() }, "shared"),
		made("fuel-by-index", plugins.ErrCompile, func() []byte { return reach(0) }, "global"),
		made("depth-by-index", plugins.ErrCompile, func() []byte { return reach(1) }, "global"),
		made("fuel-by-index-dead", plugins.ErrCompile, func() []byte {
			return guest().Hook("weft_on_tick", wasmtest.Code(wasmtest.Get(1), wasmtest.Return, wasmtest.I64(1<<40), wasmtest.GlobalSet(0))).Bytes()
		}, "global"),
		made("label-by-index", plugins.ErrCompile, func() []byte { return guest().Hook("weft_on_tick", []byte{0x0c, 2}).Bytes() }, "label"),
		made("local-by-index", plugins.ErrCompile, func() []byte { return guest().Hook("weft_on_tick", wasmtest.I64(1), wasmtest.Set(6)).Bytes() }, "local"),
		made("tail-call", plugins.ErrCompile, func() []byte { return guest().Hook("weft_on_tick", []byte{0x12, 0}).Bytes() }, "0x12"),
		made("exception", plugins.ErrCompile, func() []byte { return guest().Hook("weft_on_tick", []byte{0x06, 0x40, 0x0b}).Bytes() }, "0x06"),
		made("atomic", plugins.ErrCompile, func() []byte { return guest().Hook("weft_on_tick", []byte{0xfe, 0x03, 0}).Bytes() }, "0xfe"),
		made("import-escapes", plugins.ErrImport, importEscapes, "which this weft does not have"),
		made("imports-many", plugins.ErrImport, importsMany, "which this weft does not have"),
		made("exports-many", plugins.ErrExport, exportsMany, "names with weft_ belong to the ABI"),
		made("versions-many", plugins.ErrVersion, versionsMany, "exactly one is allowed"),
		made("manifest-deep", plugins.ErrManifest, func() []byte {
			return guest().Custom(abi.ManifestSection, []byte(`{"name":"x","version":"1","y":`+strings.Repeat("[", 60000))).Bytes()
		}, "manifest"),
		runs(starved("names-escapes"), namesEscapes),
	}
}

// good is a guest that does nothing.
func good() []byte { return guest().Bytes() }

func guest() *wasmtest.Module { return wasmtest.New() }

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func uleb(v uint64) []byte { return binary.AppendUvarint(nil, v) }

// raw is a section with that content.
func raw(id byte, content ...byte) []byte {
	return join([]byte{id}, uleb(uint64(len(content))), content)
}

func module(sections ...[]byte) []byte {
	return append([]byte{0, 'a', 's', 'm', 1, 0, 0, 0}, join(sections...)...)
}

// insert puts a section before the first one with that id.
func insert(wasm, section []byte, before byte) []byte {
	at := find(wasm, before)
	return join(wasm[:at], section, wasm[at:])
}

// find is where the section with that id begins.
func find(wasm []byte, id byte) int {
	for at := 8; at < len(wasm); {
		if wasm[at] == id {
			return at
		}
		size, n := binary.Uvarint(wasm[at+1:])
		at += 1 + n + int(size)
	}
	panic(fmt.Sprintf("hostile: no section %d", id))
}

// body is a good guest with one function more, whose body, locals included, is
// given.
func body(code []byte) []byte { return bodies(1, code) }

// bodies is the same with n functions of one body.
func bodies(n int, code []byte) []byte {
	m := guest()
	const marks = "\x01\x04\x7f\x41\xce\xb9\x92\x05\x1a\x0b" // the body of the function below
	for range n {
		m.Func(wasmtest.Sig(":"), wasmtest.I32(10788046), wasmtest.Drop)
	}
	wasm := m.Bytes()
	at := find(wasm, 10)
	size, k := binary.Uvarint(wasm[at+1:])
	end := at + 1 + k + int(size)
	old := append([]byte{byte(len(marks))}, marks...)
	content := bytes.ReplaceAll(wasm[at+1+k:end], old, append(uleb(uint64(len(code))), code...))
	return join(wasm[:at], raw(10, content...), wasm[end:])
}

// compileBomb has 2000 locals and 2000 loops in one function, one in the other or one
// after the other: 43 KB that take a compiler half a minute, and no fuel.
func compileBomb(nested bool) []byte {
	code := join([]byte{1}, uleb(2000), []byte{0x7f})
	for n := range 2000 {
		code = join(code, []byte{0x03, 0x40, 0x20}, uleb(uint64(n)), []byte{0x41, 1, 0x6a, 0x22}, uleb(uint64(n)), []byte{0x0d, 0})
		if !nested {
			code = append(code, 0x0b)
		}
	}
	if nested {
		code = append(code, bytes.Repeat([]byte{0x0b}, 2000)...)
	}
	return body(append(code, 0x0b))
}

// nesting has 100,000 blocks, each in another.
func nesting() []byte {
	return body(join([]byte{0}, bytes.Repeat([]byte{0x02, 0x40}, 100_000), bytes.Repeat([]byte{0x0b}, 100_001)))
}

// branchTable branches over three million labels, all the same.
func branchTable() []byte {
	return body(join([]byte{0, 0x02, 0x40, 0x41, 0, 0x0e}, uleb(3_000_000), make([]byte, 3_000_001), []byte{0x0b, 0x0b}))
}

// functions has so many functions that do nothing.
func functions(n int) []byte { return bodies(n, []byte{0, 0x0b}) }

// billionElements has a thousand element segments of 2000 functions each, all for the
// same places of a table.
func billionElements() []byte {
	segment := join([]byte{0, 0x41, 0, 0x0b}, uleb(2000), make([]byte, 2000))
	wasm := insert(guest().Bytes(), raw(9, join(uleb(1000), bytes.Repeat(segment, 1000))...), 10)
	return insert(wasm, raw(4, join([]byte{1, 0x70, 0}, uleb(2000))...), 5)
}

// billionSegments has 200,000 data segments, each for the same byte.
func billionSegments() []byte {
	return append(guest().Bytes(), raw(11, join(uleb(200_000), bytes.Repeat([]byte{0, 0x41, 0, 0x0b, 1, 'x'}, 200_000))...)...)
}

func pages(n int) []byte {
	m := guest()
	m.MemoryMin = n
	return m.Bytes()
}

// reach sets the global that lies so many beyond its own: the meter's.
func reach(beyond int) []byte {
	m := guest()
	own := m.Global(0)
	return m.Hook("weft_on_tick", wasmtest.I64(1<<60), wasmtest.GlobalSet(own+1+beyond)).Bytes()
}

const escapes = "\x1b[2J\x1b[1;1H\x1b]0;owned\x07\r\nlevel=INFO msg=\"all is well\"\u202e"

// importEscapes imports a function whose name clears the terminal, forges a line of
// the log, and is a MiB long.
func importEscapes() []byte {
	m := &wasmtest.Module{MemoryMin: 4}
	m.Import("weft", escapes+strings.Repeat("x", 1<<20), ":")
	m.Export(abi.Current.Export(), abi.Signature{}).Buffer(wasmtest.I32(1024)).Hook(abi.ExportOnMessages)
	return m.Bytes()
}

func importsMany() []byte {
	m := &wasmtest.Module{MemoryMin: 4}
	for n := range 20_000 {
		m.Import("weft", fmt.Sprintf("function_%d", n), ":")
	}
	m.Export(abi.Current.Export(), abi.Signature{}).Buffer(wasmtest.I32(1024)).Hook(abi.ExportOnMessages)
	return m.Bytes()
}

// exportsMany exports thousands of long names that begin with weft_ and are none of
// the ABI's.
func exportsMany() []byte {
	m := guest()
	for n := range 5000 {
		m.ExportAs(fmt.Sprintf("weft_%d%s", n, strings.Repeat("on_messages", 200)), 0, 0)
	}
	return m.Bytes()
}

func versionsMany() []byte {
	m := guest()
	for n := range 5000 { // none of them is the one that the guest has already
		m.ExportAs(fmt.Sprintf("weft_abi_1_%d", n+100), 0, 0)
	}
	return m.Bytes()
}

// namesEscapes loops for ever in a function that a name section calls by what moves
// the terminal's cursor.
func namesEscapes() []byte {
	name := escapes + strings.Repeat("y", 1<<20)
	names := raw(1, join(uleb(1), uleb(3), uleb(uint64(len(name))), []byte(name))...) // function 3 is named
	m := guest().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.WhenFirstByte('!', wasmtest.Loop())))
	return m.Custom("name", names).Bytes()
}
