package server_test

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/datagram"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// Short names of the types, by which the tables below are read.
const (
	event    = abi.TypeEvent
	request  = abi.TypeRequest
	response = abi.TypeResponse
	ack      = abi.TypeAck
)

// speeches is every protocol of the matrix, with what it carries.
func speeches() []speech {
	all := []speech{
		wire(speech{name: "line", note: "no LF in the payload, no CR at its end"}),
		wire(speech{name: "length32"}),
		wire(speech{name: "mcp-flag"}),
		wire(speech{name: "mcp-magic", kind: response, kinds: []abi.Type{event: request, request: request, response: response, ack: ack}}),
		wire(seqSpeech("mcp-seq")),
		wire(seqSpeech("mcp-seq-ws")),
		wire(seqSpeech("mcp-seq-tls")),
		wire(speech{
			name: "mcp-cmd", attrs: []string{"cmd"}, kind: request, seq: 22, note: "an event has the seq_id 0; other types look alike",
			shows: func(m, seen *said) {
				setDefault(seen, "cmd", "0")
				if m.kind != event && m.seq != 0 {
					seen.kind = request
				}
			},
		}),
		wire(speech{
			name: "mcp-node", attrs: []string{"node_id", "cmd_type"}, kind: request, note: "payloads of at most 255 bytes; response and ack are cmd_type 3",
			kinds: []abi.Type{event: request, request: request, response: response, ack: response},
			shows: func(m, seen *said) {
				setDefault(seen, "node_id", "0")
				seen.attrs["cmd_type"] = map[abi.Type]string{request: "2", response: "3"}[seen.kind]
			},
		}),
		dgramSpeech(),
	}
	for _, v := range []struct {
		name    string
		version packet.Version
	}{{"mqtt-3.1.1", packet.V311}, {"mqtt-5", packet.V5}} {
		for qos := range uint8(3) {
			all = append(all, mqttSpeech(fmt.Sprintf("%s-qos%d", v.name, qos), "mqtt", v.version, qos))
		}
		for _, below := range []string{"ws", "tls", "wss"} {
			all = append(all, mqttSpeech(v.name+"-"+below, "mqtt-"+below, v.version, 1))
		}
	}
	return append(append(all, modbusSpeeches()...), apiSpeeches()...)
}

func setDefault(seen *said, name, value string) {
	if _, ok := seen.attrs[name]; !ok {
		seen.attrs[name] = value
	}
}

// seqSpeech is mcp-seq on whatever is below it.
func seqSpeech(listener string) speech {
	p := speech{
		name: listener, priority: true, kind: request, seq: 21,
		kinds: []abi.Type{event: request, request: request, response: response, ack: response},
	}
	if listener == "mcp-seq-tls" {
		p.adds, p.note = fromTruck, "with TLS and a client's certificate, as every protocol over TLS"
	}
	return p
}

// fromTruck is what the clients' certificate adds to their messages.
var fromTruck = map[string]string{"tls.cn": "truck-7", "tls.san": "truck-7.fleet.example," + svid, "tls.spiffe": svid}

// format is how a client writes and reads messages.
type format interface {
	Append(dst []byte, m *abi.Message) ([]byte, error)
	Decode(b, scratch []byte, m *abi.Message) (n int, grown []byte, err error)
}

// wire completes a protocol whose clients speak frames to the listener of its name.
func wire(p speech) speech {
	p.speak = func(x *matrix) func(said) { return x.sayFrames(p.name, x.preset(p.name)) }
	p.listen = func(x *matrix) <-chan said {
		return x.hearFrames(p.name, x.preset(p.name), p.kinds != nil || p.name == "mcp-cmd")
	}
	return p
}

func dgramSpeech() speech {
	p := speech{
		name: "mcp-dgram", attrs: []string{"channel"}, kind: request, seq: 24 | 3<<32,
		kinds: []abi.Type{event: event, request: request, response: response, ack: response},
		shows: func(m, seen *said) {
			if seen.kind == response && m.seq != 0 { // goes by the channel that the request came by
				seen.attrs["channel"] = strconv.FormatUint(m.seq>>32, 10)
			}
			if seen.attrs["channel"] == "0" {
				delete(seen.attrs, "channel") // as the client writes it
			}
		},
	}
	p.speak = func(x *matrix) func(said) { return x.sayFrames(p.name, datagram.Codec{}) }
	p.listen = func(x *matrix) <-chan said { return x.hearFrames(p.name, datagram.Codec{}, true) }
	return p
}

// preset is the peer's end of the format that the listener's frames have.
func (x *matrix) preset(listener string) format {
	name, _ := cutBelow(listener)
	f, ok := frame.Preset(name)
	if !ok {
		x.t.Fatalf("there is no preset %s", name)
	}
	return f.Peer()
}

// sayFrames makes a client that writes frames. What it hears it does not read.
func (x *matrix) sayFrames(listener string, f format) func(said) {
	conn := x.connect(listener, true)
	return func(m said) {
		am := abi.Message{Type: m.kind, Seq: m.seq, Priority: m.priority, Payload: m.payload}
		for name, value := range m.attrs {
			am.Attrs = am.Attrs.AppendString(name, value)
		}
		b, err := f.Append(nil, &am)
		if err != nil {
			x.t.Fatalf("%s: %v", listener, err)
		}
		if _, err := conn.Write(b); err != nil {
			x.t.Errorf("%s: %v", listener, err)
		}
	}
}

// hearFrames makes a client that reads frames. Whether their types come from the wire
// is the caller's knowledge.
func (x *matrix) hearFrames(listener string, f format, typed bool) <-chan said {
	conn := x.connect(listener, true)
	return x.reader(func(tell func(said)) error {
		var b []byte
		chunk := make([]byte, 16<<10)
		for {
			n, err := conn.Read(chunk)
			b = append(b, chunk[:n]...)
			if err != nil {
				return err
			}
			for len(b) > 0 {
				var m abi.Message
				n, _, err := f.Decode(b, nil, &m)
				if err != nil {
					return err
				}
				if n == 0 {
					break
				}
				heard := said{kind: m.Type, priority: m.Priority, attrs: map[string]string{}, payload: append([]byte{}, m.Payload...)}
				if !typed {
					heard.kind = 0
				}
				for name, value := range m.Attrs.All() {
					heard.attrs[string(name)] = string(value)
				}
				tell(heard)
				b = append([]byte{}, b[n:]...)
			}
		}
	})
}

// mqttSpeech is MQTT at one quality of service: that of its messages, and of its
// subscription.
func mqttSpeech(name, listener string, v packet.Version, qos uint8) speech {
	p := speech{name: name, topic: true, qos: qos, kind: event}
	if v == packet.V5 {
		p.attrs = []string{"*"}
	}
	if _, below := cutBelow(listener); below == "tls" || below == "wss" {
		p.adds = maps.Clone(fromTruck)
	}
	p.speak = func(x *matrix) func(said) {
		conn := x.connect(listener, false)
		c := &mqttClient{Conn: conn, t: x.t, v: v}
		c.connect(name + "-in")
		return func(m said) {
			out := packet.Publish{QoS: m.qos, Topic: []byte(m.topic), Payload: m.payload}
			if v == packet.V5 {
				out.Properties = propertiesOf(m.attrs)
			}
			if why := c.publishes(out); why != packet.Success {
				x.t.Errorf("%s: PUBACK or PUBREC says %v", name, why)
			}
		}
	}
	p.listen = func(x *matrix) <-chan said {
		conn := x.connect(listener, false)
		c := &mqttClient{Conn: conn, t: x.t, v: v}
		c.connect(name + "-out")
		c.subscribes(to("m/#", qos))
		return x.reader(func(tell func(said)) error { return hearMQTT(c, tell) })
	}
	return p
}

// propertiesOf is attributes as MQTT 5 writes them.
func propertiesOf(attrs map[string]string) (all packet.Properties) {
	for name, value := range attrs {
		switch name {
		case "content_type":
			all = all.AppendBytes(packet.ContentType, []byte(value))
		case "response_topic":
			all = all.AppendBytes(packet.ResponseTopic, []byte(value))
		case "correlation_data":
			all = all.AppendBytes(packet.CorrelationData, []byte(value))
		default:
			if _, given := fromTruck[name]; !given {
				all = all.AppendUser([]byte(name), []byte(value))
			}
		}
	}
	return all
}

// hearMQTT reads and acknowledges until the connection ends.
func hearMQTT(c *mqttClient, tell func(said)) error {
	_ = c.SetDeadline(time.Now().Add(matrixPatience))
	chunk := make([]byte, 16<<10)
	for {
		n, _, err := packet.Cut(c.in, 0)
		if err != nil {
			return err
		}
		if n == 0 {
			k, err := c.Read(chunk)
			if c.in = append(c.in, chunk[:k]...); err != nil {
				return err
			}
			continue
		}
		unit := c.in[:n:n]
		c.in = c.in[n:]
		if err := hearPacket(c, unit, tell); err != nil {
			return err
		}
	}
}

func hearPacket(c *mqttClient, unit []byte, tell func(said)) error {
	answer := packet.Ack{}
	switch packet.TypeOf(unit) {
	case packet.TypePublish:
		var m packet.Publish
		if err := m.Decode(unit, c.v, packet.FromServer); err != nil {
			return err
		}
		heard := said{topic: string(m.Topic), qos: m.QoS, attrs: map[string]string{}, payload: append([]byte{}, m.Payload...)}
		for rest := m.Properties; len(rest) > 0; {
			var f packet.Property
			f, rest = rest.Next()
			switch f.ID {
			case packet.UserProperty:
				heard.attrs[string(f.Name)] = string(f.Value)
			case packet.ContentType:
				heard.attrs["content_type"] = string(f.Value)
			case packet.ResponseTopic:
				heard.attrs["response_topic"] = string(f.Value)
			case packet.CorrelationData:
				heard.attrs["correlation_data"] = string(f.Value)
			default:
				heard.attrs[fmt.Sprint(f.ID)] = ""
			}
		}
		tell(heard)
		answer.ID, answer.Type = m.ID, packet.TypePuback
		if m.QoS == 2 {
			answer.Type = packet.TypePubrec
		}
		if m.QoS == 0 {
			return nil
		}
	case packet.TypePubrel:
		var rel packet.Ack
		if err := rel.Decode(unit, c.v); err != nil {
			return err
		}
		answer.ID, answer.Type = rel.ID, packet.TypePubcomp
	default:
		return fmt.Errorf("unexpected packet %x", unit)
	}
	_, err := c.Write(packet.AppendAck(nil, &answer, c.v))
	return err
}
