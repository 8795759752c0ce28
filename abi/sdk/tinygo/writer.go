package weft

// Writer builds bytes where the host can read them, so that the result is not
// copied again. It belongs to the call that it was made in; the zero value is
// ready. It is an io.Writer, an io.StringWriter and an io.ByteWriter, and never
// fails.
//
//	var w weft.Writer
//	w.WriteString(`{"celsius":`)
//	w.WriteInt(celsius)
//	w.WriteByte('}')
//	m.SetPayload(w.Bytes())
type Writer struct{ at, size, room uint32 }

// Write appends bytes.
func (w *Writer) Write(b []byte) (int, error) {
	copy(w.extend(uint32(len(b))), b)
	return len(b), nil
}

// WriteString appends a string.
func (w *Writer) WriteString(s string) (int, error) {
	copy(w.extend(uint32(len(s))), s)
	return len(s), nil
}

// WriteByte appends a byte.
func (w *Writer) WriteByte(c byte) error {
	w.extend(1)[0] = c
	return nil
}

// WriteInt appends a decimal number.
func (w *Writer) WriteInt(n int64) {
	if n < 0 {
		w.extend(1)[0] = '-'
		w.WriteUint(-uint64(n))
		return
	}
	w.WriteUint(uint64(n))
}

// WriteUint appends a decimal number.
func (w *Writer) WriteUint(n uint64) {
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = '0' + byte(n%10)
		if n /= 10; n == 0 {
			break
		}
	}
	copy(w.extend(uint32(len(digits)-i)), digits[i:])
}

// Len is how many bytes were written.
func (w *Writer) Len() int { return int(w.size) }

// Bytes is what was written, valid until the plugin's method returns.
func (w *Writer) Bytes() []byte {
	if resize(w.at, w.room, w.size) {
		w.room = w.size // gives back what is not needed
	}
	return span{w.at, w.size}.bytes()
}

// extend makes room for n more bytes and gives it.
func (w *Writer) extend(n uint32) []byte {
	if w.room-w.size < n {
		w.grow(n)
	}
	to := view(w.at+w.size, n)
	w.size += n
	return to
}

func (w *Writer) grow(n uint32) {
	room := max(w.size+n, w.room*2, 64)
	if w.room > 0 && resize(w.at, w.room, room) {
		w.room = room
		return
	}
	wider := take(room)
	copy(view(wider, w.size), span{w.at, w.size}.bytes())
	w.at, w.room = wider, room
}
