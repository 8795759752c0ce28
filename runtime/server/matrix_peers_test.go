package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/datagram"
	"github.com/weftrun/weft/runtime/frame"
)

// matrixPatience is how long connections of the matrix last.
const matrixPatience = time.Minute

// matrix is one server with a listener for every protocol, and its clients.
type matrix struct {
	t        *testing.T
	f        *fixture
	fleet    *fleet
	sessions int // of listeners that subscribe their sessions
	readers  sync.WaitGroup
	tcp, rtu *recorder
	meter    *recorder
}

const matrixListeners = `
  - {name: %[1]s, address: "127.0.0.1:0", frame: %[1]s, topic: "m/{listener}", subscribe: ["m/#"], acknowledge: ""}`

const matrixConfig = `
loops: %[1]d
listeners:%[2]s
  - {name: mcp-seq-ws, address: "127.0.0.1:0", frame: mcp-seq, topic: "m/{listener}", subscribe: ["m/#"], websocket: {path: /}}
  - {name: mcp-seq-tls, address: "127.0.0.1:0", frame: mcp-seq, topic: "m/{listener}", subscribe: ["m/#"], tls: &tls %[3]s}
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
  - {name: mqtt-ws, address: "127.0.0.1:0", frame: mqtt, websocket: {path: /}}
  - {name: mqtt-tls, address: "127.0.0.1:0", frame: mqtt, tls: *tls}
  - {name: mqtt-wss, address: "127.0.0.1:0", frame: mqtt, websocket: {path: /}, tls: *tls}
  - {name: modbus-tcp, address: "127.0.0.1:0", frame: modbus-tcp, topic: "m/{listener}"}
  - {name: modbus-rtu, address: "127.0.0.1:0", frame: modbus-rtu, topic: "m/{listener}"}
modbus:
  devices:
    - {name: tcp, address: "%[4]s"}
    - {name: rtu, address: "%[5]s", protocol: rtu, write: {topic: w, unit: 3}}
    - name: meter
      address: "%[6]s"
      timeout: 1m
      retries: 0
      poll: [{unit: 7, at: 40001, count: 120, every: 10ms, topic: m/modbus-poll, as: raw, on_change: true}]
routes: [{name: all, when: {topic: "m/#"}, to: [subscribers, "upstream:tcp", "topic:w"]}]
api: {address: "127.0.0.1:0"}
`

func newMatrix(t *testing.T, driver string, loops int) *matrix {
	x := &matrix{t: t, fleet: newFleet(t), tcp: newRecorder(t, frame.ModbusTCP), rtu: newRecorder(t, frame.ModbusRTU), meter: newRecorder(t, frame.ModbusTCP)}
	listeners := ""
	for _, name := range []string{"line", "length32", "mcp-flag", "mcp-magic", "mcp-seq", "mcp-cmd", "mcp-node", "mcp-dgram"} {
		listeners += fmt.Sprintf(matrixListeners, name)
	}
	secured := fmt.Sprintf("{cert: %q, key: %q, client_ca: %q}", x.fleet.cert, x.fleet.key, x.fleet.ca)
	x.f = start(t, driver, fmt.Sprintf(matrixConfig, loops, listeners, secured, x.tcp.addr, x.rtu.addr, x.meter.addr))
	t.Cleanup(x.readers.Wait) // runs when every client has closed
	return x
}

// subscribed waits until the sessions of frames have their subscriptions.
func (x *matrix) subscribed() {
	x.t.Helper()
	const devices, mqtt, api = 0, 12, 3
	x.f.await("weft_subscriptions", float64(x.sessions+devices+mqtt+api))
}

// cutBelow parts a listener's name from what is below its frames.
func cutBelow(listener string) (name, below string) {
	for _, below := range []string{"ws", "tls", "wss"} {
		if name, ok := strings.CutSuffix(listener, "-"+below); ok {
			return name, below
		}
	}
	return listener, ""
}

// connect connects to a listener, through what is below its frames. subscribes: its
// sessions have a subscription from the beginning.
func (x *matrix) connect(listener string, subscribes bool) net.Conn {
	x.t.Helper()
	if subscribes {
		x.sessions++
	}
	if listener == "mcp-dgram" {
		return dialDgram(x.t, x.f.address(listener), datagram.Config{}).Stream
	}
	conn, err := net.Dial("tcp", x.f.address(listener))
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(matrixPatience))
	_, below := cutBelow(listener)
	if below == "tls" || below == "wss" {
		conn = tls.Client(conn, x.fleet.client(true))
	}
	if below == "ws" || below == "wss" {
		conn = x.upgrade(conn, listener)
	}
	return conn
}

// upgrade makes a WebSocket of a connection.
func (x *matrix) upgrade(conn net.Conn, listener string) net.Conn {
	x.t.Helper()
	protocol := ""
	if strings.HasPrefix(listener, "mqtt") {
		protocol = "Sec-WebSocket-Protocol: mqtt\r\n"
	}
	if _, err := fmt.Fprintf(conn, upgradeHead, "/", protocol); err != nil {
		x.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		x.t.Fatalf("%s: %v, %v", listener, answer, err)
	}
	return &webStream{Conn: conn, in: in}
}

// webStream is the bytes of a WebSocket's messages.
type webStream struct {
	net.Conn
	in   *bufio.Reader
	left int // of a frame
}

func (s *webStream) Read(b []byte) (int, error) {
	for s.left == 0 {
		head := make([]byte, 2)
		if _, err := io.ReadFull(s.in, head); err != nil {
			return 0, err
		}
		if s.left = int(head[1]); s.left == 126 {
			if _, err := io.ReadFull(s.in, head); err != nil {
				return 0, err
			}
			s.left = int(binary.BigEndian.Uint16(head))
		}
	}
	n, err := s.in.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

func (s *webStream) Write(b []byte) (int, error) { return s.Conn.Write(webFrame(0x82, string(b))) }

// reader runs a client that hears messages until its connection ends.
func (x *matrix) reader(run func(tell func(said)) error) <-chan said {
	heard := make(chan said, 128)
	x.readers.Go(func() {
		defer close(heard)
		err := run(func(m said) { heard <- m })
		if err != nil && x.t.Context().Err() == nil {
			x.t.Errorf("a client has ended: %v", err)
		}
	})
	return heard
}

// recorder is a Modbus server that tells what is written to it, and answers polls with
// what it is given.
type recorder struct {
	addr    string
	written chan said
	polled  chan []byte
}

func newRecorder(t *testing.T, preset string) *recorder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{addr: l.Addr().String(), written: make(chan said, 128), polled: make(chan []byte, 1)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(t.Context(), func() { _ = c.Close() })
			serving.Go(func() {
				defer stop()
				r.serve(t.Context(), c, preset)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return r
}

func (r *recorder) serve(ctx context.Context, c net.Conn, preset string) {
	defer func() { _ = c.Close() }()
	f, _ := frame.Preset(preset)
	var b, values []byte
	chunk := make([]byte, 4096)
	for {
		n, err := c.Read(chunk)
		if err != nil {
			return
		}
		b = append(b, chunk[:n]...)
		var m abi.Message
		n, _, err = f.Decode(b, nil, &m)
		if err != nil {
			return
		}
		if n == 0 {
			continue
		}
		pdu := bytes.Clone(m.Payload)
		b = b[n:]
		if pdu[0] == 16 {
			unit, _ := m.Attrs.Get("unit")
			r.written <- said{attrs: map[string]string{"unit": string(unit)}, payload: pdu}
			pdu = pdu[:5]
		} else {
			select {
			case values = <-r.polled:
				r.polled <- values // they stay
			case <-ctx.Done():
				return
			}
			pdu = append([]byte{3, byte(len(values))}, values...)
		}
		m.Type, m.Payload = abi.TypeResponse, pdu
		out, err := f.Append(nil, &m)
		if err != nil {
			panic(err)
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// modbusSpeeches: clients that write, devices that are written to, and one that is
// polled.
func modbusSpeeches() []speech {
	var all []speech
	for _, name := range []string{"modbus-tcp", "modbus-rtu"} {
		p := speech{name: name, attrs: []string{"unit"}, adds: map[string]string{"function": "16"}, kind: request, seq: 1, note: "in: a client's request; out: a device is written to, by upstream:NAME"}
		p.shows = func(_, seen *said) { setDefault(seen, "unit", "1") }
		if name == "modbus-rtu" {
			p.note = "out: a device that writes what a topic brings; its unit is the configuration's"
			p.shows = func(_, seen *said) { seen.attrs["unit"] = "3" }
		}
		p.speak = func(x *matrix) func(said) {
			f := x.sayFrames(name, x.preset(name))
			x.sessions--
			return f
		}
		p.listen = func(x *matrix) <-chan said {
			return map[string]*recorder{"modbus-tcp": x.tcp, "modbus-rtu": x.rtu}[name].written
		}
		all = append(all, p)
	}
	return append(all, speech{
		name: "modbus-poll", note: "what a device says when weft asks it",
		adds: map[string]string{"device": "meter", "unit": "7", "table": "holding", "at": "40001", "count": "120"},
		speak: func(x *matrix) func(said) {
			return func(m said) { x.meter.polled <- m.payload }
		},
	})
}

// apiSpeeches: gRPC, Connect with JSON, and plain HTTP with Server-Sent Events.
func apiSpeeches() []speech {
	same := []abi.Type{event: event, request: request, response: response, ack: ack}
	full := speech{topic: true, priority: true, qos: 2, attrs: []string{"*"}, kinds: same}
	grpc, connectJSON, plain := full, full, full
	grpc.name, grpc.kind, grpc.seq = "grpc", request, 23
	grpc.speak = func(x *matrix) func(said) { return x.sayAPI(x.grpc()) }
	grpc.listen = func(x *matrix) <-chan said { return x.hearAPI(x.grpc()) }
	connectJSON.name, connectJSON.kind = "http-json", response
	connectJSON.speak = func(x *matrix) func(said) { return x.sayAPI(x.connectJSON()) }
	connectJSON.listen = func(x *matrix) <-chan said { return x.hearAPI(x.connectJSON()) }
	plain.name, plain.kind, plain.note = "http", ack, "in: the body is the payload, headers are the rest; out: Server-Sent Events"
	plain.speak = func(x *matrix) func(said) { return x.sayHTTP() }
	plain.listen = func(x *matrix) <-chan said { return x.hearEvents() }
	return []speech{grpc, connectJSON, plain}
}

func (x *matrix) http(http2 bool) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	x.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (x *matrix) grpc() weftv1connect.MessagesClient {
	return weftv1connect.NewMessagesClient(x.http(true), x.f.url(), connect.WithGRPC())
}

func (x *matrix) connectJSON() weftv1connect.MessagesClient {
	return weftv1connect.NewMessagesClient(x.http(false), x.f.url(), connect.WithProtoJSON())
}

func (x *matrix) sayAPI(c weftv1connect.MessagesClient) func(said) {
	return func(m said) {
		answer, err := c.Publish(x.t.Context(), connect.NewRequest(&weftv1.PublishRequest{
			Topic: m.topic, Attributes: m.attrs, Body: &weftv1.PublishRequest_Payload{Payload: m.payload},
			Type: weftv1.Type(m.kind + 1), Priority: uint32(m.priority), Qos: uint32(m.qos), Seq: m.seq,
		}))
		if err != nil || !answer.Msg.GetAccepted() {
			x.t.Errorf("%v, %v", answer, err)
		}
	}
}

func (x *matrix) hearAPI(c weftv1connect.MessagesClient) <-chan said {
	stream, err := c.Subscribe(x.t.Context(), connect.NewRequest(&weftv1.SubscribeRequest{Patterns: []string{"m/#"}, As: weftv1.Encoding_ENCODING_BYTES}))
	if err != nil || !stream.Receive() || stream.Msg().GetSubscribed() == nil {
		x.t.Fatalf("%v, %v", stream.Msg(), err)
	}
	return x.reader(func(tell func(said)) error {
		defer func() { _ = stream.Close() }()
		for stream.Receive() {
			tell(ofAPI(stream.Msg().GetMessage()))
		}
		return stream.Err()
	})
}

func ofAPI(m *weftv1.Message) said {
	heard := said{
		topic: m.GetTopic(), kind: abi.Type(m.GetType() - 1), priority: uint8(m.GetPriority()), qos: uint8(m.GetQos()),
		attrs: m.GetAttributes(), payload: m.GetPayload(),
	}
	if heard.attrs == nil {
		heard.attrs = map[string]string{}
	}
	return heard
}

func (x *matrix) sayHTTP() func(said) {
	c := x.http(false)
	return func(m said) {
		r, err := http.NewRequestWithContext(x.t.Context(), http.MethodPost, x.f.url()+"/v1/publish/"+m.topic, bytes.NewReader(m.payload))
		if err != nil {
			x.t.Fatal(err)
		}
		for name, value := range m.attrs {
			r.Header.Set("Weft-Attr-"+name, value)
		}
		r.Header.Set("Weft-Type", m.kind.String())
		r.Header.Set("Weft-Priority", fmt.Sprint(m.priority))
		r.Header.Set("Weft-QoS", fmt.Sprint(m.qos))
		answer, err := c.Do(r)
		if err != nil {
			x.t.Error(err)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		if body, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"accepted":true`)) {
			x.t.Errorf("%s: %s", answer.Status, body)
		}
	}
}

// hearEvents reads Server-Sent Events.
func (x *matrix) hearEvents() <-chan said {
	r, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, x.f.url()+"/v1/subscribe?as=bytes&topic="+url.QueryEscape("m/#"), nil)
	if err != nil {
		x.t.Fatal(err)
	}
	answer, err := x.http(false).Do(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		x.t.Fatalf("%v, %v", answer, err)
	}
	in := bufio.NewReader(answer.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "event: subscribed\n" {
		x.t.Fatalf("%q, %v", line, err)
	}
	return x.reader(func(tell func(said)) error {
		defer func() { _ = answer.Body.Close() }()
		for kind := "subscribed"; ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			if after, ok := strings.CutPrefix(line, "event: "); ok {
				kind = strings.TrimSpace(after)
			}
			data, ok := strings.CutPrefix(line, "data: ")
			if !ok || kind == "subscribed" {
				continue
			}
			if kind != "message" {
				return errors.New(kind + " " + data)
			}
			heard, err := ofJSON(data)
			if err != nil {
				return err
			}
			tell(heard)
		}
	})
}

func ofJSON(text string) (said, error) {
	var m struct {
		Topic      string            `json:"topic"`
		Attributes map[string]string `json:"attributes"`
		Payload    []byte            `json:"payload"`
		Type       string            `json:"type"`
		Priority   uint8             `json:"priority"`
		QoS        uint8             `json:"qos"`
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return said{}, fmt.Errorf("%w: %s", err, text)
	}
	if m.Attributes == nil {
		m.Attributes = map[string]string{}
	}
	kind := abi.Type(weftv1.Type_value[m.Type] - 1)
	return said{topic: m.Topic, kind: kind, priority: m.Priority, qos: m.QoS, attrs: m.Attributes, payload: m.Payload}, nil
}
