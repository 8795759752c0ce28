package load

import (
	"bytes"
	"io"
)

// reader collects what a handshake reads.
type reader struct {
	from io.Reader
	buf  []byte
}

// more reads what is there, at least one byte.
func (r *reader) more() error {
	var chunk [4096]byte
	n, err := r.from.Read(chunk[:])
	r.buf = append(r.buf, chunk[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

// line takes the next line, without its end, off the buffer.
func (r *reader) line() (string, error) {
	for {
		if line, rest, ok := bytes.Cut(r.buf, []byte("\n")); ok {
			r.buf = rest
			return string(bytes.TrimSuffix(line, []byte("\r"))), nil
		}
		if err := r.more(); err != nil {
			return "", err
		}
	}
}
