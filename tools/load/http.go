package load

import (
	"bytes"
	"fmt"
	"strconv"
)

// cutHTTP reads one answer of HTTP/1.1 at the start of b (RFC 9112). n is 0 if it is
// not whole. A body in chunks is put together in place, in front of where it ended.
func cutHTTP(b []byte) (status int, body []byte, n int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, nil, 0, tooLong(b, "the head of an answer")
	}
	head, at := b[:end], end+4
	line, headers, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, nil, 0, fmt.Errorf("%w: no HTTP/1.1: %.40q", ErrProtocol, line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, 0, fmt.Errorf("%w: no HTTP/1.1: %.40q", ErrProtocol, line)
	}
	length, chunked := 0, false
	for len(headers) > 0 {
		line, headers, _ = bytes.Cut(headers, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxUnit {
				return 0, nil, 0, fmt.Errorf("%w: Content-Length %.20q", ErrProtocol, value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	if chunked {
		body, n, err = cutChunks(b[at:])
		if n > 0 {
			n += at
		}
		return status, body, n, err
	}
	if len(b) < at+length {
		return 0, nil, 0, nil
	}
	return status, b[at : at+length], at + length, nil
}

// cutChunks reads a body in chunks: once to see whether it is whole, once to join it.
func cutChunks(b []byte) (body []byte, n int, err error) {
	for pass := range 2 {
		at, filled := 0, 0
		for {
			end := bytes.Index(b[at:], []byte("\r\n"))
			if end < 0 {
				return nil, 0, nil
			}
			size, err := strconv.ParseUint(string(b[at:at+end]), 16, 31)
			if err != nil || size > maxUnit {
				return nil, 0, fmt.Errorf("%w: a chunk of %.20q bytes", ErrProtocol, b[at:at+end])
			}
			at += end + 2
			if len(b) < at+int(size)+2 {
				return nil, 0, nil
			}
			if pass == 1 {
				copy(b[filled:], b[at:at+int(size)])
				filled += int(size)
			}
			at += int(size) + 2
			if size == 0 {
				break
			}
		}
		body, n = b[:filled], at
	}
	return body, n, nil
}
