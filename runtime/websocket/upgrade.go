package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
)

// Site is where a listener's WebSockets are, and who may open one.
type Site struct {
	// Path is the request's path, byte for byte.
	Path string
	// Origins are the web pages' origins that are let in, such as
	// https://app.example; "*" is any. Empty: the host that the request is for.
	// A client that sends no Origin is no web page, and let in.
	Origins []string
	// Protocol is the name of the subprotocol. A client that offers some, and not
	// this one, is refused.
	Protocol string
	// Required refuses a client that offers none.
	Required bool
}

// Refusal is an answer to a request that does not become a WebSocket.
type Refusal struct {
	// Status is the HTTP status code.
	Status int
	// Text says what was wrong; it holds nothing that the client sent.
	Text string

	header string // a line of its own, or empty
}

// Error implements error.
func (r *Refusal) Error() string {
	return "websocket: upgrade refused: " + strconv.Itoa(r.Status) + " " + r.Text
}

// The refusals.
var (
	notHTTP        = &Refusal{400, "this is not an HTTP request; WebSockets begin with one", ""}
	badLine        = &Refusal{400, "expected a request line such as GET /path HTTP/1.1", ""}
	badField       = &Refusal{400, "a header line is not of the form Name: value", ""}
	tooMany        = &Refusal{431, "more than 64 header lines", ""}
	tooLarge       = &Refusal{431, "request line and headers are longer than 8 KiB", ""}
	noSuchPath     = &Refusal{404, "there is no WebSocket at this path", ""}
	badMethod      = &Refusal{405, "a WebSocket begins with GET", "Allow: GET\r\n"}
	hasBody        = &Refusal{400, "a request for a WebSocket has no body", ""}
	noUpgrade      = &Refusal{426, "this is a WebSocket: connect with a WebSocket client (ws:// or wss://), not with HTTP", "Upgrade: websocket\r\n"}
	noConnection   = &Refusal{400, "expected the header Connection: Upgrade; a proxy on the way may have removed it", ""}
	badVersion     = &Refusal{426, "expected the header Sec-WebSocket-Version: 13", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"}
	badKey         = &Refusal{400, "expected one header Sec-WebSocket-Key, of 16 bytes in base64", ""}
	badHost        = &Refusal{400, "expected one header Host", ""}
	badOrigin      = &Refusal{403, "this page's origin may not connect: add it to websocket.origins of the listener", ""}
	twoOrigins     = &Refusal{400, "expected at most one header Origin", ""}
	noProtocol     = &Refusal{400, "expected a subprotocol (Sec-WebSocket-Protocol): the one that the listener's frame is named after", ""}
	otherProtocols = &Refusal{400, "none of the subprotocols offered is the one that the listener's frame is named after", ""}
)

// Agreement is what an upgrade comes to.
type Agreement struct {
	Key      []byte // of the handshake, as sent
	Origin   []byte // as sent; nil if there is none
	Protocol string // the subprotocol agreed on; empty if the client offered none
}

// Check tells whether the request becomes a WebSocket.
func (s *Site) Check(r *Request) (Agreement, *Refusal) {
	var a Agreement
	if string(r.Path) != s.Path {
		return a, noSuchPath
	}
	if string(r.Method) != "GET" {
		return a, badMethod
	}
	length, n := r.Get("Content-Length")
	if _, coded := r.Get("Transfer-Encoding"); coded > 0 || n > 0 && string(length) != "0" {
		return a, hasBody
	}
	if asked, _ := r.has("Upgrade", "websocket", true); !asked {
		return a, noUpgrade
	}
	if asked, _ := r.has("Connection", "upgrade", true); !asked {
		return a, noConnection
	}
	if version, n := r.Get("Sec-WebSocket-Version"); n != 1 || string(version) != "13" {
		return a, badVersion
	}
	key, n := r.Get("Sec-WebSocket-Key")
	if n != 1 || !isKey(key) {
		return a, badKey
	}
	a.Key = key
	host, n := r.Get("Host")
	if n != 1 || len(host) == 0 {
		return a, badHost
	}
	origin, n := r.Get("Origin")
	switch {
	case n > 1:
		return a, twoOrigins
	case n == 1 && !s.welcomes(string(origin), string(host)):
		return a, badOrigin
	case n == 1:
		a.Origin = origin
	}
	found, some := r.has("Sec-WebSocket-Protocol", s.Protocol, false)
	switch {
	case found:
		a.Protocol = s.Protocol
	case some:
		return a, otherProtocols
	case s.Required:
		return a, noProtocol
	}
	return a, nil
}

// welcomes tells whether a page of this origin may connect.
func (s *Site) welcomes(origin, host string) bool {
	if len(s.Origins) == 0 {
		u, err := url.Parse(origin)
		return err == nil && u.Host != "" && sameHost(u, host)
	}
	for _, known := range s.Origins {
		if known == "*" || strings.EqualFold(known, origin) {
			return true
		}
	}
	return false
}

// sameHost compares without the port that the origin's scheme implies.
func sameHost(origin *url.URL, host string) bool {
	implied := ":80"
	if origin.Scheme == "https" {
		implied = ":443"
	}
	return strings.EqualFold(strings.TrimSuffix(origin.Host, implied), strings.TrimSuffix(host, implied))
}

func isKey(b []byte) bool {
	var key [18]byte
	if len(b) != 24 {
		return false
	}
	n, err := base64.StdEncoding.Strict().Decode(key[:], b)
	return err == nil && n == 16
}

// AppendAccept appends the answer that makes the connection a WebSocket. No
// extension is agreed on.
func AppendAccept(dst []byte, a Agreement) []byte {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, section 1.3
	sum := sha1.Sum([]byte(string(a.Key) + guid))
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	if a.Protocol != "" {
		dst = append(append(dst, "\r\nSec-WebSocket-Protocol: "...), a.Protocol...)
	}
	return append(dst, "\r\n\r\n"...)
}

var statusTexts = map[int]string{
	400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 426: "Upgrade Required",
	431: "Request Header Fields Too Large",
}

// Statuses are the status codes of refusals.
func Statuses() []int { return []int{400, 403, 404, 405, 426, 431} }

// AppendRefusal appends the answer that ends the connection.
func AppendRefusal(dst []byte, r *Refusal) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(append(dst, ' '), statusTexts[r.Status]...)
	dst = append(append(dst, "\r\n"...), r.header...)
	connection := "close"
	if r.Status == 426 {
		connection = "close, Upgrade"
	}
	dst = append(append(dst, "Connection: "...), connection...)
	dst = append(dst, "\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(r.Text)+1), 10)
	dst = append(append(dst, "\r\n\r\n"...), r.Text...)
	return append(dst, '\n')
}
