package meter_test

// What the generator knows of instructions: their code, what they take and give,
// and the class of their cost, from the documentation and not from the rewriter's
// tables, so that one can find a mistake in the other.

type vt = byte

const (
	i32, i64, f32, f64, v128 vt = 0x7f, 0x7e, 0x7d, 0x7c, 0x7b
	funcref, externref       vt = 0x70, 0x6f
)

// instr is one instruction without a side effect.
type instr struct {
	code   []byte
	params []vt
	result vt
	cost   int64
	imm    byte // 'm': alignment and offset, 'l': a lane below most, 'M': both, 's': sixteen lanes below 32
	most   byte
}

func numeric() (all []instr) {
	add := func(from, to int, result vt, cost int64, params ...vt) {
		for c := from; c <= to; c++ {
			all = append(all, instr{code: []byte{byte(c)}, params: params, result: result, cost: cost})
		}
	}
	add(0x45, 0x45, i32, 1, i32)
	add(0x46, 0x4f, i32, 1, i32, i32)
	add(0x50, 0x50, i32, 1, i64)
	add(0x51, 0x5a, i32, 1, i64, i64)
	add(0x5b, 0x60, i32, 3, f32, f32)
	add(0x61, 0x66, i32, 3, f64, f64)
	for _, k := range []struct {
		first int
		t     vt
		div   int64
	}{{0x67, i32, 12}, {0x79, i64, 15}} {
		add(k.first, k.first+2, k.t, 1, k.t)
		add(k.first+3, k.first+4, k.t, 1, k.t, k.t)
		add(k.first+5, k.first+5, k.t, 3, k.t, k.t)
		add(k.first+6, k.first+9, k.t, k.div, k.t, k.t)
		add(k.first+10, k.first+17, k.t, 1, k.t, k.t)
	}
	for _, k := range []struct {
		first int
		t     vt
	}{{0x8b, f32}, {0x99, f64}} {
		add(k.first, k.first+5, k.t, 3, k.t)
		add(k.first+6, k.first+6, k.t, 20, k.t)
		add(k.first+7, k.first+9, k.t, 3, k.t, k.t)
		add(k.first+10, k.first+10, k.t, 20, k.t, k.t)
		add(k.first+11, k.first+13, k.t, 3, k.t, k.t)
	}
	add(0xa7, 0xa7, i32, 1, i64)
	add(0xa8, 0xa9, i32, 6, f32)
	add(0xaa, 0xab, i32, 6, f64)
	add(0xac, 0xad, i64, 1, i32)
	add(0xae, 0xaf, i64, 6, f32)
	add(0xb0, 0xb1, i64, 6, f64)
	add(0xb2, 0xb3, f32, 6, i32)
	add(0xb4, 0xb5, f32, 6, i64)
	add(0xb6, 0xb6, f32, 6, f64)
	add(0xb7, 0xb8, f64, 6, i32)
	add(0xb9, 0xba, f64, 6, i64)
	add(0xbb, 0xbb, f64, 6, f32)
	add(0xbc, 0xbc, i32, 1, f32)
	add(0xbd, 0xbd, i64, 1, f64)
	add(0xbe, 0xbe, f32, 1, i32)
	add(0xbf, 0xbf, f64, 1, i64)
	add(0xc0, 0xc1, i32, 1, i32)
	add(0xc2, 0xc4, i64, 1, i64)
	for i, from := range []vt{f32, f32, f64, f64, f32, f32, f64, f64} {
		all = append(all, instr{code: []byte{0xfc, byte(i)}, params: []vt{from}, result: []vt{i32, i64}[i/4], cost: 6})
	}
	for i, t := range []vt{i32, i64, f32, f64, i32, i32, i32, i32, i64, i64, i64, i64, i64, i64} {
		most := []byte{2, 3, 2, 3, 0, 0, 1, 1, 0, 0, 1, 1, 2, 2}[i]
		all = append(all, instr{code: []byte{byte(0x28 + i)}, params: []vt{i32}, result: t, cost: 3, imm: 'm', most: most})
	}
	return append(all, simd()...)
}

func simd() (all []instr) {
	add := func(from, to int, result vt, params ...vt) {
		for c := from; c <= to; c++ {
			all = append(all, instr{code: vec(c), params: params, result: result, cost: 2})
		}
	}
	for c, most := range []byte{4, 3, 3, 3, 3, 3, 3, 0, 1, 2, 3} {
		all = append(all, instr{code: vec(c), params: []vt{i32}, result: v128, cost: 2, imm: 'm', most: most})
	}
	for i, most := range []byte{2, 3} {
		all = append(all, instr{code: vec(0x5c + i), params: []vt{i32}, result: v128, cost: 2, imm: 'm', most: most})
	}
	for i := range 4 {
		all = append(all, instr{code: vec(0x54 + i), params: []vt{i32, v128}, result: v128, cost: 2, imm: 'M', most: byte(i)})
	}
	all = append(all, instr{code: vec(0x0d), params: []vt{v128, v128}, result: v128, cost: 10, imm: 's'})
	all = append(all, instr{code: vec(0x0e), params: []vt{v128, v128}, result: v128, cost: 10})
	for i, t := range []vt{i32, i32, i32, i64, f32, f64} {
		add(0x0f+i, 0x0f+i, v128, t)
	}
	for i, k := range []struct {
		most byte
		t    vt
		set  bool
	}{{16, i32, false}, {16, i32, false}, {16, i32, true}, {8, i32, false}, {8, i32, false}, {8, i32, true}, {4, i32, false}, {4, i32, true},
		{2, i64, false}, {2, i64, true}, {4, f32, false}, {4, f32, true}, {2, f64, false}, {2, f64, true}} {
		in := instr{code: vec(0x15 + i), params: []vt{v128}, result: k.t, cost: 2, imm: 'l', most: k.most}
		if k.set {
			in.params, in.result = []vt{v128, k.t}, v128
		}
		all = append(all, in)
	}
	two := [][2]int{{0x23, 0x4c}, {0x4e, 0x51}, {0x65, 0x66}, {0x6e, 0x73}, {0x76, 0x79}, {0x7b, 0x7b}, {0x82, 0x82}, {0x85, 0x86}, {0x8e, 0x93},
		{0x95, 0x99}, {0x9b, 0x9f}, {0xae, 0xae}, {0xb1, 0xb1}, {0xb5, 0xba}, {0xbc, 0xbf}, {0xce, 0xce}, {0xd1, 0xd1}, {0xd5, 0xdf}, {0xe4, 0xeb}, {0xf0, 0xf7}}
	one := [][2]int{{0x4d, 0x4d}, {0x5e, 0x62}, {0x67, 0x6a}, {0x74, 0x75}, {0x7a, 0x7a}, {0x7c, 0x81}, {0x87, 0x8a}, {0x94, 0x94}, {0xa0, 0xa1}, {0xa7, 0xaa},
		{0xc0, 0xc1}, {0xc7, 0xca}, {0xe0, 0xe1}, {0xe3, 0xe3}, {0xec, 0xed}, {0xef, 0xef}, {0xf8, 0xff}}
	for _, r := range two {
		add(r[0], r[1], v128, v128, v128)
	}
	for _, r := range one {
		add(r[0], r[1], v128, v128)
	}
	for _, r := range [][2]int{{0x6b, 0x6d}, {0x8b, 0x8d}, {0xab, 0xad}, {0xcb, 0xcd}} {
		add(r[0], r[1], v128, v128, i32)
	}
	for _, c := range []int{0x53, 0x63, 0x64, 0x83, 0x84, 0xa3, 0xa4, 0xc3, 0xc4} {
		add(c, c, i32, v128)
	}
	add(0x52, 0x52, v128, v128, v128, v128)
	return all
}

func vec(c int) []byte {
	if c >= 0x80 {
		return []byte{0xfd, byte(c), 1}
	}
	return []byte{0xfd, byte(c)}
}

func uleb(v uint64) (b []byte) {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func sleb(v int64) (b []byte) {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
