package server_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// compilerChild is the variable that makes of the test's binary the process that
// compiles plugins.
const compilerChild = "WEFT_TEST_COMPILER"

// compilerBeside starts it.
func compilerBeside(t *testing.T) []string {
	t.Helper()
	env, err := exec.LookPath("env")
	if err != nil {
		t.Skip("skipped, nothing tested: no env on the PATH")
	}
	return []string{env, compilerChild + "=1", os.Args[0]}
}

// Generations that nobody has seen before come one after another while messages pass:
// this process compiles none of them, and each message arrives once and in order.
func TestSwapsWithACompilerBeside(t *testing.T) {
	const senders = 4
	swaps := 50
	if underRace { // the process that compiles is ten times as slow, and the loops leave it little
		swaps = 8
	}
	s := openWith(t, "auto", compilerBeside(t), `"reply one"`, "continue", "frame: mcp-seq, topic: t, chain: [guest], subscribe: [\"t\"]", "frame: mcp-seq, topic: t, chain: [guest]",
		"plugins:\n", "  - {name: out, address: \"127.0.0.1:0\", frame: mcp-seq, topic: u, subscribe: [t], outbox: {size: 16MiB}, heartbeat: {every: 0s, close_after: 0s}}\nplugins:\n")
	out := s.dial("out")
	s.await("weft_subscriptions", 1)
	window := make(chan struct{}, 4) // of messages under way: some time is left to who takes what nobody wants
	received := make(chan error, 1)
	go func() {
		_, err := out.inOrder(senders, window)
		received <- err
	}()
	enough := make(chan struct{})
	var sending sync.WaitGroup
	for id := range senders {
		c := s.dial("seq")
		sending.Go(func() { c.numbered(id, window, enough) })
	}
	guest := module(t, inRust)
	for n := range uint32(swaps) {
		section := binary.LittleEndian.AppendUint32([]byte{0, 6, 1, 'n'}, n)
		s.swap(&weftv1.PluginsSwapRequest{Wasm: append(bytes.Clone(guest), section...), Mode: weftv1.RolloutMode_ROLLOUT_MODE_AT_ONCE})
	}
	close(enough)
	sending.Wait()
	if err := <-received; err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	if p := s.plugin(); p.Live.Number != uint64(swaps)+1 || p.Live.Stats.Failed != 0 {
		t.Errorf("it is %v", p)
	}
	for where, want := range map[string]float64{"child": float64(swaps) + 1, "process": 0} {
		if n := s.MetricOf("weft_plugin_compiles_total", where); n != want {
			t.Errorf("%v were compiled in %s, %v were expected\n%s", n, where, want, s.log)
		}
	}
}

// An operator may have them compiled in this process.
func TestCompileInThisProcess(t *testing.T) {
	s := openWith(t, "auto", compilerBeside(t), "plugins:\n", "compile: process\nplugins:\n")
	if n := s.MetricOf("weft_plugin_compiles_total", "process"); n != 1 {
		t.Errorf("%v were compiled in this process\n%s", n, s.log)
	}
}
