package clients

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const frames = `
listeners:
  - {name: lines, address: "127.0.0.1:0", frame: line, websocket: {path: /lines}}
  - {name: sized, address: "127.0.0.1:0", frame: length32, topic: all, subscribe: [all], websocket: {path: /sized, ping: 100ms}, limits: {frame: 1MiB}}
api: {address: ""}
`

// dialWebSocket connects by gorilla's client, which offers compression.
func (w *weft) dialWebSocket(listener string, subprotocols ...string) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: subprotocols, EnableCompression: true, HandshakeTimeout: patience, WriteBufferSize: 1000}
	c, answer, err := d.Dial("ws://"+w.address(listener)+"/"+listener, nil)
	if err == nil {
		w.t.Cleanup(func() { _ = c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(patience))
	}
	return c, answer, err
}

// Gorilla's client: messages of every size, cut into fragments by its small buffer;
// pings both ways; compression declined; how it is told the end.
func TestGorillaWebSocket(t *testing.T) {
	w := start(t, frames)
	c, answer, err := w.dialWebSocket("sized", "length32")
	if err != nil {
		t.Fatal(err)
	}
	if c.Subprotocol() != "length32" || answer.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("agreed on %v", answer.Header)
	}
	pinged := make(chan string, 1)
	answerPing := c.PingHandler()
	c.SetPingHandler(func(text string) error {
		select {
		case pinged <- text:
		default: // one is enough
		}
		return answerPing(text)
	})
	ponged := make(chan string, 1)
	c.SetPongHandler(func(text string) error { ponged <- text; return nil })
	for _, n := range []int{0, 1, 120, 121, 122, 1000, 65531, 65532, 200000, 1<<20 - 4} {
		unit := append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, strings.Repeat("x", n)...)
		if err := c.WriteMessage(websocket.BinaryMessage, unit); err != nil {
			t.Fatal(err)
		}
		kind, got, err := c.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage || string(got) != string(unit) {
			t.Fatalf("%d bytes: %d came back, %v", n, len(got), err)
		}
	}
	if err := c.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go func() {
		if got := <-ponged; got != "are you there" {
			t.Errorf("a pong of %q", got)
		}
		<-pinged
		_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "enough"), time.Now().Add(patience))
	}()
	closed := (*websocket.CloseError)(nil)
	if _, _, err := c.ReadMessage(); !errors.As(err, &closed) || closed.Code != 4000 {
		t.Errorf("it ended with %v", err)
	}

	lines, _, err := w.dialWebSocket("lines")
	if err != nil {
		t.Fatal(err)
	}
	if err := lines.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if kind, got, err := lines.ReadMessage(); err != nil || kind != websocket.TextMessage || string(got) != "ACK: hello" {
		t.Errorf("%d %q %v", kind, got, err)
	}
	if err := lines.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("y", 70000))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := lines.ReadMessage(); !errors.As(err, &closed) || closed.Code != websocket.CloseMessageTooBig {
		t.Errorf("a line that is too long: %v", err)
	}
	if _, answer, err := w.dialWebSocket("lines", "mqtt"); err == nil || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("another subprotocol: %v", answer)
	}
}
