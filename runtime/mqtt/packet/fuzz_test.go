package packet_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// FuzzCut: a stream that arrives in two parts is cut as it is in one, and what
// was refused stays refused.
func FuzzCut(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.wire), uint16(3), uint16(0))
		f.Add(append(unhex(f, g.wire), 0xC0, 0x00), uint16(1), uint16(64))
	}
	for _, r := range refused {
		f.Add(unhex(f, r.wire), uint16(1), uint16(0))
	}
	f.Fuzz(func(t *testing.T, stream []byte, split, limit uint16) {
		first := stream[:min(int(split), len(stream))]
		n, need, err := packet.Cut(stream, int(limit))
		n1, need1, err1 := packet.Cut(first, int(limit))
		switch {
		case err != nil:
			var m *packet.Malformed
			if !errors.As(err, &m) || n != 0 || need != 0 {
				t.Fatalf("%d, %d, %v: not a plain refusal", n, need, err)
			}
			if n1 != 0 {
				t.Fatalf("the first %d bytes are a packet of %d, all of them are refused: %v", len(first), n1, err)
			}
		case err1 != nil:
			t.Fatalf("the first %d bytes are refused (%v), all of them are not", len(first), err1)
		case n > len(stream) || n < 0 || n > 0 && need != n:
			t.Fatalf("cut at %d of %d, need %d", n, len(stream), need)
		case n == 0 && need != 0 && need <= len(stream):
			t.Fatalf("need %d, %d are there", need, len(stream))
		case n1 != 0 && n1 != n:
			t.Fatalf("cut at %d in the first part, at %d in all", n1, n)
		case n1 == 0 && n != 0 && (len(first) >= n || need1 > n):
			t.Fatalf("the first %d bytes need %d; the packet has %d", len(first), need1, n)
		case limit > 0 && n > int(limit):
			t.Fatalf("a packet of %d passed the limit %d", n, limit)
		}
	})
}

// fuzzType fuzzes the decoder of some packet types: no panic, the same answer for
// the same bytes, and what was accepted reads the same after it was written.
func fuzzType(f *testing.F, types ...packet.Type) {
	of := func(b []byte) bool {
		for _, t := range types {
			if len(b) > 0 && packet.TypeOf(b) == t {
				return true
			}
		}
		return false
	}
	add := func(b []byte, from packet.Side) {
		if of(b) {
			f.Add(b, true, from == packet.FromServer)
			f.Add(b, false, from == packet.FromServer)
		}
	}
	for _, g := range golden {
		add(unhex(f, g.wire), g.from)
	}
	for _, r := range refused {
		add(unhex(f, r.wire), r.from)
	}
	f.Fuzz(func(t *testing.T, b []byte, five, server bool) {
		v, from := v4, packet.FromClient
		if five {
			v = v5
		}
		if server {
			from = packet.FromServer
		}
		if !of(b) {
			return
		}
		got, err := decode(b, v, from)
		if err != nil {
			var m *packet.Malformed
			if !errors.As(err, &m) || m.Statement == "" || m.Text == "" || !m.Reason.Failed() || !sendable(m) {
				t.Fatalf("%#v is no full refusal", err)
			}
			return
		}
		if n, _, err := packet.Cut(b, 0); n != len(b) || err != nil {
			t.Fatalf("the decoder took %d bytes, Cut says %d, %v", len(b), n, err)
		}
		canonical := encode(got, v)
		if len(canonical) > len(b) {
			t.Fatalf("%X became longer: %X", b, canonical)
		}
		again, err := decode(canonical, v, from)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%X reads %+v; written as %X it reads %+v, %v", b, got, canonical, again, err)
		}
		if twice := encode(again, v); !bytes.Equal(twice, canonical) {
			t.Fatalf("%X is not canonical: %X", canonical, twice)
		}
		checkAccepted(t, got, canonical)
	})
}

// checkAccepted holds what a decoder promises of what it accepted.
func checkAccepted(t *testing.T, got any, canonical []byte) {
	switch p := got.(type) {
	case *packet.Publish:
		if len(p.Topic) > 0 && !packet.ValidTopic(p.Topic) || p.QoS > 2 || (p.ID != 0) != (p.QoS > 0) {
			t.Fatalf("accepted: %+v", p)
		}
		if at := packet.IDOffset(canonical); p.QoS > 0 && (at < 0 || uint16(canonical[at])<<8|uint16(canonical[at+1]) != p.ID) {
			t.Fatalf("the packet identifier of %X is said to be at %d", canonical, at)
		}
		walk(t, p.Properties)
	case *packet.Connect:
		walk(t, p.Properties)
		walk(t, p.Will.Properties)
	case *packet.Subscribe:
		for _, s := range p.Filters {
			if !packet.ValidFilter(s.Filter) || s.QoS > 2 || s.RetainHandling > 2 {
				t.Fatalf("accepted: %+v", s)
			}
		}
	case *packet.Ack:
		walk(t, p.Properties)
	}
}

// walk takes a block apart and puts it together again.
func walk(t *testing.T, p packet.Properties) {
	var again packet.Properties
	for one := range p.All() {
		again = again.Append(one)
		if !p.Has(one.ID) {
			t.Fatalf("%v is in %X and is not found", one.ID, p)
		}
	}
	if !bytes.Equal(again, p) {
		t.Fatalf("%X walked is %X", p, again)
	}
}

func FuzzConnect(f *testing.F)     { fuzzType(f, packet.TypeConnect) }
func FuzzConnack(f *testing.F)     { fuzzType(f, packet.TypeConnack) }
func FuzzPublish(f *testing.F)     { fuzzType(f, packet.TypePublish) }
func FuzzSubscribe(f *testing.F)   { fuzzType(f, packet.TypeSubscribe, packet.TypeSuback) }
func FuzzUnsubscribe(f *testing.F) { fuzzType(f, packet.TypeUnsubscribe, packet.TypeUnsuback) }
func FuzzAck(f *testing.F) {
	fuzzType(f, packet.TypePuback, packet.TypePubrec, packet.TypePubrel, packet.TypePubcomp)
}
func FuzzDisconnect(f *testing.F) {
	fuzzType(f, packet.TypeDisconnect, packet.TypeAuth, packet.TypePingreq, packet.TypePingresp)
}

// FuzzProperties: a block that nobody has checked can be walked too.
func FuzzProperties(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.wire))
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		p := packet.Properties(b)
		seen := 0
		for one := range p.All() {
			seen += 1 + len(one.Name) + len(one.Value)
		}
		if seen > len(b) {
			panic("more than there is")
		}
		_ = p.Number(packet.MessageExpiry, 0)
		_ = p.Bytes(packet.ContentType)
		_ = packet.IDOffset(b)
	})
}
