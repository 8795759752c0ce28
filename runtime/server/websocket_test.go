package server_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// webClient is a WebSocket client of a few lines: it sends and reads frames as they
// are.
type webClient struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

const upgradeHead = "GET %s HTTP/1.1\r\nHost: weft.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n"

func (f *fixture) address(listener string) string {
	f.t.Helper()
	for _, a := range f.Addresses() {
		if a.Name == listener {
			return a.Addr.String()
		}
	}
	f.t.Fatalf("there is no listener %s", listener)
	return ""
}

// request sends a request and reads the answer's head.
func (f *fixture) request(listener, request string) (*webClient, *http.Response) {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.address(listener))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		f.t.Fatal(err)
	}
	c := &webClient{f.t, conn, bufio.NewReader(conn)}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return c, answer
}

// web opens a WebSocket.
func (f *fixture) web(listener, path, headers string) *webClient {
	f.t.Helper()
	c, answer := f.request(listener, fmt.Sprintf(upgradeHead, path, headers))
	if answer.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(answer.Body)
		f.t.Fatalf("%s: %s", answer.Status, body)
	}
	return c
}

func (c *webClient) send(first byte, payload string) {
	c.t.Helper()
	if _, err := c.conn.Write(webFrame(first, payload)); err != nil {
		c.t.Fatal(err)
	}
}

func webFrame(first byte, payload string) []byte {
	b := []byte{first}
	if len(payload) < 126 {
		b = append(b, 0x80|byte(len(payload)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(payload)))
	}
	b = append(b, 1, 2, 3, 4)
	for i := range len(payload) {
		b = append(b, payload[i]^byte(i%4+1))
	}
	return b
}

// read reads one frame.
func (c *webClient) read() (first byte, payload string) {
	c.t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(c.in, head); err != nil {
		c.t.Fatalf("no frame: %v", err)
	}
	length := int(head[1])
	if length == 126 {
		more := make([]byte, 2)
		if _, err := io.ReadFull(c.in, more); err != nil {
			c.t.Fatal(err)
		}
		length = int(binary.BigEndian.Uint16(more))
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(c.in, b); err != nil {
		c.t.Fatal(err)
	}
	return head[0], string(b)
}

func (c *webClient) expect(first byte, payload string) {
	c.t.Helper()
	if f, got := c.read(); f != first || got != payload {
		c.t.Fatalf("%#x %q, want %#x %q", f, got, first, payload)
	}
}

// closed reads to the Close frame and the end of the connection, and answers the code
// and the reason.
func (c *webClient) closed() (code int, reason string) {
	c.t.Helper()
	for {
		first, payload := c.read()
		if first != 0x88 {
			continue
		}
		if _, err := c.in.ReadByte(); !errors.Is(err, io.EOF) {
			c.t.Errorf("behind the Close frame: %v", err)
		}
		_ = c.conn.Close()
		if len(payload) < 2 {
			return 0, ""
		}
		return int(binary.BigEndian.Uint16([]byte(payload))), payload[2:]
	}
}

const webConfig = `
listeners:
  - name: seq
    address: 127.0.0.1:0
    frame: mcp-seq
    topic: t
    subscribe: [t]
    websocket: {path: /seq, ping: 0s}
    limits: {frame: 1KiB}
    deadlines: {read: 15s}
    heartbeat: {every: 0s, close_after: 30s}
  - name: lines
    address: 127.0.0.1:0
    frame: line
    topic: l
    subscribe: [l]
    acknowledge: ""
    websocket: {origins: ["https://app.example"], headers: [X-Forwarded-For]}
  - name: plain
    address: 127.0.0.1:0
    frame: mcp-seq
    topic: t
    subscribe: [t]
  - name: text
    address: 127.0.0.1:0
    frame: line
    topic: l
    subscribe: [l]
    acknowledge: ""
loops: 3
api:
  address: ""
`

// seq is a frame of mcp-seq with this payload.
func seq(payload string) string {
	b := []byte{1, 1, 0, 7}
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return string(append(append(b, 3), payload...))
}

// Frames go from WebSocket to WebSocket and to plain TCP, and back; a line is a text
// message.
func TestWebSocket(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, webConfig)
			plain := f.dial("plain")
			a, b := f.web("seq", "/seq", "Sec-WebSocket-Protocol: x, mcp-seq\r\n"), f.web("seq", "/seq?a=b", "")
			f.await("weft_subscriptions", 3)
			one := seq("one")
			a.send(0x02, one[:5]) // fragmented, a ping in between
			a.send(0x89, "p")
			a.send(0x80, one[5:])
			a.expect(0x8A, "p")
			for _, c := range []*webClient{a, b} {
				c.expect(0x82, one)
			}
			plain.expectFrame(one)
			two, long := seq("two"), seq(strings.Repeat("x", 300))
			if _, err := io.WriteString(plain, two+long); err != nil {
				t.Fatal(err)
			}
			b.expect(0x82, two)
			b.expect(0x82, long)
			b.send(0x82, two+long) // several frames in one message
			plain.expectFrame(two + long + two + long)
			b.expect(0x82, two)

			text, line := f.dial("text"), f.web("lines", "/", "Origin: https://app.example\r\n")
			f.await("weft_subscriptions", 5)
			line.send(0x81, "grüße")
			line.expect(0x81, "grüße")
			text.expectFrame("grüße\n")
			if _, err := io.WriteString(text, "binary \xff\r\nnext\n"); err != nil {
				t.Fatal(err)
			}
			line.expect(0x82, "binary \xff")
			line.expect(0x81, "next")

			line.send(0x88, "\x03\xe8")
			if code, _ := line.closed(); code != 1000 {
				t.Errorf("Close answered with %d", code)
			}
			if n := f.MetricOf("weft_websocket_upgrades_total", "101"); n != 3 {
				t.Errorf("%v upgrades", n)
			}
		})
	}
}

// expectFrame reads exactly these bytes.
func (c *client) expectFrame(want string) {
	c.t.Helper()
	b := make([]byte, len(want))
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(c.in, b); err != nil || string(b) != want {
		c.t.Fatalf("%q, %v, want %q", b, err, want)
	}
}

// What is no upgrade gets an HTTP answer that says why, and a connection that ends.
func TestWebSocketRefusals(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, webConfig)
			for _, test := range []struct {
				request string
				status  int
				text    string
			}{
				{"GET /other HTTP/1.1\r\nHost: a\r\n\r\n", 404, "path"},
				{"GET /seq HTTP/1.1\r\nHost: a\r\n\r\n", 426, "ws://"},
				{fmt.Sprintf(upgradeHead, "/seq", "Origin: https://evil.example\r\n"), 403, "websocket.origins"},
				{fmt.Sprintf(upgradeHead, "/seq", "Sec-WebSocket-Protocol: mqtt\r\n"), 400, "subprotocols"},
				{"\x10\x20\x00\x04MQTT", 400, "HTTP"},
				{"GET /" + strings.Repeat("x", 9000), 431, "8 KiB"},
			} {
				c, answer := f.request("seq", test.request)
				body, err := io.ReadAll(answer.Body)
				if err != nil || answer.StatusCode != test.status || !strings.Contains(string(body), test.text) {
					t.Errorf("%.30q: %s %q %v", test.request, answer.Status, body, err)
				}
				if _, err := c.in.ReadByte(); err == nil {
					t.Errorf("%.30q: the connection goes on", test.request)
				}
				_ = c.conn.Close()
			}
			f.await("weft_connections", 0)
			if l := f.Ledger(); l.In != 0 || f.MetricOf("weft_websocket_upgrades_total", "400") != 2 {
				t.Errorf("%+v", l)
			}
		})
	}
}

// impatient are the listeners that end a connection after some time.
const impatient = `
listeners:
  - name: slow
    address: 127.0.0.1:0
    frame: mcp-seq
    topic: t
    websocket: {path: /seq, ping: 0s}
    deadlines: {read: 500ms}
    heartbeat: {every: 0s, close_after: 30s}
  - name: silent
    address: 127.0.0.1:0
    frame: mcp-seq
    topic: t
    websocket: {path: /seq, ping: 300ms}
    heartbeat: {every: 0s, close_after: 400ms}
`

// Every way to end, with its code, and a count of it.
func TestWebSocketCloses(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, strings.Replace(webConfig, "listeners:\n", impatient, 1))
			big := seq(strings.Repeat("x", 2000))
			for _, test := range []struct {
				name     string
				listener string
				send     [][]byte
				code     int
				reason   string
			}{
				{"unmasked", "seq", [][]byte{[]byte("\x82\x01a")}, 1002, "masked"},
				{"text", "seq", [][]byte{webFrame(0x81, "hello")}, 1003, "binary"},
				{"not a frame", "seq", [][]byte{webFrame(0x82, "\x09\x09\x09\x09\x00\x00\x00\x00\x00")}, 1007, "mcp-seq"},
				{"too long", "seq", [][]byte{webFrame(0x82, big)}, 1009, "1024"},
				{"half a frame", "slow", [][]byte{webFrame(0x82, seq("abc")[:4])}, 1008, "read_deadline"},
				{"silence", "silent", nil, 1001, "silence"},
			} {
				c := f.web(test.listener, "/seq", "")
				for _, b := range test.send {
					if _, err := c.conn.Write(b); err != nil {
						t.Fatal(err)
					}
				}
				if test.name == "half a frame" { // pongs do not help
					go func() {
						for {
							if _, err := c.conn.Write(webFrame(0x8A, "")); err != nil {
								return
							}
							time.Sleep(50 * time.Millisecond)
						}
					}()
				}
				if code, reason := c.closed(); code != test.code || !strings.Contains(reason, test.reason) {
					t.Errorf("%s: %d %q", test.name, code, reason)
				}
				if n := f.MetricOf("weft_websocket_closes_total", fmt.Sprint(test.code)); n != 1 {
					t.Errorf("%s: %v counted", test.name, n)
				}
			}
			last := f.web("lines", "/", "")
			f.stop()
			if code, reason := last.closed(); code != 1001 || reason != "drained" {
				t.Errorf("drained: %d %q", code, reason)
			}
		})
	}
}

// A client that answers pings stays.
func TestWebSocketPing(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			f := start(t, driver, strings.NewReplacer("ping: 0s", "ping: 500ms", "close_after: 30s", "close_after: 5s").Replace(webConfig))
			c := f.web("seq", "/seq", "")
			for begun := time.Now(); time.Since(begun) < 7*time.Second; { // longer than the silence that ends it
				c.expect(0x89, "")
				c.send(0x8A, "")
			}
			if f.MetricOf("weft_connections_closed_total", "silence") != 0 {
				t.Error("it was closed")
			}
			idle, err := net.Dial("tcp", f.address("seq")) // that never asks for an upgrade
			if err != nil {
				t.Fatal(err)
			}
			defer idle.Close()
			_ = idle.SetReadDeadline(time.Now().Add(time.Minute))
			if n, err := idle.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}
