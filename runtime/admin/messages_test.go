package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// clients are the ways by which a program can talk to the API.
func clients(t *testing.T, url string) map[string]weftv1connect.MessagesClient {
	t.Helper()
	return map[string]weftv1connect.MessagesClient{
		"connect, HTTP/1.1": weftv1connect.NewMessagesClient(client(t, false), url),
		"connect, JSON":     weftv1connect.NewMessagesClient(client(t, false), url, connect.WithProtoJSON()),
		"connect, HTTP/2":   weftv1connect.NewMessagesClient(client(t, true), url),
		"gRPC":              weftv1connect.NewMessagesClient(client(t, true), url, connect.WithGRPC()),
		"gRPC-Web":          weftv1connect.NewMessagesClient(client(t, false), url, connect.WithGRPCWeb()),
	}
}

func subscribe(t *testing.T, c weftv1connect.MessagesClient, r *weftv1.SubscribeRequest) *connect.ServerStreamForClient[weftv1.SubscribeResponse] {
	t.Helper()
	stream, err := c.Subscribe(t.Context(), connect.NewRequest(r))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() }) // the server may have ended it
	if !stream.Receive() {
		t.Fatalf("no confirmation: %v", stream.Err())
	}
	if got := stream.Msg().GetSubscribed(); got == nil || len(got.GetPatterns()) != len(r.GetPatterns()) || got.GetBuffer() == 0 {
		t.Fatalf("confirmation: %v", stream.Msg())
	}
	return stream
}

func TestPublishAndSubscribe(t *testing.T) {
	r := start(t, nil)
	for name, c := range clients(t, r.url) {
		t.Run(name, func(t *testing.T) {
			topic := "a/" + name // another one each time: the last client may be still leaving
			stream := subscribe(t, c, &weftv1.SubscribeRequest{Patterns: []string{topic}})
			answer, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{
				Topic: topic, Attributes: map[string]string{"level": "high", "empty": ""}, Body: &weftv1.PublishRequest_Text{Text: "hello"},
				Type: weftv1.Type_TYPE_REQUEST, Priority: 7, Qos: 1, Seq: 1 << 60,
			}))
			if err != nil {
				t.Fatal(err)
			}
			if m := answer.Msg; !m.GetAccepted() || m.GetDelivered() != 1 || m.GetDropped() != "" {
				t.Errorf("answer: %v", m)
			}
			if !stream.Receive() {
				t.Fatal(stream.Err())
			}
			m := stream.Msg().GetMessage()
			if m.GetTopic() != topic || m.GetText() != "hello" || m.GetAttributes()["level"] != "high" || m.GetType() != weftv1.Type_TYPE_REQUEST ||
				m.GetPriority() != 7 || m.GetQos() != 1 || m.GetSeq() != 1<<60 || m.GetListener() != "trucks" || time.Since(m.GetTime().AsTime()) > time.Minute {
				t.Errorf("message: %v", m)
			}
		})
	}
}

func TestDroppedIsTold(t *testing.T) {
	r := start(t, nil)
	answer, err := weftv1connect.NewMessagesClient(client(t, false), r.url).Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "nobody"}))
	if err != nil || answer.Msg.GetAccepted() || answer.Msg.GetDropped() != "no_subscribers" {
		t.Errorf("%v, %v", answer, err)
	}
}

func TestInvalidRequests(t *testing.T) {
	r := start(t, nil)
	big := strings.Repeat("x", abi.MaxAttribute+1)
	for name, request := range map[string]*weftv1.PublishRequest{
		"topic is empty": {},
		"wildcard":       {Topic: "a/#"},
		"priority 8":     {Topic: "a", Priority: 8},
		"qos 3":          {Topic: "a", Qos: 3},
		"type 99":        {Topic: "a", Type: 99},
		"names are not":  {Topic: "a", Attributes: map[string]string{"": "x"}},
		"at most 65535":  {Topic: big},
		"attribute":      {Topic: "a", Attributes: map[string]string{"a": big}},
		"at most 65536":  {Topic: "a", Attributes: map[string]string{"a": big[2:], "b": big[2:]}},
	} {
		for way, c := range clients(t, r.url) {
			_, err := c.Publish(t.Context(), connect.NewRequest(request))
			if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s: %v", name, way, err)
			}
		}
	}
	for name, request := range map[string]*weftv1.SubscribeRequest{
		"at least one pattern": {},
		"no empty one":         {Patterns: []string{"a", ""}},
		"comes last":           {Patterns: []string{"#/a"}},
		"at most 65536":        {Patterns: []string{"#"}, Buffer: 65537},
		"encoding 9":           {Patterns: []string{"#"}, As: 9},
		"1025 patterns":        {Patterns: strings.Split(strings.Repeat("a ", 1024)+"a", " ")},
	} {
		for way, c := range clients(t, r.url) {
			stream, err := c.Subscribe(t.Context(), connect.NewRequest(request))
			if err == nil {
				for stream.Receive() {
					t.Errorf("%s, %s: got %v", name, way, stream.Msg())
				}
				err = stream.Err()
				_ = stream.Close() // already ended
			}
			if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s: %v", name, way, err)
			}
		}
	}
}

func TestErrorCodes(t *testing.T) {
	r := start(t, nil)
	for _, c := range []struct {
		fail error
		code connect.Code
		text string
	}{
		{fmt.Errorf("%w: try later", admin.ErrBusy), connect.CodeResourceExhausted, "try later"},
		{admin.ErrDraining, connect.CodeUnavailable, "shutting down"},
		{context.DeadlineExceeded, connect.CodeDeadlineExceeded, "deadline"},
		{errors.New("the key is hunter2"), connect.CodeInternal, "weft's log"},
	} {
		r.bus.setFail(c.fail)
		for way, client := range clients(t, r.url) {
			_, err := client.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "a"}))
			if connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v, %s: %v", c.fail, way, err)
			}
		}
	}
	if !strings.Contains(r.log.String(), "hunter2") {
		t.Error("the log does not have the cause of an internal error")
	}
}

func TestPanicCostsOneCall(t *testing.T) {
	r := start(t, nil)
	c := weftv1connect.NewMessagesClient(client(t, true), r.url, connect.WithGRPC())
	if _, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "panic"})); connect.CodeOf(err) != connect.CodeInternal {
		t.Error(err)
	}
}

func TestEncodings(t *testing.T) {
	r := start(t, nil)
	c := weftv1connect.NewMessagesClient(client(t, true), r.url)
	const (
		auto  = weftv1.Encoding_ENCODING_UNSPECIFIED
		bytes = weftv1.Encoding_ENCODING_BYTES
		text  = weftv1.Encoding_ENCODING_TEXT
		json  = weftv1.Encoding_ENCODING_JSON
	)
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	streams := map[weftv1.Encoding]*connect.ServerStreamForClient[weftv1.SubscribeResponse]{}
	for _, as := range []weftv1.Encoding{auto, bytes, text, json} {
		streams[as] = subscribe(t, c, &weftv1.SubscribeRequest{Patterns: []string{"#"}, As: as})
	}
	for payload, want := range map[string]string{ // the forms for auto, text and JSON
		`{"a":[1,2.5,"x",null,true]}`:  "json text json",
		`17`:                           "text text json",
		`"x"`:                          "text text json",
		`{"id":9007199254740993}`:      "text text payload",
		`{"id":9007199254740992}`:      "json text json",
		`{"v":0.12345678901234567890}`: "text text payload",
		`{"v":1e400}`:                  "text text payload",
		`{} {}`:                        "text text payload",
		`{"a":`:                        "text text payload",
		"line\r\n":                     "text text payload",
		"a\x00b":                       "payload text payload",
		"\xff\xfe":                     "payload payload payload",
		"{\"a\":\"\xff\"}":             "payload payload payload",
		"":                             "text text payload",
		deep:                           "text text payload",
	} {
		if _, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "a", Body: &weftv1.PublishRequest_Payload{Payload: []byte(payload)}})); err != nil {
			t.Fatal(err)
		}
		forms := strings.Fields(want)
		for as, form := range map[weftv1.Encoding]string{auto: forms[0], bytes: "payload", text: forms[1], json: forms[2]} {
			stream := streams[as]
			if !stream.Receive() {
				t.Fatal(stream.Err())
			}
			m := stream.Msg().GetMessage()
			got, same := "", false
			switch body := m.GetBody().(type) {
			case *weftv1.Message_Payload:
				got, same = "payload", string(body.Payload) == payload
			case *weftv1.Message_Text:
				got, same = "text", body.Text == payload
			case *weftv1.Message_Json:
				got, same = "json", true
			}
			if got != form || !same {
				t.Errorf("%.40q as %s: %s, expected %s", payload, as, got, form)
			}
		}
	}
}

func TestPublishedJSONIsCompact(t *testing.T) {
	r := start(t, nil)
	value, err := structpb.NewValue(map[string]any{"b": []any{1, 2.5, nil}, "a": "<é>"})
	if err != nil {
		t.Fatal(err)
	}
	c := weftv1connect.NewMessagesClient(client(t, false), r.url)
	if _, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "a", Body: &weftv1.PublishRequest_Json{Json: value}})); err != nil {
		t.Fatal(err)
	}
	if got := string(r.bus.last().Payload); got != `{"a":"<é>","b":[1,2.5,null]}` {
		t.Error(got)
	}
}

func TestMissedMessagesAreTold(t *testing.T) {
	r := start(t, nil)
	c := weftv1connect.NewMessagesClient(client(t, true), r.url)
	stream := subscribe(t, c, &weftv1.SubscribeRequest{Patterns: []string{"#"}, Buffer: 1})
	// The reader stands still, so in the end the transport's windows are full.
	payload := make([]byte, 1<<20)
	sent, missed := 0, uint64(0)
	for sent < 1000 && missed == 0 {
		answer, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "a", Body: &weftv1.PublishRequest_Payload{Payload: payload}}))
		if err != nil {
			t.Fatal(err)
		}
		sent++
		if !answer.Msg.GetAccepted() {
			missed++
		}
	}
	if missed == 0 {
		t.Fatal("a reader that stands still never missed a message")
	}
	received := 0
	for told := uint64(0); told < missed; received++ {
		if received >= sent {
			if _, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "a"})); err != nil {
				t.Fatal(err)
			}
		}
		if received == sent-int(missed) {
			if _, err := c.Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "last"})); err != nil {
				t.Fatal(err)
			}
		}
		if !stream.Receive() {
			t.Fatal(stream.Err())
		}
		told = stream.Msg().GetMissed()
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	r := start(t, nil)
	ways := clients(t, r.url)
	streams := map[string]*connect.ServerStreamForClient[weftv1.SubscribeResponse]{}
	for way, c := range ways {
		streams[way] = subscribe(t, c, &weftv1.SubscribeRequest{Patterns: []string{"#"}})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.server.Shutdown(ctx) }()
	for way, stream := range streams {
		for stream.Receive() {
			t.Errorf("%s: %v", way, stream.Msg())
		}
		if err := stream.Err(); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "shutting down") {
			t.Errorf("%s: %v", way, err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := ways["gRPC"].Publish(t.Context(), connect.NewRequest(&weftv1.PublishRequest{Topic: "a"})); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("after the shutdown: %v", err)
	}
	if n := len(r.bus.subs); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func TestClientThatLeavesEndsItsSubscription(t *testing.T) {
	r := start(t, nil)
	for way, c := range clients(t, r.url) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := c.Subscribe(ctx, connect.NewRequest(&weftv1.SubscribeRequest{Patterns: []string{"#"}}))
		if err != nil || !stream.Receive() {
			t.Fatal(way, err)
		}
		var sub *fakeSub
		r.bus.mu.Lock()
		for s := range r.bus.subs {
			sub = s
		}
		r.bus.mu.Unlock()
		cancel()
		select {
		case <-sub.ended:
		case <-time.After(time.Minute):
			t.Errorf("%s: the subscription outlived its client", way)
		}
		_ = stream.Close() // cancelled above
	}
}

func TestReflection(t *testing.T) {
	r := start(t, nil)
	c := grpcreflect.NewClient(client(t, true), r.url, connect.WithGRPC())
	stream := c.NewStream(t.Context())
	defer func() { _, _ = stream.Close() }() // ends with the test
	names, err := stream.ListServices()
	if err != nil || len(names) != 2 || names[0] != "weft.v1.Messages" || names[1] != "weft.v1.Profiles" {
		t.Fatalf("%v, %v", names, err)
	}
	files, err := stream.FileContainingSymbol("weft.v1.Messages")
	if err != nil || len(files) == 0 {
		t.Errorf("%v, %v", files, err)
	}
}
