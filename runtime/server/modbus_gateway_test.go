package server_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// plc is a Modbus server of the test's own: holding register n of unit u holds
// 256*u + n, and what is written is kept.
type plc struct {
	addr   string
	served atomic.Int64
	mute   atomic.Bool   // it does not answer
	hold   chan struct{} // if not nil, it answers when this can be read
}

func newPLC(t *testing.T, preset string) *plc {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &plc{addr: l.Addr().String()}
	var all sync.WaitGroup
	var mu sync.Mutex
	conns := []net.Conn{}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			all.Go(func() { p.serve(c, preset) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return p
}

func (p *plc) serve(c net.Conn, preset string) {
	f, _ := frame.Preset(preset)
	values := map[[2]byte]uint16{}
	var buffer []byte
	chunk := make([]byte, 1024)
	for {
		n, err := c.Read(chunk)
		if err != nil {
			return
		}
		buffer = append(buffer, chunk[:n]...)
		for {
			var m abi.Message
			n, _, err := f.Decode(buffer, nil, &m)
			if n == 0 || err != nil {
				break
			}
			p.served.Add(1)
			if p.hold != nil {
				<-p.hold
			}
			text, _ := m.Attrs.Get("unit")
			m.Type, m.Payload = abi.TypeResponse, answer(values, text[0]-'0', m.Payload)
			if !p.mute.Load() {
				b, _ := f.Append(nil, &m)
				c.Write(b)
			}
			buffer = buffer[n:]
		}
	}
}

func answer(values map[[2]byte]uint16, unit byte, pdu []byte) []byte {
	switch pdu[0] {
	case 3:
		out := []byte{3, 2 * pdu[4]}
		for i := range pdu[4] {
			v, ok := values[[2]byte{unit, pdu[2] + i}]
			if !ok {
				v = uint16(unit)<<8 + uint16(pdu[2]+i)
			}
			out = binary.BigEndian.AppendUint16(out, v)
		}
		return out
	case 6:
		values[[2]byte{unit, pdu[2]}] = binary.BigEndian.Uint16(pdu[3:])
		return pdu
	}
	return []byte{pdu[0] | 0x80, 1}
}

func gateway(a, b *plc) string {
	return `
listeners:
  - name: tcp
    address: 127.0.0.1:0
    frame: modbus-tcp
    modbus: {gateway: {1: one, 2: two, 3: {device: two, unit: 7}, 4: gone, 5: mute}}
  - {name: rtu, address: "127.0.0.1:0", frame: modbus-rtu, modbus: {gateway: {any: one}}}
  - {name: seq, address: "127.0.0.1:0", frame: mcp-seq, topic: plc}
routes:
  - {name: plc, when: {topic: plc}, to: ["upstream:two"]}
modbus:
  devices:
    - {name: one, address: "` + a.addr + `", timeout: 10s, retries: 1, pipeline: 4, queue: 2}
    - {name: two, address: "` + b.addr + `", protocol: rtu, timeout: 10s, retries: 0}
    - {name: mute, address: "` + a.addr + `", timeout: 100ms, retries: 1}
    - {name: gone, address: "127.0.0.1:1", timeout: 100ms}
api: {address: ""}
`
}

func TestModbusGateway(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		one, two := newPLC(t, frame.ModbusTCP), newPLC(t, frame.ModbusRTU)
		f := start(t, driver, gateway(one, two))
		c := f.dial("tcp")
		c.wants([]byte{3, 4, 1, 5, 1, 6}, 0x1111, "1", 3, 0, 5, 0, 2)
		c.wants([]byte{3, 4, 2, 5, 2, 6}, 0x1112, "2", 3, 0, 5, 0, 2)
		c.wants([]byte{3, 2, 7, 0}, 0x1113, "3", 3, 0, 0, 0, 1)
		c.wants([]byte{0x84, 1}, 0x1114, "1", 4, 0, 0, 0, 1)   // the device's own exception
		c.wants([]byte{0x83, 11}, 0x1115, "4", 3, 0, 0, 0, 1)  // a device that is not there
		c.wants([]byte{0x83, 10}, 0x1116, "99", 3, 0, 0, 0, 1) // a unit that leads nowhere
		serial := f.dial("rtu")
		serial.wants([]byte{6, 0, 5, 1, 2}, 0, "1", 6, 0, 5, 1, 2)
		serial.wants([]byte{3, 2, 1, 2}, 0, "1", 3, 0, 5, 0, 1)
		// Another protocol asks the device through a route.
		seq := f.dial("seq")
		seq.say(abi.Message{Type: abi.TypeRequest, Seq: 9, Payload: []byte{3, 0, 3, 0, 1}})
		if m := seq.hear(); m.Type != abi.TypeResponse || m.Seq != 9 || !bytes.Equal(m.Payload, []byte{3, 2, 1, 3}) {
			t.Errorf("%+v", m)
		}
		// And the API, which waits for the answer.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		d, err := f.Bus().Request(ctx, &abi.Message{Topic: []byte("plc"), Payload: []byte{3, 0, 4, 0, 1}, Attrs: abi.Attributes(nil).AppendString("unit", "8")})
		if err != nil || !bytes.Equal(d.Message.Payload, []byte{3, 2, 8, 4}) {
			t.Errorf("%+v, %v", d, err)
		}
		one.mute.Store(true)
		c.wants([]byte{0x83, 11}, 0x1117, "5", 3, 0, 0, 0, 1)
		if got := f.MetricOf("weft_modbus_device_retries_total", "mute"); got != 1 {
			t.Errorf("%v retries", got)
		}
	})
}

// Requests of many clients are told apart, and nobody gets another's answer.
func TestModbusGatewayCrowd(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		one, two := newPLC(t, frame.ModbusTCP), newPLC(t, frame.ModbusRTU)
		f := start(t, driver, strings.ReplaceAll(gateway(one, two), "queue: 2", "queue: 64"))
		var all sync.WaitGroup
		for i := range 8 {
			c := f.dial([]string{"tcp", "rtu"}[i%2])
			all.Go(func() {
				for n := range 50 {
					at := byte(8*i + n%8)
					if got := c.askUnit(uint64(n), "1", 3, 0, at, 0, 1); !bytes.Equal(got, []byte{3, 2, 1, at}) {
						t.Errorf("client %d got %x for %d", i, got, at)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// A device's queue is bounded, and so is what one client may have waiting.
func TestModbusGatewayBusy(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		one, two := newPLC(t, frame.ModbusTCP), newPLC(t, frame.ModbusRTU)
		one.hold = make(chan struct{})
		f := start(t, driver, strings.Replace(gateway(one, two), "pipeline: 4", "pipeline: 1", 1))
		c := f.dial("tcp")
		for seq := range uint64(30) {
			for seq == 1 && one.served.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			c.say(abi.Message{Type: abi.TypeRequest, Seq: seq, Attrs: abi.Attributes(nil).AppendString("unit", "1"), Payload: []byte{3, 0, 0, 0, 1}})
		}
		for range 26 { // one is under way, one is next, two are in the queue
			if m := c.hear(); !bytes.Equal(m.Payload, []byte{0x83, 6}) {
				t.Fatalf("%x", m.Payload)
			}
		}
		close(one.hold)
		answered := 0
		for range 4 {
			if m := c.hear(); bytes.Equal(m.Payload, []byte{3, 2, 1, 0}) {
				answered++
			} else if !bytes.Equal(m.Payload, []byte{0x83, 6}) {
				t.Fatalf("%x", m.Payload)
			}
		}
		if answered < 3 {
			t.Errorf("%d answered", answered)
		}
	})
}

// A drain waits for what the device has still to answer.
func TestModbusDrain(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		one, two := newPLC(t, frame.ModbusTCP), newPLC(t, frame.ModbusRTU)
		one.hold = make(chan struct{})
		f := start(t, driver, gateway(one, two))
		c := f.dial("tcp")
		c.say(abi.Message{Type: abi.TypeRequest, Seq: 1, Attrs: abi.Attributes(nil).AppendString("unit", "1"), Payload: []byte{3, 0, 0, 0, 1}})
		for one.served.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		ended := make(chan struct{})
		go func() { f.end(); close(ended) }()
		for f.State().String() != "draining" {
			time.Sleep(time.Millisecond)
		}
		close(one.hold)
		if m := c.hear(); !bytes.Equal(m.Payload, []byte{3, 2, 1, 0}) {
			t.Errorf("%+v", m)
		}
		<-ended
	})
}

func TestModbusPollAndWrite(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		one, two := newPLC(t, frame.ModbusTCP), newPLC(t, frame.ModbusRTU)
		f := start(t, driver, `
modbus:
  devices:
    - name: one
      address: "`+one.addr+`"
      poll: [{at: 40001, count: 2, every: 5ms, topic: "plant/{device}/{unit}/{table}", on_change: true}]
      write: {topic: "plant/{device}/{unit}/set", reply: "plant/{device}/{unit}/result"}
    - name: two
      address: "`+two.addr+`"
      protocol: rtu
      write: {topic: "set/two", unit: 3, reply: "{response_topic}"}
      poll: [{unit: 2, at: 40003, every: 5ms, as: raw}]
api: {address: ""}
`)
		sub, err := f.Bus().Subscribe(t.Context(), []string{"plant/#"}, 64)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := f.Bus().Subscribe(t.Context(), []string{"modbus/two/2/40003"}, 1)
		if err != nil {
			t.Fatal(err)
		}
		write := func(topic, payload string) {
			t.Helper()
			if _, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte(topic), Payload: []byte(payload), Attrs: abi.Attributes(nil).AppendString("correlation_data", "x")}); err != nil {
				t.Fatal(err)
			}
		}
		// The first poll may have been before there was anybody to see it.
		write("plant/one/1/set", `{"40002":513}`)
		set := false
		for !set {
			d, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			set = string(d.Message.Payload) == `{"40001":256,"40002":513}`
			if strings.HasSuffix(string(d.Message.Topic), "/result") {
				if id, _ := d.Message.Attrs.Get("correlation_data"); string(d.Message.Payload) != `{"ok":true}` || string(id) != "x" {
					t.Errorf("%s %s", d.Message.Payload, d.Message.Attrs)
				}
			}
		}
		write("plant/one/1/set", `{"1":true}`)
		last, err := sub.Next(t.Context())
		for err == nil && !strings.Contains(string(last.Message.Payload), "exception") {
			last, err = sub.Next(t.Context())
		}
		if err != nil || string(last.Message.Payload) != `{"ok":false,"error":"modbus exception 1: illegal function","exception":1}` {
			t.Fatalf("%s %s, %v", last.Message.Topic, last.Message.Payload, err)
		}
		answers, err := f.Bus().Subscribe(t.Context(), []string{"answers/#"}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Bus().Publish(t.Context(), &abi.Message{
			Topic: []byte("set/two"), Payload: []byte{6, 0, 9, 0, 1}, Attrs: abi.Attributes(nil).AppendString("response_topic", "answers/1"),
		}); err != nil {
			t.Fatal(err)
		}
		d, err := answers.Next(t.Context())
		if err != nil || string(d.Message.Payload) != `{"ok":true}` {
			t.Fatalf("%s, %v", d.Message.Payload, err)
		}
		if response, _ := d.Message.Attrs.Get("response"); !bytes.Equal(response, []byte{6, 0, 9, 0, 1}) {
			t.Errorf("response %x", response)
		}
		d, err = raw.Next(t.Context())
		if err != nil || !bytes.Equal(d.Message.Payload, []byte{2, 2}) {
			t.Fatalf("%x, %v", d.Message.Payload, err)
		}
		if unit, _ := d.Message.Attrs.Get("unit"); string(unit) != "2" {
			t.Errorf("attributes %s", d.Message.Attrs)
		}
		if f.MetricOf("weft_modbus_device_polls_total", "failed") != 0 || f.MetricOf("weft_modbus_device_connected", "two") != 1 {
			t.Error("polls failed")
		}
	})
}

// An MQTT client asks a device by a route, with the PDU as its message, and gets the
// answer on the topic that it names; it sees what is polled.
func TestModbusByMQTT(t *testing.T) {
	one := newPLC(t, frame.ModbusTCP)
	eachMQTT5(t, `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
routes: [{name: ask, when: {topic: ask/plc}, to: ["upstream:one"]}]
modbus: {devices: [{name: one, address: "`+one.addr+`", poll: [{at: 40001, every: 10ms, topic: polled, retain: true}]}]}
api: {address: ""}
`, func(t *testing.T, f *fixture) {
		c := f.mqtt(packet.V5, "asker")
		m := message("ask/plc", "\x03\x00\x07\x00\x01", 1)
		m.Properties = m.Properties.AppendBytes(packet.ResponseTopic, []byte("my/answer")).AppendBytes(packet.CorrelationData, []byte("42"))
		c.publishes(m)
		if got := c.hears(); string(got.Topic) != "my/answer" || string(got.Payload) != "\x03\x02\x01\x07" {
			t.Errorf("%s: %x", got.Topic, got.Payload)
		}
		for _, unit := range []string{"north", "256", "-1", ""} {
			m := message("ask/plc", "\x03\x00\x07\x00\x01", 1)
			m.Properties = m.Properties.AppendUser([]byte("unit"), []byte(unit))
			if code := c.publishes(m); !code.Failed() {
				t.Errorf("unit %q: %v", unit, code)
			}
		}
		c.subscribes(to("polled", 0))
		if got := c.hears(); string(got.Payload) != `{"40001":256}` {
			t.Errorf("%s: %s", got.Topic, got.Payload)
		}
	})
}

// A request that another loop's client answers is answered once, and timed out once.
func TestModbusAcrossLoops(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, "loops: 2\n"+strings.NewReplacer(`subscribe: ["raw/tcp"]`, `subscribe: ["queue:servers"]`, "timeout: 10s", "timeout: 3s").Replace(unserved))
		service := f.dial("nodes")
		for f.Metric("weft_queue_groups") == 0 {
			time.Sleep(time.Millisecond)
		}
		for range 8 { // on one loop or the other
			c := f.dial("node")
			for _, pdu := range [][]byte{{3, 2, 1, 2}, {0x83, 2}} {
				c.say(abi.Message{Type: abi.TypeRequest, Seq: 5, Attrs: abi.Attributes(nil).AppendString("unit", "5"), Payload: []byte{3, 0, 0, 0, 1}})
				m := service.hear()
				service.say(abi.Message{Type: abi.TypeResponse, Seq: m.Seq, Payload: pdu})
				if got := c.hear(); got.Seq != 5 || !bytes.Equal(got.Payload, pdu) {
					t.Errorf("%+v", got)
				}
			}
		}
		time.Sleep(3500 * time.Millisecond) // longer than an answer may take
		if got := f.Metric("weft_modbus_timeouts_total"); got != 0 {
			t.Errorf("%v requests were answered and timed out", got)
		}
	})
}
