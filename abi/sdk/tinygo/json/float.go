package json

import "unsafe"

// float is the double nearest to a decimal number, ties to even.
func float(text []byte) float64 {
	d, negative := read(text)
	f, ok := d.exact()
	if !ok {
		f = d.nearest()
	}
	if negative {
		return -f
	}
	return f
}

// decimal is 0.d1d2d3... times 10 to the power of point. 800 digits decide every
// case: no tie between two doubles has more than 767.
type decimal struct {
	digits [800]byte
	n      int
	point  int
	more   bool // digits other than zero were cut off
}

// far is beyond every exponent that matters.
const far = 1 << 20

func read(text []byte) (d decimal, negative bool) {
	i, fraction := 0, false
	if negative = text[0] == '-'; negative {
		i++
	}
	for ; i < len(text) && text[i] != 'e' && text[i] != 'E'; i++ {
		c := text[i]
		switch {
		case c == '.':
			fraction = true
			continue
		case c == '0' && d.n == 0: // leading zeros
		case d.n < len(d.digits):
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
	if i == len(text) {
		return d, negative
	}
	i++
	down := text[i] == '-'
	if down || text[i] == '+' {
		i++
	}
	e := 0
	for ; i < len(text); i++ {
		e = min(e*10+int(text[i]-'0'), far)
	}
	if down {
		e = -e
	}
	d.point += e
	return d, negative
}

func (d *decimal) trim() {
	for d.n > 0 && d.digits[d.n-1] == 0 {
		d.n--
	}
}

var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// exact is the number if digits and power of ten are both doubles: then a single
// operation rounds, as it should.
func (d *decimal) exact() (f float64, ok bool) {
	if d.n > 15 {
		return 0, false
	}
	n := 0
	for _, c := range d.digits[:d.n] {
		n = n*10 + int(c)
	}
	switch e := d.point - d.n; {
	case n == 0:
		return 0, true
	case e >= 0 && e < len(powers):
		return float64(n) * powers[e], true
	case e < 0 && -e < len(powers):
		return float64(n) / powers[-e], true
	}
	return 0, false
}

// nearest moves the number by powers of two between a half and one, and takes the
// first 53 bits: slow, and exact.
func (d *decimal) nearest() float64 {
	const bias, bits, lowest, step = 1023, 52, -1022, 50
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
	d.left(bits + 1)
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

// right divides by 2 to the power of n, at most 59.
func (d *decimal) right(n int) {
	var rest uint64
	from, to, mask := 0, 0, uint64(1)<<n-1
	for ; rest>>n == 0; from++ { // to the first digit that is not zero
		if from < d.n {
			rest = rest*10 + uint64(d.digits[from])
			continue
		}
		for ; rest>>n == 0; from++ {
			rest *= 10
		}
		break
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
		case to < len(d.digits):
			d.digits[to] = digit
			to++
		case digit > 0:
			d.more = true
		}
	}
	d.n = to
	d.trim()
}

// left multiplies by 2 to the power of n, at most 59.
func (d *decimal) left(n int) {
	var product [len(d.digits) + 20]byte
	at := len(product)
	var carry uint64
	for i := d.n - 1; i >= 0; i-- {
		carry += uint64(d.digits[i]) << n
		at--
		product[at] = byte(carry % 10)
		carry /= 10
	}
	for ; carry > 0; carry /= 10 {
		at--
		product[at] = byte(carry % 10)
	}
	d.point += len(product) - at - d.n
	d.n = copy(d.digits[:], product[at:])
	for _, c := range product[at+d.n:] {
		d.more = d.more || c > 0
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
