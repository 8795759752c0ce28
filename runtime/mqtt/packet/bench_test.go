package packet_test

import (
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

func samplePublish(qos uint8, size int, withProperties bool) *packet.Publish {
	p := &packet.Publish{QoS: qos, Topic: []byte("truck/7/telemetry/temperature"), Payload: []byte(strings.Repeat("x", size))}
	if qos > 0 {
		p.ID = 4711
	}
	if withProperties {
		p.Properties = props(number(packet.MessageExpiry, 3600), text(packet.ContentType, "application/json"), user("trace", "4bf92f3577b34da6"))
	}
	return p
}

// TestAllocations: the packets of the hot path cost no allocation in either
// direction, and neither does walking their properties.
func TestAllocations(t *testing.T) {
	buffer := make([]byte, 0, 4096)
	var pub packet.Publish
	var ack packet.Ack
	for name, f := range map[string]func(){
		"PUBLISH 3.1.1": func() {
			buffer = packet.AppendPublish(buffer[:0], samplePublish311, v4)
			if _, _, err := packet.Cut(buffer, 4096); err != nil {
				t.Fatal(err)
			}
			if err := pub.Decode(buffer, v4, packet.FromClient); err != nil {
				t.Fatal(err)
			}
		},
		"PUBLISH 5.0": func() {
			buffer = packet.AppendPublish(buffer[:0], samplePublish5, v5)
			if err := pub.Decode(buffer, v5, packet.FromClient); err != nil {
				t.Fatal(err)
			}
			n := 0
			for one := range pub.Properties.All() {
				n += len(one.Value)
			}
			if n == 0 || pub.Properties.Number(packet.MessageExpiry, 0) != 3600 {
				t.Fatal("the properties are not there")
			}
		},
		"PUBACK": func() {
			buffer = packet.AppendAck(buffer[:0], &packet.Ack{Type: packet.TypePuback, ID: 7, Reason: packet.NoMatchingSubscribers}, v5)
			if err := ack.Decode(buffer, v5); err != nil {
				t.Fatal(err)
			}
		},
		"PUBREL 3.1.1": func() {
			buffer = packet.AppendAck(buffer[:0], &packet.Ack{Type: packet.TypePubrel, ID: 7}, v4)
			if err := ack.Decode(buffer, v4); err != nil {
				t.Fatal(err)
			}
		},
		"PINGREQ": func() {
			if err := packet.DecodePing(packet.AppendPingreq(buffer[:0]), v5); err != nil {
				t.Fatal(err)
			}
		},
		"patch": func() {
			unit := packet.AppendPublish(buffer[:0], samplePublish5, v5)
			packet.PatchID(unit, packet.IDOffset(unit), 12)
			packet.PatchDup(unit, true)
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

var (
	samplePublish311 = samplePublish(1, 128, false)
	samplePublish5   = samplePublish(1, 128, true)
)

func BenchmarkPublish(b *testing.B) {
	for _, c := range []struct {
		name string
		p    *packet.Publish
		v    packet.Version
	}{
		{"QoS0/128B/3.1.1", samplePublish(0, 128, false), v4},
		{"QoS1/1KiB/5.0", samplePublish(1, 1024, false), v5},
		{"QoS1/128B/5.0/properties", samplePublish(1, 128, true), v5},
	} {
		wire := packet.AppendPublish(nil, c.p, c.v)
		b.Run("decode/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			var p packet.Publish
			for b.Loop() {
				n, _, err := packet.Cut(wire, 1<<20)
				if err == nil {
					err = p.Decode(wire[:n], c.v, packet.FromClient)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("encode/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			buffer := make([]byte, 0, 2048)
			for b.Loop() {
				buffer = packet.AppendPublish(buffer[:0], c.p, c.v)
			}
		})
	}
}

func BenchmarkAck(b *testing.B) {
	wire := packet.AppendAck(nil, &packet.Ack{Type: packet.TypePuback, ID: 7}, v5)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var a packet.Ack
		for b.Loop() {
			n, _, err := packet.Cut(wire, 1<<20)
			if err == nil {
				err = a.Decode(wire[:n], v5)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		buffer := make([]byte, 0, 64)
		for b.Loop() {
			buffer = packet.AppendAck(buffer[:0], &packet.Ack{Type: packet.TypePuback, ID: 7}, v5)
		}
	})
}

func BenchmarkConnect(b *testing.B) {
	wire := packet.AppendConnect(nil, &packet.Connect{Version: v5, CleanStart: true, KeepAlive: 60, ClientID: []byte("truck-7"),
		Properties: props(number(packet.SessionExpiry, 3600), number(packet.ReceiveMaximum, 100)),
		Username:   []byte("driver"), Password: []byte("secret")})
	b.ReportAllocs()
	var c packet.Connect
	for b.Loop() {
		if err := c.Decode(wire); err != nil {
			b.Fatal(err)
		}
	}
}
