package meter

// Instructions that the rewriter looks at by name; the rest it knows by the
// tables below.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32LeU       = 0x4d
	opI64LtS       = 0x53
	opI32Sub       = 0x6b
	opI64Add       = 0x7c
	opI64Sub       = 0x7d
	opI64Mul       = 0x7e
	opI64Or        = 0x84
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	opSelect       = 0x1b
	opRefNull      = 0xd0
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd
)

// immediate is what follows an instruction's code.
type immediate uint8

const (
	unknown   immediate = iota // no instruction that weft runs
	plain                      // nothing follows
	memoryArg                  // alignment and offset
	laneArg                    // alignment, offset and a lane
	lane                       // a lane
	lanes                      // sixteen bytes
	special                    // the scanner reads it itself
)

// op is one instruction's form and cost.
//
// The cost of a unit is 0.12 to 0.29 ns where the measurements were made. Costs
// follow classes: local variables, constants and blocks nothing by themselves
// (see moves), arithmetic, comparisons, branches and globals 1, select and stores
// 2, loads, multiplication and floating point 3, conversions 6, a call 4, an
// indirect one 10, integer division 12 (32 bits) and 15, division and roots of
// floating point 20, vectors 2 or, where the machine has no instruction for it,
// 10 and 20.
type op struct {
	form immediate
	cost uint8
	most uint8 // largest alignment exponent, or number of lanes
}

// Costs that no table below holds.
const (
	costHostCall = 100  // a call into the host, beyond what the host function itself is
	costIndirect = 10   // call_indirect
	costCall     = 4    // call
	costEntry    = 4    // a function's entry, and a quarter for each local
	costRefFunc  = 800  // ref.func asks the run-time
	costPage     = 4000 // a page of memory grown
	costBulk     = 30   // memory.copy, table.copy, table.fill; 1 more for each 4 bytes or element
	costInit     = 40   // memory.init, table.init
	costFill     = 150  // memory.fill
	costGrow     = 250  // memory.grow, beyond its pages
	costTable    = 600  // table.grow, beyond its elements
	costDrop     = 10   // data.drop, elem.drop

	// movesShift: two values moved into a local or over a branch make a unit.
	movesShift = 1
)

var ops = baseOps()

func baseOps() (t [256]op) {
	set := func(from, to int, cost uint8) {
		for i := from; i <= to; i++ {
			t[i] = op{plain, cost, 0}
		}
	}
	for _, code := range []int{opBlock, opLoop, opIf, opElse, opEnd, opBr, opBrIf, opBrTable, opReturn, opUnreachable, opCall, opCallIndirect,
		opSelectTyped, opLocalGet, opLocalSet, opLocalTee, opGlobalGet, opGlobalSet, 0x25, 0x26, opMemorySize, opMemoryGrow,
		opI32Const, opI64Const, opF32Const, opF64Const, opRefNull, opRefFunc, opMisc, opVector} {
		t[code] = op{form: special}
	}
	set(0x01, 0x01, 0) // nop
	set(0x1a, 0x1a, 0) // drop
	set(opSelect, opSelect, 2)
	for code, most := range []uint8{2, 3, 2, 3, 0, 0, 1, 1, 0, 0, 1, 1, 2, 2} { // loads, from 0x28
		t[0x28+code] = op{memoryArg, 3, most}
	}
	for code, most := range []uint8{2, 3, 2, 3, 0, 1, 0, 1, 2} { // stores, from 0x36
		t[0x36+code] = op{memoryArg, 2, most}
	}
	set(0x45, 0x5a, 1) // comparisons of integers
	set(0x5b, 0x66, 3) // of floating point
	set(0x67, 0x69, 3) // clz, ctz, popcnt
	set(0x6a, 0x78, 1) // i32
	set(0x6c, 0x6c, 3)
	set(0x6d, 0x70, 12)
	set(0x79, 0x7b, 3)
	set(0x7c, 0x8a, 1) // i64
	set(0x7e, 0x7e, 3)
	set(0x7f, 0x82, 15)
	for _, first := range []int{0x8b, 0x99} { // f32, f64
		set(first, first+13, 3)
		set(first+2, first+5, 6)    // rounding
		set(first+6, first+6, 20)   // root
		set(first+10, first+10, 20) // division
		set(first+11, first+12, 6)  // least and greatest
	}
	set(0xa7, 0xa7, 1) // wrap
	set(0xa8, 0xab, 6)
	set(0xac, 0xad, 1) // extend
	set(0xae, 0xbb, 6)
	set(0xbc, 0xbf, 1) // reinterpret
	set(0xc0, 0xc4, 1) // sign extension
	set(0xd1, 0xd1, 1) // ref.is_null
	return t
}

var vectorOps = simdOps()

func simdOps() (t [256]op) {
	for i := range t {
		t[i] = op{plain, 2, 0}
	}
	for code, most := range []uint8{4, 3, 3, 3, 3, 3, 3, 0, 1, 2, 3} { // loads
		t[code] = op{memoryArg, 4, most}
	}
	t[0x0b] = op{memoryArg, 3, 4}                                                  // store
	t[0x0c] = op{lanes, 2, 0}                                                      // const
	t[0x0d] = op{lanes, 10, 32}                                                    // shuffle
	t[0x0e].cost = 10                                                              // swizzle
	for code, most := range []uint8{16, 16, 16, 8, 8, 8, 4, 4, 2, 2, 4, 4, 2, 2} { // lanes, from 0x15
		t[0x15+code] = op{lane, 2, most}
	}
	for i, most := range []uint8{0, 1, 2, 3, 0, 1, 2, 3} { // loads and stores of a lane, from 0x54
		t[0x54+i] = op{laneArg, 4, most}
	}
	t[0x5c], t[0x5d] = op{memoryArg, 4, 2}, op{memoryArg, 4, 3}
	for _, code := range []int{0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6,
		0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee} {
		t[code] = op{} // these codes stand for nothing
	}
	for _, heavy := range []struct {
		cost  uint8
		codes []int
	}{
		{10, []int{0x62, 0x6b, 0x6c, 0x6d, 0xcc, 0xd5, 0x5e, 0x5f, 0x82, 0xc0}},
		{6, []int{0x63, 0x64, 0x83, 0x84, 0xa3, 0xa4, 0xc3, 0xc4, 0x53, 0x67, 0x68, 0x69, 0x6a, 0x74, 0x75, 0x7a, 0x94,
			0x95, 0xb5, 0xba, 0xe6, 0xf2, 0xe4, 0xe5, 0xf0, 0xf1, 0x7c, 0x7d, 0x7e, 0x7f}},
		{6, span(0x9c, 0x9f)},
		{6, span(0xbc, 0xbf)},
		{6, span(0xdc, 0xdf)},
		{10, []int{0xe8, 0xe9, 0xf4, 0xf5, 0xea, 0xeb, 0xf6, 0xf7}},
		{20, []int{0xe3, 0xe7, 0xef, 0xf3}},
		{20, span(0xf8, 0xff)},
	} {
		for _, code := range heavy.codes {
			t[code].cost = heavy.cost
		}
	}
	return t
}

func span(from, to int) (codes []int) {
	for i := from; i <= to; i++ {
		codes = append(codes, i)
	}
	return codes
}
