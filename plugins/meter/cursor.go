package meter

import "fmt"

// cursor walks over a part of the module. The first failure sticks and moves the
// cursor to its end; what is read afterwards is zero.
type cursor struct {
	b    []byte // the whole module, so that offsets in errors mean something
	at   int
	end  int
	what string // what is being read, for errors
	err  error
}

func (c *cursor) fail(kind error, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s, offset %d: %s", kind, c.what, c.at, fmt.Sprintf(format, args...))
	}
	c.at = c.end
}

func (c *cursor) malformed(format string, args ...any) { c.fail(ErrMalformed, format, args...) }

func (c *cursor) left() int { return c.end - c.at }

func (c *cursor) byte() byte {
	if c.at >= c.end {
		c.malformed("it ends too early; was the file cut off while it was copied?")
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

func (c *cursor) skip(n int) {
	if n > c.left() {
		c.malformed("it ends too early; was the file cut off while it was copied?")
		return
	}
	c.at += n
}

// u32 reads an unsigned LEB128 number (core specification, section 5.2.2).
func (c *cursor) u32() uint32 {
	if c.at < c.end && c.b[c.at] < 0x80 {
		c.at++
		return uint32(c.b[c.at-1])
	}
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := c.byte()
		if shift == 28 && b > 0x0f {
			c.malformed("a number of more than 32 bits")
			return 0
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	return v
}

// signed reads a signed LEB128 number of that many bits.
func (c *cursor) signed(bits int) int64 {
	var v int64
	for shift := 0; ; shift += 7 {
		b := c.byte()
		if c.err != nil {
			return 0
		}
		// What is beyond the number's bits must repeat its sign.
		if rest := bits - shift; rest < 7 {
			beyond := int8(b<<1) >> rest // sign-extended from the seventh bit
			if b >= 0x80 || beyond != 0 && beyond != -1 {
				c.malformed("a number of more than %d bits", bits)
				return 0
			}
		}
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if shift+7 < 64 && b&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// index reads an index and checks it against the count of what it counts.
func (c *cursor) index(count int, of string) uint32 {
	i := c.u32()
	if uint64(i) >= uint64(count) && c.err == nil {
		c.malformed("%s %d: the module has %d of them; build the plugin again, or mend the tool that wrote it", of, i, count)
		return 0
	}
	return i
}

// count reads the length of a vector whose elements take at least least bytes.
func (c *cursor) count(least int, of string) int {
	n := c.u32()
	if uint64(n)*uint64(least) > uint64(c.left()) {
		c.malformed("it claims %d %s in %d bytes", n, of, c.left())
		return 0
	}
	return int(n)
}

// finish demands that everything was read.
func (c *cursor) finish() error {
	if c.err == nil && c.left() > 0 {
		c.malformed("%d bytes are left behind its end", c.left())
	}
	return c.err
}

// uleb appends an unsigned LEB128 number.
func uleb(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// sleb appends a signed LEB128 number.
func sleb(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
