package server_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/frame"
)

const churn = `
listeners:
  - {name: in, address: "127.0.0.1:0", frame: mcp-seq, topic: "t", chain: [guest], outbox: {size: 16MiB}, heartbeat: {every: 0s, close_after: 0s}}
  - {name: out, address: "127.0.0.1:0", frame: mcp-seq, topic: "u", subscribe: ["t"], outbox: {size: 16MiB}}
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, on_failure: closed, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
loops: LOOPS
api: {address: ""}
`

const (
	churners   = 200
	perChurner = 500
	everyTrap  = 1000
)

// 100,000 frames in random splits over 200 connections that come and go, and a
// plugin that traps on every 1,000th message: every other message arrives once
// and in its connection's order.
func TestEveryOtherMessageArrivesOnceAndInOrder(t *testing.T) {
	for _, loops := range []string{"1", "2"} {
		t.Run("loops="+loops, func(t *testing.T) {
			each(t, func(t *testing.T, driver string) { churnAgainst(t, start(t, driver, replace(churn, "LOOPS", loops))) })
		})
	}
}

func churnAgainst(t *testing.T, f *fixture) {
	out := f.dial("out")
	f.await("weft_subscriptions", 1)
	const total = churners * perChurner
	received := make(chan error, 1)
	go func() { received <- out.receiveAll(total - total/everyTrap) }()
	var senders sync.WaitGroup
	slots := make(chan struct{}, 25)
	for id := range churners {
		slots <- struct{}{}
		senders.Go(func() {
			defer func() { <-slots }()
			f.dial("in").sendSplit(id)
		})
	}
	senders.Wait()
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	f.await("weft_messages_in_total", total)
	f.end()
	l := f.Ledger()
	if l.Delivered != total-total/everyTrap || f.MetricOf("weft_messages_dropped_total", "plugin_trap") != total/everyTrap {
		t.Errorf("the ledger: %+v", l)
	}
}

// sendSplit sends a connection's messages in pieces of random lengths and closes.
func (c *client) sendSplit(id int) {
	random := rand.New(rand.NewPCG(uint64(id), 1))
	var all []byte
	for n := range perChurner {
		// The guest does what the payload says: here, as good as nothing.
		payload := fmt.Sprintf("unset %d.%d", id, n)
		if (id*perChurner+n)%everyTrap == everyTrap-1 {
			payload += "\ntrap"
		}
		var err error
		all, err = c.format.Append(all, &abi.Message{Type: abi.TypeRequest, Seq: uint64(n), Payload: []byte(payload)})
		if err != nil {
			c.t.Error(err)
			return
		}
	}
	for len(all) > 0 {
		n := min(1+random.IntN(900), len(all))
		if _, err := c.Write(all[:n]); err != nil {
			c.t.Error(err)
			return
		}
		all = all[n:]
	}
	_ = c.Close()
}

// receiveAll reads so many messages and checks that each connection's came in
// order and none twice.
func (c *client) receiveAll(total int) error {
	next := make([]int, churners)
	buffer := make([]byte, 0, 1<<20)
	for got := 0; got < total; {
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return err
		}
		n, err := c.Read(buffer[len(buffer):cap(buffer)])
		if err != nil {
			return fmt.Errorf("after %d messages: %w", got, err)
		}
		buffer = buffer[:len(buffer)+n]
		cut, messages, err := cutAll(c.format, buffer, next)
		if err != nil {
			return fmt.Errorf("after %d messages: %w", got, err)
		}
		got += messages
		buffer = buffer[:copy(buffer, buffer[cut:])]
	}
	return nil
}

func cutAll(format *frame.Format, b []byte, next []int) (cut, messages int, err error) {
	for {
		var m abi.Message
		n, _, err := format.Decode(b[cut:], nil, &m)
		if err != nil || n == 0 {
			return cut, messages, err
		}
		var id, number int
		if _, err := fmt.Fscanf(bytes.NewReader(m.Payload), "unset %d.%d", &id, &number); err != nil {
			return cut, messages, fmt.Errorf("payload %q: %w", m.Payload, err)
		}
		if (id*perChurner+next[id])%everyTrap == everyTrap-1 {
			next[id]++ // the plugin trapped on this one
		}
		if number != next[id] {
			return cut, messages, fmt.Errorf("connection %d: message %d came, %d was expected", id, number, next[id])
		}
		next[id]++
		cut += n
		messages++
	}
}
