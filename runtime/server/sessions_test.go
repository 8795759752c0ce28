package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

func (c *mqttClient) hearsType(want packet.Type) packet.Ack {
	c.t.Helper()
	a := c.hearsAck()
	if a.Type != want {
		c.t.Fatalf("%v came, not %v", a.Type, want)
	}
	return a
}

// comesBack connects as the same client to a node that has, or is to have, its session.
func comesBack(f *fixture, v packet.Version, id string, options ...func(*packet.Connect)) *mqttClient {
	f.t.Helper()
	c := f.mqttDial(v)
	if ack := c.connect(id, append([]func(*packet.Connect){persistent}, options...)...); !ack.SessionPresent {
		f.t.Fatal("the session is not there")
	}
	return c
}

// A client that goes from node to node keeps its session, with all that is in flight in
// both directions: nothing is lost, nothing of QoS 2 comes twice, and its old connection
// is closed once.
func TestASessionMovesBetweenNodes(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		nodes := several(t, alone(t), 2, withLoops(mqttConfig, loops))
		a, b := nodes[0], nodes[1]
		four := with(packet.ReceiveMaximum, 4)
		pub, other := a.mqtt(packet.V5, "pub"), a.mqtt(packet.V5, "other")
		other.subscribes(to("from/sub", 2))
		sub := a.mqtt(packet.V5, "sub", persistent, four)
		sub.subscribes(to("t/#", 2))
		for i := range 10 {
			pub.publishes(message(fmt.Sprint("t/", i), fmt.Sprint(i), uint8(1+i%2)))
		}
		var ids []uint16
		for i := range 4 {
			m := sub.hears()
			if string(m.Payload) != fmt.Sprint(i) || m.Dup {
				t.Fatalf("%q came", m.Payload)
			}
			ids = append(ids, m.ID)
		}
		sub.acks(packet.TypePubrec, ids[1])
		sub.hearsType(packet.TypePubrel)
		own := packet.Publish{Topic: []byte("from/sub"), Payload: []byte("mine"), QoS: 2, ID: 900}
		sub.sends(&own)
		sub.hearsType(packet.TypePubrec)
		other.gets("mine")

		moved := comesBack(b, packet.V5, "sub", four)
		sub.ends(packet.SessionTakenOver)
		for i := range 4 {
			if i == 1 {
				if rel := moved.hearsType(packet.TypePubrel); rel.ID != ids[1] {
					t.Fatalf("PUBREL has %d, not %d", rel.ID, ids[1])
				}
				continue
			}
			if m := moved.hears(); string(m.Payload) != fmt.Sprint(i) || !m.Dup || m.ID != ids[i] {
				t.Fatalf("%q came with id %d, DUP %v; not %d with %d", m.Payload, m.ID, m.Dup, i, ids[i])
			}
		}
		own.Dup = true
		moved.sends(&own)
		moved.hearsType(packet.TypePubrec)
		moved.acks(packet.TypePubcomp, ids[1]) // one place in the window
		if m := moved.hears(); string(m.Payload) != "4" || m.Dup {
			t.Fatalf("%q came", m.Payload)
		}
		b.await("weft_sessions_moved_total", 1)

		back := comesBack(a, packet.V5, "sub")
		moved.ends(packet.SessionTakenOver)
		for _, i := range []int{0, 2, 3, 4, 5, 6, 7, 8, 9} {
			if m := back.gets(fmt.Sprint(i)); m.Dup != (i <= 4) {
				t.Errorf("%d came with DUP %v", i, m.Dup)
			}
		}
		back.acks(packet.TypePubrel, own.ID)
		if comp := back.hearsType(packet.TypePubcomp); comp.Reason != packet.Success {
			t.Errorf("PUBCOMP says %v", comp.Reason)
		}
		other.quiet()
		b.await("weft_mqtt_sessions", 0)
		pub.publishes(message("t/x", "here again", 1))
		back.gets("here again")
		back.quiet()
	})
}

// One client id is one connection in the whole cluster, whatever its sessions are.
func TestAClientIsOnOneNode(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			nodes := several(t, alone(t), 2, withLoops(mqttConfig, 2))
			a, b := nodes[0], nodes[1]
			first := a.mqtt(v, "one")
			first.subscribes(to("t", 1))
			second := b.mqtt(v, "one")
			first.ends(packet.SessionTakenOver)
			kept := a.mqtt(v, "one", persistent)
			second.ends(packet.SessionTakenOver)
			kept.subscribes(to("t", 1))
			clean := b.mqtt(v, "one")
			kept.ends(packet.SessionTakenOver)
			clean.quiet()
			a.await("weft_mqtt_sessions", 0)
			clean.leaves()
			if c := a.mqttDial(v); c.connect("one", persistent).SessionPresent {
				t.Error("a session that was ended by a clean start is back")
			}
		})
	}
}

// What comes by durable routes and by others is there after a clean restart, in flight
// and waiting, with what was acknowledged half.
func TestARestartKeepsSessions(t *testing.T) {
	for name, config := range map[string]string{
		"without durable routes": `
loops: %d
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
backbone: {data: "FOLDER", name: one}
api: {address: ""}
`,
		"with them": strings.ReplaceAll(durableConfig("FOLDER", ""), "%%", "%"),
	} {
		t.Run(name, func(t *testing.T) {
			eachLoops(t, func(t *testing.T, loops int) {
				config := strings.ReplaceAll(withLoops(config, loops), "FOLDER", t.TempDir())
				f := start(t, "auto", config)
				pub := f.mqtt(packet.V5, "pub")
				sub := f.mqtt(packet.V5, "sub", persistent, with(packet.ReceiveMaximum, 2))
				sub.subscribes(to("d/#", 2), to("t/#", 2))
				for i := range 10 {
					pub.publishes(message(fmt.Sprint("t/", i), fmt.Sprint(i), 2))
				}
				first, second := sub.hears(), sub.hears()
				sub.acks(packet.TypePubrec, first.ID)
				sub.hearsType(packet.TypePubrel)
				sub.sends(&packet.Publish{Topic: []byte("nobody"), QoS: 2, ID: 77})
				sub.hearsType(packet.TypePubrec)
				f.end()

				for range 2 { // also when nobody comes in between
					f = start(t, "auto", config)
					f.await("weft_mqtt_sessions", 1)
					f.end()
				}
				f = start(t, "auto", config)
				sub = comesBack(f, packet.V5, "sub")
				if rel := sub.hearsType(packet.TypePubrel); rel.ID != first.ID {
					t.Errorf("PUBREL has %d, not %d", rel.ID, first.ID)
				}
				sub.acks(packet.TypePubcomp, first.ID)
				for i := 1; i < 10; i++ {
					if m := sub.gets(fmt.Sprint(i)); i == 1 && (!m.Dup || m.ID != second.ID) {
						t.Errorf("the second came as %d, DUP %v", m.ID, m.Dup)
					}
				}
				sub.acks(packet.TypePubrel, 77)
				if comp := sub.hearsType(packet.TypePubcomp); comp.Reason != packet.Success {
					t.Errorf("PUBCOMP says %v", comp.Reason)
				}
				pub = f.mqtt(packet.V5, "pub")
				pub.publishes(message("d/x", "new", 1))
				sub.gets("new")
				sub.quiet()
			})
		})
	}
}

// durableNode is a node with a durable route on external servers.
func durableNode(servers []*natstest.Server, name, folder string) string {
	return fmt.Sprintf(`
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
routes: [{name: kept, when: {topic: "d/#"}, to: [subscribers], durable: {}}]
backbone: {name: %s, data: %q, url: [%s]}
api: {address: "127.0.0.1:0"}
`, name, folder, quoted(natstest.URLs(servers)))
}

// A client that moves while durable messages come in gets each of them, from node to node.
func TestASessionMovesWithItsPlaceInTheLogs(t *testing.T) {
	servers := alone(t)
	var nodes []*fixture
	for _, name := range []string{"a", "b"} {
		nodes = append(nodes, start(t, "auto", durableNode(servers, name, t.TempDir())))
	}
	for _, f := range nodes {
		f.await("weft_link_nodes", 1)
	}
	pub := nodes[1].mqtt(packet.V5, "pub")
	sub := nodes[0].mqtt(packet.V5, "sub", persistent, with(packet.ReceiveMaximum, 3))
	sub.subscribes(to("d/#", 2))
	said := 0
	say := func(n int) {
		for range n {
			if code := pub.publishes(message(fmt.Sprint("d/", said%3), fmt.Sprint(said), 2)); code.Failed() {
				t.Fatal(code)
			}
			said++
		}
	}
	heard := 0
	for round := range 6 {
		say(20)
		nodes[round%2].await("weft_log_lag", 0)
		for range 10 {
			sub.gets(fmt.Sprint(heard))
			heard++
		}
		// Some are in flight when it moves; what it has said so far has been read by then,
		// or a PUBREL would rightly come again.
		if len(sub.collects()) == 0 {
			t.Fatal("nothing is in flight")
		}
		next := comesBack(nodes[(round+1)%2], packet.V5, "sub", with(packet.ReceiveMaximum, 3))
		sub.gone()
		sub = next
	}
	for heard < said {
		sub.gets(fmt.Sprint(heard))
		heard++
	}
	sub.quiet()
}

// A client whose node was killed finds its session on another one: with its subscriptions,
// and everything that came by durable routes. The node that was killed leaves it to that
// one when it is back.
func TestASessionOutlivesItsNode(t *testing.T) {
	servers := alone(t)
	folder := t.TempDir()
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte(durableNode(servers, "a", folder)), 0o600); err != nil {
		t.Fatal(err)
	}
	b := start(t, "auto", durableNode(servers, "b", t.TempDir()))
	a := startChild(t, file)
	b.await("weft_link_nodes", 1)
	sub, _, err := connectFlaky(a.addr, "sub")
	if err != nil {
		t.Fatal(err)
	}
	subscribe := packet.Subscribe{ID: 1, Filters: []packet.Subscription{to("d/#", 1)}}
	if _, err := sub.Write(packet.AppendSubscribe(nil, &subscribe, packet.V5)); err != nil {
		t.Fatal(err)
	}
	if p, err := sub.next(); err != nil || packet.TypeOf(p) != packet.TypeSuback {
		t.Fatalf("%x, %v", p, err)
	}
	pub := b.mqtt(packet.V5, "pub")
	for i := range 5 {
		pub.publishes(message("d/x", fmt.Sprint(i), 1))
	}
	a.kill(t)
	_ = sub.Close()
	for i := range 5 {
		pub.publishes(message("d/x", fmt.Sprint(5+i), 1))
	}
	// Also while b does not know yet that a is gone.
	moved := comesBack(b, packet.V5, "sub")
	for i := range 10 {
		moved.gets(fmt.Sprint(i))
	}
	a = startChild(t, file)
	defer a.kill(t)
	b.await("weft_link_nodes", 1)
	pub.publishes(message("d/x", "after", 1))
	moved.gets("after")
	moved.quiet()
	if n := b.Metric("weft_sessions_moved_total"); n != 1 {
		t.Errorf("%v sessions have moved, not 1", n)
	}
}

// A node that has not heard of another one yet, as after it was cut off, asks that for a
// session all the same.
func TestASessionIsAskedForOfANodeNotHeardYet(t *testing.T) {
	nodes := several(t, alone(t), 2, withLoops(mqttConfig, 1))
	a, b := nodes[0], nodes[1]
	sub := a.mqtt(packet.V5, "sub", persistent)
	sub.subscribes(to("t", 1))
	pub := a.mqtt(packet.V5, "pub")
	for i := range 3 {
		pub.publishes(message("t", fmt.Sprint(i), 1))
		sub.hears()
	}
	b.Unheard("a")
	moved := comesBack(b, packet.V5, "sub")
	for i := range 3 {
		moved.gets(fmt.Sprint(i))
	}
	sub.ends(packet.SessionTakenOver)
}

// A node that nobody hears and that does not answer is not asked for each of its sessions,
// until it is heard.
func TestANodeThatDoesNotAnswerIsAskedOnce(t *testing.T) {
	servers := alone(t)
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte(durableNode(servers, "a", t.TempDir())), 0o600); err != nil {
		t.Fatal(err)
	}
	b := start(t, "auto", durableNode(servers, "b", t.TempDir()))
	a := startChild(t, file)
	defer a.kill(t)
	b.await("weft_link_nodes", 1)
	conn, _, err := connectFlaky(a.addr, "sub")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	signal := func(s os.Signal) {
		t.Helper()
		if err := a.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	b.await("weft_link_nodes", 0)
	if !b.Asks("a") {
		t.Error("a node is not asked that has not been")
	}
	comesBack(b, packet.V5, "sub")
	if b.Asks("a") {
		t.Error("a node that did not answer is asked again")
	}
	signal(syscall.SIGCONT)
	b.await("weft_link_nodes", 1)
	if !b.Asks("a") {
		t.Error("a node that is heard again is not asked")
	}
}

// Of two connections with one client id, made to two nodes at the same moment, one stays,
// with the session.
func TestTwoNodesClaimOneSession(t *testing.T) {
	servers := alone(t)
	var nodes []*fixture
	for _, name := range []string{"a", "b"} {
		nodes = append(nodes, start(t, "auto", durableNode(servers, name, t.TempDir())))
	}
	for _, f := range nodes {
		f.await("weft_link_nodes", 1)
	}
	pub := nodes[0].mqtt(packet.V5, "pub")
	first := nodes[0].mqtt(packet.V5, "sub", persistent)
	first.subscribes(to("d/#", 1))
	for round := range 20 {
		conns := make([]*flaky, 2)
		var ready sync.WaitGroup
		for i, f := range nodes {
			ready.Go(func() {
				// An error says that the other one was preferred before this had its CONNACK.
				conns[i], _, _ = connectFlaky(f.Addresses()[0].Addr.String(), "sub")
			})
		}
		ready.Wait()
		text := fmt.Sprint("round ", round)
		pub.publishes(message("d/x", text, 1))
		got, over := 0, 0
		var mu sync.Mutex
		var read sync.WaitGroup
		for _, c := range conns {
			if c == nil {
				over++
				continue
			}
			read.Go(func() {
				b, err := c.next()
				mu.Lock()
				defer mu.Unlock()
				var m packet.Publish
				switch {
				case err == nil && packet.TypeOf(b) == packet.TypeDisconnect:
					over++
				case err == nil && m.Decode(b, packet.V5, packet.FromServer) == nil && string(m.Payload) == text:
					got++
					_, err = c.Write(packet.AppendAck(nil, &packet.Ack{Type: packet.TypePuback, ID: m.ID}, packet.V5))
				}
				if err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		read.Wait()
		if got != 1 || over != 1 {
			t.Fatalf("round %d: %d connections got the message, %d were closed", round, got, over)
		}
		for _, c := range conns {
			if c == nil {
				continue
			}
			// What was acknowledged is known as such before the next round.
			_, _ = c.Write(packet.AppendPingreq(nil))
			_, _ = c.next()
			_ = c.Close()
		}
	}
}

// When a node is stopped its clients go to another one at once, while it still drains,
// and find there all that waited for them.
func TestClientsOfAStoppedNodeGoOnElsewhere(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		nodes := several(t, alone(t), 2, withLoops(mqttConfig, loops))
		a, b := nodes[0], nodes[1]
		pub := a.mqtt(packet.V5, "pub")
		const clients = 8
		var subs []*mqttClient
		for i := range clients {
			sub := a.mqtt(packet.V5, fmt.Sprint("sub", i), persistent, with(packet.ReceiveMaximum, 1))
			sub.subscribes(to("t", 1))
			subs = append(subs, sub)
		}
		for i := range 5 {
			pub.publishes(message("t", fmt.Sprint(i), 1))
		}
		for _, sub := range subs {
			if m := sub.hears(); string(m.Payload) != "0" {
				t.Fatalf("%q came", m.Payload)
			}
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			a.end()
		}()
		for i, sub := range subs {
			sub.ends(packet.ServerShuttingDown)
			sub = comesBack(b, packet.V5, fmt.Sprint("sub", i))
			for j := range 5 {
				sub.gets(fmt.Sprint(j))
			}
		}
		<-stopped
		b.await("weft_sessions_moved_total", clients)
	})
}

// What does not fit into a record is counted; what came by a durable route is not lost.
func TestARecordIsBounded(t *testing.T) {
	config := strings.Replace(durableConfig(t.TempDir(), ""), "%d", "1", 1)
	f := start(t, "auto", config)
	pub := f.mqtt(packet.V5, "pub")
	sub := f.mqtt(packet.V5, "sub", persistent)
	sub.subscribes(to("d/#", 1), to("t/#", 1))
	sub.leaves()
	large := strings.Repeat("x", 50<<10)
	for i := range 20 {
		pub.publishes(message("t/x", fmt.Sprint(i, large), 1))
		pub.publishes(message("d/x", fmt.Sprint(i, large), 1))
	}
	f.end()
	f = start(t, "auto", config)
	sub = comesBack(f, packet.V5, "sub")
	got := map[string]int{}
	for range 10 + 20 {
		m := sub.hears()
		sub.acks(packet.TypePuback, m.ID)
		got[string(m.Topic)]++
	}
	if got["t/x"] != 10 || got["d/x"] != 20 {
		t.Errorf("%v came", got)
	}
	sub.quiet()
}

// A client may speak before it has its CONNACK: what it says meanwhile, whole or in
// pieces, comes after it.
func TestAClientSpeaksWhileItsSessionIsClaimed(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		nodes := several(t, alone(t), 2, withLoops(mqttConfig, loops))
		for round := range 10 {
			c := nodes[round%2].mqttDial(packet.V5)
			connect := packet.Connect{Version: packet.V5, ClientID: []byte("eager"), KeepAlive: 60}
			persistent(&connect)
			subscribe := packet.Subscribe{ID: 1, Filters: []packet.Subscription{to("t", 1)}}
			said := packet.AppendSubscribe(packet.AppendConnect(nil, &connect), &subscribe, packet.V5)
			said = packet.AppendPublish(said, &packet.Publish{Topic: []byte("t"), Payload: []byte("at once"), QoS: 1, ID: 7}, packet.V5)
			cut := len(said) * (round + 1) / 11
			c.send(said[:cut])
			c.send(said[cut:])
			var ack packet.Connack
			c.expect(packet.TypeConnack, func(b []byte) error { return ack.Decode(b, packet.V5) })
			if ack.SessionPresent != (round > 0) {
				t.Errorf("round %d: session present is %v", round, ack.SessionPresent)
			}
			seen := map[packet.Type]bool{}
			for range 3 {
				b := c.packet()
				if seen[packet.TypeOf(b)] = true; packet.TypeOf(b) == packet.TypePublish {
					var m packet.Publish
					if err := m.Decode(b, packet.V5, packet.FromServer); err != nil || string(m.Payload) != "at once" {
						t.Fatalf("%q, %v", m.Payload, err)
					}
					c.acks(packet.TypePuback, m.ID)
				}
			}
			if !seen[packet.TypeSuback] || !seen[packet.TypePuback] || !seen[packet.TypePublish] {
				t.Fatalf("round %d: %v came", round, seen)
			}
			c.quiet()
			c.gone()
		}
	})
}
