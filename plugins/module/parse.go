package module

import (
	"fmt"
)

// order is where each section that is not custom may stand (section 5.5.16):
// the data count lies between element and code.
var order = [...]int{
	SectionType: 1, SectionImport: 2, SectionFunction: 3, SectionTable: 4, SectionMemory: 5, SectionGlobal: 6,
	SectionExport: 7, SectionStart: 8, SectionElement: 9, SectionDataCount: 10, SectionCode: 11, SectionData: 12,
}

// Parse reads a module. Every section's bounds are checked, and every index that
// the result lets somebody follow; instructions are not looked at. It never
// panics, whatever the bytes are, and takes memory in proportion to them.
func Parse(b []byte) (*Module, error) {
	if !IsModule(b) {
		return nil, fmt.Errorf("%w: %s", ErrMalformed, Identify(b))
	}
	m := &Module{}
	r := &reader{b: b, at: len(header), end: len(b), what: "section header"}
	last := 0
	for r.err == nil && r.left() > 0 {
		id := r.byte()
		size := r.u32()
		start := r.at
		r.bytes(size)
		if r.err != nil {
			break
		}
		if id != SectionCustom {
			if int(id) >= len(order) {
				r.fail("unknown section %d", id)
				break
			}
			if order[id] <= last {
				r.fail("section %d is repeated or out of order", id)
				break
			}
			last = order[id]
		}
		m.Sections = append(m.Sections, Section{id, start, r.at})
		s := &reader{b: b, at: start, end: r.at, what: sectionName(id)}
		m.section(id, s)
		r.err = s.err
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, m.check()
}

func (m *Module) section(id byte, r *reader) {
	switch id {
	case SectionCustom:
		name := r.name()
		m.Customs = append(m.Customs, Custom{name, r.bytes(uint32(max(r.left(), 0)))})
	case SectionType:
		vector(r, &m.Types, m.funcType)
	case SectionImport:
		vector(r, &m.Imports, m.readImport)
	case SectionFunction:
		vector(r, &m.Funcs, r.u32Of)
	case SectionMemory:
		vector(r, &m.Memories, r.limitsOf)
	case SectionExport:
		vector(r, &m.Exports, readExport)
	case SectionStart:
		start := r.u32()
		m.Start = &start
	case SectionCode:
		vector(r, &m.Bodies, readBody)
	case SectionTable:
		m.tables = r.count()
		return
	case SectionGlobal:
		m.globals = r.count()
		return
	default:
		return // read by the compiler
	}
	if r.err == nil && r.left() > 0 {
		r.fail("%d bytes behind its end", r.left())
	}
}

// vector reads a vector element by element.
func vector[T any](r *reader, into *[]T, read func(*reader) T) {
	n := r.count()
	for i := 0; i < n && r.err == nil; i++ {
		*into = append(*into, read(r))
	}
}

func (*reader) u32Of(r *reader) uint32    { return r.u32() }
func (*reader) limitsOf(r *reader) Limits { return r.limits() }

func (m *Module) funcType(r *reader) FuncType {
	if form := r.byte(); form != 0x60 {
		r.fail("type form 0x%02x: expected a function", form)
		return FuncType{}
	}
	return FuncType{valueTypes(r), valueTypes(r)}
}

func valueTypes(r *reader) []ValueType {
	n := r.count()
	var types []ValueType
	for _, c := range r.bytes(uint32(n)) {
		if (c < 0x7b || c > 0x7f) && c != 0x70 && c != 0x6f {
			r.fail("unknown value type 0x%02x", c)
		}
		types = append(types, ValueType(c))
	}
	return types
}

func (m *Module) readImport(r *reader) Import {
	im := Import{Module: r.name(), Name: r.name(), Kind: Kind(r.byte())}
	switch im.Kind {
	case KindFunc:
		im.Type = r.u32()
		m.importedFuncs++
	case KindTable:
		r.byte()
		r.limits()
		m.importedTables++
	case KindMemory:
		im.Memory = r.limits()
		m.importedMemories++
	case KindGlobal:
		r.byte()
		r.byte()
		m.importedGlobals++
	default:
		r.fail("unknown kind of import %d", im.Kind)
	}
	return im
}

func readExport(r *reader) Export {
	e := Export{r.name(), Kind(r.byte()), r.u32()}
	if e.Kind > KindGlobal {
		r.fail("unknown kind of export %d", e.Kind)
	}
	return e
}

// readBody reads the size and the locals of a function body and skips its code.
func readBody(r *reader) Body {
	size := r.u32()
	start := r.at
	r.bytes(size)
	if r.err != nil {
		return Body{}
	}
	body := Body{Start: start, End: r.at}
	locals := &reader{b: r.b, at: start, end: r.at, what: "function body"}
	for n := locals.count(); n > 0 && locals.err == nil; n-- {
		body.Locals += uint64(locals.u32())
		locals.byte()
	}
	if locals.err == nil && (locals.left() == 0 || r.b[r.at-1] != 0x0b) {
		locals.fail("does not end")
	}
	r.err = locals.err
	return body
}

// check compares what several sections say.
func (m *Module) check() error {
	malformed := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	if len(m.Funcs) != len(m.Bodies) {
		return malformed("%d functions are declared, %d have code", len(m.Funcs), len(m.Bodies))
	}
	for i, t := range m.Funcs {
		if uint64(t) >= uint64(len(m.Types)) {
			return malformed("function %d has type %d of %d", i, t, len(m.Types))
		}
	}
	for _, im := range m.Imports {
		if im.Kind == KindFunc && uint64(im.Type) >= uint64(len(m.Types)) {
			return malformed("import %s.%s has type %d of %d", im.Module, im.Name, im.Type, len(m.Types))
		}
	}
	seen := make(map[string]bool, len(m.Exports))
	for _, e := range m.Exports {
		if seen[e.Name] {
			return malformed("export %q appears twice", e.Name)
		}
		seen[e.Name] = true
		if n := m.count(e.Kind); uint64(e.Index) >= uint64(n) {
			return malformed("export %q is %s %d of %d", e.Name, e.Kind, e.Index, n)
		}
	}
	if m.Start != nil && uint64(*m.Start) >= uint64(m.count(KindFunc)) {
		return malformed("the start function is function %d of %d", *m.Start, m.count(KindFunc))
	}
	return nil
}

// count is how many there are of a kind, imports included.
func (m *Module) count(k Kind) int {
	switch k {
	case KindFunc:
		return m.importedFuncs + len(m.Funcs)
	case KindTable:
		return m.importedTables + m.tables
	case KindMemory:
		return m.importedMemories + len(m.Memories)
	}
	return m.importedGlobals + m.globals
}

func sectionName(id byte) string {
	names := [...]string{
		"custom section", "type section", "import section", "function section", "table section", "memory section", "global section",
		"export section", "start section", "element section", "code section", "data section", "data count section",
	}
	return names[id]
}
