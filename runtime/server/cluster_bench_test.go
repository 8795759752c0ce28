package server_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// crossing is an MQTT publisher on one node and a subscriber on another.
type crossing struct {
	nodes    []*fixture
	from, to *mqttClient
	units    []byte
	size     int
	buffer   []byte
}

// inFlight is how many messages of a crossing are under way at most.
const inFlight = 4096

func newCrossing(t testing.TB, payload int) *crossing {
	server := natstest.Start(t, natstest.Options{})
	c := &crossing{buffer: make([]byte, 1<<16)}
	for _, name := range []string{"a", "b"} {
		c.nodes = append(c.nodes, start(t, "auto", fmt.Sprintf(mqttConfig+"backbone: {name: %s, data: %q, url: [%q]}\n", 1, name, t.TempDir(), server.URL())))
	}
	c.to = c.nodes[1].mqtt(packet.V311, "to")
	c.to.subscribes(to("n", 0))
	c.nodes[0].await("weft_link_node_interests", 1)
	c.from = c.nodes[0].mqtt(packet.V311, "from")
	unit := packet.AppendPublish(nil, &packet.Publish{Topic: []byte("n"), Payload: make([]byte, payload)}, packet.V311)
	c.size = len(unit)
	for range inFlight {
		c.units = append(c.units, unit...)
	}
	_ = c.to.SetReadDeadline(time.Now().Add(time.Minute))
	return c
}

// round sends as many messages as may be under way, and waits for all.
func (c *crossing) round(t testing.TB) {
	c.from.send(c.units)
	for left := len(c.units); left > 0; {
		n, err := c.to.Read(c.buffer[:min(left, len(c.buffer))])
		if err != nil {
			t.Fatal(err)
		}
		left -= n
	}
}

// BenchmarkCluster is messages from one node to another, each with its client, through
// a nats-server.
func BenchmarkCluster(b *testing.B) {
	c := newCrossing(b, 128)
	c.round(b)
	b.ReportAllocs()
	b.SetBytes(128 * inFlight)
	for b.Loop() {
		c.round(b)
	}
	b.ReportMetric(float64(b.N)*inFlight/b.Elapsed().Seconds(), "messages/s")
	sent := c.nodes[0].MetricOf("weft_link_out_records_total", "b")
	b.ReportMetric(sent/max(c.nodes[0].MetricOf("weft_link_out_batches_total", "b"), 1), "records/batch")
}

// A message to another node allocates nothing: what is allocated belongs to batches.
func TestACrossingAllocatesByTheBatch(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	c := newCrossing(t, 128)
	for range 3 {
		c.round(t)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const rounds = 20
	for range rounds {
		c.round(t)
	}
	runtime.ReadMemStats(&after)
	if each := float64(after.Mallocs-before.Mallocs) / rounds / inFlight; each > 0.1 {
		t.Errorf("%.2f allocations a message", each)
	}
}

// BenchmarkBesideANode is messages of one node alone: without a backbone, and with another
// node that wants something else.
func BenchmarkBesideANode(b *testing.B) {
	run := func(b *testing.B, f *fixture) {
		c := &crossing{buffer: make([]byte, 1<<16), to: f.mqtt(packet.V311, "to"), from: f.mqtt(packet.V311, "from")}
		c.to.subscribes(to("n", 0))
		unit := packet.AppendPublish(nil, &packet.Publish{Topic: []byte("n"), Payload: make([]byte, 128)}, packet.V311)
		for range inFlight {
			c.units = append(c.units, unit...)
		}
		_ = c.to.SetReadDeadline(time.Now().Add(time.Minute))
		c.round(b)
		b.ReportAllocs()
		for b.Loop() {
			c.round(b)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/inFlight, "ns/message")
	}
	one := fmt.Sprintf(mqttConfig, 1)
	b.Run("no backbone", func(b *testing.B) { run(b, start(b, "auto", one)) })
	b.Run("with another node", func(b *testing.B) {
		c := newCrossing(b, 128)
		c.to.unsubscribes("n")
		c.to.subscribes(to("other", 0))
		run(b, c.nodes[0])
	})
}
