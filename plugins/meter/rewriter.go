package meter

import (
	"slices"

	"github.com/weftrun/weft/plugins/module"
)

// rewriter is one module on its way.
type rewriter struct {
	wasm    []byte
	mod     *module.Module
	options Options
	report  Report

	// Index spaces, imports first, as the module itself counts them.
	functions []uint32 // type of each function
	imported  int      // how many of them are imports
	globals   []globalType
	tables    []table
	memory    bool
	elements  int // element segments
	data      int // data segments
	counted   int // what the data count section says, -1 without one

	// What may be called without being named: functions that have a reference.
	taken         []bool
	hostReference bool // references to any exported function may come from the host
	importTaken   bool // a reference to an imported function exists

	bodies []body
	out    scratch
	shapes map[string]uint32 // added types by their results
	added  [][]module.ValueType

	namesSeen bool // a name section was seen
}

type globalType struct {
	value   module.ValueType
	mutable bool
}

type table struct {
	value module.ValueType
	min   uint32
	max   uint32
	hard  bool // it declares max
}

const (
	typeI32       module.ValueType = 0x7f
	typeI64       module.ValueType = 0x7e
	typeF32       module.ValueType = 0x7d
	typeF64       module.ValueType = 0x7c
	typeV128      module.ValueType = 0x7b
	typeFuncref   module.ValueType = 0x70
	typeExternref module.ValueType = 0x6f
)

func isReference(t module.ValueType) bool { return t == typeFuncref || t == typeExternref }

func isValue(t module.ValueType) bool { return t >= typeV128 && t <= typeI32 || isReference(t) }

// fuel and depth are the indices of the added globals.
func (w *rewriter) fuel() uint64  { return uint64(len(w.globals)) }
func (w *rewriter) depth() uint64 { return uint64(len(w.globals)) + 1 }

func (w *rewriter) section(id byte) (module.Section, bool) {
	i := slices.IndexFunc(w.mod.Sections, func(s module.Section) bool { return s.ID == id })
	if i < 0 {
		return module.Section{}, false
	}
	return w.mod.Sections[i], true
}

// cursor reads the section's content.
func (w *rewriter) cursor(s module.Section, what string) *cursor {
	return &cursor{b: w.wasm, at: s.Start, end: s.End, what: what}
}

// read runs over a section, if there is one.
func (w *rewriter) read(id byte, what string, read func(*cursor)) error {
	s, ok := w.section(id)
	if !ok {
		return nil
	}
	c := w.cursor(s, what)
	read(c)
	return c.finish()
}
