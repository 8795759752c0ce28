package meter

// instruction reads one instruction, checks its immediates against the module's
// own counts and adds its cost to the block that it stands in.
func (s *scanner) instruction() {
	s.work++
	code := s.byte()
	o := &ops[code]
	if o.form != plain && o.form != memoryArg {
		s.specialInstruction(code)
		return
	}
	if o.form == memoryArg {
		s.memoryArgument(o.most)
	}
	if s.current >= 0 {
		s.blocks[s.current].cost += int64(o.cost)
	}
}

func (s *scanner) specialInstruction(code byte) {
	switch code {
	case opLocalGet, opLocalSet, opLocalTee:
		s.index(s.body.count, "local")
		if code != opLocalGet {
			s.move(1)
		}
	case opI32Const:
		s.signed(32)
	case opI64Const:
		s.signed(64)
	case opF32Const:
		s.skip(4)
	case opF64Const:
		s.skip(8)
	case opGlobalGet, opGlobalSet:
		s.index(len(s.w.globals), "global")
		s.pay(1)
	case opBlock, opLoop, opIf:
		s.openFrame(code)
	case opElse:
		s.elseFrame()
	case opEnd:
		s.closeFrame()
	case opBr, opBrIf:
		s.branch(code)
	case opBrTable:
		s.branchTable()
	case opReturn:
		s.pay(1)
		s.move(int64(s.frames[0].result))
		if s.current >= 0 {
			s.at--
			s.note(returns, 0)
			s.at++
		}
		s.edge(exit)
		s.current = -1
	case opUnreachable:
		s.current = -1
	case opCall, opCallIndirect:
		s.call(code)
	case opSelectTyped:
		if n := s.u32(); n != 1 && s.err == nil {
			s.malformed("a select of %d types: expected one", n)
		}
		s.valueType()
		s.pay(2)
	case opMemorySize, opMemoryGrow:
		s.memoryIndex()
		s.pay(1)
		if code == opMemoryGrow {
			s.bulk(2, pages, costGrow)
		}
	case opRefNull:
		s.referenceType()
	case opRefFunc:
		s.w.take(s.index(len(s.w.functions), "function"))
		s.pay(costRefFunc)
	case 0x25, 0x26: // table.get, table.set
		s.index(len(s.w.tables), "table")
		s.pay(4)
	case opMisc:
		s.misc()
	case opVector:
		s.vector()
	default:
		s.at--
		s.refuse(code)
	}
}

// refuse names what an instruction that is not known belongs to.
func (s *scanner) refuse(code byte) {
	switch {
	case code == 0x12 || code == 0x13:
		s.fail(ErrUnsupported, "a tail call (0x%02x): build without tail calls", code)
	case code >= 0x06 && code <= 0x0a || code == 0x18 || code == 0x19 || code == 0x1f:
		s.fail(ErrUnsupported, "an instruction of exception handling (0x%02x): build without exceptions", code)
	case code == 0x14 || code == 0x15 || code >= 0xd3 && code <= 0xd6:
		s.fail(ErrUnsupported, "an instruction of typed references (0x%02x): build without them", code)
	case code == 0xfb:
		s.fail(ErrUnsupported, "an instruction of garbage collection (0x%02x): build without it", code)
	case code == 0xfe:
		s.fail(ErrUnsupported, "an atomic instruction (0x%02x): build without threads", code)
	default:
		s.malformed("unknown instruction 0x%02x; build for WebAssembly 2.0", code)
	}
}

// memoryArgument reads an alignment and an offset.
func (s *scanner) memoryArgument(most uint8) {
	s.needMemory()
	align := s.u32()
	switch {
	case s.err != nil:
	case align >= 0x40 && align < 0x80:
		s.fail(ErrUnsupported, "an access to one of several memories: one is supported")
	case align > uint32(most):
		s.malformed("an alignment of 2^%d: at most 2^%d is possible", align, most)
	}
	s.u32()
}

func (s *scanner) needMemory() {
	if !s.w.memory && s.err == nil {
		s.malformed("an access to memory, and the module has none")
	}
}

// memoryIndex reads the byte that stands for the only memory.
func (s *scanner) memoryIndex() {
	s.needMemory()
	if b := s.byte(); b != 0 && s.err == nil {
		s.fail(ErrUnsupported, "an access to memory %d: one memory is supported", b)
	}
}

// blockType reads what a block takes and gives (section 5.4.1).
func (s *scanner) blockType() (params, results int) {
	before := s.at
	v := s.signed(33)
	switch {
	case s.err != nil:
	case v >= 0:
		if v >= int64(len(s.w.mod.Types)) {
			s.malformed("a block of type %d: the module has %d types", v, len(s.w.mod.Types))
			return 0, 0
		}
		t := &s.w.mod.Types[v]
		return len(t.Params), len(t.Results)
	case s.at-before > 1:
		s.malformed("a block's type is written in %d bytes: expected one", s.at-before)
	case v == -64: // nothing
	default:
		s.at--
		s.valueType()
		return 0, 1
	}
	return 0, 0
}

func (s *scanner) openFrame(code byte) {
	if len(s.frames) > maxNesting {
		s.fail(ErrTooComplex, "blocks are nested more than %d deep: split the function", maxNesting)
		return
	}
	params, results := s.blockType()
	s.moved += int64(params + results)
	f := frame{kind: code, param: int32(params), result: int32(results), target: -1, other: -1, dead: s.current < 0}
	f.region = s.regionHere()
	if code == opIf {
		s.pay(1)
	}
	if s.current >= 0 && code == opLoop {
		s.loops++
		depth := s.regions[f.region].depth + 1
		if depth > maxLoopNest {
			s.fail(ErrTooComplex, "loops are nested more than %d deep: split the function", maxLoopNest)
			return
		}
		s.regions = append(s.regions, region{parent: f.region, first: -1, depth: depth})
		inner := int32(len(s.regions) - 1)
		head := s.newBlock(inner)
		s.regions[inner].head = head
		s.move(int64(params))
		s.edge(head)
		f.target = head
		s.frames = append(s.frames, f)
		s.current = s.open(head, check)
		s.blocks[head].cost = 1
		return
	}
	s.frames = append(s.frames, f)
	if s.current >= 0 && code == opIf {
		s.frames[len(s.frames)-1].other = s.current
		then := s.newBlock(f.region)
		s.edge(then)
		s.current = s.open(then, debit)
	}
}

// regionHere is the innermost loop that is open.
func (s *scanner) regionHere() int32 {
	f := &s.frames[len(s.frames)-1]
	if f.kind == opLoop && !f.dead {
		return s.blocks[f.target].region
	}
	return f.region
}

func (s *scanner) elseFrame() {
	f := &s.frames[len(s.frames)-1]
	if f.kind != opIf {
		s.malformed("an else without its if")
		return
	}
	if s.current >= 0 {
		s.move(int64(f.result))
		s.edge(s.target(0))
	}
	f.kind = opElse
	s.current = -1
	if f.other >= 0 {
		from := f.other
		b := s.newBlock(f.region)
		s.edgeFrom(from, b)
		s.current = s.open(b, debit)
	}
}

func (s *scanner) closeFrame() {
	f := s.frames[len(s.frames)-1]
	if len(s.frames) == 1 {
		if s.current >= 0 {
			s.move(int64(f.result))
			s.edge(exit)
		}
		s.frames = s.frames[:0]
		return
	}
	switch {
	case f.kind == opLoop:
		s.frames = s.frames[:len(s.frames)-1]
		if s.current >= 0 { // what follows belongs to the loop around
			next := s.newBlock(f.region)
			s.edge(next)
			s.current = s.open(next, debit)
		}
		return
	case f.kind == opIf && f.other >= 0:
		s.edgeFrom(f.other, s.target(0))
	}
	f = s.frames[len(s.frames)-1]
	if s.current >= 0 {
		s.move(int64(f.result))
	}
	if f.target >= 0 {
		if s.current >= 0 {
			s.edge(f.target)
		}
		s.frames = s.frames[:len(s.frames)-1]
		s.current = s.open(f.target, debit)
		return
	}
	s.frames = s.frames[:len(s.frames)-1]
}

// values is how many values a branch to the label takes along.
func (s *scanner) values(label uint32) int64 {
	f := &s.frames[len(s.frames)-1-int(label)]
	if f.kind == opLoop {
		return int64(f.param)
	}
	return int64(f.result)
}

func (s *scanner) branch(code byte) {
	label := s.index(len(s.frames), "label")
	if s.err != nil {
		return
	}
	s.pay(1)
	s.move(s.values(label))
	if s.current < 0 {
		return
	}
	s.edge(s.target(label))
	if code == opBr {
		s.current = -1
		return
	}
	next := s.newBlock(s.blocks[s.current].region)
	s.edge(next)
	s.current = s.open(next, debit)
}

func (s *scanner) branchTable() {
	n := s.u32()
	if n > maxLabels && s.err == nil {
		s.fail(ErrTooComplex, "a br_table of %d labels: at most %d are allowed", n, maxLabels)
		return
	}
	s.pay(3)
	for i := uint32(0); i <= n && s.err == nil; i++ {
		label := s.index(len(s.frames), "label")
		if s.err != nil {
			return
		}
		s.listed++
		s.moved += s.values(label)
		if i == n {
			s.move(s.values(label))
		}
		if s.current >= 0 {
			s.edge(s.target(label))
		}
	}
	s.current = -1
}

func (s *scanner) call(code byte) {
	s.calls++
	var t uint32
	if code == opCall {
		f := s.index(len(s.w.functions), "function")
		if s.err != nil {
			return
		}
		t = s.w.functions[f]
		s.pay(costCall)
		if int(f) < s.w.imported {
			s.pay(costHostCall - costCall)
		} else if s.current >= 0 {
			s.body.calls = append(s.body.calls, f)
		}
	} else {
		t = s.index(len(s.w.mod.Types), "type")
		s.index(len(s.w.tables), "table")
		if s.err != nil {
			return
		}
		s.pay(costIndirect)
		if s.w.importTaken {
			s.pay(costHostCall - costIndirect)
		}
		if s.current >= 0 {
			s.body.indirect = append(s.body.indirect, t)
		}
	}
	arity := len(s.w.mod.Types[t].Params) + len(s.w.mod.Types[t].Results)
	s.move(int64(arity))
}

// misc reads an instruction with the prefix 0xfc.
func (s *scanner) misc() {
	before := s.at
	code := s.u32()
	if s.err == nil && s.at-before > 1 {
		s.malformed("an instruction's number is written in %d bytes: expected one", s.at-before)
		return
	}
	at := s.at - before + 1
	segment := func() {
		if s.w.counted < 0 && s.err == nil {
			s.malformed("an instruction on a data segment, and the module has no data count section")
		}
		s.index(s.w.data, "data segment")
	}
	table := func() { s.index(len(s.w.tables), "table") }
	switch code {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating conversions
		s.pay(6)
		return
	case 8: // memory.init
		segment()
		s.memoryIndex()
		s.bulk(s.at-before+1, bytes4, costInit)
	case 9: // data.drop
		segment()
		s.pay(costDrop)
	case 10: // memory.copy
		s.memoryIndex()
		s.memoryIndex()
		s.bulk(at+2, bytes4, costBulk)
	case 11: // memory.fill
		s.memoryIndex()
		s.bulk(at+1, bytes4, costFill)
	case 12: // table.init
		s.index(s.w.elements, "element segment")
		table()
		s.bulk(s.at-before+1, each, costInit)
	case 13: // elem.drop
		s.index(s.w.elements, "element segment")
		s.pay(costDrop)
	case 14: // table.copy
		table()
		table()
		s.bulk(s.at-before+1, each, costBulk)
	case 15: // table.grow
		table()
		s.bulk(s.at-before+1, each, costTable)
	case 16: // table.size
		table()
		s.pay(2)
	case 17: // table.fill
		table()
		s.bulk(s.at-before+1, each, costBulk)
	default:
		s.malformed("unknown instruction 0xfc %d; build for WebAssembly 2.0", code)
	}
}

// bulk notes that the instruction that was just read, of so many bytes, costs by
// the length on top of the stack.
func (s *scanner) bulk(size int, kind eventKind, cost int64) {
	if s.current < 0 || s.err != nil {
		return
	}
	s.body.scratch = true
	s.at -= size
	s.note(kind, cost)
	s.at += size
}

// vector reads an instruction with the prefix 0xfd. The compiler reads one byte
// of its number and takes a second one, which is always 1, for a nop: another
// second byte would let the two of us read different code.
func (s *scanner) vector() {
	code := s.byte()
	if code >= 0x80 {
		switch second := s.byte(); {
		case s.err != nil:
			return
		case second == 2:
			s.fail(ErrUnsupported, "a relaxed vector instruction: build without relaxed SIMD")
			return
		case second != 1:
			s.malformed("a vector instruction's number is written in an unusual way")
			return
		}
	}
	o := &vectorOps[code]
	switch o.form {
	case unknown:
		s.malformed("unknown vector instruction 0x%02x; build for WebAssembly 2.0", code)
	case memoryArg:
		s.memoryArgument(o.most)
	case lanes:
		for i := 0; i < 16; i++ {
			if l := s.byte(); o.most > 0 && l >= o.most {
				s.malformed("lane %d of %d", l, o.most)
			}
		}
	case laneArg:
		s.memoryArgument(o.most)
		s.lane(16 >> o.most)
	case lane:
		s.lane(o.most)
	}
	s.pay(int64(o.cost))
}

func (s *scanner) lane(most uint8) {
	if l := s.byte(); l >= most && s.err == nil {
		s.malformed("lane %d of %d", l, most)
	}
}
