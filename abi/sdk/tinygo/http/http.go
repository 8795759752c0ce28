// Package http sends HTTP requests, with the operator's grant http, which names
// the hosts. A request takes its time: it gives a token at once, the message
// pauses for it, and comes back to Resume with the answer.
//
//	func (guard) Message(m *weft.Message) weft.Verdict {
//		token, err := http.Get("https://api.example.org/allowed")
//		if err != nil {
//			return weft.Drop("nobody to ask")
//		}
//		return weft.Pause(token)
//	}
//
//	func (guard) Resume(m *weft.Message) weft.Verdict {
//		if r, err := m.Answer().HTTP(); err != nil || r.Status != 200 {
//			return weft.Drop("not allowed")
//		}
//		return weft.Continue()
//	}
package http

import "github.com/weftrun/weft/abi/sdk/tinygo/internal/host"

// Field is a line of a header.
type Field struct{ Name, Value string }

// Request is a request. Only URL is required; it is absolute and ASCII.
type Request struct {
	Method string // GET if empty
	URL    string
	// Header may hold a name more than once. The fields of the connection
	// (host, content-length and so on) are the host's.
	Header []Field
	Body   []byte
	// Deadline is in milliseconds, 0 for the operator's, which is also the most
	// that counts.
	Deadline int64
}

// Get begins a GET. The token to pause with.
func Get(url string) (token uint64, err error) { return Request{URL: url}.Send() }

// Post begins a POST of a body of this content type. The token to pause with.
func Post(url, contentType string, body []byte) (token uint64, err error) {
	return Request{Method: "POST", URL: url, Header: []Field{{"content-type", contentType}}, Body: body}.Send()
}

// Send begins the request. The token to pause with. Errors are of type
// weft.HostError: weft.ErrDenied for a host that is not granted, weft.ErrLimit for
// too many at once or one too large.
func (r Request) Send() (token uint64, err error) {
	size := 0
	for _, f := range r.Header {
		if f.Name == "" || len(f.Name) > 65535 || len(f.Value) > 65535 {
			return 0, host.ErrInvalid
		}
		size += 4 + len(f.Name) + len(f.Value)
	}
	header := make([]byte, 0, size)
	for _, f := range r.Header {
		n, v := len(f.Name), len(f.Value)
		header = append(header, byte(n), byte(n>>8), byte(v), byte(v>>8))
		header = append(append(header, f.Name...), f.Value...)
	}
	status := host.HTTPSend(r.Method, r.URL, header, r.Body, r.Deadline)
	if err := host.Check(status); err != nil {
		return 0, err
	}
	return uint64(status), nil
}
