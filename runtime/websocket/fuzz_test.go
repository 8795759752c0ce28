package websocket_test

import (
	"testing"

	"github.com/weftrun/weft/runtime/websocket"
)

// However a peer's bytes are split, they mean the same.
func FuzzUnwrap(fz *testing.F) {
	fz.Add([]byte(f(fin|bin, 1, "hello")+f(fin|ping, 2, "p")+f(fin|shut, 3, "\x03\xe8")), uint16(3), uint8(4), false)
	fz.Add([]byte(f(text, 1, "a\xe2\x82")+f(fin, 2, "\xac")+f(fin|text, 3, "")), uint16(5), uint8(0), true)
	fz.Add([]byte(f(bin, 9, "abc")+f(fin|bin, 9, "")), uint16(1), uint8(2), false)
	fz.Fuzz(func(t *testing.T, b []byte, split uint16, unit uint8, isText bool) {
		if len(b) > 8<<10 {
			return // one byte at a time, that takes long and shows nothing new
		}
		k := binaryKind
		if isText {
			k, unit = lines, 0
		}
		whole := feed(t, k, int(unit), string(b))
		var pieces []string
		for step, rest := int(split)%29+1, string(b); len(rest) > 0; step = step*7%31 + 1 {
			n := min(step, len(rest))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		parts := feed(t, k, int(unit), pieces...)
		if whole.fault != parts.fault || whole.closed != parts.closed {
			t.Fatalf("in one piece %v %d, in several %v %d", whole.fault, whole.closed, parts.fault, parts.closed)
		}
		if whole.fault != nil && whole.fault.Code == websocket.BadData {
			return // how much of the text was right depends on the pieces
		}
		if whole.inner != parts.inner || whole.pings != parts.pings || whole.pongs != parts.pongs {
			t.Fatalf("in one piece %q, in several %q", whole.inner, parts.inner)
		}
	})
}

// A request is understood the same however much of it was there before, and what is
// agreed on was asked for.
func FuzzParseRequest(fz *testing.F) {
	fz.Add([]byte(request), 20)
	fz.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 3)
	fz.Add([]byte("GET http://x/mqtt?a=b%20c HTTP/1.1\r\nA: b\r\n\r\nrest"), 3)
	site := &websocket.Site{Path: "/mqtt", Protocol: "mqtt"}
	fz.Fuzz(func(t *testing.T, b []byte, at int) {
		req, size, refusal := websocket.ParseRequest(b)
		if size > websocket.MaxRequest || size > len(b) || size > 0 && refusal != nil {
			t.Fatalf("size %d, %v", size, refusal)
		}
		if at = min(max(at, 0), len(b)); size > at || refusal != nil {
			if _, n, early := websocket.ParseRequest(b[:at]); n != 0 || early != nil && early.Status != refusalStatus(refusal) && size > 0 {
				t.Fatalf("%d bytes are a request of %d, %v", at, n, early)
			}
		}
		if size == 0 {
			return
		}
		a, refusal := site.Check(&req)
		if refusal != nil {
			websocket.AppendRefusal(nil, refusal)
			return
		}
		if string(req.Path) != "/mqtt" || len(a.Key) != 24 || a.Protocol != "" && a.Protocol != "mqtt" {
			t.Fatalf("%+v", a)
		}
		req.Param("token")
		websocket.AppendAccept(nil, a)
	})
}

func refusalStatus(r *websocket.Refusal) int {
	if r == nil {
		return 0
	}
	return r.Status
}
