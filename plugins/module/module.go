// Package module reads WebAssembly binary modules (core specification 2.0,
// chapter 5) far enough to check them against a contract before anything of them
// is compiled: types, imports, functions, memories, exports, where each section
// and each function body lies. It depends on the standard library only.
package module

import (
	"bytes"
)

// Module is what [Parse] found. Byte slices alias the binary.
type Module struct {
	Types    []FuncType
	Imports  []Import
	Funcs    []uint32 // type index of each function the module defines
	Memories []Limits // the module's own
	Exports  []Export
	Start    *uint32
	Bodies   []Body
	Customs  []Custom
	Sections []Section

	importedFuncs, importedMemories, importedGlobals, importedTables int
	tables, globals                                                  int
}

// ValueType is the code of a value type.
type ValueType byte

// FuncType is a function's signature.
type FuncType struct{ Params, Results []ValueType }

// Kind is what an import or export is.
type Kind byte

// The kinds of imports and exports.
const (
	KindFunc   Kind = 0
	KindTable  Kind = 1
	KindMemory Kind = 2
	KindGlobal Kind = 3
)

// String is the kind's name in the text format.
func (k Kind) String() string {
	switch k {
	case KindFunc:
		return "func"
	case KindTable:
		return "table"
	case KindMemory:
		return "memory"
	case KindGlobal:
		return "global"
	}
	return "unknown"
}

// Import is one import. Type is the type index of a function.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         uint32
	Memory       Limits
}

// Export is one export; Index counts within its kind, imports first.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32
}

// Limits bound a memory in pages of 64 KiB, or a table in elements.
type Limits struct {
	Min, Max             uint64
	HasMax, Shared, Is64 bool
}

// Body is the code of one function: [Start, End) of the binary, from the
// declarations of its locals to the final end.
type Body struct {
	Start, End int
	Locals     uint64 // how many locals it declares
}

// Custom is a custom section.
type Custom struct {
	Name string
	Data []byte
}

// Section is where the content of a section lies: [Start, End) of the binary.
type Section struct {
	ID         byte
	Start, End int
}

// The ids of sections.
const (
	SectionCustom    = 0
	SectionType      = 1
	SectionImport    = 2
	SectionFunction  = 3
	SectionTable     = 4
	SectionMemory    = 5
	SectionGlobal    = 6
	SectionExport    = 7
	SectionStart     = 8
	SectionElement   = 9
	SectionCode      = 10
	SectionData      = 11
	SectionDataCount = 12
)

// FuncType is the signature of the function with that index, imports first.
func (m *Module) FuncType(index uint32) (FuncType, bool) {
	t, ok := m.typeIndex(index)
	if !ok || uint64(t) >= uint64(len(m.Types)) {
		return FuncType{}, false
	}
	return m.Types[t], true
}

func (m *Module) typeIndex(index uint32) (uint32, bool) {
	if uint64(index) < uint64(m.importedFuncs) {
		n := index
		for _, im := range m.Imports {
			if im.Kind != KindFunc {
				continue
			}
			if n == 0 {
				return im.Type, true
			}
			n--
		}
	}
	local := uint64(index) - uint64(m.importedFuncs)
	if uint64(index) < uint64(m.importedFuncs) || local >= uint64(len(m.Funcs)) {
		return 0, false
	}
	return m.Funcs[local], true
}

// Custom returns the custom sections of that name.
func (m *Module) Custom(name string) [][]byte {
	var found [][]byte
	for _, c := range m.Customs {
		if c.Name == name {
			found = append(found, c.Data)
		}
	}
	return found
}

// header is the magic number and version of a module (section 5.5.16).
var header = []byte{0, 'a', 's', 'm', 1, 0, 0, 0}

// IsModule reports whether b begins like a module.
func IsModule(b []byte) bool { return bytes.HasPrefix(b, header) }

// Identify says what bytes that are no module seem to be.
func Identify(b []byte) string {
	trimmed := bytes.TrimLeft(b[:min(len(b), 4096)], " \t\r\n\ufeff")
	switch {
	case len(b) == 0:
		return "empty"
	case bytes.HasPrefix(b, header[:4]) && len(b) >= 8 && b[6] == 1:
		return "a WebAssembly component (layer 1): build it as a core module"
	case bytes.HasPrefix(b, header[:4]) && len(b) >= 8:
		return "a WebAssembly binary of a version that is not 1"
	case bytes.HasPrefix(header, b):
		return "a WebAssembly module that was cut off in its header"
	case bytes.HasPrefix(b, []byte("\x7fELF")):
		return "an ELF executable: build for the target wasm32"
	case bytes.HasPrefix(b, []byte("\xcf\xfa\xed\xfe")), bytes.HasPrefix(b, []byte("\xca\xfe\xba\xbe")):
		return "a Mach-O executable: build for the target wasm32"
	case bytes.HasPrefix(b, []byte("MZ")):
		return "a Windows executable: build for the target wasm32"
	case bytes.HasPrefix(b, []byte("!<arch>")):
		return "a static library: link it into a module"
	case bytes.HasPrefix(b, []byte("\x1f\x8b")):
		return "a gzip archive: unpack it"
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		return "a zip archive: unpack it"
	case bytes.HasPrefix(trimmed, []byte("(module")), bytes.HasPrefix(trimmed, []byte("(;")), bytes.HasPrefix(trimmed, []byte(";;")):
		return "WebAssembly text: assemble it with wat2wasm"
	case bytes.HasPrefix(trimmed, []byte("<")):
		return "HTML or XML, as a failed download leaves behind"
	case isText(b):
		return "text"
	}
	return "unknown binary data"
}

func isText(b []byte) bool {
	for _, c := range b[:min(len(b), 512)] {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}
