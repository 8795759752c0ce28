package server_test

import (
	"strconv"
	"testing"

	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/mqtt/packet"
)

const durableCluster = `
loops: 2
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt}
  - {name: workers, address: "127.0.0.1:0", frame: line, topic: done, subscribe: ["queue:work"], acknowledge: ""}
routes: [{name: jobs, when: {topic: "jobs/#"}, to: ["queue:work"], durable: {tries: 3, backoff: {first: 5ms, most: 20ms}}}]
api: {address: ""}
`

// A durable route's message for a queue group reaches its member on whichever node,
// whichever node takes it out of the log; and where there is none any more it is a dead
// letter, and not lost.
func TestADurableJobFindsItsWorkerOnAnotherNode(t *testing.T) {
	list := several(t, []*natstest.Server{natstest.Start(t, natstest.Options{})}, 2, durableCluster)
	worker := list[1].dial("workers")
	list[0].await("weft_link_node_interests", 1)
	from := list[0].mqtt(packet.V5, "from")
	const n = 200
	for i := range n {
		if code := from.publishes(message("jobs/a", strconv.Itoa(i), 1)); code != packet.Success {
			t.Fatalf("PUBACK of %d says %v", i, code)
		}
	}
	got := map[string]int{}
	for len(got) < n {
		got[string(worker.hear().Payload)]++
	}
	for text, times := range got {
		if times != 1 {
			t.Errorf("%s came %d times", text, times)
		}
	}
	again := list[0].Metric("weft_log_redeliveries_total") + list[1].Metric("weft_log_redeliveries_total")
	if far := list[0].MetricOf("weft_link_out_records_total", "b"); far == 0 || again > 0 {
		t.Errorf("%v messages went to the other node, %v were offered again", far, again)
	}
	_ = worker.Close()
	list[1].await("weft_queue_groups", 0)
	list[0].await("weft_link_node_interests", 0)
	from.publishes(message("jobs/a", "nobody", 1))
	waitFor(t, "a dead letter", func() bool {
		return list[0].Metric("weft_log_dead_total")+list[1].Metric("weft_log_dead_total") == 1
	})
}
