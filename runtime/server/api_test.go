package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
)

const withAPI = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, topic: "t", acknowledge: "", subscribe: ["to/lines"]}]
api: {address: "127.0.0.1:0"}
`

// url is the address of the API.
func (f *fixture) url() string {
	for _, a := range f.Addresses() {
		if a.Name == "api" {
			return "http://" + a.Addr.String()
		}
	}
	f.t.Fatal("there is no API")
	return ""
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestTheAPIPublishesAndSubscribes(t *testing.T) {
	f := start(t, "auto", withAPI)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	lines := f.dial("lines")
	f.await("weft_subscriptions", 1)

	receipt, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("to/lines"), Payload: []byte("by API")})
	if err != nil || receipt.Delivered != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if got := lines.hear(); string(got.Payload) != "by API" {
		t.Errorf("heard %q", got.Payload)
	}
	receipt, err = f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("nobody/listens")})
	if err != nil || receipt.Delivered != 0 || receipt.Dropped != "no_subscriber" {
		t.Errorf("%+v, %v", receipt, err)
	}
	if _, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("a/#")}); !errors.Is(err, admin.ErrInvalidMessage) {
		t.Errorf("a topic with a wildcard: %v", err)
	}

	sub, err := f.Bus().Subscribe(t.Context(), []string{"t", "#"}, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for n := range 10 {
		lines.say(text(fmt.Sprint("line ", n)))
	}
	f.await("weft_messages_in_total", 12)
	f.await("weft_copies_dropped_total", 6) // those over the buffer
	for n := range 4 {
		d, err := sub.Next(t.Context())
		if err != nil || string(d.Message.Payload) != fmt.Sprint("line ", n) || d.Listener != "lines" {
			t.Fatalf("message %d: %+v, %v", n, d, err)
		}
	}
	lines.say(text("after"))
	if d, err := sub.Next(t.Context()); err != nil || d.Missed != 6 || string(d.Message.Payload) != "after" {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := f.Bus().Subscribe(t.Context(), []string{"a/#/b"}, 1); !errors.Is(err, admin.ErrInvalidPattern) {
		t.Errorf("a bad pattern: %v", err)
	}
	sub.Close()
	if _, err := sub.Next(t.Context()); !errors.Is(err, admin.ErrEnded) {
		t.Errorf("after Close: %v", err)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	f := start(t, "auto", withAPI)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, f.url()+path); status != http.StatusOK || !strings.Contains(body, "running") {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	f.dial("lines").say(text("hello"))
	f.await("weft_messages_in_total", 1)
	status, body := get(t, f.url()+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, body)
	}
	for _, line := range []string{
		"weft_messages_in_total 1", `weft_messages_dropped_total{reason="no_subscriber"} 1`,
		`weft_connections{listener="lines"} 1`, `weft_listener_messages_total{listener="lines"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

// A subscriber of the API is told when weft drains.
func TestDrainEndsSubscriptions(t *testing.T) {
	f := start(t, "auto", withAPI)
	sub, err := f.Bus().Subscribe(t.Context(), []string{"#"}, 4)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := sub.Next(ctx)
		ended <- err
	}()
	f.end()
	if err := <-ended; !errors.Is(err, admin.ErrDraining) {
		t.Errorf("got %v", err)
	}
	if _, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("t")}); !errors.Is(err, admin.ErrDraining) {
		t.Errorf("publishing to a stopped server: %v", err)
	}
}

const twoLoops = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, topic: "t", acknowledge: "", subscribe: ["to/lines"]}]
loops: 2
api: {address: ""}
`

// What is published one after another to a topic arrives so, whichever loop the
// receiver lives on.
func TestMessagesOfTheAPIStayInOrder(t *testing.T) {
	f := start(t, "auto", twoLoops)
	c := f.dial("lines")
	f.await("weft_subscriptions", 1)
	const total = 2_000
	published := make(chan error, 1)
	go func() {
		for n := range total {
			for delivered := 0; delivered == 0; { // what finds no room is told so
				m := &abi.Message{Topic: []byte("to/lines"), Payload: fmt.Appendf(nil, "%d", n)}
				receipt, err := f.Bus().Publish(t.Context(), m)
				if err != nil {
					published <- err
					return
				}
				delivered = receipt.Delivered
			}
		}
		published <- nil
	}()
	for n := range total {
		if got := string(c.line()); got != fmt.Sprint(n) {
			t.Fatalf("%s came, not %d", got, n)
		}
	}
	if err := <-published; err != nil {
		t.Error(err)
	}
}
