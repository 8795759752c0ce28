package meter

import (
	"unicode/utf8"

	"github.com/weftrun/weft/plugins/module"
)

// places is the order of sections in a module (section 5.5.16).
var places = [...]int{
	module.SectionType: 1, module.SectionImport: 2, module.SectionFunction: 3, module.SectionTable: 4, module.SectionMemory: 5,
	module.SectionGlobal: 6, module.SectionExport: 7, module.SectionStart: 8, module.SectionElement: 9,
	module.SectionDataCount: 10, module.SectionCode: 11, module.SectionData: 12,
}

// assemble writes the module. Sections that need no change are copied.
func (w *rewriter) assemble() []byte {
	out := make([]byte, 0, len(w.wasm)+len(w.wasm)/4+256)
	out = append(out, w.wasm[:8]...)
	global, export := false, false
	missing := func(before int) {
		if !global && before > places[module.SectionGlobal] {
			global = true
			out = appendSection(out, module.SectionGlobal, w.globalSection(nil))
		}
		if !export && before > places[module.SectionExport] {
			export = true
			out = appendSection(out, module.SectionExport, w.exportSection(nil))
		}
	}
	for _, s := range w.mod.Sections {
		content := w.wasm[s.Start:s.End]
		if s.ID != module.SectionCustom {
			missing(places[s.ID])
		}
		switch s.ID {
		case module.SectionCustom:
			if w.damagedNames(s) {
				w.report.NamesLeft = true
				continue
			}
		case module.SectionType:
			content = w.typeSection(content)
		case module.SectionTable:
			content = w.tableSection()
		case module.SectionMemory:
			content = w.memorySection(content)
		case module.SectionGlobal:
			global = true
			content = w.globalSection(content)
		case module.SectionExport:
			export = true
			content = w.exportSection(content)
		case module.SectionCode:
			content = w.out.buf
			if len(w.bodies) == 0 {
				content = []byte{0}
			}
		}
		out = appendSection(out, s.ID, content)
	}
	missing(len(places))
	return out
}

func appendSection(b []byte, id byte, content []byte) []byte {
	b = uleb(append(b, id), uint64(len(content)))
	return append(b, content...)
}

// grown is a vector with more elements: its count, then what it had.
func grown(content []byte, more int) []byte {
	c := cursor{b: content, end: len(content)}
	n := c.u32()
	out := make([]byte, 0, len(content)+64)
	return append(uleb(out, uint64(n)+uint64(more)), content[c.at:]...)
}

func (w *rewriter) typeSection(content []byte) []byte {
	out := grown(content, len(w.added))
	for _, results := range w.added {
		out = uleb(append(out, 0x60, 0), uint64(len(results)))
		for _, r := range results {
			out = append(out, byte(r))
		}
	}
	return out
}

func (w *rewriter) tableSection() []byte {
	out := uleb(nil, uint64(len(w.tables)))
	for _, t := range w.tables {
		most := uint32(maxTable)
		if t.hard {
			most = min(most, t.max)
		}
		out = append(out, byte(t.value), 1)
		out = uleb(uleb(out, uint64(t.min)), uint64(most))
	}
	return out
}

func (w *rewriter) memorySection(content []byte) []byte {
	if !w.memory {
		return content
	}
	out := []byte{1, 1}
	return uleb(uleb(out, w.mod.Memories[0].Min), uint64(w.report.MaxPages))
}

func (w *rewriter) globalSection(content []byte) []byte {
	if content == nil {
		content = []byte{0}
	}
	out := grown(content, 2)
	for _, v := range []int64{w.options.StartFuel, w.options.Depth} {
		out = append(out, byte(typeI64), 1, opI64Const)
		out = append(sleb(out, v), opEnd)
	}
	return out
}

func (w *rewriter) exportSection(content []byte) []byte {
	if content == nil {
		content = []byte{0}
	}
	out := grown(content, 2)
	for _, e := range []struct {
		name  string
		index uint64
	}{{ExportFuel, w.fuel()}, {ExportDepth, w.depth()}} {
		out = append(uleb(out, uint64(len(e.name))), e.name...)
		out = uleb(append(out, byte(module.KindGlobal)), e.index)
	}
	return out
}

// damagedNames tells whether a section is a name section that cannot be read. Names
// are there for people who read traces; the compiler would refuse the module, or
// trust a count that takes all memory.
func (w *rewriter) damagedNames(s module.Section) bool {
	c := w.cursor(s, "name section")
	n := c.u32()
	start := c.at
	c.skip(int(n))
	if c.err != nil || string(w.wasm[start:c.at]) != "name" {
		return false
	}
	if w.namesSeen {
		return true
	}
	w.namesSeen = true
	for c.left() > 0 && c.err == nil {
		id := c.byte()
		size := int(c.u32())
		sub := &cursor{b: c.b, at: c.at, end: min(c.at+size, c.end)}
		c.skip(size)
		if c.err != nil {
			break
		}
		switch id {
		case 0:
			sub.name()
		case 1:
			sub.names()
		case 2:
			for n := sub.count(2, "functions"); n > 0 && sub.err == nil; n-- {
				sub.u32()
				sub.names()
			}
		default:
			continue
		}
		if sub.finish() != nil {
			return true
		}
	}
	return c.err != nil
}

func (c *cursor) names() {
	for n := c.count(2, "names"); n > 0 && c.err == nil; n-- {
		c.u32()
		c.name()
	}
}

func (c *cursor) name() {
	n := c.count(1, "bytes of a name")
	start := c.at
	c.skip(n)
	if n > maxNameLength { // it would be written into every trace
		c.malformed("a name of %d bytes", n)
	}
	if c.err == nil && !utf8.Valid(c.b[start:c.at]) {
		c.malformed("a name that is no UTF-8")
	}
}
