package plugins_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// busyClock goes on by a step whenever it is read, as if everything took its time.
type busyClock struct {
	now, reads atomic.Int64
	step       time.Duration
}

func (c *busyClock) Wall() int64      { return c.Monotonic() }
func (c *busyClock) Monotonic() int64 { c.reads.Add(1); return c.now.Add(int64(c.step)) }

// TestFailuresTakeTheirShareOnly: a plugin that fails on one message of two hundred,
// from ever new sessions, earns no rest by that; but it rests when its new instances
// have taken their share of the time, and gets on afterwards.
func TestFailuresTakeTheirShareOnly(t *testing.T) {
	for _, c := range []struct {
		name string
		step time.Duration // a new instance takes at least one
		rest bool
	}{{"cheap", time.Microsecond, false}, {"dear", 3 * time.Millisecond, true}} {
		t.Run(c.name, func(t *testing.T) {
			clock := &busyClock{step: c.step}
			clock.now.Store(1e15)
			var lines syncBuffer
			env := newEnv(t, plugins.EnvConfig{Clock: clock, Logger: logTo(&lines)})
			p := load(t, env, wasmtest.New().Hook(abi.ExportOnMessages, wasmtest.EachRecord(wasmtest.WhenFirstByte('!', wasmtest.Unreachable))), plugins.Spec{})
			chain := newChain(t, p)
			session := uint64(0)
			run := func() *plugins.Batch {
				b := messages(append(strings.Split(strings.Repeat("fine ", 199), " ")[:199], "!")...)
				for i := range b.Messages {
					session++
					b.Messages[i].Session = session
				}
				chain.Messages(b)
				return b
			}
			rested := false
			for range 200 {
				b := run()
				rested = rested || b.Outcomes[0].Cause == plugins.CauseBackOff
			}
			if rested != c.rest || (p.Stats().BackOffs > 0) != c.rest {
				t.Errorf("rested: %v, %+v", rested, p.Stats())
			}
			if c.rest != strings.Contains(lines.String(), "take too much of its neighbours' time") {
				t.Errorf("log: %s", &lines)
			}
			clock.now.Add(int64(time.Minute))
			if o := run().Outcomes[0]; o.Cause != plugins.CauseNone {
				t.Errorf("a minute later: %+v", o)
			}
		})
	}
}
