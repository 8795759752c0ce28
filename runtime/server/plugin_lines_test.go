package server

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
)

// The last lines of each plugin are kept, and no more than that.
func TestPluginLines(t *testing.T) {
	rings := newLineRings([]string{"a", "b"})
	log := slog.New(rings.handler(slog.DiscardHandler))
	a := log.With("plugin", "a")
	a.Info("of another handler's level") // which is not enabled
	a = slog.New(rings.handler(slog.NewTextHandler(&strings.Builder{}, nil))).With("plugin", "a")
	for i := range keptLines + 10 {
		a.Info(fmt.Sprint("line ", i+1), "generation", uint64(3), "more", "words")
	}
	slog.New(rings.handler(slog.NewTextHandler(&strings.Builder{}, nil))).Warn("by attribute", "plugin", "b")
	got := rings.after("a", 0, 5)
	if got.GetNext() != keptLines+10 || got.GetMissed() != 10 || len(got.GetLines()) != 5 || got.GetLines()[4].GetText() != fmt.Sprintf("line %d more=words", keptLines+10) ||
		got.GetLines()[0].GetNumber() != keptLines+6 || got.GetLines()[0].GetGeneration() != 3 || got.GetLines()[0].GetLevel() != "info" {
		t.Errorf("the last ones: %v", got)
	}
	if got := rings.after("a", keptLines+8, 100); len(got.GetLines()) != 2 || got.GetMissed() != 0 {
		t.Errorf("what is new: %v", got)
	}
	if got := rings.after("a", keptLines+10, 100); len(got.GetLines()) != 0 || got.GetNext() != keptLines+10 {
		t.Errorf("nothing is new: %v", got)
	}
	if got := rings.after("b", 0, 100); len(got.GetLines()) != 1 || got.GetLines()[0].GetLevel() != "warn" {
		t.Errorf("of the other: %v", got)
	}
	if got := rings.after("nobody", 3, 100); len(got.GetLines()) != 0 || got.GetNext() != 3 {
		t.Errorf("of nobody: %v", got)
	}
}

// What a loop counts for the overview costs a message next to nothing.
func TestFlowsDoNotAllocate(t *testing.T) {
	f := flows{listeners: 3, rules: 2, places: 12}
	f.words = make([]uint64, 20)
	m := &abi.Message{Listener: 1}
	p := &path{flows: flows{}}
	if n := testing.AllocsPerRun(100, func() {
		f.routed(m, 1)
		f.routed(m, byDefault)
		f.placed(2, 1)
		f.publish()
		p.flows.turn += 3
		p.Took(time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkFlows is what the overview adds to a message, and to a turn.
func BenchmarkFlows(b *testing.B) {
	b.Run("message", func(b *testing.B) {
		f := flows{listeners: 3, rules: 2, places: 12, words: make([]uint64, 20)}
		m := &abi.Message{Listener: 1}
		b.ReportAllocs()
		for b.Loop() {
			f.turn++
			f.routed(m, 1)
			f.placed(2, 1)
		}
	})
	b.Run("turn", func(b *testing.B) {
		p, began := &path{}, time.Now()
		b.ReportAllocs()
		for b.Loop() {
			p.flows.turn = 16
			p.Took(time.Since(began) & 0xfffff)
		}
	})
}
