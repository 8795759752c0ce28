package server_test

import (
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/codec"
	"github.com/weftrun/weft/runtime/server"
)

const converting = `
converters:
  unpack: {from: cbor, to: json}
  pack: {from: json, to: msgpack}
listeners:
  - {name: in, address: "127.0.0.1:0", frame: length32, topic: "t", convert: unpack, on_failure: POLICY}
  - {name: out, address: "127.0.0.1:0", frame: length32, topic: "x", subscribe: ["t", "packed"]}
routes:
  - {name: pack, when: {topic: "t", attributes: {content_type: application/json}}, to: ["topic:packed", subscribers], convert: pack, on_failure: POLICY}
api: {address: ""}
`

// What comes in as CBOR is JSON for the chain and the routes, and goes out as
// MessagePack: the content type says so each time.
func TestConversion(t *testing.T) {
	for _, driver := range drivers {
		f := start(t, driver, strings.ReplaceAll(converting, "POLICY", "closed"))
		sub, err := f.Bus().Subscribe(t.Context(), []string{"t"}, 16)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		out, in := f.dial("out"), f.dial("in")
		f.await("weft_subscriptions", 3)
		in.say(text("\xa1\x61t\x18\x2a"))                              // {"t":42}
		if got := out.hear(); string(got.Payload) != "\x81\xa1t\x2a" { // to the topic packed
			t.Errorf("%q", got.Payload)
		}
		out.hear()
		d, err := sub.Next(t.Context())
		if err != nil || string(d.Message.Payload) != "\x81\xa1t\x2a" {
			t.Fatalf("%q, %v", d.Message.Payload, err)
		}
		if kind, _ := d.Message.Attrs.Get("content_type"); string(kind) != "application/vnd.msgpack" || strings.Count(string(d.Message.Attrs), "content_type") != 1 {
			t.Errorf("%q", d.Message.Attrs)
		}
		// A message that cannot be converted is dropped and counted.
		in.say(text("\xff"))
		f.awaitOf("weft_messages_dropped_total", "conversion", 1)
		f.awaitOf("weft_conversions_total", "pack", 1)
		f.awaitOf("weft_conversions_failed_total", "unpack", 1)
		f.end()
	}
}

func TestConversionThatFails(t *testing.T) {
	f := start(t, "auto", strings.ReplaceAll(converting, "POLICY", "open"))
	out, in := f.dial("out"), f.dial("in")
	f.await("weft_subscriptions", 2)
	in.say(text("\xff")) // passes unchanged, and no route takes it: it has no content type
	if got := out.hear(); string(got.Payload) != "\xff" {
		t.Errorf("%q", got.Payload)
	}
	// Through the API it meets the route, whose converter cannot read it either.
	attrs := abi.Attributes(nil).AppendString("content_type", "application/json")
	if r, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("t"), Attrs: attrs, Payload: []byte("{")}); err != nil || r.Delivered != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := out.hear(); string(got.Payload) != "{" {
		t.Errorf("%q", got.Payload)
	}
	f.end()

	f = start(t, "auto", strings.ReplaceAll(converting, "POLICY", "quarantine"))
	in = f.dial("in")
	in.say(text("\xa1\x01\x02"))
	letters := f.DeadLetters()
	found, err := f.store(1).Get(1)
	if err != nil || found.Cause != "conversion" || !strings.Contains(found.Text, "a map has an integer as a key") || string(found.Message.Payload) != "\xa1\x01\x02" {
		t.Fatalf("%+v, %v", found, err)
	}
	if r, err := letters.Replay(found, admin.ReplayWay{}); err != nil || r.Outcome != admin.ReplayDead {
		t.Errorf("replayed as it was: %+v, %v", r, err)
	}
}

// Whatever a converter lacks is said before anything runs.
func TestConvertersAreChecked(t *testing.T) {
	cfg := load(t, `
converters: {telemetry: {from: protobuf, to: json, descriptor: convert_test.go, message: acme.Telemetry}}
listeners: [{name: in, address: "127.0.0.1:0", frame: line, convert: telemetry}]
`)
	if err := server.CheckSetup(cfg); err == nil || !strings.Contains(err.Error(), "converters.telemetry (test.yaml:2): not a converter: the descriptor is no FileDescriptorSet") {
		t.Errorf("%v", err)
	}
}

func TestConversionAllocatesNothing(t *testing.T) {
	if underRace {
		t.Skip("the race detector lets pools forget")
	}
	c, err := codec.Compile(codec.Spec{Name: "unpack", From: codec.CBOR, To: codec.JSON})
	if err != nil {
		t.Fatal(err)
	}
	attrs := abi.Attributes(nil).AppendString("truck", "7").AppendString("content_type", "application/cbor")
	payload := []byte("\xa2\x61t\x18\x2a\x64name\x65truck")
	translate, ok := server.Translate(c), true
	var m abi.Message
	n := testing.AllocsPerRun(200, func() {
		m = abi.Message{Attrs: attrs, Payload: payload}
		ok = ok && translate(&m) && string(m.Payload) == `{"t":42,"name":"truck"}`
	})
	if n >= 1 || !ok {
		t.Errorf("%v allocations a message, %v", n, ok)
	}
}

func BenchmarkTranslate(b *testing.B) {
	c, err := codec.Compile(codec.Spec{Name: "unpack", From: codec.CBOR, To: codec.JSON})
	if err != nil {
		b.Fatal(err)
	}
	attrs := abi.Attributes(nil).AppendString("truck", "7").AppendString("content_type", "application/cbor")
	payload := []byte("\xa2\x61t\x18\x2a\x64name\x65truck")
	translate := server.Translate(c)
	b.ReportAllocs()
	var m abi.Message
	for b.Loop() {
		m = abi.Message{Attrs: attrs, Payload: payload}
		translate(&m)
	}
}

const convertingChain = `
converters: {unpack: {from: cbor, to: json}, pack: {from: json, to: msgpack}}
plugins:
  rename: {file: "std:json-filter", config: {rename: {t: temperature}, invalid: drop}, on_failure: POLICY}
  route: {file: "std:topic-router", config: {rules: [{topic: "t/all"}]}}
listeners:
  - {name: in, address: "127.0.0.1:0", frame: length32, topic: "t", chain: [{plugin: rename, convert: unpack}, {plugin: route, convert: pack}]}
  - {name: out, address: "127.0.0.1:0", frame: length32, topic: "x", subscribe: ["t/#"]}
api: {address: ""}
`

// Entries of a chain convert for their plugin: what comes as CBOR is JSON for one that
// reads JSON, and goes on as MessagePack.
func TestConversionInAChain(t *testing.T) {
	for _, driver := range drivers {
		f := start(t, driver, strings.ReplaceAll(convertingChain, "POLICY", "closed"))
		out, in := f.dial("out"), f.dial("in")
		f.await("weft_subscriptions", 1)
		in.say(text("\xa1\x61t\x18\x2a")) // {"t":42}
		if got := out.hear(); string(got.Payload) != "\x81\xabtemperature\x2a" {
			t.Errorf("%q", got.Payload)
		}
		in.say(text("\xff"))
		f.awaitOf("weft_messages_dropped_total", "conversion", 1)
		f.awaitOf("weft_conversions_total", "in.chain.1", 1)
		f.awaitOf("weft_conversions_failed_total", "in.chain.0", 1)
		f.end()
	}
}

// What cannot be converted for a plugin meets the plugin's policy: open lets it pass the
// plugin by, quarantine makes a dead letter of it.
func TestConversionInAChainThatFails(t *testing.T) {
	f := start(t, "auto", strings.ReplaceAll(convertingChain, "POLICY", "quarantine"))
	f.dial("in").say(text("\xa1\x01\x02"))
	letter, err := f.store(1).Get(1)
	if err != nil || letter.Cause != "conversion" || letter.Plugin != "rename" || string(letter.Message.Payload) != "\xa1\x01\x02" || letter.Text == "" {
		t.Errorf("%+v, %v", letter, err)
	}
	f.end()

	f = start(t, "auto", strings.ReplaceAll(strings.ReplaceAll(convertingChain, "POLICY", "open"), ", convert: pack", ""))
	out, in := f.dial("out"), f.dial("in")
	f.await("weft_subscriptions", 1)
	in.say(text("\xff"))
	if got := out.hear(); string(got.Payload) != "\xff" {
		t.Errorf("%q", got.Payload)
	}
}
