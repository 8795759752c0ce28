package server

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/frame"
)

// A flight that was used before takes a copy of a message without an allocation.
func TestFlightAllocs(t *testing.T) {
	cfg, err := config.Load(config.Options{File: "test.yaml", Presets: frame.Presets(), Data: []byte(`
listeners: [{name: seq, address: "127.0.0.1:0", frame: mcp-seq, topic: in}]
upstreams: {web: {protocol: http, members: ["127.0.0.1:1"], balance: hash, key: "{truck}", http: {path: "/{topic...}?t={truck}"}}}
api: {address: ""}
`)})
	if err != nil {
		t.Fatal(err)
	}
	us, err := newUpstreams(cfg, slog.New(slog.DiscardHandler), nil, &secrets{})
	if err != nil {
		t.Fatal(err)
	}
	p := &path{setup: &setup{names: []string{"seq", "api"}}}
	f := &flight{path: p, pool: us.now.Load().list[0]}
	p.flights.prefix = "x-0-"
	m := &abi.Message{Topic: []byte("a/b"), Payload: []byte("payload"), Attrs: abi.Attributes(nil).AppendString("truck", "7 & 8")}
	if allocs := testing.AllocsPerRun(100, func() {
		if !f.fill(m) {
			t.Fatal("it was not made")
		}
	}); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
	c := &f.job.Message
	if got := fmt.Sprintf("%s?%s %s %s %s", c.Path, c.Query, c.Key, c.Payload, c.Topic); got != "/a/b?t=7%20%26%208 7 & 8 payload a/b" {
		t.Errorf("got %s", got)
	}
	m.Topic = []byte("a/../b")
	if f.fill(m) {
		t.Error("a path with .. was made")
	}
}
