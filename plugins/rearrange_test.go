package plugins_test

import (
	"errors"
	"testing"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

func ready(t *testing.T, p *plugins.Plugin) *plugins.Standby { return standbys(t, p, 1)[0] }

// Plugins come, go and change their places; those that stay keep their state.
func TestRearrange(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	counts, tags, other := load(t, env, counting(1), plugins.Spec{}), load(t, env, tagging(3), plugins.Spec{Name: "tags"}), load(t, env, tagging(5), plugins.Spec{Name: "other"})
	c := newChain(t, counts)
	run := func(what string, seq uint64, priority uint8) {
		t.Helper()
		b := messages("a")
		c.Messages(b)
		if m := &b.Messages[0]; m.Seq != seq || m.Priority != priority {
			t.Errorf("%s: %d, priority %d", what, m.Seq, m.Priority)
		}
	}
	rearrange := func(places ...plugins.Place) {
		t.Helper()
		if lost, err := c.Rearrange(places); lost != nil || err != nil {
			t.Fatal(lost, err)
		}
	}
	run("alone", 1, 0)
	rearrange(plugins.Place{From: -1, Ready: ready(t, tags)}, plugins.Place{From: 0})
	run("one before it", 2, 3)
	rearrange(plugins.Place{From: 1}, plugins.Place{From: -1, Ready: ready(t, other)}, plugins.Place{From: 0})
	run("in the middle", 3, 3)
	rearrange(plugins.Place{From: 2}, plugins.Place{From: 0}, plugins.Place{From: 1})
	run("another order", 4, 5)
	tens := load(t, env, counting(10), plugins.Spec{Generation: 2})
	rearrange(plugins.Place{From: 1, Ready: ready(t, tens)})
	run("another generation, with its state", 14, 0)
	for name, p := range map[string]*plugins.Plugin{"counts": counts, "tags": tags, "other": other} {
		if n := p.Stats().Instances; n != 0 {
			t.Errorf("%d instances of %s are left", n, name)
		}
	}
	for _, wrong := range [][]plugins.Place{{{From: 1}}, {{From: 0}, {From: 0}}, {{From: -1}}} {
		if _, err := c.Rearrange(append(wrong, plugins.Place{From: -1, Ready: ready(t, tags)})); !errors.Is(err, plugins.ErrPlaces) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	run("after what did not fit", 24, 0)
	if n := tags.Stats().Instances; n != 0 {
		t.Errorf("%d instances were not given back", n)
	}
	rearrange()
	run("no plugins", 0, 0)
}

// State that is refused costs the state, and the instance that refused it.
func TestRearrangeWithoutItsState(t *testing.T) {
	env := newEnv(t, plugins.EnvConfig{})
	refusing := tagging(7)
	refusing.Export("weft_snapshot", wasmtest.Sig(":I"), wasmtest.I64(64<<32|4))
	refusing.Data(200, []byte("too old")).Export("weft_restore", wasmtest.Sig("ii:I"), wasmtest.I64(200<<32|7))
	p := load(t, env, refusing, plugins.Spec{Name: "refuses"})
	c := newChain(t, load(t, env, counting(1), plugins.Spec{}))
	lost, err := c.Rearrange([]plugins.Place{{From: 0, Ready: ready(t, p)}})
	if err != nil || !errors.Is(lost, plugins.ErrRestore) {
		t.Fatal(lost, err)
	}
	b := messages("a")
	if c.Messages(b); b.Messages[0].Priority != 7 {
		t.Errorf("priority %d", b.Messages[0].Priority)
	}
}

// A plugin that leaves finishes what it has paused, and what waits behind that keeps its
// order and sees those that have come.
func TestRearrangeWhilePaused(t *testing.T) {
	w := newWaiting(t, plugins.Spec{}, answered, answered, `{"messages": "topic new"}`)
	if _, err := w.chain.Rearrange([]plugins.Place{{From: 0}, {From: 1}}); err != nil {
		t.Fatal(err)
	}
	w.send("1 "+ask("/a"), "1 reply second", "2 "+ask("/b"))
	w.expect()
	// The first plugin goes, the third one comes before the second.
	lost, err := w.chain.Rearrange([]plugins.Place{{From: -1, Ready: ready(t, w.list[2])}, {From: 1}})
	if lost != nil || err != nil {
		t.Fatal(lost, err)
	}
	if n, _ := w.chain.Held(); n != 3 {
		t.Fatalf("%d are held", n)
	}
	w.send("1 ", "3 ")
	w.expect("3 continue new")
	w.open(1, "/a")
	w.expect("1 reply http 200; body /a", "1 reply second", "1 continue new")
	w.open(0, "/b")
	w.expect("2 reply http 200; body /b")
	w.send("4 ")
	w.expect("4 continue new")
	if n := w.list[0].Stats().Instances; n != 0 {
		t.Errorf("%d instances of the plugin that has left", n)
	}
}
