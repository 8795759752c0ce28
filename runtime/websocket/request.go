package websocket

import (
	"bytes"
	"net/url"
	"strings"
)

const (
	// MaxRequest is the longest upgrade request, in bytes: request line and
	// headers, and the empty line behind them.
	MaxRequest = 8 << 10
	// MaxFields is how many header lines it has at most.
	MaxFields = 64
)

// Request is the head of an HTTP request. All of it lies in the bytes that it was cut
// from.
type Request struct {
	Method []byte
	Path   []byte // as sent, without the query
	Query  []byte // behind the '?', as sent
	fields []byte // the header lines, each with its CR LF
}

// ParseRequest cuts a request off b, the first bytes of a connection. size is its
// length, 0 if its end is not there yet. It is strict: what a lenient
// reader could understand in two ways is refused. A refusal is returned as soon as
// it is certain.
func ParseRequest(b []byte) (req Request, size int, refusal *Refusal) {
	head := b[:min(len(b), MaxRequest)]
	if len(head) > 0 && (head[0] < 'A' || head[0] > 'Z') {
		return req, 0, notHTTP
	}
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) >= MaxRequest {
			return req, 0, tooLarge
		}
		return req, 0, nil
	}
	line, fields, _ := bytes.Cut(head[:end+2], []byte("\r\n"))
	if !req.line(line) {
		return req, 0, badLine
	}
	req.fields = fields
	if refusal := req.check(); refusal != nil {
		return req, 0, refusal
	}
	return req, end + 4, nil
}

// line takes the request line.
func (r *Request) line(b []byte) bool {
	method, rest, _ := bytes.Cut(b, []byte{' '})
	target, version, _ := bytes.Cut(rest, []byte{' '})
	if !isToken(method) || len(target) == 0 || string(version) != "HTTP/1.1" {
		return false
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7F {
			return false
		}
	}
	if target[0] != '/' { // the absolute form (RFC 9112, section 3.2.2)
		at := bytes.Index(target, []byte("://"))
		if at < 0 {
			return false
		}
		target = target[at+3:]
		if at = bytes.IndexByte(target, '/'); at < 0 {
			return false
		}
		target = target[at:]
	}
	r.Method = method
	r.Path, r.Query, _ = bytes.Cut(target, []byte{'?'})
	return true
}

// check looks at the form of every header line.
func (r *Request) check() *Refusal {
	count := 0
	for rest := r.fields; len(rest) > 0; {
		line, behind, _ := bytes.Cut(rest, []byte("\r\n"))
		rest = behind
		if count++; count > MaxFields {
			return tooMany
		}
		name, value, found := bytes.Cut(line, []byte{':'})
		if !found || !isToken(name) {
			return badField
		}
		for _, c := range value {
			if c < ' ' && c != '\t' || c == 0x7F {
				return badField
			}
		}
	}
	return nil
}

// Get is the value of a header without the spaces around it; of several lines the
// first. n is how many there are. Case does not count.
func (r *Request) Get(name string) (value []byte, n int) {
	for rest := r.fields; len(rest) > 0; {
		line, behind, _ := bytes.Cut(rest, []byte("\r\n"))
		rest = behind
		key, v, _ := bytes.Cut(line, []byte{':'})
		if equalFold(key, name) {
			if n++; n == 1 {
				value = bytes.Trim(v, " \t")
			}
		}
	}
	return value, n
}

// has tells whether one of the comma-separated values of a header, over all its
// lines, is the token; without regard to case if fold is set. some tells whether
// there is any value at all.
func (r *Request) has(name, token string, fold bool) (found, some bool) {
	for rest := r.fields; len(rest) > 0; {
		line, behind, _ := bytes.Cut(rest, []byte("\r\n"))
		rest = behind
		key, list, _ := bytes.Cut(line, []byte{':'})
		if !equalFold(key, name) {
			continue
		}
		for len(list) > 0 {
			var value []byte
			value, list, _ = bytes.Cut(list, []byte{','})
			if value = bytes.Trim(value, " \t"); len(value) == 0 {
				continue
			}
			some = true
			if string(value) == token || fold && equalFold(value, token) {
				return true, true
			}
		}
	}
	return false, some
}

// Param is the first value of a query parameter, decoded; false if there is none or
// it cannot be decoded.
func (r *Request) Param(name string) (string, bool) {
	for rest := r.Query; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte{'&'})
		key, value, _ := bytes.Cut(pair, []byte{'='})
		if k, err := url.QueryUnescape(string(key)); err != nil || k != name {
			continue
		}
		v, err := url.QueryUnescape(string(value))
		return v, err == nil
	}
	return "", false
}

func equalFold(b []byte, s string) bool { return len(b) == len(s) && strings.EqualFold(string(b), s) }

// isToken tells whether b is a token (RFC 9110, section 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}
