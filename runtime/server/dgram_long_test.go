package server_test

import (
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/datagram"
)

// TestDgramLongMessages: long messages of many channels arrive, through weft's end as
// well as through the client's.
func TestDgramLongMessages(t *testing.T) {
	const channels, count, size = 24, 3, 60_000
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, dgramRelay)
			out := dialDgram(t, f.address("out"), datagram.Config{})
			in := dialDgram(t, f.address("in"), datagram.Config{})
			sent := make(chan error, 1)
			go func() {
				for n := range count {
					var all []byte
					for ch := range channels { // at once, so that they take turns
						payload := make([]byte, size)
						payload[0], payload[1], payload[size-1] = byte(ch), byte(n), byte(ch^n)
						all = datagram.AppendRecord(all, datagram.Message{Channel: uint8(ch), Kind: datagram.Event, Payload: payload})
					}
					if _, err := in.Write(all); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			var next [channels]byte
			for range channels * count {
				p := out.hear().Payload
				if len(p) != size || p[1] != next[p[0]] || p[size-1] != p[0]^p[1] {
					t.Fatalf("%d bytes: channel %d: message %d, expected %d", len(p), p[0], p[1], next[p[0]])
				}
				next[p[0]]++
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// credulous is a client that believes the server has room for any number of messages
// at once.
type credulous struct {
	net.Conn
	conn *datagram.Conn
}

func (c *credulous) Message(datagram.Message) {}

func (c *credulous) Datagram(b []byte) { _, _ = c.Write(b) }

// TestDgramUnfinishedMessages: who begins more long messages than the protocol allows
// is disconnected, and has committed an offence.
func TestDgramUnfinishedMessages(t *testing.T) {
	f := start(t, "auto", `
listeners:
  - {name: in, address: 127.0.0.1:0, frame: mcp-dgram, topic: t, offenders: {failures: 1, window: 1h, block: 1h}}
`)
	socket, err := net.Dial("udp", f.address("in"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	start := time.Now()
	now := func() int64 { return int64(time.Since(start)) + 1 }
	c := &credulous{Conn: socket}
	var counters datagram.Counters
	c.conn = datagram.Dial(now(), datagram.Config{QueueBytes: 1 << 30}, 7, c, &counters)
	queued := false
	buf := make([]byte, 2048)
	for end := time.Now().Add(dgramPatience); f.MetricOf("weft_filter_offenders_total", "in", "frame") == 0; {
		if time.Now().After(end) {
			t.Fatalf("never: the peer is blocked; %v, %+v", c.conn.Err(), counters)
		}
		if c.conn.Established() && !queued {
			queued = true
			for ch := range 64 {
				if err := c.conn.Send(datagram.Message{Channel: uint8(ch), Kind: datagram.Event, Payload: make([]byte, 60_000)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.conn.Flush(now(), nil, c)
		_ = socket.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		n, err := socket.Read(buf)
		if err != nil {
			_ = c.conn.Expire(now())
			continue
		}
		if n >= 40 && buf[8] == 'W' && buf[9] == 'D' {
			binary.BigEndian.PutUint32(buf[8+24:], 1<<30) // the server's first window
		}
		if err := c.conn.Receive(now(), buf[:n]); err != nil && !errors.Is(err, c.conn.Err()) {
			t.Fatal(err)
		}
	}
	f.awaitOf("weft_connections_closed_total", "protocol", 1)
}
