package frame

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weftrun/weft/abi"
)

// maxFields is how many fields a frame can have.
const maxFields = 64

// Compile checks a declaration and compiles it. The error is a *DeclarationError
// that lists every problem and wraps ErrDeclaration.
func Compile(name string, d Declaration) (*Format, error) {
	d.Fields = slices.Clone(d.Fields)
	c := &compiler{
		problems: problems{lines: d.lines},
		name:     name,
		d:        &d,
		f:        &Format{name: name, description: d.Description, declared: d, carries: abi.ChangedPayload},
	}
	c.common()
	switch {
	case d.Text != nil && len(d.Fields) > 0:
		c.add("text", "both text and fields", "one of them", "a frame is text or binary")
	case d.Text != nil:
		c.text()
	case len(d.Fields) == 0:
		c.add("declaration", "", "the key fields (a binary frame) or text (lines)", "")
	case len(d.Fields) > maxFields:
		c.add("fields", strconv.Itoa(len(d.Fields))+" fields", fmt.Sprintf("at most %d", maxFields), "")
	default:
		c.binary()
	}
	if err := c.err(name); err != nil {
		return nil, err
	}
	c.f.root = c.f
	limit := d.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	c.f.setLimit(limit)
	return c.f, nil
}

// compiler turns a declaration into a format and notes what is wrong with it.
type compiler struct {
	problems
	name   string
	d      *Declaration
	f      *Format
	places []place // of each field
}

// place is where a field lies.
type place struct {
	from, to mark
	size     int // 0 for a part
	part     int // index of the part, -1 for a fixed field
	trailer  bool
	offset   int // from the start of the header or trailer
	number   number
}

func at(i int, key string) string {
	if key == "" {
		return fmt.Sprintf("fields[%d]", i)
	}
	return fmt.Sprintf("fields[%d].%s", i, key)
}

// oneOf notes a word that is not among the known ones and reports whether it is.
func (c *compiler) oneOf(path, word string, known ...string) bool {
	if slices.Contains(known, word) {
		return true
	}
	c.add(path, strconv.Quote(word), "one of "+list(known), suggest(word, known))
	return false
}

// list is the words in order, with commas and "or".
func list(words []string) string {
	words = slices.Clone(words)
	slices.Sort(words)
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func (c *compiler) common() {
	d := c.d
	if d.Endian != "" {
		c.oneOf("endian", d.Endian, "big", "little")
	}
	if d.Type != "" && c.oneOf("type", d.Type, typeNames...) {
		c.f.typ, _ = typeOf(d.Type)
	}
	if d.Limit < 0 || d.Limit > 1<<30 {
		c.add("limit", strconv.Itoa(d.Limit), "a number of bytes up to 1 GiB", "")
	}
	if d.Recover != "" && c.oneOf("recover", d.Recover, "close", "frame", "resync") {
		c.f.recover = map[string]recovery{"close": recoverClose, "frame": recoverFrame, "resync": recoverResync}[d.Recover]
	}
}

func (c *compiler) binary() {
	if !c.lay() {
		return
	}
	c.blanks()
	for i := range c.d.Fields {
		c.compileField(i)
	}
	c.solve()
	c.checksums()
	f := c.f
	f.start = leading(f.constants)
	if f.recover == recoverResync && len(f.start) == 0 {
		c.add("recover", "resync", "a frame that begins with a const field", "there is nothing to look for otherwise")
	}
	carries := func(r role) bool {
		return slices.ContainsFunc(c.d.Fields, func(d Field) bool { return d.Role == roleNames[r-1] })
	}
	f.noType = !carries(roleType)
	f.tooMany = &Fault{TooLong, c.name, "", fmt.Sprintf("expected at most %d bytes of attributes", abi.MaxAttrs)}
	if len(c.list) == 0 {
		c.shortcut()
		c.heartbeat()
	}
}

// shortcut prepares the decoder's short way for the layout that most frames have.
func (c *compiler) shortcut() {
	f := c.f
	if f.header < 8 || len(f.parts) != 1 || len(f.lengths) != 1 {
		return
	}
	var mask, want [8]byte
	for _, k := range f.constants {
		if k.offset+len(k.bytes) > 8 {
			return
		}
		for i, v := range k.bytes {
			mask[k.offset+i], want[k.offset+i] = 0xFF, v
		}
	}
	for i := range c.d.Fields {
		d, p := &c.d.Fields[i], c.places[i]
		if d.Const == nil && p.size > 1 && p.number != numberOf(p.size, false) {
			return
		}
	}
	for i := range f.heads {
		v := &f.heads[i]
		v.window = windowOf(v.offset, v.size, f.header)
	}
	f.lengths[0].window = windowOf(f.lengths[0].offset, f.lengths[0].size, f.header)
	f.quick = true
	f.mask, f.want = binary.LittleEndian.Uint64(mask[:]), binary.LittleEndian.Uint64(want[:])
}

// lay finds out where each field lies. It reports whether to go on.
func (c *compiler) lay() bool {
	f := c.f
	names := map[string]int{}
	c.places = make([]place, len(c.d.Fields))
	behind, gap := false, false
	for i := range c.d.Fields {
		d := &c.d.Fields[i]
		if !validName(d.Name) || d.Name == "frame" {
			c.add(at(i, "name"), strconv.Quote(d.Name), "a name of letters, digits, _ and -, beginning with a letter, not frame", "")
		} else if first, twice := names[d.Name]; twice {
			c.add(at(i, "name"), d.Name+" again", fmt.Sprintf("a name that fields[%d] does not have", first), "")
		}
		names[d.Name] = i
		if d.Size < 0 || d.Size > 8 {
			c.add(at(i, "size"), strconv.Itoa(d.Size), "a whole number of bytes from 1 to 8", "")
			return false
		}
		if d.Endian != "" {
			c.oneOf(at(i, "endian"), d.Endian, "big", "little")
		}
		little := d.Endian == "little" || d.Endian == "" && c.d.Endian == "little"
		p := place{size: d.Size, part: -1, number: numberOf(max(d.Size, 1), little)}
		switch {
		case d.Size == 0 && behind:
			gap = true
			c.add(at(i, ""), d.Name+", of variable length, behind a fixed field that follows another such field",
				"all fields of variable length next to each other", "give it a size, or move it")
		case d.Size == 0:
			p.part = len(f.parts)
			p.from, p.to = mark{f.header, p.part}, mark{f.header, p.part + 1}
			f.parts = append(f.parts, part{name: d.Name})
		case len(f.parts) == 0:
			p.offset = f.header
			p.from, p.to = mark{f.header, 0}, mark{f.header + d.Size, 0}
			f.header += d.Size
		default:
			behind, p.trailer = true, true
			p.offset = f.trailer
			p.from = mark{f.header + f.trailer, maxParts}
			p.to = mark{f.header + f.trailer + d.Size, maxParts}
			f.trailer += d.Size
		}
		c.places[i] = p
	}
	if len(f.parts) > maxParts {
		c.add("fields", strconv.Itoa(len(f.parts))+" fields of variable length", fmt.Sprintf("at most %d", maxParts), "")
		return false
	}
	return !gap && len(c.list) == 0
}

// blanks makes the header and the trailer as they are written where the message
// says nothing.
func (c *compiler) blanks() {
	f := c.f
	f.blank, f.blankEnd = make([]byte, f.header), make([]byte, f.trailer)
	for i, d := range c.d.Fields {
		p := c.places[i]
		if p.part >= 0 {
			continue
		}
		var v uint64
		switch {
		case d.Const != nil:
			v = *d.Const
		case d.Default != nil:
			v = *d.Default
		case d.Min != nil:
			v = *d.Min
		}
		if v > largest(p.size) {
			continue // compileField says so
		}
		b := f.blank
		if p.trailer {
			b = f.blankEnd
		}
		p.number.write(b[p.offset:], v)
	}
}

// find is the place of the fields first..last, of one field, or of the frame.
func (c *compiler) find(path, text string) (first, last int, ok bool) {
	if text == "frame" {
		return 0, len(c.d.Fields) - 1, true
	}
	from, to, ranged := strings.Cut(text, "..")
	if !ranged {
		to = from
	}
	names := make([]string, len(c.d.Fields))
	for i, d := range c.d.Fields {
		names[i] = d.Name
	}
	first, last = slices.Index(names, from), slices.Index(names, to)
	for i, name := range []string{from, to} {
		if index := []int{first, last}[i]; index < 0 {
			c.add(path, strconv.Quote(text), "frame, a field or a range first..last of "+strings.Join(names, ", "), suggest(name, names))
			return 0, 0, false
		}
	}
	if first > last {
		c.add(path, strconv.Quote(text), "a range whose first field stands before its last", "write "+to+".."+from)
		return 0, 0, false
	}
	return first, last, true
}

// sorted is the keys of a map in order, so that problems come in one, too.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func validName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || !(r >= '0' && r <= '9' || r == '_' || r == '-')) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// attributeHead is the start of an attribute in a block: lengths and name.
func attributeHead(name string) []byte {
	head := binary.LittleEndian.AppendUint16(nil, uint16(len(name)))
	return append(append(head, 0, 0), name...)
}
