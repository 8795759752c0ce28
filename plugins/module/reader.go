package module

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrMalformed is wrapped by every error of [Parse] about bytes that are no
// valid module.
var ErrMalformed = errors.New("malformed module")

// reader walks over a part of the binary. The first failure sticks; what is read
// afterwards is zero.
type reader struct {
	b    []byte // the whole binary, so that offsets in errors mean something
	at   int
	end  int
	what string // what is being read, for errors
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s at offset %d: %s", ErrMalformed, r.what, r.at, fmt.Sprintf(format, args...))
	}
}

func (r *reader) left() int { return r.end - r.at }

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.at >= r.end {
		r.fail("ends too early")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) bytes(n uint32) []byte {
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(r.left()) {
		r.fail("needs %d more bytes, %d are left", n, r.left())
		return nil
	}
	r.at += int(n)
	return r.b[r.at-int(n) : r.at : r.at]
}

// u32 reads an unsigned LEB128 number of at most 32 bits (core specification,
// section 5.2.2).
func (r *reader) u32() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			r.fail("a number of more than 32 bits")
			return 0
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	return v
}

// count reads the length of a vector whose elements take at least one byte each.
func (r *reader) count() int {
	n := r.u32()
	if uint64(n) > uint64(r.left()) {
		r.fail("claims %d entries in %d bytes", n, r.left())
		return 0
	}
	return int(n)
}

func (r *reader) name() string {
	b := r.bytes(r.u32())
	if !utf8.Valid(b) {
		r.fail("a name that is no UTF-8")
		return ""
	}
	return string(b)
}

// limits reads the bounds of a memory or table (section 5.3.6).
func (r *reader) limits() Limits {
	flags := r.byte()
	if flags > 7 {
		r.fail("unknown limits flags 0x%02x", flags)
		return Limits{}
	}
	l := Limits{HasMax: flags&1 != 0, Shared: flags&2 != 0, Is64: flags&4 != 0}
	read := func() uint64 { return uint64(r.u32()) }
	if l.Is64 {
		read = r.u64
	}
	l.Min = read()
	if l.HasMax {
		l.Max = read()
		if l.Max < l.Min {
			r.fail("a maximum of %d below the minimum of %d", l.Max, l.Min)
		}
	}
	return l
}

func (r *reader) u64() uint64 {
	var v uint64
	for shift := 0; shift < 70; shift += 7 {
		c := r.byte()
		if shift == 63 && c > 1 {
			r.fail("a number of more than 64 bits")
			return 0
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	return v
}
