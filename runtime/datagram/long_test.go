package datagram_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/datagram"
)

// longText is the n-th long message of a channel.
func longText(channel uint8, n, size int) string {
	return text(channel, n, 0) + strings.Repeat(string(rune('a'+n%26)), size-8)
}

// sendLong queues count long messages on each of some channels.
func (s *sim) sendLong(e *end, channels, count, size int) {
	s.t.Helper()
	for n := range count {
		for ch := range channels {
			if err := e.conn.Send(datagram.Message{Channel: uint8(ch), Kind: datagram.Event, Payload: []byte(longText(uint8(ch), n, size))}); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	s.flush(e)
}

func checkLong(t *testing.T, e *end, channels, count, size int) {
	t.Helper()
	for ch := range channels {
		list := e.got[uint8(ch)]
		if len(list) != count {
			t.Fatalf("%s: channel %d: %d messages, expected %d", e.name, ch, len(list), count)
		}
		for n, g := range list {
			if g != longText(uint8(ch), n, size) {
				t.Fatalf("%s: channel %d: message %d is another one, of %d bytes", e.name, ch, n, len(g))
			}
		}
	}
}

func (e *end) total() (n int) {
	for _, l := range e.got {
		n += len(l)
	}
	return n
}

// hesitate pauses an end after every message for a while.
func (s *sim) hesitate(e *end) {
	settle := e.onEach
	e.onEach = func(m datagram.Message) {
		if settle != nil {
			settle(m)
		}
		e.conn.Pause()
		s.after(time.Millisecond, func() {
			if err := e.conn.Resume(); err != nil {
				s.t.Fatalf("%s: %v", e.name, err)
			}
			s.flush(e)
		})
	}
}

// TestManyLongMessages: however many channels carry long messages at once, in both
// directions, all arrive, in order within their channel.
func TestManyLongMessages(t *testing.T) {
	const size = 60_000
	for _, tc := range []struct {
		name            string
		channels, count int
		faults          faults
		hesitant        bool
		cfg             datagram.Config
	}{
		{"calm", 16, 3, calm, false, datagram.Config{}},
		{"calm", 256, 2, calm, false, datagram.Config{}},
		{"hostile", 16, 3, hostile, false, datagram.Config{}},
		{"hostile", 256, 1, hostile, false, datagram.Config{}},
		{"paused", 16, 3, hostile, true, datagram.Config{}},
		{"paused", 256, 1, calm, true, datagram.Config{}},
		{"one at a time", 16, 2, hostile, false, datagram.Config{WindowBytes: 16 << 10}},
	} {
		t.Run(fmt.Sprintf("%s/%d", tc.name, tc.channels), func(t *testing.T) {
			tc.cfg.QueueBytes = 64 << 20
			s := newSim(t, 11, tc.faults, tc.cfg)
			s.open()
			if tc.hesitant {
				s.hesitate(s.client)
				s.hesitate(s.server)
			}
			s.sendLong(s.client, tc.channels, tc.count, size)
			s.sendLong(s.server, tc.channels, tc.count, size)
			all := tc.channels * tc.count
			s.run(10*time.Minute, func() bool {
				if err := errors.Join(s.client.conn.Err(), s.server.conn.Err()); err != nil {
					t.Fatalf("ended after %d and %d of %d messages: %v", s.client.total(), s.server.total(), all, err)
				}
				return s.client.total() >= all && s.server.total() >= all && s.client.conn.Queued() == 0 && s.server.conn.Queued() == 0
			})
			checkLong(t, s.client, tc.channels, tc.count, size)
			checkLong(t, s.server, tc.channels, tc.count, size)
		})
	}
}

// TestLongMessagesTakeTurns: none of the channels with long messages waits until
// another one has nothing left, and one with short messages waits for none of them.
func TestLongMessagesTakeTurns(t *testing.T) {
	s := newSim(t, 12, calm, datagram.Config{QueueBytes: 64 << 20})
	s.open()
	const channels, count = 32, 10
	var most, least int
	settle := s.server.onEach
	s.server.onEach = func(m datagram.Message) {
		settle(m)
		most, least = 0, count
		for ch := range channels {
			n := len(s.server.got[uint8(ch)])
			most, least = max(most, n), min(least, n)
		}
		if most-least > 3 {
			t.Fatalf("a channel is at message %d, another at %d", most, least)
		}
	}
	s.sendLong(s.client, channels, count, 60_000)
	if err := s.client.conn.Send(datagram.Message{Channel: 200, Kind: datagram.Event, Payload: []byte("short")}); err != nil {
		t.Fatal(err)
	}
	s.run(time.Minute, func() bool { return len(s.server.got[200]) == 1 })
	if n := s.server.total() - 1; n > channels {
		t.Errorf("the short message came after %d long ones", n)
	}
	s.run(time.Minute, func() bool { return s.client.conn.Queued() == 0 })
	checkLong(t, s.server, channels, count, 60_000)
}

// TestUnfinishedMessagesAreBounded: who begins more messages than PROTOCOL.md allows
// costs no more than its bound and is told which one it was.
func TestUnfinishedMessagesAreBounded(t *testing.T) {
	s := newSim(t, 13, calm, datagram.Config{})
	s.open()
	c, cookie := s.server.conn, cookieOf(s)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := func(channel, n int) error {
		b := binary.BigEndian.AppendUint32(nil, cookie+1+uint32(n))
		b = binary.BigEndian.AppendUint16(append(b, byte(channel), byte(datagram.Event)|0x20), 1024)
		return c.Receive(s.now, append(b, make([]byte, 1024)...))
	}
	const bound = (512 + 64) << 10
	records := 0
	for ; records < bound/1024; records++ {
		if err := begin(records%256, records/256); err != nil {
			t.Fatalf("record %d: %v", records, err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*bound {
		t.Errorf("%d bytes for one connection", grown)
	}
	err := begin(records%256, records/256)
	if !errors.Is(err, datagram.ErrProtocol) || !strings.Contains(err.Error(), fmt.Sprint(bound)) || !strings.Contains(err.Error(), "unfinished") {
		t.Fatalf("the error is %v", err)
	}
	if !errors.Is(c.Err(), datagram.ErrProtocol) {
		t.Error("the connection goes on")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > bound/4 {
		t.Errorf("%d bytes are kept for a connection that has ended", grown)
	}
}

// TestDropOldestCutsNoMessage: the end of a message whose other records have been
// acknowledged is not dropped.
func TestDropOldestCutsNoMessage(t *testing.T) {
	s := newSim(t, 14, calm, datagram.Config{})
	s.open()
	client, server := s.client.conn, s.server.conn
	const size = 32*1192 + 100 // the first flight, and a record more
	if err := client.Send(datagram.Message{Kind: datagram.Event, Payload: []byte(longText(0, 0, size))}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := client.Send(datagram.Message{Kind: datagram.Event, Payload: make([]byte, 1192)}); err != nil {
			t.Fatal(err)
		}
	}
	client.Flush(s.now, nil, outFunc(func(b []byte) { _ = server.Receive(s.now, b) }))
	server.Flush(s.now, nil, outFunc(func(b []byte) { _ = client.Receive(s.now, b) }))
	if records, _ := client.DropOldest(0); records > 0 {
		t.Error("the end of a message was dropped")
	}
	s.run(time.Minute, func() bool { return client.Queued() == 0 })
	if got := s.server.got[0]; len(got) != 4 || got[0] != longText(0, 0, size) {
		t.Errorf("%d messages arrived", len(got))
	}
}
