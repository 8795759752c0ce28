package hostfuncs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/abi"
)

// cluster is a bucket with its history, and the nodes that share it.
type testCluster struct {
	log   []told // in order; a revision is an index and one more
	nodes []*testNode
}

type told struct {
	key string
	Found
	by string // whose write it was
}

type testNode struct {
	space  *Namespace
	heard  int // how much of the log it was told
	dirty  []string
	flying []flying
	writes int
	name   string
}

type flying struct {
	key  string
	w    Write
	id   string
	lost bool   // the answer was lost once
	rev  uint64 // it was done, and the answer is on its way
}

// Share implements Sharer.
func (n *testNode) Share(r *Replica) error {
	r.OnDirty(func(key string) { n.dirty = append(n.dirty, key) })
	return nil
}

func newTestCluster(t interface{ Fatal(...any) }, nodes int, size, entries int64) *testCluster {
	c := &testCluster{}
	for i := range nodes {
		now := stillClock(1e9)
		kv, n := NewKV(&now), &testNode{name: fmt.Sprint(i)}
		kv.ShareBy(n)
		var err error
		if n.space, err = kv.Shared("n", size, entries); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, n)
	}
	return c
}

func (c *testCluster) last(key string) told {
	for i := len(c.log) - 1; i >= 0; i-- {
		if c.log[i].key == key {
			return c.log[i]
		}
	}
	return told{key: key, Found: Found{Deleted: true}}
}

func (n *testNode) take() bool {
	for len(n.dirty) > 0 {
		key := n.dirty[0]
		n.dirty = n.dirty[1:]
		if w, ok := n.space.replica.Take(key); ok {
			n.writes++
			n.flying = append(n.flying, flying{key: key, w: w, id: fmt.Sprint(n.name, "-", n.writes)})
			return true
		}
	}
	return false
}

// What becomes of the answer to a write.
const (
	answered = iota
	answerLost
	answerLate
)

// write does what flies.
func (c *testCluster) write(n *testNode, i, how int) {
	f := &n.flying[i]
	r := n.space.replica
	done := func() { n.flying = append(n.flying[:i], n.flying[i+1:]...) }
	there := c.last(f.key)
	switch {
	case f.rev != 0:
		r.Done(f.key, f.rev)
		done()
		return
	case f.w.Check:
		r.Asking(f.key)
		if !r.Checked(f.key, there.Found) {
			done()
		}
		return
	case f.w.Delete && f.w.If && f.w.Base == 0:
		r.Done(f.key, 0)
		done()
		return
	case f.w.If && !(f.w.Base == there.Rev && !f.w.Absent || (f.w.Base == 0 || f.w.Absent) && there.Deleted):
		r.Asking(f.key)
		if f.lost && there.by == f.id {
			r.Done(f.key, there.Rev)
			done()
		} else if !r.Lost(f.key, there.Found) {
			done()
		}
		return
	}
	rev := uint64(len(c.log) + 1)
	c.log = append(c.log, told{key: f.key, by: f.id, Found: Found{Rev: rev, Deleted: f.w.Delete, Value: f.w.Value}})
	switch how {
	case answerLost:
		f.lost = true
		return
	case answerLate:
		f.rev = rev
		return
	}
	r.Done(f.key, rev)
	done()
}

func (c *testCluster) hear(n *testNode) {
	if n.heard < len(c.log) {
		n.space.replica.Tell(c.log[n.heard].key, c.log[n.heard].Found)
		n.heard++
	}
}

// list tells everything anew, as after a long time away.
func (c *testCluster) list(n *testNode) {
	r := n.space.replica
	r.Listing()
	for _, one := range c.log {
		if !one.Deleted && c.last(one.key).Rev == one.Rev {
			r.Tell(one.key, one.Found)
		}
	}
	n.heard = len(c.log)
	r.Listed()
}

// settle goes on until nothing is left to be done.
func (c *testCluster) settle(t *rapid.T) {
	for range 10000 {
		idle := true
		for _, n := range c.nodes {
			for n.take() {
			}
			for len(n.flying) > 0 {
				c.write(n, 0, answered)
				idle = false
			}
			for n.heard < len(c.log) {
				c.hear(n)
				idle = false
			}
			idle = idle && len(n.dirty) == 0
		}
		if idle {
			return
		}
	}
	t.Fatal("it does not come to rest")
}

// alike checks that every node has what the bucket has, and remembers nothing else.
func (c *testCluster) alike(t *rapid.T, keys []string) {
	for _, n := range c.nodes {
		living := int64(0)
		for _, key := range keys {
			want, got := c.last(key), make([]byte, 64)
			size, status := n.space.Get([]byte(key), got)
			if !want.Deleted {
				living++
			}
			if want.Deleted != (status == abi.StatusNotFound) || !want.Deleted && !bytes.Equal(want.Value, got[:size]) {
				t.Fatalf("node %s has %q of %s (%v), the bucket %q (deleted %v)", n.name, got[:size], key, status, want.Value, want.Deleted)
			}
		}
		st, r := n.space.replica.Stats(), n.space.replica
		if st.Pending != 0 || r.buried.Load() != 0 || st.Entries != living {
			t.Fatalf("node %s: %+v, %d buried, %d keys", n.name, st, r.buried.Load(), living)
		}
		for i := range n.space.shards {
			for key, e := range n.space.shards[i].entries {
				if e.sync != nil {
					t.Fatalf("node %s remembers %+v of %s", n.name, *e.sync, key)
				}
			}
		}
	}
}

// TestReplicasConverge: whatever nodes do, however late they hear of each other, and
// whatever is lost on the way, in the end all have what the bucket has; and a key that is
// only added to has the sum.
func TestReplicasConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newTestCluster(t, 3, 1<<20, 0)
		keys, sum, exact := []string{"a", "b", "counter"}, int64(0), true
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			n := c.nodes[rapid.IntRange(0, 2).Draw(t, "node")]
			key := []byte(keys[rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "key")])
			switch rapid.IntRange(0, 10).Draw(t, "step") {
			case 0:
				n.space.Set(key, fmt.Append(nil, len(c.log), n.name), 0)
			case 1:
				n.space.Delete(key)
			case 2:
				rev, _ := n.space.Revision(key)
				n.space.CompareAndSet(key, rev, fmt.Append(nil, "cas", len(c.log), n.name), 0)
			case 3:
				n.space.Add(key, 1, 0)
			case 4:
				delta := rapid.Int64Range(-3, 9).Draw(t, "delta")
				if _, status := n.space.Add([]byte("counter"), delta, 0); status != abi.StatusOK {
					t.Fatal(status)
				}
				sum += delta
			case 5, 6:
				n.take()
			case 7, 8:
				if len(n.flying) > 0 {
					how := max(rapid.IntRange(-3, 2).Draw(t, "answer"), 0)
					exact = exact && !(how == answerLost && n.flying[0].key == "counter")
					c.write(n, 0, how)
				}
			case 9:
				for range rapid.IntRange(1, 9).Draw(t, "told") {
					c.hear(n)
				}
			case 10:
				switch rapid.IntRange(0, 3).Draw(t, "rare") {
				case 0:
					c.list(n)
				case 1:
					if len(n.flying) > 0 && !n.flying[0].lost && n.flying[0].rev == 0 && !n.flying[0].w.Check {
						n.space.replica.Undone(n.flying[0].key)
						n.flying = n.flying[1:]
					}
				}
			}
		}
		c.settle(t)
		c.alike(t, keys)
		if last := c.last("counter"); exact && !last.Deleted && int64(binary.LittleEndian.Uint64(last.Value)) != sum {
			t.Fatalf("the counter is %d, not %d", int64(binary.LittleEndian.Uint64(last.Value)), sum)
		}
	})
}

// TestReplicaLosesACompareAndSet: of two nodes one wins, the other has its value and
// counts it; what it added meanwhile is not lost.
func TestReplicaLosesACompareAndSet(t *testing.T) {
	c := newTestCluster(t, 2, 1<<20, 0)
	a, b := c.nodes[0], c.nodes[1]
	key := []byte("lock")
	for _, n := range c.nodes {
		if _, status := n.space.CompareAndSet(key, 0, []byte(n.name), 0); status != abi.StatusOK {
			t.Fatal(status)
		}
	}
	held, _ := b.space.Revision(key)
	for _, n := range c.nodes {
		n.take()
		c.write(n, 0, answered)
	}
	got := make([]byte, 8)
	if n, status := b.space.Get(key, got); status != abi.StatusOK || string(got[:n]) != "0" {
		t.Errorf("%q, %v: the other node's is not there", got[:n], status)
	}
	if _, status := b.space.CompareAndSet(key, held, []byte("mine"), 0); status != abi.StatusConflict {
		t.Errorf("%v: the revision of what was taken back still holds", status)
	}
	if x, y := a.space.replica.Stats(), b.space.replica.Stats(); x.Conflicts != 0 || y.Conflicts != 1 {
		t.Errorf("%+v, %+v", x, y)
	}
}

// TestReplicaIsBounded: by its own changes, by other nodes', and by what it deleted.
func TestReplicaIsBounded(t *testing.T) {
	c := newTestCluster(t, 2, 20*(entryCost+2), 10)
	a, b := c.nodes[0], c.nodes[1]
	key := func(n *testNode, i int) []byte { return []byte(n.name + string(rune('a'+i))) }
	for i := range 11 {
		for _, n := range c.nodes {
			if _, status := n.space.Set(key(n, i), nil, 0); (status == abi.StatusOK) != (i < 10) {
				t.Fatal(i, status)
			}
		}
	}
	for a.take() {
		c.write(a, 0, answered)
	}
	for range c.log {
		c.hear(b)
	}
	if st := b.space.replica.Stats(); st.LeftOut != 10 || st.Entries != 10 {
		t.Errorf("%+v", st)
	}
	if status := b.space.replica.takes(make([]byte, MaxSharedKey+1), nil, false); status != abi.StatusLimit {
		t.Error(status)
	}
	if status := b.space.replica.takes(nil, make([]byte, MaxSharedValue+1), true); status != abi.StatusLimit {
		t.Error(status)
	}
	refused := 0
	for i := range 100 { // and nothing is written
		k := fmt.Append(nil, "x", i)
		b.space.Delete(key(b, 0))
		if _, status := b.space.Set(k, nil, 0); status != abi.StatusOK {
			refused++
		}
		b.space.Delete(k)
	}
	if most := b.space.limit.Load() + entryCost + 3; refused == 0 || b.space.replica.buried.Load() > most {
		t.Errorf("%d refused, %d bytes of deleted keys, at most %d", refused, b.space.replica.buried.Load(), most)
	}
}

// TestReplicaExpires: what expires before it is written takes away what was there, and
// what expires afterwards is not written again.
func TestReplicaExpires(t *testing.T) {
	c := newTestCluster(t, 1, 1<<20, 0)
	n := c.nodes[0]
	key := []byte("k")
	n.space.Set(key, []byte("old"), 0)
	n.take()
	c.write(n, 0, answered)
	c.hear(n)
	n.space.Set(key, []byte("new"), 5)
	clock, _ := n.space.clock.(*stillClock)
	*clock += 6e6
	n.take()
	if w := n.flying[0].w; !w.Delete || w.If {
		t.Errorf("%+v", w)
	}
	c.write(n, 0, answered)
	c.hear(n)
	n.space.Set(key, []byte("short"), 5)
	n.take()
	if w := n.flying[0].w; w.TTL != 5e6 || w.Delete {
		t.Errorf("%+v", w)
	}
	c.write(n, 0, answered)
	*clock += 6e6
	if _, status := n.space.Get(key, nil); status != abi.StatusNotFound || len(n.dirty) != 0 {
		t.Errorf("%v, to be written: %v", status, n.dirty)
	}
	if _, status := n.space.CompareAndSet(key, 0, []byte("next"), 0); status != abi.StatusOK {
		t.Error(status)
	}
	n.space.Add([]byte("n"), 1, 0)
	n.take()
	n.take()
	if w := n.flying[0].w; !w.If || !w.Absent || w.Base == 0 {
		t.Errorf("where nothing is any more: %+v", w)
	}
	c.log = append(c.log, told{key: string(key), Found: Found{Rev: uint64(len(c.log) + 1), Deleted: true}}) // the cluster's marker
	c.write(n, 0, answered)
	c.write(n, 0, answered)
	if st := n.space.replica.Stats(); st.Conflicts != 0 || st.Entries != 2 {
		t.Errorf("what has expired is in the way: %+v", st)
	}
	n.space.Delete([]byte("n"))
	n.space.Delete(key)
	for n.take() {
		c.write(n, 0, answered)
	}
	for range c.log {
		c.hear(n)
	}
	if st := n.space.replica.Stats(); st.Pending != 0 || st.Entries != 0 || n.space.replica.buried.Load() != 0 {
		t.Errorf("%+v", st)
	}
}
