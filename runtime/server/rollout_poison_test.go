package server_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// poisoned are connections on which every hundredth message is one on which the new
// generation traps.
type poisoned struct {
	t              *testing.T
	sent, received atomic.Int64
}

// send sends 250 messages a second until told to stop: a session that sends poison
// more often than three times a second rests, and its other messages are answered
// by the failure policy.
func (p *poisoned) send(c *client, id int, stop <-chan struct{}) {
	pace := time.NewTicker(4 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-pace.C:
		}
		payload := fmt.Appendf(nil, "unset %d.%d", id, n)
		if (n+id*7)%100 == 99 {
			payload = append(payload, "\ntrap"...)
		}
		b, err := c.format.Append(nil, &abi.Message{Type: abi.TypeEvent, Payload: payload})
		if err == nil {
			_, err = c.Write(b)
		}
		if err != nil {
			p.t.Error(err)
			return
		}
		p.sent.Add(1)
	}
}

// receive reads until the connection ends. What is missing is counted elsewhere.
func (p *poisoned) receive(c *client, senders int) {
	last := make([]int, senders)
	for i := range last {
		last[i] = -1
	}
	for {
		m, err := c.next()
		if err != nil {
			return
		}
		var id, n int
		if _, err := fmt.Sscanf(string(m.Payload), "unset %d.%d", &id, &n); err != nil || n <= last[id] {
			p.t.Errorf("%q came after message %d (%v)", m.Payload, last[id], err)
			continue
		}
		last[id] = n
		p.received.Add(1)
	}
}

// TestOnePercentOfPoisonIsTakenBack brings a generation that traps on one message
// of a hundred: it is taken back by itself, the poison lies in the dead letters with
// its cause and generation, and nothing else is lost.
func TestOnePercentOfPoisonIsTakenBack(t *testing.T) {
	const senders = 40
	for _, mode := range []string{"at-once", "canary, weight: 50"} {
		t.Run(mode, func(t *testing.T) {
			change := []string{
				"frame: mcp-seq, topic: t, chain: [guest], subscribe: [\"t\"]", "frame: mcp-seq, topic: t, chain: [guest]",
				"plugins:\n", "  - {name: out, address: \"127.0.0.1:0\", frame: mcp-seq, topic: u, subscribe: [t], outbox: {size: 16MiB}, heartbeat: {every: 0s, close_after: 0s}}\nplugins:\n",
				"mode: at-once}", "mode: " + mode + ", window: 1m, messages: 2000, rollback: {fuel: 0, latency: 0}}\n    on_failure: quarantine",
			}
			s := open(t, "auto", append(change, "reply one", "continue")...)
			out := s.dial("out")
			s.await("weft_subscriptions", 1)
			p := &poisoned{t: t}
			stop, received := make(chan struct{}), make(chan struct{})
			go func() { defer close(received); p.receive(out, senders) }()
			var sending sync.WaitGroup
			for id := range senders {
				c := s.dial("seq")
				sending.Go(func() { p.send(c, id, stop) })
			}
			s.configure(append(change, `config: {messages: "reply one"}`, "config: {}")...)
			s.reload()
			begun := time.Now()
			got := s.until("a rollback", func(p *weftv1.Plugin) bool { return p.Last.GetWhat() == "rolled-back" })
			t.Logf("taken back after %v: %s", time.Since(begun).Round(time.Millisecond), got.Last.Text)
			p.goesOn(s)
			close(stop)
			sending.Wait()
			p.settled(s)
			_ = out.Close()
			<-received
			if got.Live.Number != 1 || got.Last.Cause != "traps" {
				t.Errorf("it is %v", got)
			}
		})
	}
}

// goesOn waits until the former generation has handled some more.
func (p *poisoned) goesOn(s *site) {
	p.t.Helper()
	before := p.received.Load()
	for end := time.Now().Add(time.Minute); p.received.Load() < before+1000; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("nothing goes on: %d sent, %d received, %d dead letters: %+v\n%s", p.sent.Load(), p.received.Load(), len(all(s.DeadLetters().Store())), s.Ledger(), s.log)
		}
	}
}

// settled waits until every message has arrived or is kept, and looks at those that
// are kept.
func (p *poisoned) settled(s *site) {
	p.t.Helper()
	letters := all(s.DeadLetters().Store())
	for end := time.Now().Add(time.Minute); p.received.Load()+int64(len(letters)) < p.sent.Load(); time.Sleep(time.Millisecond) {
		if letters = all(s.DeadLetters().Store()); time.Now().After(end) {
			p.t.Fatalf("%d sent, %d received, %d dead letters", p.sent.Load(), p.received.Load(), len(letters))
		}
	}
	p.t.Logf("%d sent, %d received, %d dead letters", p.sent.Load(), p.received.Load(), len(letters))
	trapped := 0
	for _, l := range letters {
		poison := strings.HasSuffix(string(l.Message.Payload), "\ntrap")
		switch {
		case l.Generation == 2 && l.Cause == "trap" && poison:
			trapped++
		case l.Generation == 2 && l.Cause == "back_off": // much poison came at once, and the generation rested
		default:
			p.t.Errorf("generation %d, cause %s: %q", l.Generation, l.Cause, l.Message.Payload)
		}
	}
	if trapped == 0 {
		p.t.Errorf("no poison among %d dead letters", len(letters))
	}
}
