package frame_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

// pieces are the golden requests or responses of known functions as frames.
func pieces(t testing.TB, f *frame.Format, responses bool) [][]byte {
	var all [][]byte
	for i, g := range modbusGolden {
		pdu := unhex(t, g.request)
		if responses {
			pdu = unhex(t, g.response)
		}
		if pdu[0] == 0x64 {
			continue
		}
		if f.SeqBits() == 0 {
			all = append(all, rtu(byte(1+i), pdu))
		} else {
			all = append(all, mbap(uint16(i), byte(1+i), pdu))
		}
	}
	return all
}

// modbusEnds are what there is to decode.
func modbusEnds(t testing.TB) map[string]*frame.Format {
	tcp, serial := preset(t, frame.ModbusTCP), preset(t, frame.ModbusRTU)
	return map[string]*frame.Format{"tcp requests": tcp, "tcp responses": tcp.Peer(), "rtu requests": serial, "rtu responses": serial.Peer()}
}

// Frames of the known functions are found however the stream was cut.
func TestModbusSplits(t *testing.T) {
	for name, f := range modbusEnds(t) {
		known := pieces(t, f, f != preset(t, f.Name()))
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			frames := rapid.SliceOfN(rapid.SampledFrom(known), 1, 20).Draw(t, "frames")
			c := &connection{format: f}
			for rest := bytes.Join(frames, nil); len(rest) > 0; {
				n := rapid.IntRange(1, min(len(rest), 40)).Draw(t, "split")
				c.receive(t, rest[:n])
				rest = rest[n:]
			}
			if len(c.messages) != len(frames) || c.skipped > 0 || len(c.buffer) > 0 {
				t.Fatalf("%d frames made %v, skipped %d, left %x", len(frames), c.messages, c.skipped, c.buffer)
			}
		}))
	}
}

// Whatever noise came before it, a request is understood when it is repeated, and
// soon: 33 requests are longer than any frame that the noise could have begun.
func TestRTUFindsItsWayBack(t *testing.T) {
	f := preset(t, frame.ModbusRTU)
	request := rtu(1, []byte{3, 0, 0, 0, 2})
	at, worst := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := &connection{format: f}
		c.receive(t, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "noise"))
		noise := len(c.messages)
		tries := 0
		for len(c.messages) == noise {
			if tries++; tries > 33 {
				t.Fatalf("not understood: %x waits", c.buffer)
			}
			c.receive(t, request)
		}
		if len(c.reasons) > 64+noise {
			t.Fatalf("%d faults in a row close a connection", len(c.reasons))
		}
		if tries == 1 {
			at++
		}
		worst = max(worst, tries)
	})
	t.Logf("understood at the first try %d times of 100, at worst at try %d", at, worst)
}

// A frame whose CRC is wrong costs itself alone.
func TestRTUDamage(t *testing.T) {
	for _, end := range []string{"rtu requests", "rtu responses"} {
		f := modbusEnds(t)[end]
		known := pieces(t, f, end == "rtu responses")
		for i, damaged := range known {
			b := bytes.Clone(damaged)
			b[len(b)-1] ^= 0x40
			for _, next := range known {
				c := &connection{format: f}
				c.receive(t, append(bytes.Clone(b), next...))
				if len(c.messages) == 0 {
					t.Errorf("%s: %x behind the damaged %x (%d) is lost; %x waits", end, next, b, i, c.buffer)
				}
			}
		}
	}
}

// A user-defined function ends where its CRC is right.
func TestRTUUnknownFunctions(t *testing.T) {
	f := preset(t, frame.ModbusRTU)
	rapid.Check(t, func(t *rapid.T) {
		pdu := append([]byte{rapid.SampledFrom([]byte{9, 19, 65, 72, 100, 110, 127}).Draw(t, "function")}, rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "data")...)
		b := rtu(9, pdu)
		for n := 4; n < len(b); n++ {
			if bytes.Equal(slowCRC(b[:n-2]), b[n-2:n]) {
				t.Skip("ends earlier by chance")
			}
		}
		c := &connection{format: f}
		for i := range b {
			c.receive(t, b[i:i+1])
		}
		if len(c.messages) != 1 || c.skipped > 0 {
			t.Fatalf("%x made %v, skipped %d, left %x", b, c.messages, c.skipped, c.buffer)
		}
	})
}

// FuzzModbus feeds both ends of both formats any bytes, whole and split: nothing
// panics, waits beyond the limit, or is taken for a frame whose CRC or length is
// wrong; and what was read can be written.
func FuzzModbus(f *testing.F) {
	ends := []*frame.Format{preset(f, frame.ModbusTCP), preset(f, frame.ModbusTCP).Peer(), preset(f, frame.ModbusRTU), preset(f, frame.ModbusRTU).Peer()}
	for i, end := range ends {
		stream := bytes.Join(pieces(f, end, i%2 == 1), nil)
		f.Add(uint8(i), stream, len(stream)/2)
		f.Add(uint8(i), append([]byte{0xff, 0x10, 0, 1, 0x64}, stream...), 3)
	}
	f.Fuzz(func(t *testing.T, which uint8, stream []byte, split int) {
		end := ends[int(which)%len(ends)]
		if split < 0 || split > len(stream) {
			split = len(stream) / 2
		}
		whole, parts := &connection{format: end}, &connection{format: end}
		whole.receive(t, bytes.Clone(stream))
		parts.receive(t, stream[:split])
		parts.receive(t, stream[split:])
		if end.SeqBits() > 0 {
			agree(t, parts, whole)
		}
		for rest := stream; len(rest) > 0; {
			var m abi.Message
			n, _, err := end.Decode(rest, nil, &m)
			if n == 0 {
				return
			}
			if err == nil {
				checkDecoded(t, end, rest[:n], &m)
			}
			rest = rest[n:]
		}
	})
}

func checkDecoded(t *testing.T, f *frame.Format, b []byte, m *abi.Message) {
	if err := m.Attrs.Validate(abi.MaxAttrs); err != nil || len(m.Payload) == 0 || len(m.Payload) > frame.MaxPDU {
		t.Fatalf("%x: %v, %x", b, err, m.Payload)
	}
	if f.SeqBits() == 0 && !bytes.Equal(slowCRC(b[:len(b)-2]), b[len(b)-2:]) {
		t.Fatalf("%x has another CRC", b)
	}
	out, err := f.Peer().Append(nil, m)
	if f.Peer() == f || f.Unanswered(m) {
		return
	}
	if err != nil || !bytes.Equal(out, b) {
		t.Fatalf("%x came back as %x, %v", b, out, err)
	}
}
