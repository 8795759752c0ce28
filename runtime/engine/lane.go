package engine

import "unsafe"

// lane holds whole units of one priority: first those copied into chunks, then
// those borrowed until the turn ends.
type lane struct {
	lens   []uint32 // length of each unit, from lens[first]
	first  int
	chunks [][]byte // copied bytes, from chunks[0][skip]
	skip   int
	segs   [][]byte // borrowed runs, adjacent units merged
}

// Copied bytes lie in chunks of these sizes: a small one first, since most
// connections owe little.
const (
	smallChunk = 1 << 10
	largeChunk = 16 << 10
)

// borrow adds a unit without copying it. Where it directly follows the unit
// before it in one array (seen by the capacity of the former), the two become one
// run.
func (ln *lane) borrow(unit []byte) {
	if n := len(ln.segs); n > 0 {
		last := ln.segs[n-1]
		if cap(last)-len(last) >= len(unit) && unsafe.SliceData(last[len(last):cap(last)]) == unsafe.SliceData(unit) {
			ln.segs[n-1] = last[:len(last)+len(unit)]
			return
		}
	}
	ln.segs = append(ln.segs, unit)
}

func (ln *lane) copyIn(pool *bytePool, b []byte) {
	for len(b) > 0 {
		last := len(ln.chunks) - 1
		if last < 0 || len(ln.chunks[last]) == cap(ln.chunks[last]) {
			size := largeChunk
			if last < 0 {
				size = min(max(len(b), smallChunk), largeChunk)
			}
			ln.chunks = append(ln.chunks, pool.get(size))
			last++
		}
		c := ln.chunks[last]
		n := min(cap(c)-len(c), len(b))
		ln.chunks[last] = append(c, b[:n]...)
		b = b[n:]
	}
}

func (ln *lane) keep(pool *bytePool) {
	for i, seg := range ln.segs {
		ln.copyIn(pool, seg)
		ln.segs[i] = nil
	}
	ln.segs = ln.segs[:0]
}

// gather appends the lane's runs to dst until that holds limit runs.
func (ln *lane) gather(dst [][]byte, limit int) [][]byte {
	for i, run := range ln.chunks {
		if len(dst) >= limit {
			return dst
		}
		if i == 0 {
			run = run[ln.skip:]
		}
		dst = append(dst, run)
	}
	return append(dst, ln.segs[:max(0, min(len(ln.segs), limit-len(dst)))]...)
}

// moveOut appends the first n bytes to dst and drops them.
func (ln *lane) moveOut(pool *bytePool, dst []byte, n int) []byte {
	for n > 0 {
		var run []byte
		if len(ln.chunks) > 0 {
			run = ln.chunks[0][ln.skip:]
		} else {
			run = ln.segs[0]
		}
		run = run[:min(len(run), n)]
		dst = append(dst, run...)
		n -= len(run)
		ln.drop(pool, len(run))
	}
	return dst
}

// drop forgets the first n bytes. No chunk stays that is wholly read.
func (ln *lane) drop(pool *bytePool, n int) {
	n += ln.skip
	gone := 0
	for gone < len(ln.chunks) && n >= len(ln.chunks[gone]) {
		n -= len(ln.chunks[gone])
		pool.put(ln.chunks[gone])
		gone++
	}
	ln.chunks = shift(ln.chunks, gone)
	if len(ln.chunks) > 0 {
		ln.skip = n
		return
	}
	ln.skip = 0
	gone = 0
	for gone < len(ln.segs) && n >= len(ln.segs[gone]) {
		n -= len(ln.segs[gone])
		gone++
	}
	ln.segs = shift(ln.segs, gone)
	if n > 0 {
		ln.segs[0] = ln.segs[0][n:]
	}
}

// shift forgets the first n runs, and does not keep their arrays alive.
func shift(runs [][]byte, n int) [][]byte {
	if n == 0 {
		return runs
	}
	left := copy(runs, runs[n:])
	clear(runs[left:])
	return runs[:left]
}

func (ln *lane) reset(pool *bytePool) {
	for i, c := range ln.chunks {
		pool.put(c)
		ln.chunks[i] = nil
	}
	clear(ln.segs)
	ln.chunks, ln.segs, ln.lens = ln.chunks[:0], ln.segs[:0], ln.lens[:0]
	ln.skip, ln.first = 0, 0
}
