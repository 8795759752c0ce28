package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// modbusGolden are the examples of MODBUS Application Protocol V1.1b3, section 6
// (and a request of an unknown function), with the CRCs that another program took.
var modbusGolden = []struct {
	name, request, response string // PDUs
	requestCRC, responseCRC string // of unit 17 and the PDU, as pymodbus takes them
}{
	{"read coils", "01 0013 0013", "01 03 CD6B05", "8E92", "4012"},
	{"read discrete inputs", "02 00C4 0016", "02 03 ACDB35", "BAA9", "2018"},
	{"read holding registers", "03 006B 0003", "03 06 022B 0000 0064", "7687", "C8BA"},
	{"read input registers", "04 0008 0001", "04 02 000A", "B298", "F8F4"},
	{"write single coil", "05 00AC FF00", "05 00AC FF00", "4E8B", "4E8B"},
	{"write single register", "06 0001 0003", "06 0001 0003", "9A9B", "9A9B"},
	{"read exception status", "07", "07 6D", "4C22", "E218"},
	{"diagnostics", "08 0000 A537", "08 0000 A537", "D81D", "D81D"},
	{"event counter", "0B", "0B FFFF 0108", "4C27", "A6E9"},
	{"event log", "0C", "0C 08 0000 0108 0121 2000", "0DE5", "5901"},
	{"write multiple coils", "0F 0013 000A 02 CD01", "0F 0013 000A", "BF0B", "2699"},
	{"write multiple registers", "10 0001 0002 04 000A 0102", "10 0001 0002", "C6F0", "1298"},
	{"report server id", "11", "11 02 31FF", "CDEC", "292F"},
	{"read file record", "14 0E 06 0004 0001 0002 06 0003 0009 0002", "14 0C 05 06 0DFE0020 05 06 33CD0040", "F938", "69AD"},
	{"write file record", "15 0D 06 0004 0007 0003 06AF 04BE 100D", "15 0D 06 0004 0007 0003 06AF 04BE 100D", "DBC7", "DBC7"},
	{"mask write register", "16 0004 00F2 0025", "16 0004 00F2 0025", "66E2", "66E2"},
	{"read/write registers", "17 0003 0006 000E 0003 06 00FF 00FF 00FF", "17 0C 00FE 0ACD 0001 0003 000D 00FF", "4B54", "0D75"},
	{"read FIFO queue", "18 04DE", "18 0006 0002 01B8 1284", "0787", "188D"},
	{"read device identification", "2B 0E 01 00", "2B 0E 01 01 00 00 02 00 03 41 42 43 01 02 31 32", "B1B4", "30C1"},
	{"exception", "01 04A1 0001", "81 02", "AF88", "C054"},
	{"unknown function", "64 0102 0304 05", "64 99 98 97", "1C9E", "3D72"},
}

// slowCRC takes a CRC-16/MODBUS bit by bit, as section 6.2.2 of the serial line's
// specification draws it.
func slowCRC(b []byte) []byte {
	r := uint16(0xffff)
	for _, v := range b {
		r ^= uint16(v)
		for range 8 {
			low := r & 1
			if r >>= 1; low == 1 {
				r ^= 0xa001
			}
		}
	}
	return []byte{byte(r), byte(r >> 8)}
}

func rtu(unit byte, pdu []byte) []byte {
	b := append([]byte{unit}, pdu...)
	return append(b, slowCRC(b)...)
}

func mbap(transaction uint16, unit byte, pdu []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, transaction)
	b = append(b, 0, 0, 0, byte(len(pdu)+1), unit)
	return append(b, pdu...)
}

func TestModbusGolden(t *testing.T) {
	for _, g := range modbusGolden {
		t.Run(g.name, func(t *testing.T) {
			request, response := unhex(t, g.request), unhex(t, g.response)
			for _, name := range []string{frame.ModbusTCP, frame.ModbusRTU} {
				wrap, seq := func(pdu []byte) []byte { return mbap(0x1501, 0x11, pdu) }, uint64(0x1501)
				server := preset(t, name)
				if name == frame.ModbusRTU {
					wrap, seq = func(pdu []byte) []byte { return rtu(0x11, pdu) }, 0
					for _, c := range []struct {
						pdu []byte
						crc string
					}{{request, g.requestCRC}, {response, g.responseCRC}} {
						if b := rtu(0x11, c.pdu); !bytes.HasSuffix(b, unhex(t, c.crc)) {
							t.Fatalf("%x, its CRC is %s", b, c.crc)
						}
					}
				}
				for _, end := range []struct {
					f    *frame.Format
					pdu  []byte
					kind abi.Type
				}{{server, request, abi.TypeRequest}, {server.Peer(), response, abi.TypeResponse}} {
					want := abi.Message{Type: end.kind, Seq: seq, Payload: end.pdu, Attrs: attrs("unit", "17", "function", decimal(end.pdu[0]&0x7f))}
					if end.pdu[0] >= 0x80 {
						want.Attrs = want.Attrs.AppendString("exception", decimal(end.pdu[1]))
					}
					checkModbus(t, end.f, wrap(end.pdu), &want)
				}
			}
		})
	}
}

func decimal(b byte) string {
	return strings.TrimLeft(string([]byte{'0' + b/100, '0' + b/10%10, '0' + b%10}), "0")
}

// checkModbus decodes b, byte by byte too, and encodes it at the other end.
func checkModbus(t *testing.T, f *frame.Format, b []byte, want *abi.Message) {
	t.Helper()
	var m abi.Message
	for i := range b {
		if n, _, err := f.Decode(b[:i], nil, &m); n != 0 || err != nil {
			t.Fatalf("%s: %d of %d bytes: %d, %v", f.Name(), i, len(b), n, err)
		}
		if need := f.Need(b[:i]); need != 0 && need != len(b) {
			t.Fatalf("%s: %d of %d bytes need %d", f.Name(), i, len(b), need)
		}
	}
	n, grown, err := f.Decode(append(bytes.Clone(b), 1, 2), nil, &m)
	if n != len(b) || err != nil {
		t.Fatalf("%s: %x: %d, %v", f.Name(), b, n, err)
	}
	same(t, &m, want)
	if !bytes.Equal(m.Frame, b) || !bytes.Equal(grown, m.Attrs) || cap(m.Frame) != len(b) {
		t.Errorf("frame %x, scratch %x", m.Frame, grown)
	}
	out, err := f.Peer().Append([]byte("before"), &m)
	if err != nil || !bytes.Equal(out, append([]byte("before"), b...)) {
		t.Errorf("%s: encoded %x, %v", f.Name(), out, err)
	}
	if _, err := f.Append(nil, &m); !errors.Is(err, frame.BadType) {
		t.Errorf("%s: what is read was written: %v", f.Name(), err)
	}
}

// A header that is none ends the connection at its first wrong byte.
func TestMBAPRefusals(t *testing.T) {
	for _, c := range []struct {
		name, frame string
		wrong       int // bytes at which it is known
		reason      frame.Reason
	}{
		{"protocol, high byte", "0001 0100 0006 11 03 006B 0003", 3, frame.BadMagic},
		{"protocol, low byte", "0001 0001 0006 11 03 006B 0003", 4, frame.BadMagic},
		{"length 0", "0001 0000 0000 11", 6, frame.BadLength},
		{"length 1", "0001 0000 0001 11", 6, frame.BadLength},
		{"length 255", "0001 0000 00FF 11", 6, frame.BadLength},
		{"length 256", "0001 0000 0100 11", 5, frame.BadLength},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, b := preset(t, frame.ModbusTCP), unhex(t, c.frame)
			for _, f := range []*frame.Format{f, f.Peer()} {
				var m abi.Message
				for i := range b {
					n, _, err := f.Decode(b[:i], nil, &m)
					if i < c.wrong && (n != 0 || err != nil) || i >= c.wrong && (n != 0 || !errors.Is(err, c.reason)) {
						t.Fatalf("%d bytes: %d, %v", i, n, err)
					}
				}
			}
		})
	}
	long := mbap(1, 1, make([]byte, frame.MaxPDU))
	var m abi.Message
	if n, _, err := preset(t, frame.ModbusTCP).Decode(long, nil, &m); n != 260 || err != nil {
		t.Errorf("the longest frame: %d, %v", n, err)
	}
	if n, _, err := preset(t, frame.ModbusTCP).WithLimit(100).Decode(long, nil, &m); n != 0 || !errors.Is(err, frame.TooLong) {
		t.Errorf("over the listener's limit: %d, %v", n, err)
	}
}

func TestModbusAppend(t *testing.T) {
	tcp, serial := preset(t, frame.ModbusTCP), preset(t, frame.ModbusRTU)
	pdu := []byte{3, 0, 0, 0, 1}
	for _, c := range []struct {
		name   string
		f      *frame.Format
		m      abi.Message
		want   string
		reason frame.Reason
	}{
		{"no unit: the device itself", tcp.Peer(), abi.Message{Type: abi.TypeRequest, Seq: 7, Payload: pdu}, "0007 0000 0006 FF 03 0000 0001", ""},
		{"no unit: never a broadcast", serial.Peer(), abi.Message{Type: abi.TypeRequest, Payload: pdu}, "01 03 0000 0001 840A", ""},
		{"an event is a request that nobody waits for", tcp.Peer(), abi.Message{Seq: 1 << 40, Payload: pdu}, "0000 0000 0006 FF 03 0000 0001", ""},
		{"a sequence id of another protocol", tcp.Peer(), abi.Message{Type: abi.TypeRequest, Seq: 1 << 16, Payload: pdu}, "", frame.TooLarge},
		{"an event to a client", tcp, abi.Message{Payload: pdu}, "", frame.BadType},
		{"a request to a client", serial, abi.Message{Type: abi.TypeRequest, Payload: pdu}, "", frame.BadType},
		{"a response to a device", serial.Peer(), abi.Message{Type: abi.TypeResponse, Payload: pdu}, "", frame.BadType},
		{"no function", tcp, abi.Message{Type: abi.TypeResponse}, "", frame.BadLength},
		{"too long", tcp, abi.Message{Type: abi.TypeResponse, Payload: make([]byte, 254)}, "", frame.TooLong},
		{"over the limit", serial.WithLimit(20), abi.Message{Type: abi.TypeResponse, Payload: make([]byte, 20)}, "", frame.TooLong},
		{"unit 256", tcp, abi.Message{Type: abi.TypeResponse, Payload: pdu, Attrs: attrs("unit", "256")}, "", frame.TooLarge},
		{"unit x", tcp, abi.Message{Type: abi.TypeResponse, Payload: pdu, Attrs: attrs("unit", "x")}, "", frame.BadAttribute},
		{"unit 0 is answered on TCP", tcp, abi.Message{Type: abi.TypeResponse, Payload: pdu, Attrs: attrs("unit", "0")}, "0000 0000 0006 00 03 0000 0001", ""},
		{"unit 0 is not on a serial line", serial, abi.Message{Type: abi.TypeResponse, Payload: pdu, Attrs: attrs("unit", "0")}, "", frame.Broadcast},
		{"a broadcast goes out", serial.Peer(), abi.Message{Type: abi.TypeRequest, Payload: pdu, Attrs: attrs("unit", "0")}, "00 03 0000 0001 85DB", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.f.Append(nil, &c.m)
			if c.reason != "" {
				if !errors.Is(err, c.reason) || b != nil {
					t.Fatalf("%x, %v", b, err)
				}
				return
			}
			if err != nil || !bytes.Equal(b, unhex(t, c.want)) {
				t.Fatalf("%x, %v", b, err)
			}
		})
	}
	if tcp.Same(tcp) || serial.Same(serial.Peer()) {
		t.Error("a request that was received would be sent as a response")
	}
	if tcp.SeqBits() != 16 || serial.SeqBits() != 0 || tcp.RespondsBySeq() {
		t.Error("transactions are sequence ids of 16 bits, on TCP alone")
	}
	for _, m := range []abi.Message{{Attrs: attrs("unit", "0")}} {
		if tcp.Unanswered(&m) || !serial.Unanswered(&m) || serial.Unanswered(&abi.Message{Attrs: attrs("unit", "1")}) {
			t.Error("unit 0 is a broadcast on a serial line alone")
		}
	}
}

func TestModbusDescribe(t *testing.T) {
	for _, name := range []string{frame.ModbusTCP, frame.ModbusRTU} {
		if text := preset(t, name).Describe(); !strings.Contains(text, "attribute unit") || strings.Count(text, "\n") < 5 {
			t.Errorf("%s", text)
		}
	}
}

func TestModbusAllocatesNothing(t *testing.T) {
	for _, name := range []string{frame.ModbusTCP, frame.ModbusRTU} {
		f := preset(t, name)
		in, out, scratch := modbusRequest(t, f), make([]byte, 0, 512), make([]byte, 0, 512)
		var m abi.Message
		if n := testing.AllocsPerRun(100, func() {
			if n, _, err := f.Decode(in, scratch, &m); n != len(in) || err != nil {
				t.Fatal(n, err)
			}
			m.Type = abi.TypeResponse
			if _, err := f.Append(out, &m); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// modbusRequest asks for 125 holding registers.
func modbusRequest(t testing.TB, f *frame.Format) []byte {
	b, err := f.Peer().Append(nil, &abi.Message{Type: abi.TypeRequest, Seq: 7, Attrs: attrs("unit", "17"), Payload: []byte{3, 0, 0, 0, 125}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// BenchmarkModbus decodes a request and encodes the answer, 125 registers.
func BenchmarkModbus(b *testing.B) {
	for _, name := range []string{frame.ModbusTCP, frame.ModbusRTU} {
		b.Run(name, func(b *testing.B) {
			f := preset(b, name)
			in, out, scratch := modbusRequest(b, f), make([]byte, 0, 512), make([]byte, 0, 512)
			values := append([]byte{3, 250}, make([]byte, 250)...)
			var m abi.Message
			b.ReportAllocs()
			for b.Loop() {
				if n, _, err := f.Decode(in, scratch, &m); n != len(in) || err != nil {
					b.Fatal(n, err)
				}
				m.Type, m.Payload = abi.TypeResponse, values
				if _, err := f.Append(out, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
