package plugins_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/plugins"
)

// TestAnswersCountAsHeld: an answer that came for a message which waits behind another
// one takes room as the message does, and one for which there is none is not kept.
func TestAnswersCountAsHeld(t *testing.T) {
	body := "/" + strings.Repeat("b", 4000)
	for name, c := range map[string]struct {
		room int64
		want string
	}{
		"room":    {8000, "1 reply http 200; body " + body},
		"no room": {3000, "1 reply http !limit"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(t, plugins.Spec{}, answered)
			w.send("1 "+ask("/slow"), "1 "+ask(body))
			_, before := w.chain.Held()
			w.chain.LimitHeld(0, before+c.room)
			close(w.gate.of(body))
			<-w.woken
			w.await(2)
			if _, size := w.chain.Held(); size > before+c.room || c.room > 4000 && size < before+4000 {
				t.Errorf("%d bytes are held, %d before the answer, %d allowed", size, before, before+c.room)
			}
			w.open(0, "/slow")
			w.expect("1 reply http 200; body /slow", c.want)
			if _, size := w.chain.Held(); size != 0 {
				t.Errorf("%d bytes are left", size)
			}
		})
	}
}

// TestNothingWaitsForLostInstances: what a session left behind in the chain is gone
// with it, also where the answer that it waited for never comes.
func TestNothingWaitsForLostInstances(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered)
	freed := make(chan struct{})
	func() {
		carried := new([64]byte)
		runtime.AddCleanup(carried, func(ch chan struct{}) { close(ch) }, freed)
		b := messages(strings.ReplaceAll(ask("/never"), "; ", "\n"))
		b.Messages[0].Session = 1
		b.Carry = func(int32) any { return carried }
		w.chain.Messages(b)
		if held, _ := w.chain.Held(); held != 1 {
			t.Fatalf("%d held", held)
		}
		b.Reset()
		w.chain.DropHeld(1, b)
		b.Reset()
	}()
	w.send("2 trap")
	w.await(0)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("what the message carried is still held")
}

// TestManyContextsBehindMany: a session with thousands of messages in the chain may
// change its context with every one that is resumed.
func TestManyContextsBehindMany(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, `{"resume": "remember who truck\ncontinue"}`)
	first := []string{"1 " + ask("/a")}
	for range 500 {
		first = append(first, "1 pause 1")
	}
	w.send(first...)
	behind := make([]string, 10_000)
	for i := range behind {
		behind[i] = "1 topic x"
	}
	for range 6 {
		w.send(behind...)
	}
	close(w.gate.of("/a"))
	<-w.woken
	b := &plugins.Batch{}
	began := worked(t)
	w.chain.Resume(b)
	took := worked(t) - began
	if len(b.Contexts) < 500 || w.chain.HeldOf(1) < 50_000 {
		t.Fatalf("%d contexts, %d held", len(b.Contexts), w.chain.HeldOf(1))
	}
	t.Log(took)
	if took > time.Second { // a millisecond, and a collection of garbage
		t.Errorf("resuming took %v", took)
	}
}
