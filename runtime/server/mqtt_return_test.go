package server_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// awayTrial is how many clients are away, and how much they miss. The environment asks
// for a large one:
//
//	WEFT_AWAY=500 go test -run TestClientsThatComeBack -v ./runtime/server
type awayTrial struct{ clients, messages int }

func newAwayTrial() awayTrial {
	if n, err := strconv.Atoi(os.Getenv("WEFT_AWAY")); err == nil {
		return awayTrial{n, 4000}
	}
	return awayTrial{50, 400}
}

// TestClientsThatComeBack: what came while clients were away reaches each of them, once
// or more, in order, and nothing is missing, and what is kept for all is kept once; also those whose connection breaks in the
// midst of it. It takes the memory that weft says it takes, within its bound, and gives
// it back.
func TestClientsThatComeBack(t *testing.T) {
	trial := newAwayTrial()
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, "loops: 2\nlisteners: [{name: mqtt, address: \"127.0.0.1:0\", frame: mqtt}]\napi: {address: \"\"}\n")
		all := make([]*returning, trial.clients)
		for i := range all {
			all[i] = &returning{f: f, name: fmt.Sprintf("client-%d", i), until: trial.messages, breaks: i%2 == 0}
			c := f.mqtt([]packet.Version{packet.V311, packet.V5}[i%2], all[i].name, persistent)
			all[i].v = c.v
			c.subscribes(to("news/#", 1))
			c.leaves()
		}
		f.settled("weft_mqtt_sessions", "away", float64(trial.clients))
		before := memoryNow()

		began := time.Now()
		publishNews(t, f.mqtt(packet.V5, "publisher"), trial.messages)
		publishing := time.Since(began)
		f.settled("weft_mqtt_queued_messages", "mqtt", float64(trial.clients*trial.messages))
		while, queued := memoryNow(), f.Metric("weft_mqtt_queued_bytes")

		began = time.Now()
		var group sync.WaitGroup
		for _, c := range all {
			group.Go(func() {
				if err := c.all(); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			})
		}
		group.Wait()
		returned := time.Since(began)
		f.settled("weft_mqtt_queued_messages", "mqtt", 0)
		const slack = 4 << 20  // tables, and what tests themselves hold
		const spare = 12 << 20 // what loops keep to use again, however many clients there are
		after := memoryNow()
		for range 20 { // pools are given back tick by tick
			if after.heap-before.heap <= spare {
				break
			}
			time.Sleep(200 * time.Millisecond)
			after = memoryNow()
		}

		t.Logf("%d clients, %d messages for each: published in %v, fetched in %v; weft_mqtt_queued_bytes %.1f MiB", trial.clients, trial.messages, publishing, returned, queued/(1<<20))
		t.Logf("resident before %v, while %v, after %v; on the heap %v, %v, %v",
			before.resident, while.resident, after.resident, before.heap, while.heap, after.heap)
		if n := f.Metric("weft_mqtt_queued_bytes"); n > float64(trial.clients<<11) { // their sessions and subscriptions stay
			t.Errorf("%v bytes are held for nothing", n)
		}
		if n := f.Metric("weft_mqtt_session_dropped_total"); n != 0 {
			t.Errorf("%v messages were dropped", n)
		}
		// A message that waits for all of them is kept once, with 20 bytes for each.
		if bound := float64(trial.messages<<11 + 20*trial.clients*trial.messages); queued > bound {
			t.Errorf("%v bytes wait, more than %v", queued, bound)
		}
		if grown := while.heap - before.heap; grown > mebibytes(1.25*queued)+slack {
			t.Errorf("what waits takes %v of the heap, weft says %v", grown, mebibytes(queued))
		}
		if grown := after.heap - before.heap; grown > spare {
			t.Errorf("%v are left on the heap", grown)
		}
	})
}

// settled waits for a figure that a tick publishes.
func (f *fixture) settled(name, label string, want float64) {
	f.t.Helper()
	waitFor(f.t, fmt.Sprintf("%s{%s} %v", name, label, want), func() bool { return f.MetricOf(name, label) == want })
}

// mebibytes are bytes that print as MiB.
type mebibytes float64

func (m mebibytes) String() string { return fmt.Sprintf("%.1f MiB", float64(m)/(1<<20)) }

type memory struct{ heap, resident mebibytes }

// memoryNow is what the process has after a collection.
func memoryNow() (m memory) {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	m.heap = mebibytes(s.HeapAlloc)
	if text, err := os.ReadFile("/proc/self/status"); err == nil {
		var kib float64
		_, line, _ := strings.Cut(string(text), "VmRSS:")
		if _, err := fmt.Sscan(line, &kib); err == nil {
			m.resident = mebibytes(kib * 1024)
		}
	}
	return m
}

// newsSize is the payload of the news, which begin with their number.
const newsSize = 128

// publishNews publishes so many messages with 256 under way.
func publishNews(t *testing.T, c *mqttClient, messages int) {
	t.Helper()
	const window = 256
	sent, acked := 0, 0
	payload := make([]byte, newsSize)
	for acked < messages {
		var b []byte
		for ; sent < messages && sent-acked < window; sent++ {
			binary.BigEndian.PutUint64(payload, uint64(sent))
			b = packet.AppendPublish(b, &packet.Publish{QoS: 1, ID: uint16(sent%window + 1), Topic: []byte("news/today"), Payload: payload}, c.v)
		}
		c.send(b)
		for acked < sent {
			if a := c.hearsAck(); a.Type != packet.TypePuback || a.Reason != packet.Success {
				t.Fatalf("message %d: %+v", acked, a)
			}
			acked++
		}
	}
}

// returning is a client that comes back for its messages.
type returning struct {
	f      *fixture
	name   string
	v      packet.Version
	until  int
	breaks bool // its connection breaks when it has half of them, the last unacknowledged
	next   int  // the message that it has not seen yet
	again  int
}

// all fetches the messages.
func (r *returning) all() error {
	if r.breaks {
		if err := r.fetch(r.until/2, false); err != nil {
			return err
		}
		half := r.next
		if err := r.fetch(r.until, true); err != nil {
			return err
		}
		if r.again == 0 {
			return fmt.Errorf("the connection broke after %d messages, and none was sent again", half)
		}
		return nil
	}
	return r.fetch(r.until, true)
}

// fetch connects and reads until it has so many messages. Those of the last read are
// acknowledged or not.
func (r *returning) fetch(until int, ack bool) error {
	conn, err := net.Dial("tcp", r.f.address("mqtt"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	connect := packet.Connect{Version: r.v, ClientID: []byte(r.name)}
	persistent(&connect)
	if _, err := conn.Write(packet.AppendConnect(nil, &connect)); err != nil {
		return err
	}
	var in, out []byte
	chunk := make([]byte, 16<<10)
	for r.next < until {
		n, err := conn.Read(chunk)
		if err != nil {
			return fmt.Errorf("at message %d: %w", r.next, err)
		}
		if in, out, err = r.take(append(in, chunk[:n]...), out[:0]); err != nil {
			return err
		}
		if r.next >= until && !ack {
			return nil
		}
		if _, err := conn.Write(out); err != nil {
			return err
		}
	}
	// A goodbye is behind the acknowledgements, and its answer is the end.
	if _, err := conn.Write(packet.AppendDisconnect(nil, &packet.Disconnect{}, r.v)); err != nil {
		return err
	}
	if n, err := conn.Read(chunk); err == nil {
		return fmt.Errorf("%x came behind the last message", chunk[:n])
	}
	return nil
}

// take reads packets, and adds their acknowledgements to out.
func (r *returning) take(in, out []byte) (rest, acks []byte, err error) {
	for {
		n, _, err := packet.Cut(in, 0)
		if n == 0 || err != nil {
			return in, out, err
		}
		unit := in[:n]
		in = in[n:]
		switch packet.TypeOf(unit) {
		case packet.TypeConnack:
			var a packet.Connack
			if err := a.Decode(unit, r.v); err != nil || !a.SessionPresent {
				return nil, nil, fmt.Errorf("CONNACK %+v, %w", a, err)
			}
		case packet.TypePublish:
			var m packet.Publish
			if err := m.Decode(unit, r.v, packet.FromServer); err != nil {
				return nil, nil, err
			}
			if err := r.hears(&m); err != nil {
				return nil, nil, err
			}
			out = packet.AppendAck(out, &packet.Ack{Type: packet.TypePuback, ID: m.ID}, r.v)
		default:
			return nil, nil, fmt.Errorf("%x came", unit)
		}
	}
}

func (r *returning) hears(m *packet.Publish) error {
	if len(m.Payload) != newsSize || m.QoS != 1 || string(m.Topic) != "news/today" {
		return errors.New("a message is not as it was sent")
	}
	switch n := int(binary.BigEndian.Uint64(m.Payload)); {
	case n == r.next && m.Dup && !r.breaks:
		return fmt.Errorf("message %d is marked as a duplicate, and comes for the first time", n)
	case n == r.next:
		r.next++
	case n < r.next && m.Dup:
		r.again++
	default:
		return fmt.Errorf("message %d came, want %d (DUP %v)", n, r.next, m.Dup)
	}
	return nil
}

// A client of MQTT 3.1.1 cannot say how long its session is to live: the listener does.
func TestASessionOf311LivesAsLongAsTheListenerSays(t *testing.T) {
	f := start(t, "auto", `
session: {ttl: 1s}
listeners:
  - {name: short, address: "127.0.0.1:0", frame: mqtt}
  - {name: long, address: "127.0.0.1:0", frame: mqtt, session: {ttl: 1h}}
  - {name: none, address: "127.0.0.1:0", frame: mqtt, session: {ttl: 0s}}
api: {address: ""}
`)
	for _, name := range []string{"short", "long", "none"} {
		c := f.mqttDialTo(name, packet.V311)
		c.connect("c", persistent)
		c.leaves()
	}
	f.awaitOf("weft_mqtt_sessions", "connected", 0)
	f.awaitOf("weft_mqtt_sessions", "away", 1)
	if c := f.mqttDialTo("long", packet.V311); !c.connect("c", persistent).SessionPresent {
		t.Error("the session of the listener with an hour is gone")
	}
	// MQTT 5 says it itself.
	c := f.mqttDialTo("none", packet.V5)
	c.connect("d", persistent)
	c.leaves()
	f.awaitOf("weft_mqtt_sessions", "away", 1)
}
