package server_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
)

const pressure = `
listeners:
  - {name: in, address: "127.0.0.1:0", frame: length32, topic: "t", limits: {frame: 64KiB}}
  - {name: out, address: "127.0.0.1:0", frame: length32, topic: "u", subscribe: ["t"], outbox: {size: 256KiB, when_full: POLICY}, deadlines: {write: 1m}}
api: {address: ""}
`

func numbered(n uint32) abi.Message {
	payload := make([]byte, 16<<10)
	binary.BigEndian.PutUint32(payload, n)
	return abi.Message{Payload: payload}
}

// Under pause the publisher waits for a slow subscriber: nothing is lost, and
// what weft holds for it stays bounded.
func TestASlowSubscriberPausesThePublisher(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, withPolicy("pause"))
		in, out := f.dial("in"), f.dial("out")
		f.await("weft_subscriptions", 1)
		const total = 4000 // 64 MB: more than the sockets between them can hold
		sent := make(chan error, 1)
		go func() {
			for n := range uint32(total) {
				m := numbered(n)
				b, err := in.format.Append(nil, &m)
				if err == nil {
					_, err = in.Write(b)
				}
				if err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		f.await("weft_loop_paused_connections", 1)
		if queued := f.Metric("weft_loop_queued_bytes"); queued > 4*256<<10 {
			t.Errorf("%v bytes are queued", queued)
		}
		body := make([]byte, 4+16<<10)
		for n := range uint32(total) {
			if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out.in, body); err != nil {
				t.Fatalf("frame %d: %v", n, err)
			}
			if got := binary.BigEndian.Uint32(body[4:]); got != n {
				t.Fatalf("frame %d came as %d", got, n)
			}
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}

func withPolicy(policy string) string {
	return replace(pressure, "POLICY", policy)
}

func TestASlowSubscriberLosesTheOldest(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, withPolicy("drop-oldest"))
		in, out := f.dial("in"), f.dial("out")
		f.await("weft_subscriptions", 1)
		const total = 4000
		for n := range uint32(total) {
			in.say(numbered(n))
		}
		f.await("weft_messages_in_total", total)
		body := make([]byte, 4+16<<10)
		last, seen := int64(-1), 0
		for last != total-1 {
			if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out.in, body); err != nil {
				t.Fatalf("after %d frames: %v", seen, err)
			}
			n := int64(binary.BigEndian.Uint32(body[4:]))
			if n <= last {
				t.Fatalf("frame %d came after %d", n, last)
			}
			last, seen = n, seen+1
		}
		waitFor(t, "what was dropped to be counted", func() bool { return seen+int(f.Metric("weft_frames_dropped_total")) >= total })
		if dropped := f.Metric("weft_frames_dropped_total"); seen+int(dropped) != total || dropped == 0 {
			t.Errorf("%d came, %v were counted as dropped, %d were sent", seen, dropped, total)
		}
	})
}

func TestASlowSubscriberIsDisconnected(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, withPolicy("disconnect"))
		in, out := f.dial("in"), f.dial("out")
		f.await("weft_subscriptions", 1)
		for n := range uint32(4000) {
			in.say(numbered(n))
		}
		f.await("weft_subscriptions", 0)
		if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, out.in); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the slow subscriber is still connected")
		}
	})
}

// What was accepted before the process was asked to stop is delivered.
func TestDrainLosesNothing(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, withPolicy("pause"))
		in, out := f.dial("in"), f.dial("out")
		f.await("weft_subscriptions", 1)
		const total = 200
		for n := range uint32(total) {
			in.say(numbered(n))
		}
		f.await("weft_messages_in_total", total)
		received := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(io.Discard, out.in)
			received <- n
		}()
		f.end()
		if got := <-received; got != total*(4+16<<10) {
			t.Errorf("%d bytes came, %d were accepted", got, total*(4+16<<10))
		}
		if _, err := net.DialTimeout("tcp", in.RemoteAddr().String(), time.Second); err == nil {
			t.Error("a drained server still accepts")
		}
	})
}

const faulty = `
listeners:
  - {name: magic, address: "127.0.0.1:0", frame: mcp-magic, topic: "t", limits: {frame: 1KiB}}
  - {name: flag, address: "127.0.0.1:0", frame: mcp-flag, topic: "t", deadlines: {read: 100ms}}
  - {name: lines, address: "127.0.0.1:0", frame: line, topic: "t", acknowledge: "", subscribe: ["t"]}
api: {address: ""}
`

func TestWhatIsNoFrame(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, faulty)
		closed := func(c *client, what string) {
			t.Helper()
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if n, err := c.in.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the connection is still open", what)
			}
		}
		write := func(c *client, b ...byte) {
			t.Helper()
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		lines := f.dial("lines")
		f.await("weft_subscriptions", 1)

		wrong := f.dial("magic")
		write(wrong, 'X')
		closed(wrong, "a wrong magic")

		long := f.dial("magic")
		write(long, 0x4d, 0x43, 1, 0, 0, 1, 0, 0)
		closed(long, "a length over the limit")

		never := f.dial("flag")
		write(never, 0x5a, 0, 100)
		closed(never, "a frame that never ends")

		damaged := f.dial("flag")
		write(damaged, []byte("garbage")...)
		good := text("after garbage")
		b, err := damaged.format.Append(nil, &good)
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), b...)
		bad[len(bad)-1] ^= 1
		write(damaged, append(bad, b...)...)
		if got := lines.hear(); string(got.Payload) != "after garbage" {
			t.Errorf("behind garbage and a bad checksum comes %q", got.Payload)
		}
		for _, reason := range []string{"bad_magic", "bad_crc", "too_long"} {
			if f.MetricOf("weft_listener_bad_frames_total", reason) == 0 {
				t.Errorf("%s was not counted", reason)
			}
		}
		waitFor(t, "the read deadline to be counted", func() bool { return f.MetricOf("weft_connections_closed_total", "read_deadline") > 0 })
		if n := f.MetricOf("weft_connections_closed_total", "read_deadline"); n != 1 {
			t.Errorf("the read deadline was counted %v times", n)
		}
	})
}
