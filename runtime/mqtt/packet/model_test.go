package packet_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// The generators below make packets that a decoder must accept: whatever the
// specifications allow, and nothing else.

func anyString() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.ReplaceAll(rapid.StringN(0, 20, 60).Draw(t, "string"), "\x00", "0")
	}).Filter(utf8.ValidString)
}

func anyTopic() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		s := strings.NewReplacer("+", "p", "#", "h").Replace(anyString().Draw(t, "topic"))
		return []byte(s + "/t")
	})
}

func anyFilter() *rapid.Generator[[]byte] {
	level := rapid.SampledFrom([]string{"a", "", "+", "b b", "ü", "$x"})
	return rapid.Custom(func(t *rapid.T) []byte {
		filter := "x/" + strings.Join(rapid.SliceOfN(level, 0, 6).Draw(t, "levels"), "/")
		if rapid.Bool().Draw(t, "rest") {
			filter += "/#"
		}
		if rapid.Bool().Draw(t, "shared") {
			filter = "$share/group/" + filter
		}
		return []byte(filter)
	})
}

var anyBytes = rapid.SliceOfN(rapid.Byte(), 0, 300)

// anyProperties makes a block for a packet: each of its properties or not, in any
// order, and user properties between them.
func anyProperties(t *rapid.T, v packet.Version, ids ...packet.PropertyID) packet.Properties {
	if v != v5 {
		return nil
	}
	var p packet.Properties
	for _, id := range rapid.Permutation(ids).Draw(t, "order") {
		if rapid.Bool().Draw(t, "user") {
			p = p.AppendUser([]byte(anyString().Draw(t, "name")), []byte(anyString().Draw(t, "value")))
		}
		if !rapid.Bool().Draw(t, id.String()) {
			continue
		}
		if id == packet.AuthData && !p.Has(packet.AuthMethod) {
			continue
		}
		p = appendAny(t, p, id)
	}
	return p
}

func appendAny(t *rapid.T, p packet.Properties, id packet.PropertyID) packet.Properties {
	switch id {
	case packet.PayloadFormat, packet.RequestProblemInfo, packet.RequestResponseInfo, packet.MaximumQoS,
		packet.RetainAvailable, packet.WildcardAvailable, packet.IdentifiersAvailable, packet.SharedAvailable:
		return p.AppendNumber(id, rapid.Uint32Range(0, 1).Draw(t, "bit"))
	case packet.ReceiveMaximum, packet.TopicAlias, packet.TopicAliasMaximum, packet.ServerKeepAlive:
		return p.AppendNumber(id, rapid.Uint32Range(1, 0xFFFF).Draw(t, "number"))
	case packet.SubscriptionIdentifier:
		return p.AppendNumber(id, rapid.Uint32Range(1, packet.MaxRemaining).Draw(t, "number"))
	case packet.CorrelationData, packet.AuthData:
		return p.AppendBytes(id, anyBytes.Draw(t, "bytes"))
	case packet.ResponseTopic:
		return p.AppendBytes(id, anyTopic().Draw(t, "topic"))
	case packet.ContentType, packet.AssignedClientID, packet.AuthMethod, packet.ResponseInfo, packet.ServerReference,
		packet.ReasonString:
		return p.AppendBytes(id, []byte(anyString().Draw(t, "text")))
	}
	return p.AppendNumber(id, rapid.Uint32Range(1, 1<<32-1).Draw(t, "number"))
}

func anyCode(t *rapid.T, v packet.Version, five, three []packet.Code) packet.Code {
	if v == v5 {
		return rapid.SampledFrom(five).Draw(t, "reason")
	}
	return rapid.SampledFrom(three).Draw(t, "reason")
}

func anyCodes(t *rapid.T, v packet.Version, five, three []packet.Code) []packet.Code {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) packet.Code { return anyCode(t, v, five, three) }), 1, 8).Draw(t, "reasons")
}

func anyID(t *rapid.T) uint16 { return rapid.Uint16Range(1, 0xFFFF).Draw(t, "id") }

// anyPacket makes one of any type.
func anyPacket(t *rapid.T, v packet.Version, from packet.Side) any {
	switch rapid.IntRange(0, 9).Draw(t, "type") {
	case 0:
		return anyConnect(t, v)
	case 1:
		c := &packet.Connack{Reason: anyCode(t, v, []packet.Code{0, packet.NotAuthorized, packet.ServerMoved},
			[]packet.Code{0, packet.ServerUnavailable, packet.NotAuthorized, packet.UnsupportedProtocolVersion})}
		c.SessionPresent = c.Reason == 0 && rapid.Bool().Draw(t, "present")
		c.Properties = anyProperties(t, v, packet.SessionExpiry, packet.ReceiveMaximum, packet.MaximumQoS, packet.RetainAvailable,
			packet.MaximumPacketSize, packet.AssignedClientID, packet.TopicAliasMaximum, packet.ReasonString, packet.WildcardAvailable,
			packet.IdentifiersAvailable, packet.SharedAvailable, packet.ServerKeepAlive, packet.ResponseInfo, packet.ServerReference,
			packet.AuthMethod, packet.AuthData)
		return c
	case 2, 3:
		return anyPublish(t, v, from)
	case 4:
		a := &packet.Ack{Type: rapid.SampledFrom([]packet.Type{packet.TypePuback, packet.TypePubrec, packet.TypePubrel,
			packet.TypePubcomp}).Draw(t, "ack"), ID: anyID(t)}
		a.Properties = anyProperties(t, v, packet.ReasonString)
		if v == v5 && a.Type >= packet.TypePubrel {
			a.Reason = rapid.SampledFrom([]packet.Code{0, packet.PacketIdentifierNotFound}).Draw(t, "reason")
		} else if v == v5 {
			a.Reason = rapid.SampledFrom([]packet.Code{0, packet.NoMatchingSubscribers, packet.QuotaExceeded}).Draw(t, "reason")
		}
		return a
	case 5:
		s := &packet.Subscribe{ID: anyID(t), Properties: anyProperties(t, v, packet.SubscriptionIdentifier)}
		for range rapid.IntRange(1, 5).Draw(t, "filters") {
			s.Filters = append(s.Filters, anySubscription(t, v))
		}
		return s
	case 6:
		return &packet.Suback{ID: anyID(t), Properties: anyProperties(t, v, packet.ReasonString),
			Reasons: anyCodes(t, v, []packet.Code{0, 1, 2, packet.TopicFilterInvalid, packet.WildcardsNotSupported},
				[]packet.Code{0, 1, 2, packet.UnspecifiedError})}
	case 7:
		return &packet.Unsubscribe{ID: anyID(t), Properties: anyProperties(t, v),
			Filters: rapid.SliceOfN(anyFilter(), 1, 5).Draw(t, "filters")}
	case 8:
		u := &packet.Unsuback{ID: anyID(t), Properties: anyProperties(t, v, packet.ReasonString)}
		if v == v5 {
			u.Reasons = anyCodes(t, v, []packet.Code{0, packet.NoSubscriptionExisted, packet.NotAuthorized}, nil)
		}
		return u
	}
	return anyLast(t, v, from)
}

func anyConnect(t *rapid.T, v packet.Version) *packet.Connect {
	c := &packet.Connect{Version: v, CleanStart: rapid.Bool().Draw(t, "clean"), KeepAlive: rapid.Uint16().Draw(t, "keep alive"),
		ClientID: []byte(anyString().Draw(t, "client"))}
	c.CleanStart = c.CleanStart || len(c.ClientID) == 0
	c.Properties = anyProperties(t, v, packet.SessionExpiry, packet.ReceiveMaximum, packet.MaximumPacketSize,
		packet.TopicAliasMaximum, packet.RequestResponseInfo, packet.RequestProblemInfo, packet.AuthMethod, packet.AuthData)
	if c.HasWill = rapid.Bool().Draw(t, "will"); c.HasWill {
		c.Will = packet.Will{QoS: rapid.Uint8Range(0, 2).Draw(t, "qos"), Retain: rapid.Bool().Draw(t, "retain"),
			Topic: anyTopic().Draw(t, "topic"), Payload: anyBytes.Draw(t, "payload"),
			Properties: anyProperties(t, v, packet.WillDelay, packet.PayloadFormat, packet.MessageExpiry, packet.ContentType,
				packet.ResponseTopic, packet.CorrelationData)}
	}
	if rapid.Bool().Draw(t, "has user") {
		c.Username = []byte(anyString().Draw(t, "user"))
	}
	if (v == v5 || c.Username != nil) && rapid.Bool().Draw(t, "has password") {
		c.Password = anyBytes.Draw(t, "password")
	}
	return c
}

func anyPublish(t *rapid.T, v packet.Version, from packet.Side) *packet.Publish {
	p := &packet.Publish{QoS: rapid.Uint8Range(0, 2).Draw(t, "qos"), Retain: rapid.Bool().Draw(t, "retain"),
		Topic: anyTopic().Draw(t, "topic"), Payload: anyBytes.Draw(t, "payload")}
	if p.QoS > 0 {
		p.ID, p.Dup = anyID(t), rapid.Bool().Draw(t, "dup")
	}
	p.Properties = anyProperties(t, v, packet.PayloadFormat, packet.MessageExpiry, packet.ContentType, packet.ResponseTopic,
		packet.CorrelationData, packet.TopicAlias)
	if v == v5 && from == packet.FromServer {
		for range rapid.IntRange(0, 3).Draw(t, "identifiers") {
			p.Properties = appendAny(t, p.Properties, packet.SubscriptionIdentifier)
		}
	}
	if p.Properties.Has(packet.TopicAlias) && rapid.Bool().Draw(t, "alias alone") {
		p.Topic = []byte{}
	}
	return p
}

func anySubscription(t *rapid.T, v packet.Version) packet.Subscription {
	s := packet.Subscription{Filter: anyFilter().Draw(t, "filter"), QoS: rapid.Uint8Range(0, 2).Draw(t, "qos")}
	if v == v5 {
		s.NoLocal = rapid.Bool().Draw(t, "no local") && !strings.HasPrefix(string(s.Filter), "$share/")
		s.RetainAsPublished = rapid.Bool().Draw(t, "as published")
		s.RetainHandling = packet.RetainHandling(rapid.Uint8Range(0, 2).Draw(t, "handling"))
	}
	return s
}

func anyLast(t *rapid.T, v packet.Version, from packet.Side) any {
	if v == v5 && rapid.Bool().Draw(t, "auth") {
		return &packet.Auth{Reason: packet.ContinueAuthentication, Properties: appendAny(t, anyProperties(t, v, packet.ReasonString), packet.AuthMethod)}
	}
	d := &packet.Disconnect{}
	switch {
	case v == v5 && from == packet.FromServer:
		d.Reason = rapid.SampledFrom([]packet.Code{packet.SessionTakenOver, packet.KeepAliveTimeout}).Draw(t, "reason")
		d.Properties = anyProperties(t, v, packet.ReasonString, packet.ServerReference)
	case v == v5:
		d.Reason = rapid.SampledFrom([]packet.Code{0, packet.DisconnectWithWill}).Draw(t, "reason")
		d.Properties = anyProperties(t, v, packet.ReasonString, packet.SessionExpiry)
	}
	return d
}

// TestRoundTrip: what was written reads the same, by itself and cut out of a
// stream that goes on behind it.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom([]packet.Version{v4, v5}).Draw(t, "version")
		from := rapid.SampledFrom([]packet.Side{packet.FromClient, packet.FromServer}).Draw(t, "from")
		want := anyPacket(t, v, from)
		wire := encode(want, v)
		n, _, err := packet.Cut(append(append([]byte(nil), wire...), 0xC0, 0), len(wire))
		if err != nil || n != len(wire) {
			t.Fatalf("%X is cut at %d of %d: %v", wire, n, len(wire), err)
		}
		got, err := decode(wire, v, from)
		if err != nil {
			t.Fatalf("%X: %v", wire, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%X reads\n%+v, not\n%+v", wire, got, want)
		}
		if p, ok := want.(*packet.Publish); ok && p.Size(v) != len(wire) {
			t.Fatalf("Size is %d, there are %d bytes", p.Size(v), len(wire))
		}
		for cut := range wire {
			if n, need, err := packet.Cut(wire[:cut], 0); n != 0 || need > len(wire) || err != nil {
				t.Fatalf("%d of %d bytes are cut at %d, need %d, %v", cut, len(wire), n, need, err)
			}
		}
	})
}

// TestDamaged: a packet with one byte changed, or cut short, is read or refused,
// and what is read is what is written again.
func TestDamaged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom([]packet.Version{v4, v5}).Draw(t, "version")
		wire := encode(anyPacket(t, v, packet.FromClient), v)
		at := rapid.IntRange(0, len(wire)-1).Draw(t, "at")
		wire[at] = rapid.Byte().Draw(t, "byte")
		got, err := decode(wire, v, packet.FromClient)
		if err != nil {
			return
		}
		again, err := decode(encode(got, v), v, packet.FromClient)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%X reads %+v and then %+v, %v", wire, got, again, err)
		}
	})
}
