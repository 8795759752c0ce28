package weft

import "unsafe"

// lent is where answers live until the next call: one chunk of memory that is
// filled from the bottom and begun anew with every call. After the first few
// calls it is as large as it needs to be, and answering allocates nothing.
var lent struct {
	current chunk
	top     uint32  // the first free address of current
	spent   []chunk // what was too small during this call
	input   chunk   // the host's buffer
}

const (
	firstChunk = 16 << 10
	keepChunk  = 1 << 20 // more than this is not kept from call to call
)

// begin starts a call: everything that was lent before is gone.
func begin() {
	if len(lent.spent) > 0 {
		merge()
	}
	lent.top = lent.current.at
}

// merge replaces the chunks of the last call by one that would have been enough.
//
//go:noinline
func merge() {
	sum := lent.current.size
	for i := range lent.spent {
		sum += lent.spent[i].size
		lent.spent[i] = chunk{}
	}
	lent.spent = lent.spent[:0]
	lent.current = allocate(min(sum, keepChunk))
}

// take gives the address of size free bytes.
func take(size uint32) uint32 {
	address := lent.top
	if lent.current.at+lent.current.size-address < size {
		return refill(size)
	}
	lent.top = address + size
	return address
}

// takeAligned is take with an address that is a multiple of 8.
func takeAligned(size uint32) uint32 { return (take(size+7) + 7) &^ 7 }

// Not inlined, so that take can be.
//
//go:noinline
func refill(size uint32) uint32 {
	if lent.current.size > 0 {
		lent.spent = append(lent.spent, lent.current)
	}
	lent.current = allocate(max(size, min(lent.current.size*2, keepChunk), firstChunk))
	lent.top = lent.current.at + size
	return lent.current.at
}

// resize lengthens or shortens what was taken last, in place; false if something
// else was taken since, or no room is left.
func resize(address, from, to uint32) bool {
	if address+from != lent.top || address < lent.current.at || to > lent.current.at+lent.current.size-address {
		return false
	}
	lent.top = address + to
	return true
}

// lend places bytes where they live until the next call. What lies in the host's
// buffer or was lent already does so anyway and stays where it is.
func lend(p unsafe.Pointer, size uint32) span {
	if size == 0 {
		return span{}
	}
	from := addressOf(p)
	if from-lent.input.at < lent.input.size || from-lent.current.at < lent.top-lent.current.at {
		return span{from, size}
	}
	address := take(size)
	move(at(address), p, int(size))
	return span{address, size}
}

func lendBytes(b []byte) span { return lend(unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))) }

func lendString(s string) span { return lend(unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))) }

// join lends strings one after another.
func join(parts []string) span {
	if len(parts) == 1 {
		return lendString(parts[0])
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	address := take(uint32(size))
	to := at(address)
	for _, p := range parts {
		move(to, unsafe.Pointer(unsafe.StringData(p)), len(p))
		to = unsafe.Add(to, len(p))
	}
	return span{address, uint32(size)}
}

// move copies n bytes to where nothing of them lies yet. Topics and names are
// short: up to 64 bytes go by words that may overlap, without a call.
func move(to, from unsafe.Pointer, n int) {
	switch {
	case n > 64:
		copy(unsafe.Slice((*byte)(to), n), unsafe.Slice((*byte)(from), n))
	case n >= 8:
		last := n - 8
		for i := 0; i < last; i += 8 {
			*(*uint64)(unsafe.Add(to, i)) = *(*uint64)(unsafe.Add(from, i))
		}
		*(*uint64)(unsafe.Add(to, last)) = *(*uint64)(unsafe.Add(from, last))
	case n >= 4:
		*(*uint32)(to) = *(*uint32)(from)
		*(*uint32)(unsafe.Add(to, n-4)) = *(*uint32)(unsafe.Add(from, n-4))
	default:
		for i := 0; i < n; i++ {
			*(*byte)(unsafe.Add(to, i)) = *(*byte)(unsafe.Add(from, i))
		}
	}
}

// view is the bytes from an address on.
func view(address, size uint32) []byte { return unsafe.Slice((*byte)(at(address)), size) }

// bytes is what the span holds. Its capacity ends with it: appending copies.
func (s span) bytes() []byte {
	if s.size == 0 {
		return nil
	}
	return view(s.at, s.size)
}

func (s span) string() string {
	if s.size == 0 {
		return ""
	}
	return unsafe.String((*byte)(at(s.at)), s.size)
}

// input hands out a buffer for the host; the former one is the collector's.
func input(size uint32) uint32 {
	if size > maxBuffer {
		return 0
	}
	lent.input = chunk{}
	lent.input = allocate(size)
	return lent.input.at
}
