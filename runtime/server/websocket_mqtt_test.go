package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const webMQTT = `
listeners:
  - name: mqtt
    address: 127.0.0.1:0
    frame: mqtt
    websocket: {path: /mqtt, ping: 100ms}
    heartbeat: {close_after: 60s}
loops: 4
api: {address: ""}
`

// mqttPacket is a packet of MQTT 3.1.1 of less than 128 bytes.
func mqttPacket(first byte, body ...string) string {
	all := strings.Join(body, "")
	return string([]byte{first, byte(len(all))}) + all
}

func mqttText(s string) string { return string([]byte{0, byte(len(s))}) + s }

func mqttConnect(client string, keepAlive byte) string {
	return mqttPacket(0x10, mqttText("MQTT"), "\x04\x02\x00", string(rune(keepAlive)), mqttText(client))
}

// A client's connection goes to the loop of its session with what it has sent
// already, whatever way its packets lie in messages.
func TestWebSocketMQTTMoves(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, webMQTT)
		for n := range 12 { // on whichever loop
			client := fmt.Sprintf("client-%d", n)
			c := f.web("mqtt", "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")
			all := mqttConnect(client, 0) + mqttPacket(0x82, "\x00\x01", mqttText(client), "\x00") + mqttPacket(0x30, mqttText(client), "hello")
			switch n % 4 {
			case 0:
				c.send(0x82, all)
			case 1: // a packet spans messages
				c.send(0x82, all[:20])
				c.send(0x82, all[20:])
			case 2: // the last frame in two reads
				wire := string(webFrame(0x82, all[:30])) + string(webFrame(0x82, all[30:]))
				for _, part := range []string{wire[:50], wire[50:]} {
					if _, err := c.conn.Write([]byte(part)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(5 * time.Millisecond)
				}
			case 3: // all in one write, with a ping
				wire := string(webFrame(0x02, all[:10])) + string(webFrame(0x89, "")) + string(webFrame(0x80, all[10:]))
				if _, err := c.conn.Write([]byte(wire)); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{"\x20\x02\x00\x00", "\x90\x03\x00\x01\x00", mqttPacket(0x30, mqttText(client), "hello")}
			for len(want) > 0 {
				first, payload := c.read()
				if first != 0x82 {
					continue // a ping or a pong
				}
				if payload != want[0] {
					t.Fatalf("%s: %q, want %q", client, payload, want[0])
				}
				want = want[1:]
			}
		}
	})
}

// A client that offers no subprotocol is no MQTT client; text is not MQTT; and what is
// WebSocket's own keeps no MQTT client alive. A drain says goodbye in both.
func TestWebSocketMQTTRules(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, webMQTT)
		if _, answer := f.request("mqtt", fmt.Sprintf(upgradeHead, "/mqtt", "")); answer.StatusCode != 400 { // MQTT-6.0.0-3
			t.Errorf("no subprotocol: %s", answer.Status)
		}
		_, answer := f.request("mqtt", fmt.Sprintf(upgradeHead, "/mqtt", "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n"))
		if got := answer.Header.Get("Sec-WebSocket-Protocol"); answer.StatusCode != 101 || got != "mqtt" { // MQTT-6.0.0-4
			t.Errorf("%s, subprotocol %q", answer.Status, got)
		}
		c := f.web("mqtt", "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")
		c.send(0x81, mqttConnect("a", 0)) // MQTT-6.0.0-1
		if code, _ := c.closed(); code != 1003 {
			t.Errorf("text: %d", code)
		}
		c = f.web("mqtt", "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")
		began := time.Now()
		c.send(0x82, mqttConnect("b", 1))
		for { // pongs are no MQTT packets: MQTT-3.1.2-22
			first, payload := c.read()
			if first == 0x89 {
				c.send(0x8A, payload)
			}
			if first == 0x88 {
				break
			}
		}
		if took := time.Since(began); took < time.Second || took > 30*time.Second {
			t.Errorf("closed after %v", took)
		}
		last := f.web("mqtt", "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")
		last.send(0x82, mqttPacket(0x10, mqttText("MQTT"), "\x05\x02\x00\x00\x00", mqttText("last"))) // 5.0
		for first, payload := last.read(); first != 0x82 || payload[0] != 0x20; first, payload = last.read() {
		}
		f.stop()
		for first, payload := last.read(); first != 0x82 || payload != "\xe0\x01\x8b"; first, payload = last.read() {
			if first == 0x88 {
				t.Fatal("no DISCONNECT before the Close frame")
			}
		}
		if code, _ := last.closed(); code != 1001 {
			t.Errorf("drained: %d", code)
		}
	})
}
