package weft

const attributeHeader = 4

// Attributes are named values in one run of bytes (abi/SPEC.md, section 4.1):
// those of a message, or a session's context. A malformed block reads as if it
// ended where the fault is.
type Attributes struct{ block []byte }

// Get is the value of the first attribute with this name.
func (a Attributes) Get(name string) (value []byte, ok bool) {
	rest := a.block
	for {
		n, v, tail := split(rest)
		if n == nil {
			return nil, false
		}
		if string(n) == name {
			return v, true
		}
		rest = tail
	}
}

// Next takes the first attribute away and gives it; false if there is none left.
//
//	for a := m.Attributes(); ; {
//		name, value, ok := a.Next()
//		if !ok {
//			break
//		}
//		...
//	}
func (a *Attributes) Next() (name string, value []byte, ok bool) {
	n, v, tail := split(a.block)
	if n == nil {
		return "", nil, false
	}
	a.block = tail
	return text(n), v, true
}

// All goes over the attributes in order:
//
//	for name, value := range m.Attributes().All {
func (a Attributes) All(yield func(name string, value []byte) bool) {
	for {
		name, value, ok := a.Next()
		if !ok || !yield(name, value) {
			return
		}
	}
}

// IsEmpty says that there are none.
func (a Attributes) IsEmpty() bool { return len(a.block) == 0 }

// Block is the run of bytes itself.
func (a Attributes) Block() []byte { return a.block }

// split takes the first attribute off a block; the name is nil if there is none.
func split(b []byte) (name, value, rest []byte) {
	if len(b) < attributeHeader {
		return nil, nil, nil
	}
	n := attributeHeader + (int(b[0]) | int(b[1])<<8)
	end := n + (int(b[2]) | int(b[3])<<8)
	if end > len(b) {
		return nil, nil, nil
	}
	return b[attributeHeader:n:n], b[n:end:end], b[end:]
}

// with is the block with the attribute behind the others. The block must have
// been lent or be the host's.
func with(block span, name, value string) span {
	check(name, value)
	added := uint32(attributeHeader + len(name) + len(value))
	_, there := Attributes{block.bytes()}.Get(name)
	// One that is new goes behind a block that was made just before.
	if !there && block.size > 0 && resize(block.at, block.size, block.size+added) {
		put(view(block.at+block.size, added), name, value)
		return span{block.at, block.size + added}
	}
	to, total := keep(block, name, added)
	put(view(to.at+to.size, added), name, value)
	to.size += added
	resize(to.at, total, to.size)
	return to
}

// remove is the block without the attribute.
func remove(block span, name string) span {
	to, total := keep(block, name, 0)
	resize(to.at, total, to.size)
	return to
}

// keep copies every attribute but those of the name. Behind them is room for
// spare more bytes; total is what was taken.
func keep(block span, name string, spare uint32) (to span, total uint32) {
	total = block.size + spare
	to.at = take(total)
	free := view(to.at, total)
	for rest := block.bytes(); ; {
		n, _, tail := split(rest)
		if n == nil {
			return to, total
		}
		if string(n) != name {
			to.size += uint32(copy(free[to.size:], rest[:len(rest)-len(tail)]))
		}
		rest = tail
	}
}

func check(name, value string) {
	if name == "" || len(name) > maxAttribute || len(value) > maxAttribute {
		panic("weft: an attribute's name must have 1 to 65535 bytes, its value at most 65535")
	}
}

func put(to []byte, name, value string) {
	to[0], to[1] = byte(len(name)), byte(len(name)>>8)
	to[2], to[3] = byte(len(value)), byte(len(value)>>8)
	n := copy(to[attributeHeader:], name)
	copy(to[attributeHeader+n:], value)
}
