package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/server"
)

const sharing = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, chain: [guest]}]
plugins:
  guest:
    file: ../../abi/vectors/v1.0/rust.wasm
    grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {namespace: seen, scope: cluster, size: 8KiB, entries: 40}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}
backbone: {data: %q, name: %s, url: [%s]}
api: {address: ""}
`

// missing is what get answers if there is no key.
const missing = "no such key"

// keysOf are the keys that nodes share, with what a test asks of them.
type keysOf struct {
	*hostfuncs.Namespace
	f    *fixture
	name string
}

func keysAt(f *fixture, name string) keysOf {
	f.t.Helper()
	return keysOf{f.SharedKeys(f.t, "seen"), f, name}
}

func (k keysOf) set(key, value string) {
	k.f.t.Helper()
	if _, status := k.Set([]byte(key), []byte(value), 0); status != abi.StatusOK {
		k.f.t.Fatalf("%s: %v", key, status)
	}
}

func (k keysOf) get(key string) string {
	b := make([]byte, 64)
	n, status := k.Get([]byte(key), b)
	if status != abi.StatusOK {
		return missing
	}
	return string(b[:n])
}

// becomes waits until the key has the value.
func (k keysOf) becomes(key, want string) {
	k.f.t.Helper()
	for end := time.Now().Add(20 * time.Second); k.get(key) != want; {
		if time.Now().After(end) {
			k.f.t.Fatalf("%s is %q, not %q", key, k.get(key), want)
		}
		time.Sleep(time.Millisecond)
	}
}

// written waits until the backbone has everything.
func (k keysOf) written() {
	k.f.t.Helper()
	for end := time.Now().Add(20 * time.Second); k.f.MetricOf("weft_kv_pending", "seen") != 0; {
		if time.Now().After(end) {
			k.f.t.Fatal("keys are not written")
		}
		time.Sleep(time.Millisecond)
	}
}

func sharingNode(t *testing.T, s *natstest.Server, name string) keysOf {
	t.Helper()
	return keysAt(start(t, "auto", fmt.Sprintf(sharing, t.TempDir(), name, fmt.Sprintf("%q", s.URL()))), name)
}

// Keys with scope cluster are there after a restart, with the time that they still live;
// those that were deleted are not.
func TestSharedKeysOutliveTheProcess(t *testing.T) {
	config := fmt.Sprintf(sharing, t.TempDir(), "one", "")
	f := start(t, "auto", config)
	k := keysAt(f, "one")
	k.set("a", "1")
	k.set("b", "1")
	k.set("b", "2")
	k.set("c", "1")
	k.Delete([]byte("c"))
	for range 3 {
		k.Add([]byte("n"), 2, 0)
	}
	k.Set([]byte("soon"), []byte("x"), 2000)
	k.Set([]byte("sooner"), []byte("x"), 1)
	k.set("a/b/ \x00\xff", "any bytes")
	f.end()

	f = start(t, "auto", config)
	k = keysAt(f, "one")
	for key, want := range map[string]string{"a": "1", "b": "2", "c": missing, "n": "\x06\x00\x00\x00\x00\x00\x00\x00", "sooner": missing, "a/b/ \x00\xff": "any bytes"} {
		if got := k.get(key); got != want {
			t.Errorf("%q is %q, not %q", key, got, want)
		}
	}
	k.becomes("soon", missing)
	// The servers may let go of it a moment after this node does.
	if _, status := k.CompareAndSet([]byte("soon"), 0, []byte("y"), 0); status != abi.StatusOK {
		t.Error(status)
	}
	k.written()
	if n := f.MetricOf("weft_kv_conflicts_total", "seen"); n != 0 {
		t.Errorf("%v conflicts with what has expired", n)
	}
	if got := k.get("soon"); got != "y" {
		t.Errorf("what has expired is in the way of %q", got)
	}
}

// What expires while it is written over again and again, on a node and at the servers, is
// never in the way of who writes where nothing is.
func TestWhatExpiresIsInNobodysWay(t *testing.T) {
	f := start(t, "auto", fmt.Sprintf(sharing, t.TempDir(), "one", ""))
	k := keysAt(f, "one")
	const keys = 40
	for i := range keys {
		k.Set([]byte(fmt.Sprint("k", i)), []byte("x"), 1000+int64(i)*5)
	}
	k.written()
	for i := range keys { // just when it ends here: the servers round up to a second
		key := fmt.Sprint("k", i)
		k.becomes(key, missing)
		if i%2 == 0 {
			if _, status := k.CompareAndSet([]byte(key), 0, []byte("y"), 1); status != abi.StatusOK {
				t.Error(status)
			}
			k.becomes(key, missing)
		}
		if _, status := k.CompareAndSet([]byte(key), 0, []byte("z"), 0); status != abi.StatusOK {
			t.Error(status)
		}
	}
	k.written()
	if n := f.MetricOf("weft_kv_conflicts_total", "seen"); n != 0 {
		t.Errorf("%v conflicts with what has expired", n)
	}
	for i := range keys {
		if got := k.get(fmt.Sprint("k", i)); got != "z" {
			t.Errorf("key %d is %q", i, got)
		}
	}
}

// Nodes see each other's keys, also one that comes later; what they write at the same
// time becomes the same everywhere, and what they add is added up.
func TestSharedKeysOfACluster(t *testing.T) {
	nats := natstest.Start(t, natstest.Options{})
	a, b := sharingNode(t, nats, "a"), sharingNode(t, nats, "b")
	a.set("k", "from a")
	b.becomes("k", "from a")
	b.Delete([]byte("k"))
	a.becomes("k", missing)

	var both sync.WaitGroup
	for _, n := range []keysOf{a, b} {
		both.Go(func() {
			for i := range 500 {
				key := fmt.Sprint("k", i%7)
				n.Set([]byte(key), fmt.Append(nil, n.name, i), 0)
				n.Add([]byte("sum"), 1, 0)
				if i%11 == 0 {
					n.Delete([]byte(key))
				}
			}
		})
	}
	both.Wait()
	for _, n := range []keysOf{a, b} {
		n.becomes("sum", "\xe8\x03\x00\x00\x00\x00\x00\x00")
		n.written()
	}
	late := sharingNode(t, nats, "late")
	for i := range 7 {
		key := fmt.Sprint("k", i)
		want := late.get(key)
		a.becomes(key, want)
		b.becomes(key, want)
	}
	late.becomes("sum", "\xe8\x03\x00\x00\x00\x00\x00\x00")
}

// While the backbone is away everybody goes on with what he has; when it is back all
// have the same, one of two compare-and-sets has won, and the other is counted.
func TestSharedKeysWhileTheBackboneIsAway(t *testing.T) {
	nats := natstest.Start(t, natstest.Options{})
	a, b := sharingNode(t, nats, "a"), sharingNode(t, nats, "b")
	a.set("k", "before")
	b.becomes("k", "before")
	a.written()
	nats.Kill()
	for _, n := range []keysOf{a, b} {
		rev, _ := n.Revision([]byte("k"))
		if _, status := n.CompareAndSet([]byte("k"), rev, []byte(n.name), 0); status != abi.StatusOK {
			t.Fatal(status)
		}
		n.Add([]byte("sum"), 21, 0)
		n.set("only "+n.name, "x")
		if n.get("k") != n.name {
			t.Error("what a node writes it does not read")
		}
	}
	waitFor(t, "a write to fail", func() bool { return a.f.MetricOf("weft_kv_failed_total", "seen") > 0 })
	nats.Start()
	for _, n := range []keysOf{a, b} {
		n.becomes("sum", "\x2a\x00\x00\x00\x00\x00\x00\x00")
		n.becomes("only a", "x")
		n.becomes("only b", "x")
		n.written()
	}
	a.becomes("k", b.get("k"))
	if n := a.f.MetricOf("weft_kv_conflicts_total", "seen") + b.f.MetricOf("weft_kv_conflicts_total", "seen"); n != 1 {
		t.Errorf("%v conflicts, not 1", n)
	}
}

// A node has no more than the namespace's bounds allow, whoever wrote it.
func TestSharedKeysAreBounded(t *testing.T) {
	nats := natstest.Start(t, natstest.Options{})
	a, b := sharingNode(t, nats, "a"), sharingNode(t, nats, "b")
	nats.Pause()
	for i := range 40 {
		a.set(fmt.Sprint("a", i), "x")
		b.set(fmt.Sprint("b", i), "x")
	}
	if _, status := a.Set([]byte("more"), nil, 0); status != abi.StatusLimit {
		t.Error(status)
	}
	nats.Resume()
	for _, n := range []keysOf{a, b} {
		n.written()
		n.f.awaitOf("weft_kv_left_out_total", "seen", 40)
		if e, size := n.f.MetricOf("weft_kv_entries", "seen"), n.f.MetricOf("weft_kv_bytes", "seen"); e != 40 || size > 1<<20 {
			t.Errorf("%v entries, %v bytes", e, size)
		}
	}
}

// A plugin reads what it wrote before weft was started anew.
func TestAPluginSharesKeys(t *testing.T) {
	config := fmt.Sprintf(sharing, t.TempDir(), "one", "")
	f := start(t, "auto", config)
	f.dial("lines").say(text("kv-set k v 0"))
	keysAt(f, "one").becomes("k", "v")
	f.end()
	f = start(t, "auto", config)
	if got := keysAt(f, "one").get("k"); got != "v" {
		t.Errorf("%q", got)
	}
}

// A plugin that is to share keys from now on finds no backbone that was opened: the
// new generation is refused, and says why.
func TestSharedKeysNeedTheBackboneFromTheStart(t *testing.T) {
	yaml := strings.Split(sharing, "backbone:")[0] + "api: {address: \"\"}\n"
	srv, err := server.New(t.Context(), server.Options{
		Config: load(t, replace(yaml, "cluster", "process")), Logger: logger(t),
		Reload: func(context.Context) (*config.Config, error) { return load(t, yaml), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	f := run(t, srv)
	if err := f.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "restart weft") {
		t.Errorf("%v", err)
	}
}
