package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

func workConfig(folder string, loops int) string {
	return fmt.Sprintf(`
loops: %d
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
  - {name: workers, address: "127.0.0.1:0", frame: length32, subscribe: ["queue:work"]}
routes:
  - {name: jobs, when: {topic: "jobs/#"}, to: ["queue:work", subscribers], durable: {tries: 3, backoff: {first: 5ms, most: 20ms}}}
  - {name: either, when: {topic: "either/#"}, to: [{to: "topic:left", weight: 1}, {to: "topic:right", weight: 1}], durable: {}}
dead_letter: {keep: 10}
backbone: {data: %q, name: one}
api: {address: ""}
`, loops, folder)
}

// A queue's message waits for a member, and reaches one of them alone; those who
// subscribe have it besides.
func TestADurableQueueIsServedOnce(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		f := start(t, "auto", workConfig(t.TempDir(), loops))
		sub, pub := f.mqtt(packet.V5, "sub"), f.mqtt(packet.V5, "pub")
		sub.subscribes(to("jobs/#", 1))
		one, two := f.dial("workers"), f.dial("workers")
		f.await("weft_queue_groups", 1)
		const jobs = 40
		for i := range jobs {
			pub.publishes(message("jobs/x", fmt.Sprint(i), 1))
		}
		for i := range jobs {
			sub.gets(fmt.Sprint(i))
		}
		got := make(chan string, 2*jobs)
		for _, c := range []*client{one, two} {
			go func() {
				for m, err := c.next(); err == nil; m, err = c.next() {
					got <- string(m.Payload)
				}
			}()
		}
		seen := map[string]bool{}
		for range jobs {
			if job := <-got; seen[job] {
				t.Errorf("job %s came twice", job)
			} else {
				seen[job] = true
			}
		}
	})
}

// What nobody takes is offered as often as the route says, and is a dead letter then
// that says where it came from and how far it came.
func TestWhatNobodyTakesIsADeadLetter(t *testing.T) {
	f := start(t, "auto", workConfig(t.TempDir(), 2))
	pub := f.mqtt(packet.V5, "pub")
	pub.publishes(message("jobs/lost", "for nobody", 1))
	f.await("weft_log_dead_total", 1)
	if n := f.Metric("weft_log_redeliveries_total"); n != 2 {
		t.Errorf("offered again %v times", n)
	}
	letters, _ := f.store(1).List(delivery.DeadLetterFilter{}, 10)
	if len(letters) != 1 {
		t.Fatalf("%d letters", len(letters))
	}
	l := letters[0]
	if string(l.Message.Payload) != "for nobody" || l.Cause != "untaken" || l.Text != "no_member" || l.Listener != "mqtt" {
		t.Errorf("%+v", l)
	}
	for name, want := range map[string]string{"dead.route": "jobs", "dead.to": "queue:work", "dead.tries": "3", "dead.node": "one", "dead.from": "pub"} {
		if got, _ := l.Message.Attrs.Get(name); string(got) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// Of weighted destinations each message goes to one, the same on every loop.
func TestADurableRouteWithWeights(t *testing.T) {
	f := start(t, "auto", workConfig(t.TempDir(), 2))
	var subs []*mqttClient
	for i := range 4 {
		c := f.mqtt(packet.V5, fmt.Sprint("sub", i))
		c.subscribes(to("left", 1), to("right", 1))
		subs = append(subs, c)
	}
	const all = 30
	for i := range all {
		if _, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("either/x"), Payload: fmt.Append(nil, i), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	sides := map[string]int{}
	for i := range all {
		for n, c := range subs {
			m := c.gets(fmt.Sprint(i))
			if n == 0 {
				sides[string(m.Topic)]++
			}
		}
	}
	if sides["left"]+sides["right"] != all || sides["left"] == 0 || sides["right"] == 0 {
		t.Errorf("%v", sides)
	}
}

// What everybody has leaves a log that keeps nothing longer; what a session that is
// away has not acknowledged stays.
func TestALogLetsGoOfWhatIsDelivered(t *testing.T) {
	f := start(t, "auto", withLoops(durableConfig(t.TempDir(), "keep: delivered, messages: 1000"), 2))
	sub, pub := f.mqtt(packet.V5, "sub", persistent), f.mqtt(packet.V5, "pub")
	sub.subscribes(to("d/#", 1))
	for i := range 20 {
		pub.publishes(message("d/x", fmt.Sprint(i), 1))
	}
	for i := range 12 {
		sub.gets(fmt.Sprint(i))
	}
	f.await("weft_log_entries", 8)
	sub.breaks(f)
	pub.publishes(message("d/x", "more", 1))
	sub = f.mqttDial(packet.V5)
	sub.connect("sub", persistent)
	for i := 12; i < 20; i++ {
		sub.gets(fmt.Sprint(i))
	}
	sub.gets("more")
	f.await("weft_log_entries", 1) // a node's newest stays
}

// What lies in the outbox of a member that ends is offered to another one: only what
// was handed to the operating system counts as taken.
func TestAQueueMemberThatEndsTakesNothingAlong(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		config := strings.Replace(workConfig(t.TempDir(), loops), "tries: 3, backoff: {first: 5ms, most: 20ms}", "tries: 100", 1)
		f := start(t, "auto", strings.Replace(config, `subscribe: ["queue:work"]`, `subscribe: ["queue:work"], outbox: {size: 4MiB}`, 1))
		pub := f.mqtt(packet.V5, "pub")
		deaf := f.dial("workers")
		f.await("weft_queue_groups", 1)
		const jobs, size = 250, 60_000
		for i := range jobs {
			pub.publishes(message("jobs/x", fmt.Sprintf("%03d%*s", i, size, ""), 1))
		}
		sent := 0.0
		waitFor(t, "the socket's buffers to be full", func() bool {
			before, queued := sent, f.Metric("weft_loop_queued_bytes")
			for range 3 { // what a socket has room for does not wait in an outbox for longer
				f.Turn()
			}
			sent = f.MetricOf("weft_sent_bytes_total", "workers")
			return queued > 0 && sent > 0 && sent == before
		})
		alive := f.dial("workers")
		seen := map[string]bool{}
		await := func(n int) {
			for len(seen) < n {
				m, err := alive.next()
				if err != nil {
					t.Fatalf("%d of %d jobs came, %.1f of them went to the member that ended: %v", len(seen), jobs, sent/size, err)
				}
				seen[string(m.Payload[:3])] = true
			}
		}
		_ = deaf.Close()
		_ = alive.SetReadDeadline(time.Now().Add(20 * time.Second))
		await(jobs - int(sent/size) - 1)
	})
}
