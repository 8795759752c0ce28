package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
)

// BenchmarkRequest asks through the bus: a device that answers by sequence id over
// TCP, and a subscriber that publishes to the response topic.
func BenchmarkRequest(b *testing.B) {
	ask := func(b *testing.B, f *fixture, topic string) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
			_, err := f.Bus().Request(ctx, &abi.Message{Topic: []byte(topic), Payload: []byte("how warm?")})
			cancel()
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("device", func(b *testing.B) {
		f := start(b, "auto", requesting)
		c := f.dial("seq")
		f.await("weft_subscriptions", 1)
		go func() {
			for {
				m, err := c.next()
				if err != nil {
					return
				}
				c.say(abi.Message{Type: abi.TypeResponse, Seq: m.Seq, Payload: m.Payload})
			}
		}()
		ask(b, f, "to/seq")
	})
	b.Run("topic", func(b *testing.B) {
		f := start(b, "auto", requesting)
		sub, err := f.Bus().Subscribe(b.Context(), []string{"ask"}, 16)
		if err != nil {
			b.Fatal(err)
		}
		defer sub.Close()
		go func() {
			for {
				d, err := sub.Next(b.Context())
				if err != nil {
					return
				}
				to, _ := d.Message.Attrs.Get(admin.AttrResponseTopic)
				_, _ = f.Bus().Publish(b.Context(), &abi.Message{Topic: to, Payload: d.Message.Payload})
			}
		}()
		ask(b, f, "ask")
	})
}
