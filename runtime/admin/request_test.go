package admin_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/codec"
)

func TestRequest(t *testing.T) {
	r := start(t, nil)
	for way, c := range clients(t, r.url) {
		answer, err := c.Request(t.Context(), connect.NewRequest(&weftv1.RequestRequest{Topic: "a", Body: &weftv1.RequestRequest_Text{Text: "how warm?"}, Priority: 3}))
		if err != nil || answer.Msg.Message.GetText() != "re: how warm?" || answer.Msg.Message.GetType() != weftv1.Type_TYPE_RESPONSE || answer.Msg.Message.GetListener() != "trucks" {
			t.Errorf("%s: %v, %v", way, answer, err)
		}
		if m := r.bus.last(); m.Type != abi.TypeRequest || m.Priority != 3 {
			t.Errorf("%s: asked with %+v", way, m)
		}
		for _, wrong := range []struct {
			request *weftv1.RequestRequest
			code    connect.Code
			says    string
		}{
			{&weftv1.RequestRequest{Topic: "nobody"}, connect.CodeNotFound, "no_subscriber"},
			{&weftv1.RequestRequest{Topic: "gone"}, connect.CodeUnavailable, "has gone"},
			{&weftv1.RequestRequest{Topic: "slow", Timeout: durationpb.New(5 * time.Millisecond)}, connect.CodeDeadlineExceeded, `no answer to "slow" within 5ms`},
			{&weftv1.RequestRequest{Topic: "a/#"}, connect.CodeInvalidArgument, "wildcard"},
			{&weftv1.RequestRequest{Topic: "a", Timeout: durationpb.New(time.Hour)}, connect.CodeInvalidArgument, "at most 5m0s"},
			{&weftv1.RequestRequest{Topic: "a", Attributes: map[string]string{"response_topic": "x"}}, connect.CodeInvalidArgument, "response_topic"},
			{&weftv1.RequestRequest{Topic: "a", Converter: "x"}, connect.CodeInvalidArgument, `no converter "x"`},
		} {
			_, err := c.Request(t.Context(), connect.NewRequest(wrong.request))
			if connect.CodeOf(err) != wrong.code || !strings.Contains(err.Error(), wrong.says) {
				t.Errorf("%s, %v: %v", way, wrong.request, err)
			}
		}
	}
}

// Many requests at once, half of which nobody answers, leave nothing behind: goleak
// watches.
func TestConcurrentRequests(t *testing.T) {
	r := start(t, nil)
	c := clients(t, r.url)["gRPC"]
	var group sync.WaitGroup
	for n := range 200 {
		group.Go(func() {
			request := &weftv1.RequestRequest{Topic: []string{"a", "slow"}[n%2], Timeout: durationpb.New(50 * time.Millisecond)}
			_, err := c.Request(t.Context(), connect.NewRequest(request))
			if n%2 == 0 && err != nil && connect.CodeOf(err) != connect.CodeDeadlineExceeded || n%2 == 1 && connect.CodeOf(err) != connect.CodeDeadlineExceeded {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if _, text := call(t, "GET", r.url+"/metrics", "", nil); !strings.Contains(text, "weft_api_requests_waiting 0\n") {
		t.Error("requests are left")
	}
}

// converters are two of the configuration's.
func converters(t *testing.T) func(*admin.Options) {
	t.Helper()
	pack, err := codec.Compile(codec.Spec{Name: "pack", From: codec.JSON, To: codec.CBOR})
	if err != nil {
		t.Fatal(err)
	}
	unpack, err := codec.Compile(codec.Spec{Name: "unpack", From: codec.CBOR, To: codec.JSON})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *admin.Options) { o.Converters = map[string]*codec.Converter{"pack": pack, "unpack": unpack} }
}

// A client speaks JSON where devices speak something else.
func TestConvertersOfTheAPI(t *testing.T) {
	r := start(t, converters(t))
	for way, c := range clients(t, r.url) {
		topic := "a/" + way
		stream := subscribe(t, c, &weftv1.SubscribeRequest{Patterns: []string{topic}, Converter: "unpack", As: weftv1.Encoding_ENCODING_TEXT})
		_, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: topic, Converter: "pack", Retain: true, Body: &weftv1.PublishRequest_Text{Text: `{"n":9007199254740993}`}}))
		if err != nil {
			t.Fatal(way, err)
		}
		m := r.bus.last()
		if kind, _ := m.Attrs.Get("content_type"); string(m.Payload) != "\xa1\x61n\x1b\x00\x20\x00\x00\x00\x00\x00\x01" || string(kind) != "application/cbor" || m.Flags&abi.FlagRetain == 0 {
			t.Errorf("%s: %q %q", way, m.Payload, m.Attrs)
		}
		if !stream.Receive() {
			t.Fatal(way, stream.Err())
		}
		got := stream.Msg().GetMessage()
		if got.GetText() != `{"n":9007199254740993}` || got.GetAttributes()["content_type"] != "application/json" || got.GetConversionError() != "" {
			t.Errorf("%s: %v", way, got)
		}
		if _, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: topic, Body: &weftv1.PublishRequest_Text{Text: "\x00\x00"}})); err != nil {
			t.Fatal(way, err)
		}
		if !stream.Receive() || stream.Msg().GetMessage().GetText() != "\x00\x00" || !strings.Contains(stream.Msg().GetMessage().GetConversionError(), "1 bytes after the end") {
			t.Errorf("%s: %v", way, stream.Msg())
		}
		_, err = c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: topic, Converter: "pack", Body: &weftv1.PublishRequest_Text{Text: `{`}}))
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "converter pack: json at byte 1") {
			t.Errorf("%s: %v", way, err)
		}
		_, err = c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: topic, Converter: "pac"}))
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "it has pack, unpack") {
			t.Errorf("%s: %v", way, err)
		}
	}
}
