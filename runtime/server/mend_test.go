package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
)

// A panic in a loop costs the one message of the API, and its publisher is told.
func TestAPanicIsToldToThePublisher(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		f := start(t, driver, withAPI)
		mend := f.BreakRoutes()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := f.Bus().Publish(ctx, &abi.Message{Topic: []byte("t"), Payload: []byte("x")})
		if err != nil || r.Dropped != "internal" {
			t.Errorf("%+v, %v", r, err)
		}
		mend()
		if r, err = f.Bus().Publish(ctx, &abi.Message{Topic: []byte("t"), Payload: []byte("x")}); err != nil || r.Dropped != "no_subscriber" {
			t.Errorf("afterwards: %+v, %v", r, err)
		}
		if l := f.Ledger(); l.InFlight() != 0 {
			t.Errorf("the ledger: %+v", l)
		}
	})
}

// A panic in a hook that is about no message leaves nothing behind for the next.
func TestAPanicAsASessionBeginsLeavesNothingBehind(t *testing.T) {
	for _, hook := range []string{"open", "close"} {
		t.Run(hook, func(t *testing.T) {
			each(t, func(t *testing.T, driver string) {
				f := start(t, driver, replace(emitsAtOnce, "HOOK", hook))
				mend := f.BreakRoutes()
				c := f.dial("lines")
				if hook == "close" {
					f.await("weft_connections", 1)
					_ = c.Close()
				}
				f.await("weft_loop_panics_total", 1)
				mend()
				if n := f.Leftovers(); n != 0 {
					t.Errorf("%d messages are left behind", n)
				}
				if l := f.Ledger(); l.InFlight() != 0 || l.Emitted != 1 {
					t.Errorf("the ledger: %+v", l)
				}
			})
		})
	}
}

const emitsAtOnce = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, topic: t, chain: [guest]}]
plugins:
  guest: {file: ../../abi/vectors/v1.0/rust.wasm, config: {HOOK: "emit news hello"}, grants: {log: {}, metrics: {}, clock: {}, random: {}, kv: {}, http: {hosts: [localhost]}, publish: {topics: ["#"]}, subscribe: {topics: ["#"]}}}
loops: 1
api: {address: ""}
`
