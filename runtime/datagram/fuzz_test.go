package datagram_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/datagram"
)

// ascending fails when a channel's messages do not ascend.
type ascending struct {
	t    *testing.T
	last map[uint8]uint32
	conn *datagram.Conn
	n    int
}

func (a *ascending) Message(m datagram.Message) {
	if last, ok := a.last[m.Channel]; ok && int32(m.Seq-last) <= 0 {
		a.t.Fatalf("channel %d: %d after %d", m.Channel, m.Seq, last)
	}
	a.last[m.Channel] = m.Seq
	if a.n++; a.n%3 > 0 {
		a.conn.Settle(m.Receipt)
	}
}

// FuzzConn feeds a connection of either kind with what looks like a script: each step
// is a byte that says what happens and, for a datagram, its bytes. Sequences are taken
// relative to the cookie, so that the fuzzer finds the window.
func FuzzConn(f *testing.F) {
	f.Add(true, []byte{0, 8, 0, 0, 0, 1, 0, 1, 0, 0, 3, 0, 12, 0, 0, 0, 3, 0, 0x24, 0, 4, 1, 2, 3, 4})
	f.Add(false, []byte{0, 8, 0, 0, 0, 0, 0, 3, 0, 0, 1, 0, 8, 0, 0, 0, 2, 0, 1, 0, 0, 4, 0, 8, 0, 0, 0, 1, 0, 1, 0, 0, 5, 2})
	f.Add(true, []byte{1, 2, 0, 18, 0, 0, 0, 1, 0, 3, 0, 10, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, full bool, script []byte) {
		s := newSim(t, 1, faults{}, datagram.Config{WindowBytes: 8 << 10, Window: 64, MaxMessage: 4 << 10, QueueBytes: 16 << 10})
		s.open()
		cookie := cookieOf(s)
		conn := s.server.conn
		if !full {
			answer, _, _ := s.door.Ask(s.now, clientAddr, make([]byte, 8), nil)
			_, guest, ok := s.door.Ask(s.now, clientAddr, answer, nil)
			if !ok {
				t.Fatal("the door does not open")
			}
			cookie = binary.BigEndian.Uint32(answer)
			conn = s.door.Accept(s.now, guest, s.pool, s.server, &s.server.counters)
		}
		a := &ascending{t: t, last: map[uint8]uint32{}, conn: conn}
		s.server.onEach = a.Message
		out := 0
		flush := func() {
			conn.Flush(s.now, nil, outFunc(func(b []byte) {
				if out += len(b); len(b) > datagram.DefaultMTU || len(b) < datagram.HeaderSize {
					t.Fatalf("a datagram of %d bytes", len(b))
				}
			}))
		}
		for len(script) > 1 {
			op := script[0]
			script = script[1:]
			switch op % 6 {
			case 0:
				n := min(int(script[0]), len(script)-1)
				b := append([]byte(nil), script[1:1+n]...)
				script = script[1+n:]
				for at := 0; at+datagram.HeaderSize <= len(b); {
					binary.BigEndian.PutUint32(b[at:], binary.BigEndian.Uint32(b[at:])+cookie)
					at += datagram.HeaderSize + int(binary.BigEndian.Uint16(b[at+6:]))
				}
				_ = conn.Receive(s.now, b)
			case 1:
				_ = conn.Send(datagram.Message{Channel: script[0] & 3, Kind: datagram.Event, Payload: make([]byte, int(op)*int(script[0])/8)})
			case 2:
				flush()
			case 3:
				s.now += int64(script[0]) * int64(time.Millisecond)
				_ = conn.Expire(s.now)
			case 4:
				conn.Pause()
			case 5:
				_ = conn.Resume()
				if script[0] == 0 {
					conn.Beat()
				}
			}
			if at, ok := conn.Deadline(); ok && at < 0 {
				t.Fatal("a deadline before the beginning")
			}
		}
		if q := conn.Queued(); q > 16<<10+4<<10+4*datagram.DefaultMTU || q < 0 {
			t.Fatalf("%d bytes are queued", q)
		}
		for range 50 { // and it ends
			flush()
			at, ok := conn.Deadline()
			if !ok {
				break
			}
			s.now = max(at, s.now)
			if conn.Expire(s.now) != nil {
				break
			}
		}
	})
}

// FuzzDoor: nobody gets more than it sends, or in without a cookie.
func FuzzDoor(f *testing.F) {
	f.Add(make([]byte, 8))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 32, 0x57, 0x44, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0xb0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 9, 0, 0, 0, 32, 0x57, 0x44, 1, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0xb0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		door := datagram.NewDoor([40]byte{1, 2, 3}, datagram.Config{})
		answer, _, ok := door.Ask(1e9, clientAddr, b, nil)
		if len(answer) > len(b) || ok {
			t.Fatalf("%d bytes: answered with %d, let in: %v", len(b), len(answer), ok)
		}
	})
}
