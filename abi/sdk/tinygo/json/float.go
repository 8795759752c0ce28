package json

import "unsafe"

// float is the double nearest to a decimal number, ties to even.
func float(text []byte) float64 {
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	f, ok := exact(digits)
	if !ok {
		f = read(digits).nearest()
	}
	if len(digits) < len(text) {
		return -f
	}
	return f
}

var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// exact is the number if its digits and the power of ten are both doubles: then
// a single operation rounds, as it should.
func exact(text []byte) (f float64, ok bool) {
	var n int64 // an int may have 32 bits
	e, fraction, i := 0, false, 0
	for ; i < len(text) && text[i]|0x20 != 'e'; i++ {
		if text[i] == '.' {
			fraction = true
			continue
		}
		if n = n*10 + int64(text[i]-'0'); n >= 1e15 {
			return 0, false
		}
		if fraction {
			e--
		}
	}
	switch e += exponent(text[i:]); {
	case n == 0:
		return 0, true
	case e >= 0 && e < len(powers):
		return float64(n) * powers[e], true
	case e < 0 && -e < len(powers):
		return float64(n) / powers[-e], true
	}
	return 0, false
}

// far is beyond every exponent that matters.
const far = 1 << 20

// exponent is the number behind an e; 0 if there is nothing.
func exponent(text []byte) (e int) {
	if len(text) == 0 {
		return 0
	}
	text = text[1:]
	down := text[0] == '-'
	for _, c := range text {
		if c != '-' && c != '+' {
			e = min(e*10+int(c-'0'), far)
		}
	}
	if down {
		return -e
	}
	return e
}

// decimal is 0.d1d2d3... times 10 to the power of point. 800 digits decide every
// case: no tie between two doubles has more than 767.
type decimal struct {
	digits [most + carried]byte
	n      int
	point  int
	more   bool // digits other than zero were cut off
}

const (
	most    = 800
	carried = 16 // as many digits more has a number after a step of 50 bits
	step    = 50
)

// read gives a pointer because a guest's stack may be small.
func read(text []byte) *decimal {
	d := new(decimal)
	fraction, i := false, 0
	for ; i < len(text) && text[i]|0x20 != 'e'; i++ {
		c := text[i]
		switch {
		case c == '.':
			fraction = true
			continue
		case c == '0' && d.n == 0: // leading zeros
		case d.n < most:
			d.digits[d.n] = c - '0'
			d.n++
		case c != '0':
			d.more = true
		}
		switch {
		case !fraction && d.n > 0:
			d.point++
		case fraction && d.n == 0:
			d.point--
		}
	}
	d.trim()
	d.point += exponent(text[i:])
	return d
}

func (d *decimal) trim() {
	for d.n > 0 && d.digits[d.n-1] == 0 {
		d.n--
	}
}

// nearest moves the number by powers of two between a half and one, and takes the
// first 53 bits: slow, and exact.
func (d *decimal) nearest() float64 {
	const bias, bits, lowest = 1023, 52, -1022
	switch {
	case d.n == 0 || d.point < -330:
		return 0
	case d.point > 310:
		return fromBits(0x7ff << bits)
	}
	exponent := -1 // of a number in [1, 2)
	for d.point > 0 {
		n := min(d.point*3, step)
		d.right(n)
		exponent += n
	}
	for d.point < 0 || d.digits[0] < 5 {
		n := 1
		if d.point < 0 {
			n = min(-d.point*3, step)
		}
		d.left(n)
		exponent -= n
	}
	if exponent < lowest { // too small for all its bits
		for n := lowest - exponent; n > 0; n -= step {
			d.right(min(n, step))
		}
		exponent = lowest
	}
	d.left(bits + 1 - step)
	d.left(step)
	mantissa := d.round()
	if mantissa == 2<<bits {
		mantissa >>= 1
		exponent++
	}
	switch {
	case exponent > bias:
		return fromBits(0x7ff << bits)
	case mantissa < 1<<bits:
		return fromBits(mantissa)
	}
	return fromBits(mantissa&(1<<bits-1) | uint64(exponent+bias)<<bits)
}

// right divides by 2 to the power of n, at most step.
func (d *decimal) right(n int) {
	var rest uint64
	from, to, mask := 0, 0, uint64(1)<<n-1
	for ; rest>>n == 0; from++ { // to the first digit that is not zero
		rest *= 10
		if from < d.n {
			rest += uint64(d.digits[from])
		}
	}
	d.point -= from - 1
	for rest > 0 || from < d.n {
		digit := byte(rest >> n)
		rest = (rest & mask) * 10
		if from < d.n {
			rest += uint64(d.digits[from])
			from++
		}
		switch {
		case to < most:
			d.digits[to] = digit
			to++
		case digit > 0:
			d.more = true
		}
	}
	d.n = to
	d.trim()
}

// left multiplies by 2 to the power of n, at most step. Each digit goes carried
// places to the right of where it was, so that none is overwritten unread.
func (d *decimal) left(n int) {
	var carry uint64
	for i := d.n - 1; i >= -carried; i-- {
		if i >= 0 {
			carry += uint64(d.digits[i]) << n
		}
		d.digits[i+carried] = byte(carry % 10)
		carry /= 10
	}
	zeros := 0
	for zeros < carried && d.digits[zeros] == 0 {
		zeros++
	}
	d.n = copy(d.digits[:], d.digits[zeros:d.n+carried])
	d.point += carried - zeros
	for ; d.n > most; d.n-- {
		d.more = d.more || d.digits[d.n-1] > 0
	}
	d.trim()
}

// round is the nearest integer, ties to even.
func (d *decimal) round() uint64 {
	var n uint64
	for i := 0; i < d.point; i++ {
		n *= 10
		if i < d.n {
			n += uint64(d.digits[i])
		}
	}
	if d.point < 0 || d.point >= d.n {
		return n
	}
	half := d.digits[d.point]
	tie := half == 5 && d.point+1 == d.n && !d.more
	if tie && n&1 == 1 || !tie && half >= 5 {
		n++
	}
	return n
}

func fromBits(bits uint64) float64 { return *(*float64)(unsafe.Pointer(&bits)) }
