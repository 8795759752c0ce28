package meter

import (
	"fmt"

	"github.com/weftrun/weft/plugins/module"
)

// readSections reads what package module leaves to the compiler: imports other
// than functions, tables, globals, element and data segments. Function bodies
// come later: their indices are checked against what is counted here.
func (w *rewriter) readSections() error {
	for _, e := range w.mod.Exports {
		if e.Name == ExportFuel || e.Name == ExportDepth {
			return fmt.Errorf("%w: export %q has a name that belongs to the meter: rename it", ErrUnsupported, e.Name)
		}
	}
	if err := w.read(module.SectionImport, "import section", w.readImports); err != nil {
		return err
	}
	w.imported = len(w.functions)
	w.functions = append(w.functions, w.mod.Funcs...)
	w.taken = make([]bool, len(w.functions))
	w.counted = -1
	for _, s := range []struct {
		id   byte
		what string
		read func(*cursor)
	}{
		{module.SectionTable, "table section", w.readTables},
		{module.SectionMemory, "memory section", w.readMemory},
		{module.SectionGlobal, "global section", w.readGlobals},
		{module.SectionElement, "element section", w.readElements},
		{module.SectionDataCount, "data count section", func(c *cursor) { w.counted = int(c.u32()) }},
		{module.SectionData, "data section", w.readData},
	} {
		if err := w.read(s.id, s.what, s.read); err != nil {
			return err
		}
	}
	if w.counted >= 0 && w.counted != w.data {
		return fmt.Errorf("%w: data count section: it says %d, there are %d segments; mend the tool that wrote it", ErrMalformed, w.counted, w.data)
	}
	w.findReferences()
	return nil
}

func (w *rewriter) readImports(c *cursor) {
	for n := c.count(4, "imports"); n > 0 && c.err == nil; n-- {
		c.skip(int(c.u32())) // package module has looked at the names
		c.skip(int(c.u32()))
		switch kind := module.Kind(c.byte()); kind {
		case module.KindFunc:
			w.functions = append(w.functions, c.u32())
		case module.KindGlobal:
			w.globals = append(w.globals, c.globalType())
		case module.KindTable, module.KindMemory:
			c.fail(ErrUnsupported, "it imports a %s: a plugin defines its own", kind)
		default:
			c.malformed("unknown kind of import %d", kind)
		}
	}
}

func (c *cursor) globalType() globalType {
	g := globalType{value: c.valueType()}
	switch m := c.byte(); m {
	case 0, 1:
		g.mutable = m == 1
	default:
		c.malformed("mutability 0x%02x: expected 0 or 1", m)
	}
	return g
}

func (c *cursor) valueType() module.ValueType {
	t := module.ValueType(c.byte())
	switch {
	case c.err != nil || isValue(t):
	case t == 0x63 || t == 0x64 || t == 0x69:
		c.fail(ErrUnsupported, "value type 0x%02x: build without typed references, garbage collection and exceptions", t)
	default:
		c.malformed("unknown value type 0x%02x", t)
	}
	return t
}

func (c *cursor) referenceType() module.ValueType {
	t := c.valueType()
	if c.err == nil && !isReference(t) {
		c.malformed("type 0x%02x: expected a reference type", t)
	}
	return t
}

func (w *rewriter) readTables(c *cursor) {
	for n := c.count(3, "tables"); n > 0 && c.err == nil; n-- {
		if c.left() > 0 && c.b[c.at] == 0x40 {
			c.fail(ErrUnsupported, "a table with an initial value: build without typed references")
			return
		}
		t := table{value: c.referenceType()}
		flags := c.byte()
		if flags > 1 && c.err == nil {
			c.fail(ErrUnsupported, "limits of kind 0x%02x: build without threads and 64-bit tables", flags)
			return
		}
		t.min = c.u32()
		if t.hard = flags == 1; t.hard {
			if t.max = c.u32(); t.max < t.min {
				c.malformed("a table's maximum of %d is below its minimum of %d", t.max, t.min)
			}
		}
		if t.min > maxTable {
			c.fail(ErrTooComplex, "a table begins with %d elements: at most %d are allowed", t.min, maxTable)
		}
		w.tables = append(w.tables, t)
	}
	if len(w.tables) > maxTables && c.err == nil {
		c.fail(ErrTooComplex, "%d tables: at most %d are allowed", len(w.tables), maxTables)
	}
}

func (w *rewriter) readMemory(c *cursor) {
	n := c.count(2, "memories")
	if n > 1 {
		c.fail(ErrUnsupported, "%d memories: one is supported", n)
	}
	if n == 0 || c.err != nil {
		return
	}
	if flags := c.byte(); flags > 1 {
		c.fail(ErrUnsupported, "limits of kind 0x%02x: build without threads, for wasm32", flags)
		return
	}
	c.at-- // package module has read the bounds already
	m := w.mod.Memories[0]
	c.skip(1)
	c.u32()
	if m.HasMax {
		c.u32()
	}
	w.memory = true
	const most = 1 << 16
	if m.Min > most || m.HasMax && m.Max > most {
		c.malformed("a memory of %d to %d pages: at most %d exist", m.Min, m.Max, most)
		return
	}
	w.report.MaxPages = most
	if m.HasMax {
		w.report.MaxPages = uint32(m.Max)
	}
	if o := w.options.MaxPages; o > 0 {
		w.report.MaxPages = min(w.report.MaxPages, o)
	}
	if m.Min > uint64(w.report.MaxPages) {
		c.fail(ErrTooComplex, "the memory begins with %d pages, allowed are %d: allow more memory, or build the plugin with less", m.Min, w.report.MaxPages)
	}
}

func (w *rewriter) readGlobals(c *cursor) {
	imported := len(w.globals)
	n := c.count(4, "globals")
	if n > maxGlobals {
		c.fail(ErrTooComplex, "%d globals: at most %d are allowed", n, maxGlobals)
	}
	for ; n > 0 && c.err == nil; n-- {
		g := c.globalType()
		w.constant(c, imported)
		w.globals = append(w.globals, g)
	}
}

// constant reads a constant expression: one instruction and its end. It may read
// the imported globals.
func (w *rewriter) constant(c *cursor, globals int) {
	switch op := c.byte(); op {
	case opI32Const:
		c.signed(32)
	case opI64Const:
		c.signed(64)
	case opF32Const:
		c.skip(4)
	case opF64Const:
		c.skip(8)
	case opGlobalGet:
		c.index(globals, "imported global")
	case opRefNull:
		c.referenceType()
	case opRefFunc:
		w.take(c.index(len(w.functions), "function"))
	case opVector:
		if c.u32() != 0x0c {
			c.malformed("a vector instruction that is not constant")
		}
		c.skip(16)
	default:
		c.malformed("instruction 0x%02x in a constant expression", op)
	}
	if end := c.byte(); end != opEnd && c.err == nil {
		c.fail(ErrUnsupported, "a constant expression of more than one instruction: build without extended constant expressions")
	}
}

// take notes that a reference to the function exists.
func (w *rewriter) take(function uint32) {
	if int(function) < len(w.taken) {
		w.taken[function] = true
	}
}

// readElements reads the eight kinds of element segments (section 5.5.12): bit 0
// of the kind says passive or declarative, bit 1 that a table's index is given
// (or declarative), bit 2 that the elements are expressions.
func (w *rewriter) readElements(c *cursor) {
	n, total := c.count(3, "element segments"), 0
	if n > maxSegments {
		c.fail(ErrTooComplex, "%d element segments: at most %d are allowed", n, maxSegments)
	}
	for ; n > 0 && c.err == nil; n-- {
		kind := c.u32()
		if kind > 7 {
			c.malformed("element segment of the unknown kind %d", kind)
			return
		}
		if kind&1 == 0 {
			number := uint32(0)
			if kind&2 != 0 {
				number = c.u32()
			}
			if uint64(number) >= uint64(len(w.tables)) && c.err == nil {
				c.malformed("an element segment for table %d of %d", number, len(w.tables))
			}
			w.constant(c, w.importedGlobals())
		}
		if kind&3 != 0 {
			if kind&4 != 0 {
				c.referenceType()
			} else if k := c.byte(); k != 0 {
				c.malformed("elements of the unknown kind 0x%02x", k)
			}
		}
		entries := c.count(1, "elements")
		if total += entries; total > maxElements {
			c.fail(ErrTooComplex, "more than %d elements", maxElements)
		}
		for ; entries > 0 && c.err == nil; entries-- {
			if kind&4 != 0 {
				w.constant(c, w.importedGlobals())
			} else {
				w.take(c.index(len(w.functions), "function"))
			}
		}
		w.elements++
	}
}

func (w *rewriter) importedGlobals() int {
	n := 0
	for _, im := range w.mod.Imports {
		if im.Kind == module.KindGlobal {
			n++
		}
	}
	return n
}

func (w *rewriter) readData(c *cursor) {
	n := c.count(2, "data segments")
	if n > maxSegments {
		c.fail(ErrTooComplex, "%d data segments: at most %d are allowed", n, maxSegments)
	}
	for ; n > 0 && c.err == nil; n-- {
		kind := c.u32()
		switch kind {
		case 0, 1, 2:
		default:
			c.malformed("data segment of the unknown kind %d", kind)
		}
		if kind == 2 {
			c.index(1, "memory")
		}
		if kind != 1 && c.err == nil {
			if !w.memory {
				c.malformed("a data segment for a memory that is not there")
			}
			w.constant(c, w.importedGlobals())
		}
		c.skip(c.count(1, "bytes of data"))
		w.data++
	}
}

// findReferences completes what may be called through references: the host could
// hand out an exported function where it can hand out references at all.
func (w *rewriter) findReferences() {
	has := func(types []module.ValueType) bool {
		for _, t := range types {
			if t == typeFuncref {
				return true
			}
		}
		return false
	}
	for i, t := range w.functions[:w.imported] {
		w.hostReference = w.hostReference || has(w.mod.Types[t].Results)
		w.importTaken = w.importTaken || w.taken[i]
	}
	for _, e := range w.mod.Exports {
		switch e.Kind {
		case module.KindFunc:
			w.hostReference = w.hostReference || has(w.mod.Types[w.functions[e.Index]].Params)
		case module.KindGlobal:
			w.hostReference = w.hostReference || int(e.Index) < len(w.globals) && w.globals[e.Index].value == typeFuncref
		}
	}
	for _, g := range w.globals[:w.importedGlobals()] {
		w.hostReference = w.hostReference || g.value == typeFuncref
	}
	if w.hostReference {
		for _, e := range w.mod.Exports {
			if e.Kind == module.KindFunc {
				w.take(e.Index)
			}
		}
	}
}
