package wasmtest

import "slices"

// Code joins instructions.
func Code(parts ...[]byte) []byte { return slices.Concat(parts...) }

// I32 is i32.const.
func I32(v int32) []byte { return append([]byte{0x41}, sleb(int64(v))...) }

// I64 is i64.const.
func I64(v int64) []byte { return append([]byte{0x42}, sleb(v)...) }

// F64 is f64.const.
func F64(v float64) []byte { return append([]byte{0x44}, f64(v)...) }

// Get is local.get.
func Get(local int) []byte { return append([]byte{0x20}, uleb(uint64(local))...) }

// Set is local.set.
func Set(local int) []byte { return append([]byte{0x21}, uleb(uint64(local))...) }

// GlobalGet is global.get, GlobalSet global.set.
func GlobalGet(global int) []byte { return append([]byte{0x23}, uleb(uint64(global))...) }

// GlobalSet is global.set.
func GlobalSet(global int) []byte { return append([]byte{0x24}, uleb(uint64(global))...) }

// Call calls a function.
func Call(f int) []byte { return append([]byte{0x10}, uleb(uint64(f))...) }

// Instructions without operands.
var (
	Unreachable = []byte{0x00}
	Return      = []byte{0x0f}
	Drop        = []byte{0x1a}
	Eqz         = []byte{0x45}
	Eq          = []byte{0x46}
	LtU         = []byte{0x49}
	Add         = []byte{0x6a}
	Sub         = []byte{0x6b}
	Mul         = []byte{0x6c}
	Eq64        = []byte{0x51}
	Wrap        = []byte{0xa7} // i32.wrap_i64
	MemoryGrow  = []byte{0x40, 0}
	MemorySize  = []byte{0x3f, 0}
)

// Load8 is i32.load8_u: it loads from the address on the stack plus at.
func Load8(at int) []byte { return append([]byte{0x2d, 0}, uleb(uint64(at))...) }

// Load32 is i32.load.
func Load32(at int) []byte { return append([]byte{0x28, 0}, uleb(uint64(at))...) }

// Load64 is i64.load.
func Load64(at int) []byte { return append([]byte{0x29, 0}, uleb(uint64(at))...) }

// Store8 is i32.store8: it stores to the address below the value, plus at.
func Store8(at int) []byte { return append([]byte{0x3a, 0}, uleb(uint64(at))...) }

// Store32 is i32.store.
func Store32(at int) []byte { return append([]byte{0x36, 0}, uleb(uint64(at))...) }

// Store64 is i64.store.
func Store64(at int) []byte { return append([]byte{0x37, 0}, uleb(uint64(at))...) }

// If runs the code if the i32 on the stack is not zero.
func If(code ...[]byte) []byte {
	return Code([]byte{0x04, 0x40}, Code(code...), []byte{0x0b})
}

// Loop repeats for ever what the code does not leave by Return.
func Loop(code ...[]byte) []byte {
	return Code([]byte{0x03, 0x40}, Code(code...), []byte{0x0c, 0, 0x0b})
}

// EachRecord runs the code for every record of a hook's batch, with local 2
// pointing to the record and local 3 its number.
func EachRecord(code ...[]byte) []byte {
	return Code(
		Get(0), Set(2), I32(0), Set(3),
		[]byte{0x02, 0x40, 0x03, 0x40}, // block, loop
		Get(3), Get(1), LtU, Eqz, []byte{0x0d, 1},
		Code(code...),
		Get(2), I32(128), Add, Set(2), Get(3), I32(1), Add, Set(3),
		[]byte{0x0c, 0, 0x0b, 0x0b},
	)
}

// Put32 stores a constant into the record in local 2.
func Put32(at int, v int32) []byte { return Code(Get(2), I32(v), Store32(at)) }

// Put8 stores a constant byte into the record in local 2.
func Put8(at int, v int32) []byte { return Code(Get(2), I32(v), Store8(at)) }

// PutSpan stores a span into the record in local 2.
func PutSpan(at int, pointer, length int32) []byte {
	return Code(Put32(at, pointer), Put32(at+4, length))
}

// WhenFirstByte runs the code if the payload of the record in local 2 begins
// with the byte.
func WhenFirstByte(c byte, code ...[]byte) []byte {
	return Code(Get(2), Load32(60), If(Get(2), Load32(56), Load8(0), I32(int32(c)), Eq, If(code...)))
}
