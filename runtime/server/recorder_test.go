package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

const recorded = `
listeners:
  - name: in
    address: "127.0.0.1:0"
    frame: mcp-seq
    topic: "raw"
    chain: [{plugin: first, config: {messages: "set seen 1\ntopic second"}}, {plugin: guest}]
  - {name: other, address: "127.0.0.1:0", frame: mcp-seq, topic: "raw", chain: [guest]}
plugins:
  first: {file: ../../abi/vectors/v1.0/rust.wasm, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}}}
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, on_failure: quarantine, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}}}
loops: 2
api: {address: ""}
`

func (f *fixture) record(o admin.RecordOptions) admin.Recording {
	f.t.Helper()
	r, err := f.Recorder().Record(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(r.Close)
	return r
}

// nextOf is the next message of a hook in a recording.
func nextOf(t *testing.T, r admin.Recording, hook string) *weftv1.RecordedMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		m, _, _, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m.Hook == hook {
			return m
		}
	}
}

func TestARecordingSaysWhatCameAndWhatBecameOfIt(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, recorded)
		chain, plugin := f.record(admin.RecordOptions{Listener: "in"}), f.record(admin.RecordOptions{Listener: "in", Plugin: "guest"})
		if got := chain.Started().Chain; strings.Join(got, " ") != "first guest" {
			t.Errorf("the chain is %v", got)
		}
		in := f.dial("in")
		commands := []string{"drop too-cold", "trap", "payload changed\nemit alarm hot", "continue"}
		for n, c := range commands {
			in.say(abi.Message{Type: abi.TypeRequest, Seq: uint64(n + 1), Priority: 2, Payload: []byte(c)})
		}
		if m := nextOf(t, chain, "open"); m.Before.Session == 0 || m.Before.Listener != "in" || m.Verdict != "continue" {
			t.Errorf("the session: %v", m)
		}
		for n, want := range []string{
			`raw drop by guest (plugin) "too-cold" emitted 0`,
			`raw route by guest (trap) "dead-letter" emitted 0`,
			`raw continue by  () "" emitted 1`,
			`raw continue by  () "" emitted 0`,
		} {
			for _, r := range []admin.Recording{chain, plugin} {
				m := nextOf(t, r, "messages")
				before := want
				if r == plugin {
					before = strings.Replace(want, "raw", "second", 1)
				}
				got := fmt.Sprintf("%s %s by %s (%s) %q emitted %d", m.Before.Topic, m.Verdict, m.Plugin, m.Cause, m.Out, len(m.Emitted))
				if got != before || string(m.Before.Payload) != commands[n] || m.Before.Seq != uint64(n+1) || m.Before.Priority != 2 || m.Before.Type != weftv1.Type_TYPE_REQUEST {
					t.Errorf("message %d: %s, want %s; %v", n, got, before, m.Before)
				}
				if n == 2 {
					changes := abi.ChangedPayload
					if r == chain {
						changes |= abi.ChangedTopic | abi.ChangedAttrs
					}
					if abi.Changes(m.Changes) != changes || string(m.After.Payload) != "changed" || string(m.Emitted[0].Topic) != "alarm" || string(m.Emitted[0].Payload) != "hot" {
						t.Errorf("changes %b, want %b: %v, %v", m.Changes, changes, m.After, m.Emitted)
					}
				}
			}
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if m := nextOf(t, chain, "close"); m.Before.Session == 0 {
			t.Errorf("the end of the session: %v", m)
		}
		chain.Close()
		plugin.Close()
		if n := f.Metric("weft_recordings"); n != 0 {
			t.Errorf("%v recordings run", n)
		}
	})
}

func TestWhatCannotBeRecorded(t *testing.T) {
	f := start(t, "auto", recorded)
	for _, o := range []admin.RecordOptions{{Listener: "nobody"}, {Plugin: "nobody"}, {Listener: "other", Plugin: "first"}} {
		if _, err := f.Recorder().Record(t.Context(), o); !errors.Is(err, admin.ErrUnknown) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for n := range 9 {
		_, err := f.Recorder().Record(t.Context(), admin.RecordOptions{Plugin: "guest"})
		if busy := errors.Is(err, admin.ErrBusy); busy != (n == 8) {
			t.Errorf("recording %d: %v", n+1, err)
		}
	}
}

// A reader that does not read costs messages of the recording, which are counted,
// and no message of the traffic.
func TestASlowRecordingIsBounded(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, strings.Replace(recorded, "loops: 2", "loops: 1", 1))
		slow, sampled := f.record(admin.RecordOptions{Plugin: "guest"}), f.record(admin.RecordOptions{Listener: "other", Every: 1000000})
		other := f.dial("other")
		one := frameOf(t, other, abi.Message{Type: abi.TypeEvent, Payload: []byte("drop it")})
		const total = 20000
		if _, err := other.Write([]byte(strings.Repeat(string(one), total))); err != nil {
			t.Fatal(err)
		}
		f.await("weft_messages_in_total", total)
		deadline := time.Now().Add(time.Minute)
		for f.MetricOf("weft_messages_dropped_total", "plugin_drop") != total && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		seen := 0
		var missed uint64
		for end := time.Now().Add(time.Minute); seen+int(missed) < total && time.Now().Before(end); {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			m, lost, _, err := slow.Next(ctx)
			cancel()
			missed = lost
			if err == nil && m.Hook == "messages" {
				seen++
			}
		}
		if seen+int(missed) != total || missed == 0 || seen > 3*4096 {
			t.Errorf("%d recorded, %d missed, of %d", seen, missed, total)
		}
		if m, _, skipped, err := sampled.Next(t.Context()); err != nil || m.Hook != "open" || skipped != total {
			t.Errorf("sampled: %v, %d skipped, %v", m, skipped, err)
		}
	})
}
