package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// A member of a queue that reads nothing keeps what its buffers have taken. All else
// goes to the others while it is there, and nothing is offered again for its sake.
func TestAQueueMemberThatReadsNothingHoldsNobodyUp(t *testing.T) {
	eachLoops(t, func(t *testing.T, loops int) {
		config := strings.Replace(workConfig(t.TempDir(), loops), `subscribe: ["queue:work"]`,
			`subscribe: ["queue:work"], outbox: {size: 1MiB}, deadlines: {write: 10m}`, 1)
		f := start(t, "auto", config)
		pub := f.mqtt(packet.V5, "pub")
		deaf, alive := f.dial("workers"), f.dial("workers")
		f.awaitOf("weft_connections", "workers", 2)
		const jobs, size = 600, 60_000
		for i := range jobs {
			pub.publishes(message("jobs/x", fmt.Sprintf("%03d%*s", i, size, ""), 1))
		}
		// Half of them would have been the other's. What the system buffers is a few MiB.
		_ = alive.SetReadDeadline(time.Now().Add(25 * time.Second))
		seen := map[string]bool{}
		for len(seen) < jobs*2/3 {
			m, err := alive.next()
			if err != nil {
				t.Fatalf("%d of %d jobs came: %v", len(seen), jobs, err)
			}
			if job := string(m.Payload[:3]); seen[job] {
				t.Errorf("job %s came twice", job)
			} else {
				seen[job] = true
			}
		}
		if n := f.Metric("weft_log_redeliveries_total"); n != 0 {
			t.Errorf("%v entries were offered again", n)
		}
		if err := deaf.SetDeadline(time.Now()); err != nil { // it is there until the end
			t.Error(err)
		}
	})
}

// A server that hangs holds up what goes to it, and nothing that the same destination of
// the route sends elsewhere.
func TestAnUpstreamThatHangsHoldsNobodyUp(t *testing.T) {
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hung.Close()
	defer close(release)
	s := newService(t)
	f := start(t, "auto", `
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt}]
upstreams:
  hung: {protocol: http, members: ["`+strings.TrimPrefix(hung.URL, "http://")+`"], retries: 0, breaker: {calls: 0}, health: {passive: {failures: 0}}}
  well: {protocol: http, members: ["`+s.address()+`"]}
routes: [{name: log, when: {topic: "to/#"}, durable: {}, to: ["upstream:{payload}"]}]
backbone: {data: "`+t.TempDir()+`"}
api: {address: ""}
`)
	c := f.mqtt(packet.V5, "m")
	const n = 2500
	for i := range n {
		pool := "hung"
		if i%100 == 99 {
			pool = "well"
		}
		c.publishes(message("to/"+pool, pool, 1))
	}
	waitFor(t, "all that goes elsewhere to be there", func() bool { return len(s.seen()) == n/100 })
}
