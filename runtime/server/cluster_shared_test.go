package server_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const sharedCluster = `
loops: 2
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
routes: [{name: kept, when: {topic: "d/#"}, to: [subscribers], durable: {tries: 100, backoff: {first: 5ms, most: 50ms}}}]
api: {address: ""}
`

// tally counts what the members of a shared subscription get.
type tally struct {
	mu  sync.Mutex
	got map[string]int
}

// member joins a group; it acknowledges what it gets, or never does.
func (l *tally) member(f *fixture, id, filter string, acks bool, options ...func(*packet.Connect)) (end func()) {
	f.t.Helper()
	c := f.mqtt(packet.V5, id, options...)
	c.subscribes(to(filter, 1))
	return l.reads(c, acks)
}

func (l *tally) reads(c *mqttClient, acks bool) (end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			n, _, err := packet.Cut(c.in, 0)
			if err != nil {
				return
			}
			if n == 0 {
				more := make([]byte, 4096)
				k, err := c.Read(more)
				if c.in = append(c.in, more[:k]...); err != nil {
					return
				}
				continue
			}
			var m packet.Publish
			b := c.in[:n:n]
			if c.in = c.in[n:]; packet.TypeOf(b) != packet.TypePublish || m.Decode(b, c.v, packet.FromServer) != nil {
				continue
			}
			l.mu.Lock()
			l.got[string(m.Payload)]++
			l.mu.Unlock()
			if acks {
				_, _ = c.Write(packet.AppendAck(nil, &packet.Ack{Type: packet.TypePuback, ID: m.ID}, c.v))
			}
		}
	}()
	end = func() { _ = c.Close(); <-done }
	c.t.Cleanup(end)
	return end
}

func (l *tally) distinct() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.got)
}

func newTally() *tally { return &tally{got: map[string]int{}} }

func publishNumbers(t *testing.T, from *mqttClient, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		if code := from.publishes(message("d/"+strconv.Itoa(i%7), strconv.Itoa(i), 1)); code != packet.Success {
			t.Fatalf("PUBACK of %d says %v", i, code)
		}
	}
}

// One member in the cluster gets each message of a durable route, whichever nodes the
// members are on.
func TestASharedSubscriptionGetsADurableMessageOnceInTheCluster(t *testing.T) {
	list := several(t, []*natstest.Server{natstest.Start(t, natstest.Options{})}, 2, sharedCluster)
	both, one := newTally(), newTally()
	var ends []func()
	for i, f := range list {
		for j := range 2 {
			ends = append(ends, both.member(f, "both"+strconv.Itoa(2*i+j), "$share/both/d/#", true))
		}
	}
	ends = append(ends, one.member(list[1], "one", "$share/one/d/+", true))
	list[0].await("weft_link_node_interests", 2)
	list[1].await("weft_link_node_interests", 1)
	const n = 200
	publishNumbers(t, list[0].mqtt(packet.V5, "from"), 0, n/2)
	publishNumbers(t, list[1].mqtt(packet.V5, "to"), n/2, n/2)
	for name, l := range map[string]*tally{"both": both, "one": one} {
		waitFor(t, "all messages to "+name, func() bool { return l.distinct() == n })
	}
	for _, f := range list {
		f.await("weft_log_lag", 0)
	}
	for _, end := range ends {
		end()
	}
	for name, l := range map[string]*tally{"both": both, "one": one} {
		for text, times := range l.got {
			if times != 1 {
				t.Errorf("%s: %s came %d times", name, text, times)
			}
		}
	}
}

// What a member has not acknowledged when its node ends goes to a member on another.
func TestWhatASharedSubscriptionHoldsOutlivesItsNode(t *testing.T) {
	list := several(t, []*natstest.Server{natstest.Start(t, natstest.Options{})}, 2, sharedCluster)
	stays, leaves := newTally(), newTally()
	stays.member(list[0], "stays", "$share/g/d/#", true)
	leaves.member(list[1], "leaves", "$share/g/d/#", false)
	list[0].await("weft_link_node_interests", 1)
	list[1].await("weft_link_node_interests", 1)
	from := list[0].mqtt(packet.V5, "from")
	const n = 200
	publishNumbers(t, from, 0, n/2)
	waitFor(t, "messages on both nodes", func() bool { return leaves.distinct() > 5 && stays.distinct() > 5 })
	ended := make(chan struct{})
	go func() { defer close(ended); list[1].end() }()
	publishNumbers(t, from, n/2, n/2)
	<-ended
	waitFor(t, "all messages", func() bool { return stays.distinct() == n })
}

// A kept session that is its group's only member gets what came while its node was away.
func TestASharedSubscriptionOfAKeptSessionOutlivesItsNode(t *testing.T) {
	servers := []*natstest.Server{natstest.Start(t, natstest.Options{})}
	list := several(t, servers, 2, sharedCluster)
	l := newTally()
	end := l.member(list[1], "kept", "$share/g/d/#", true, persistent)
	list[0].await("weft_link_node_interests", 1)
	from := list[0].mqtt(packet.V5, "from")
	publishNumbers(t, from, 0, 20)
	waitFor(t, "the first messages", func() bool { return l.distinct() == 20 })
	end()
	list[1].end()
	list[0].await("weft_link_nodes", 0)
	publishNumbers(t, from, 20, 30)
	list[0].await("weft_log_lag", 0)
	back := nodeOf(t, servers, "b", sharedCluster)
	l.reads(back.mqtt(packet.V5, "kept", persistent), true)
	waitFor(t, "all messages", func() bool { return l.distinct() == 50 })
}
