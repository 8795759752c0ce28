package websocket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/websocket"
)

var (
	binaryKind = &websocket.Kind{}
	lines      = &websocket.Kind{Delimiter: []byte("\n")}
	crlf       = &websocket.Kind{Delimiter: []byte("\r\n")}
)

// f is a client's frame: first byte as given, masked with key.
func f(first byte, key uint32, payload string) string {
	var b []byte
	switch n := len(payload); {
	case n < 126:
		b = append(b, first, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, first, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, 0x80|127), uint64(n))
	}
	var mask [4]byte
	binary.LittleEndian.PutUint32(mask[:], key)
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

const (
	fin  = 0x80
	text = 0x1
	bin  = 0x2
	shut = 0x8
	ping = 0x9
	pong = 0xA
)

// outcome is everything that a peer's bytes lead to.
type outcome struct {
	inner        string
	answers      string
	fault        *websocket.Fault
	closed       websocket.Code
	pings, pongs int
}

// feed gives the pieces to a reader one after another, as an engine does, to an
// application that consumes units of so many bytes (0: everything).
func feed(t *testing.T, k *websocket.Kind, unit int, pieces ...string) outcome {
	t.Helper()
	var (
		r    websocket.Reader
		o    outcome
		kept []byte
		want int
	)
	for _, piece := range pieces {
		b := append(kept, piece...)
		if len(b) < want {
			kept = b
			continue
		}
		in := r.Unwrap(k, b, nil)
		consumed, need := len(in.Inner), 0
		switch {
		case unit > 0:
			consumed -= len(in.Inner) % unit
			need = unit
		case len(k.Delimiter) > 0:
			if consumed = bytes.LastIndex(in.Inner, k.Delimiter); consumed < 0 {
				consumed = 0
			} else {
				consumed += len(k.Delimiter)
			}
		}
		o.inner += string(in.Inner[:consumed])
		o.answers += string(in.Answers)
		o.pings += in.Pings
		o.pongs += in.Pongs
		rest := string(in.Inner[consumed:])
		if in.Fault != nil || in.Closed != 0 {
			o.inner += rest
			o.fault, o.closed = in.Fault, in.Closed
			if taken, _ := r.Keep(k, b, len(in.Inner), 0); taken != len(b) {
				t.Fatalf("a closed reader keeps %d bytes", len(b)-taken)
			}
			return o
		}
		var taken int
		taken, want = r.Keep(k, b, consumed, need)
		if taken < 0 || taken > len(b) {
			t.Fatalf("%d of %d bytes are taken", taken, len(b))
		}
		kept = append([]byte(nil), b[taken:]...)
		if most := websocket.MaxKept(max(unit, 0)); unit > 0 && len(kept) > most {
			t.Fatalf("%d bytes are kept, %d is the bound", len(kept), most)
		}
		if want > 0 && want <= len(kept) && len(rest) < unit {
			t.Fatalf("it wants %d bytes and has kept %d", want, len(kept))
		}
	}
	return o
}

// Every rule for frames from a client, by the section of RFC 6455.
func TestRules(t *testing.T) {
	const key = 0x0D0C0B0A
	long, longer := strings.Repeat("x", 300), strings.Repeat("y", 70000)
	notMinimal := "\x82\xFE\x00\x05" + f(fin|bin, key, "hello")[2:]
	notMinimal64 := "\x82\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF\x00\x00\x00\x00"
	bad := func(code websocket.Code, text string) *websocket.Fault {
		return &websocket.Fault{Code: code, Reason: text}
	}
	tests := []struct {
		name string // with the section
		kind *websocket.Kind
		in   string
		want outcome
	}{
		{"5.1 unmasked frames are refused", binaryKind, "\x82\x05hello", outcome{fault: bad(1002, "masked")}},
		{"5.1 unmasked control frames are refused", binaryKind, "\x89\x00", outcome{fault: bad(1002, "masked")}},
		{"5.2 reserved bit 1", binaryKind, f(fin|0x40|bin, key, "a"), outcome{fault: bad(1002, "reserved")}},
		{"5.2 reserved bit 2", binaryKind, f(fin|0x20|bin, key, "a"), outcome{fault: bad(1002, "reserved")}},
		{"5.2 reserved bit 3", binaryKind, f(fin|0x10|bin, key, "a"), outcome{fault: bad(1002, "reserved")}},
		{"5.2 reserved bits in a control frame", binaryKind, f(fin|0x40|ping, key, "a"), outcome{fault: bad(1002, "reserved")}},
		{"5.2 opcode 3", binaryKind, f(fin|3, key, "a"), outcome{fault: bad(1002, "opcode")}},
		{"5.2 opcode 7", binaryKind, f(fin|7, key, "a"), outcome{fault: bad(1002, "opcode")}},
		{"5.2 opcode 11", binaryKind, f(fin|0xB, key, "a"), outcome{fault: bad(1002, "opcode")}},
		{"5.2 opcode 15", binaryKind, f(fin|0xF, key, "a"), outcome{fault: bad(1002, "opcode")}},
		{"5.2 lengths 0, 7 bit, 16 bit, 64 bit", binaryKind, f(fin|bin, key, "") + f(fin|bin, key, "a") + f(fin|bin, key, long) + f(fin|bin, key, longer), outcome{inner: "a" + long + longer}},
		{"5.2 lengths 125, 126, 65535, 65536", binaryKind,
			f(fin|bin, key, longer[:125]) + f(fin|bin, key, longer[:126]) + f(fin|bin, key, longer[:65535]) + f(fin|bin, key, longer[:65536]),
			outcome{inner: longer[:125] + longer[:126] + longer[:65535] + longer[:65536]}},
		{"5.2 a 16-bit length below 126", binaryKind, notMinimal, outcome{fault: bad(1002, "more bytes")}},
		{"5.2 a 64-bit length below 65536", binaryKind, notMinimal64, outcome{fault: bad(1002, "more bytes")}},
		{"5.2 a length with the highest bit", binaryKind, "\x82\xFF\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", outcome{fault: bad(1002, "highest bit")}},
		{"5.3 the mask's key 0", binaryKind, f(fin|bin, 0, "hello"), outcome{inner: "hello"}},
		{"5.3 the RFC's own example", lines, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", outcome{inner: "Hello\n"}},
		{"5.4 fragments", binaryKind, f(bin, key, "he") + f(0, ^uint32(key), "ll") + f(fin, key, "o"), outcome{inner: "hello"}},
		{"5.4 empty fragments", binaryKind, f(bin, key, "") + f(0, key, "") + f(fin, key, ""), outcome{}},
		{"5.4 control frames between fragments", binaryKind, f(bin, key, "he") + f(fin|ping, key, "p") + f(fin|pong, key, "q") + f(fin, key, "llo"),
			outcome{inner: "hello", answers: "\x8a\x01p", pings: 1, pongs: 1}},
		{"5.4 continuation of nothing", binaryKind, f(0, key, "a"), outcome{fault: bad(1002, "continu")}},
		{"5.4 last continuation of nothing", binaryKind, f(fin|bin, key, "a") + f(fin, key, "b"), outcome{inner: "a", fault: bad(1002, "continu")}},
		{"5.4 a message within a message", binaryKind, f(bin, key, "a") + f(fin|bin, key, "b"), outcome{inner: "a", fault: bad(1002, "before the last")}},
		{"5.4 a fragment within a message", binaryKind, f(bin, key, "a") + f(bin, key, "b"), outcome{inner: "a", fault: bad(1002, "before the last")}},
		{"5.5 fragmented ping", binaryKind, f(ping, key, "a"), outcome{fault: bad(1002, "fragmented")}},
		{"5.5 fragmented close", binaryKind, f(shut, key, ""), outcome{fault: bad(1002, "fragmented")}},
		{"5.5 ping of 125 bytes", binaryKind, f(fin|ping, key, long[:125]), outcome{answers: "\x8a\x7d" + long[:125], pings: 1}},
		{"5.5 ping of 126 bytes", binaryKind, f(fin|ping, key, long[:126]), outcome{fault: bad(1002, "125")}},
		{"5.5.1 close without a code", binaryKind, f(fin|bin, key, "a") + f(fin|shut, key, ""), outcome{inner: "a", closed: websocket.Empty, answers: "\x88\x00"}},
		{"5.5.1 close is answered with its code", binaryKind, f(fin|shut, key, "\x03\xe8bye"), outcome{closed: 1000, answers: "\x88\x02\x03\xe8"}},
		{"5.5.1 nothing counts behind a close", binaryKind, f(fin|shut, key, "\x03\xe8") + f(fin|bin, key, "a"), outcome{closed: 1000, answers: "\x88\x02\x03\xe8"}},
		{"5.5.1 close in the middle of a message", binaryKind, f(bin, key, "a") + f(fin|shut, key, "\x03\xe9"), outcome{inner: "a", closed: 1001, answers: "\x88\x02\x03\xe9"}},
		{"5.5.1 close of one byte", binaryKind, f(fin|shut, key, "\x03"), outcome{fault: bad(1002, "one byte")}},
		{"5.5.1 close with a reason that is no UTF-8", binaryKind, f(fin|shut, key, "\x03\xe8\xff"), outcome{fault: bad(1007, "UTF-8")}},
		{"5.5.2 a ping is answered with its payload", binaryKind, f(fin|ping, key, "hello"), outcome{answers: "\x8a\x05hello", pings: 1}},
		{"5.5.3 of several pings the last is answered", binaryKind, f(fin|ping, key, "a") + f(fin|ping, key, "b"), outcome{answers: "\x8a\x01b", pings: 2}},
		{"5.5.3 a pong nobody asked for", binaryKind, f(fin|pong, key, "x"), outcome{pongs: 1}},
		{"5.6 text where only binary counts", binaryKind, f(fin|text, key, "a"), outcome{fault: bad(1003, "binary")}},
		{"7.4 codes of applications", binaryKind, f(fin|shut, key, "\x0b\xb8"), outcome{closed: 3000, answers: "\x88\x02\x0b\xb8"}},
		{"8.1 text that is no UTF-8", lines, f(fin|text, key, "a\xffb"), outcome{fault: bad(1007, "UTF-8")}},
		{"8.1 text that ends within a character", lines, f(fin|text, key, "a\xc3"), outcome{inner: "a\xc3", fault: bad(1007, "UTF-8")}},
		{"8.1 a character over fragments", lines, f(text, key, "a\xe2\x82") + f(fin, key, "\xac"), outcome{inner: "a\u20ac\n"}},
		{"8.1 surrogates are no UTF-8", lines, f(fin|text, key, "\xed\xa0\x80"), outcome{fault: bad(1007, "UTF-8")}},
		{"8.1 overlong forms are no UTF-8", lines, f(fin|text, key, "\xc0\xaf"), outcome{fault: bad(1007, "UTF-8")}},
		{"8.1 above U+10FFFF is no UTF-8", lines, f(fin|text, key, "\xf4\x90\x80\x80"), outcome{fault: bad(1007, "UTF-8")}},
		{"8.1 binary messages are not looked into", lines, f(fin|bin, key, "a\xff"), outcome{inner: "a\xff\n"}},
		{"a message is a line", lines, f(fin|text, key, "a") + f(fin|text, key, "b"), outcome{inner: "a\nb\n"}},
		{"a message that ends its line itself", lines, f(fin|text, key, "a\n") + f(text, key, "b\n") + f(fin, key, ""), outcome{inner: "a\nb\n"}},
		{"a message of several lines", lines, f(fin|text, key, "a\nb"), outcome{inner: "a\nb\n"}},
		{"an empty message is an empty line", lines, f(fin|text, key, "") + f(fin|text, key, "a"), outcome{inner: "\na\n"}},
		{"a delimiter of two bytes", crlf, f(fin|text, key, "a\r") + f(fin|text, key, "\n") + f(fin|text, key, "b\r\n"), outcome{inner: "a\r\r\n\n\r\nb\r\n"}},
	}
	for code := 0; code < 5100; code++ {
		valid := code >= 3000 && code < 5000 || code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006
		bytes := string([]byte{byte(code >> 8), byte(code)})
		want := outcome{fault: bad(1002, "code")}
		if valid {
			want = outcome{closed: websocket.Code(code), answers: "\x88\x02" + bytes}
		}
		check(t, "7.4 close code", binaryKind, f(fin|shut, key, bytes), want)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			check(t, "in one piece", test.kind, test.in, test.want)
			if len(test.in) > 2000 {
				return
			}
			for _, size := range []int{1, 2, 3, 5, 7} { // whatever way it arrives
				var pieces []string
				for in := test.in; len(in) > 0; in = in[min(size, len(in)):] {
					pieces = append(pieces, in[:min(size, len(in))])
				}
				want := test.want
				if strings.Contains(test.name, "several pings") {
					want.answers = "\x8a\x01a\x8a\x01b"
				}
				if want.fault != nil && strings.Contains(want.inner, "\xc3") || want.fault != nil && want.fault.Code == 1007 && strings.HasPrefix(test.name, "8.1") {
					want.inner = "?" // as far as it was right
				}
				check(t, "in pieces", test.kind, "", want, pieces...)
			}
		})
	}
}

func check(t *testing.T, name string, k *websocket.Kind, in string, want outcome, pieces ...string) {
	t.Helper()
	if pieces == nil {
		pieces = []string{in}
	}
	got := feed(t, k, 0, pieces...)
	if want.fault != nil {
		if got.fault == nil || got.fault.Code != want.fault.Code || !strings.Contains(got.fault.Reason, want.fault.Reason) {
			t.Errorf("%s: %q: fault %v, want %v", name, in, got.fault, want.fault)
		}
	} else if got.fault != nil {
		t.Errorf("%s: %q: fault %v", name, in, got.fault)
	}
	if want.inner != "?" && got.inner != want.inner {
		t.Errorf("%s: %.80q: inner %.80q, want %.80q", name, in, got.inner, want.inner)
	}
	if got.answers != want.answers || got.closed != want.closed || got.pings != want.pings || got.pongs != want.pongs {
		t.Errorf("%s: %.80q: %+v, want %+v", name, in, got, want)
	}
}

// What a fault says fits into a Close frame.
func TestFaultFitsClose(t *testing.T) {
	o := feed(t, binaryKind, 0, f(fin|text, 1, "a"))
	b := websocket.AppendClose(nil, o.fault.Code, o.fault.Reason)
	if want := "\x88" + string(rune(len(o.fault.Reason)+2)) + "\x03\xeb" + o.fault.Reason; string(b) != want {
		t.Errorf("%q, want %q", b, want)
	}
	if long := websocket.AppendClose(nil, websocket.Policy, strings.Repeat("x", 500)); len(long) != 127 || long[1] != 125 {
		t.Errorf("a close of %d bytes", len(long))
	}
	var fault *websocket.Fault
	if !errors.As(error(o.fault), &fault) || !strings.Contains(fault.Error(), "1003") {
		t.Errorf("%v", o.fault)
	}
}

// A unit that spans messages, with control frames between, however it is cut: the
// application sees every byte once, and what is kept stays within its bound.
func TestUnitsAcrossMessages(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 30 {
		var stream []byte
		var wire string
		for range 1 + random.IntN(60) {
			part := make([]byte, random.IntN(1+random.IntN(3000)))
			for i := range part {
				part[i] = byte(random.Uint32())
			}
			stream = append(stream, part...)
			key := random.Uint32()
			switch random.IntN(3) {
			case 0:
				wire += f(fin|bin, key, string(part))
			case 1:
				at := random.IntN(len(part) + 1)
				wire += f(bin, key, string(part[:at])) + f(fin|ping, key, "x") + f(fin, key+1, string(part[at:]))
			default:
				for _, c := range part[:min(len(part), 40)] {
					wire += f(fin|bin, key, string([]byte{c}))
				}
				wire += f(fin|bin, key, string(part[min(len(part), 40):]))
			}
		}
		unit := 1 + random.IntN(20000)
		for len(stream)%unit != 0 {
			stream = append(stream, 'z')
			wire += f(fin|bin, 7, "z")
		}
		var pieces []string
		for len(wire) > 0 {
			n := min(len(wire), 1+random.IntN(1+random.IntN(8000)))
			pieces = append(pieces, wire[:n])
			wire = wire[n:]
		}
		got := feed(t, binaryKind, unit, pieces...)
		if got.fault != nil || got.inner != string(stream) {
			t.Fatalf("round %d: unit %d, %d bytes: %d came through, fault %v", round, unit, len(stream), len(got.inner), got.fault)
		}
	}
}

func TestAppend(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte{'x'}, n)
		b := websocket.Append([]byte("before"), payload, false)
		head := len(b) - n - len("before")
		if want := map[bool]int{n < 126: 2, n >= 126 && n < 65536: 4, n >= 65536: 10}[true]; head != want || head > websocket.MaxHeader {
			t.Errorf("%d bytes have a header of %d, want %d", n, head, want)
		}
		if !bytes.HasSuffix(b, payload) || b[6] != 0x82 {
			t.Errorf("%d bytes: %.20x", n, b)
		}
	}
	if b := websocket.Append(nil, []byte("Hello"), true); string(b) != "\x81\x05Hello" {
		t.Errorf("%x", b) // RFC 6455, section 5.7
	}
	if string(websocket.Ping()) != "\x89\x00" {
		t.Error("a ping")
	}
}
