package server_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const clientsConfig = `
loops: 2
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt, mqtt: {window: 12}}
  - {name: web, address: "127.0.0.1:0", frame: line, subscribe: ["live/#"], acknowledge: "", websocket: {}}
  - {name: from, address: "127.0.0.1:0", frame: mqtt}
routes:
  - {name: first, when: {topic: "live/#"}, to: [subscribers]}
api: {address: "127.0.0.1:0"}
`

// clientsTurns are other texts in the place of the routes' line, none of which concerns a
// client that is there.
var clientsTurns = []string{
	"  - {name: comes, address: \"127.0.0.1:0\", frame: line}\nroutes:\n",
	"limits: {connections: 5000}\nroutes:\n",
	"requests: {timeout: 7s}\nroutes:\n  - {name: before, when: {topic: other}, to: [all]}\n",
	"plugins: {one: {file: \"std:topic-router\", config: {rules: [{when: {alarm: high}, topic: never}]}}}\nroutes:\n  - {name: before, when: {listener: from}, chain: [one], to: [subscribers]}\n",
	"upstreams: {pool: {protocol: http, members: [\"127.0.0.1:9\"]}}\nroutes:\n",
	"routes:\n",
}

// heard are the numbers that a receiver has got, in order.
type heard struct {
	name string
	got  int
	err  error
}

// is notes the next number; false when something else came, or the last one.
func (h *heard) is(text string) bool {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n != h.got {
		h.err = fmt.Errorf("%s got %q, want %d", h.name, text, h.got)
		return false
	}
	h.got++
	return true
}

// events takes numbers out of an event stream until it has so many.
func (h *heard) events(stream io.Reader, most int) {
	kind := ""
	for in := bufio.NewScanner(stream); h.got < most && in.Scan(); {
		field, value, _ := strings.Cut(in.Text(), ": ")
		var m struct{ Text string }
		switch {
		case field == "event":
			if kind = value; kind == "missed" || kind == "end" {
				h.err = fmt.Errorf("%s: %s", h.name, kind)
				return
			}
		case field == "data" && kind == "message":
			if json.Unmarshal([]byte(value), &m) != nil || !h.is(m.Text) {
				h.err = errors.Join(h.err, fmt.Errorf("event %q", value))
				return
			}
		}
	}
}

// Who is subscribed by the API's event stream, by MQTT with messages in flight, and by a
// WebSocket, gets everything in order over reloads that do not concern its listener. Over
// those that do, each is told, and a session goes on at the new address.
func TestClientsOverReloads(t *testing.T) {
	f := startFiltering(t, "auto", clientsConfig)
	const batches, batch = 24, 100
	const most = batches * batch
	http1 := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(http1.CloseIdleConnections)
	res, err := http1.Get(f.url() + "/v1/subscribe?topic=live/%23&as=text&buffer=4096")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	sub := f.mqtt(packet.V5, "sub", persistent)
	sub.subscribes(to("live/#", 1))
	web := f.web("web", "/", "")
	_ = web.conn.SetDeadline(time.Now().Add(2 * filterPatience))
	f.await("weft_subscriptions", 3)

	stream, quality, socket := &heard{name: "the event stream"}, &heard{name: "MQTT"}, &heard{name: "the WebSocket"}
	var unacked []uint16
	var all sync.WaitGroup
	all.Go(func() { stream.events(res.Body, most) })
	all.Go(func() {
		// The last ones stay unacknowledged.
		for quality.got < most {
			m := sub.hears()
			if m.Dup || m.QoS != 1 || !quality.is(string(m.Payload)) {
				quality.err = errors.Join(quality.err, fmt.Errorf("message %+v", m))
				return
			}
			if unacked = append(unacked, m.ID); len(unacked) == 8 && quality.got < most {
				for _, id := range unacked {
					sub.acks(packet.TypePuback, id)
				}
				unacked = unacked[:0]
			}
		}
	})
	all.Go(func() {
		for socket.got < most {
			if _, payload := web.read(); !socket.is(payload) {
				return
			}
		}
	})
	pub, _, err := connectFlaky(f.address("from"), "pub")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pub.Close() })
	for n := range batches {
		done := make(chan error, 1)
		go func() {
			_, err := pub.pipelines("live/x", n*batch, 8, func(at int) bool { return at == (n+1)*batch })
			done <- err
		}()
		text := strings.Replace(clientsConfig, "routes:\n", clientsTurns[n%len(clientsTurns)], 1)
		f.yaml.Store(&text)
		if err := errors.Join(f.Reload(t.Context()), <-done); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	for _, h := range []*heard{stream, quality, socket} {
		if h.err != nil || h.got != most {
			t.Errorf("%s has %d of %d: %v", h.name, h.got, most, h.err)
		}
	}
	if t.Failed() {
		return
	}
	for listener, open := range map[string]float64{"mqtt": 1, "web": 1, "from": 1} {
		if n := f.MetricOf("weft_connections", listener); n != open {
			t.Errorf("%v connections of %s", n, listener)
		}
	}

	_ = res.Body.Close()
	f.theirListenersGo(sub, web, pub, most, len(unacked))
	f.end()
	if l := f.Ledger(); l.Lost() != 0 {
		t.Errorf("%+v", l)
	}
}

// theirListenersGo moves the listener of an MQTT client that has not acknowledged the last
// of its messages up to next, and removes that of a WebSocket.
func (f *filtering) theirListenersGo(sub *mqttClient, web *webClient, pub *flaky, next, unacked int) {
	f.t.Helper()
	moved := strings.Replace(clientsConfig, `name: mqtt, address: "127.0.0.1:0"`, fmt.Sprintf("name: mqtt, address: %q", reserved(f.t)), 1)
	moved = strings.Replace(moved, moved[strings.Index(moved, "  - {name: web"):strings.Index(moved, "  - {name: from")], "", 1)
	f.yaml.Store(&moved)
	if err := f.Reload(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	sub.ends(packet.ServerShuttingDown)
	if code, _ := web.closed(); code != 1001 {
		f.t.Errorf("the WebSocket was closed with %d", code)
	}
	for _, listener := range []string{"mqtt", "web"} {
		f.until("the end is counted", func() bool { return f.MetricOf("weft_connections_closed_total", listener, "drained") == 1 })
	}
	if _, err := pub.pipelines("live/x", next, 8, func(at int) bool { return at == next+20 }); err != nil {
		f.t.Fatal(err)
	}
	sub = f.mqttDial(packet.V5)
	if ack := sub.connect("sub", persistent); !ack.SessionPresent {
		f.t.Fatal("the session is gone")
	}
	for n := next - unacked; n < next+20; n++ {
		m := sub.hears()
		sub.acks(packet.TypePuback, m.ID)
		if string(m.Payload) != fmt.Sprint(n) || m.Dup != (n < next) {
			f.t.Fatalf("got %+v, want %d", m, n)
		}
	}
	sub.quiet()
	f.await("weft_subscriptions", 1)
}
