package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// publishes sends a payload through the API's converter of that name.
func (f *fixture) publishes(topic, converter, payload string) (status int, answer string) {
	f.t.Helper()
	q, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.url()+"/v1/publish/"+topic, strings.NewReader(payload))
	if err != nil {
		f.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/octet-stream")
	q.Header.Set("Weft-Convert", converter)
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// Clients of the API have the converters that the configuration has now: one that comes,
// one that changes, and none that is gone. A stream that is open keeps its own.
func TestReloadTheConvertersOfTheAPI(t *testing.T) {
	f := startFiltering(t, "auto", `
converters: {pack: {from: json, to: msgpack}}
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
api: {address: "127.0.0.1:0"}
`)
	sub, err := f.Bus().Subscribe(t.Context(), []string{"t"}, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	comes := func(converter, want string) {
		t.Helper()
		if status, answer := f.publishes("t", converter, `{"t":42}`); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
		if d, err := sub.Next(t.Context()); err != nil || string(d.Message.Payload) != want {
			t.Errorf("by %s: %q, %v", converter, d.Message.Payload, err)
		}
	}
	unknown := func(converter string) {
		t.Helper()
		if status, answer := f.publishes("t", converter, `{"t":42}`); status != http.StatusBadRequest || !strings.Contains(answer, "has no converter") {
			t.Errorf("%d %s", status, answer)
		}
	}
	const msgpack, cbor = "\x81\xa1t\x2a", "\xa1\x61t\x18\x2a"
	comes("pack", msgpack)
	unknown("pack2")

	client := weftv1connect.NewMessagesClient(http.DefaultClient, f.url())
	stream, err := client.Subscribe(t.Context(), connect.NewRequest(&weftv1.SubscribeRequest{Patterns: []string{"json"}, Converter: "pack", As: weftv1.Encoding_ENCODING_BYTES}))
	if err != nil || !stream.Receive() {
		t.Fatal(err, stream.Err())
	}
	defer func() { _ = stream.Close() }()

	f.reload("pack: {from: json, to: msgpack}", "pack: {from: json, to: cbor}, pack2: {from: json, to: msgpack}")
	comes("pack", cbor)
	comes("pack2", msgpack)
	if _, err := client.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "json", Body: &weftv1.PublishRequest_Text{Text: `{"t":42}`}})); err != nil {
		t.Fatal(err)
	}
	if !stream.Receive() || string(stream.Msg().GetMessage().GetPayload()) != msgpack {
		t.Errorf("the open stream: %v, %v", stream.Msg(), stream.Err())
	}

	f.refused("to: cbor", "to: nonsense", nil, "nonsense")
	comes("pack", cbor)
	f.reload("pack: {from: json, to: cbor}, ", "")
	unknown("pack")
	comes("pack2", msgpack)
}
