package backbone

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A watch goes on where its question for messages, or a message, is lost between
// servers, of which the consumer's signs of life say nothing.
func TestAWatchLosesNothingOnTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		before bool // the key is there before the watch is
		// first is what becomes of the first question; hub passes questions on.
		first func(hub *nats.Conn, question *nats.Msg) error
	}{
		"question": {true, func(*nats.Conn, *nats.Msg) error { return nil }},
		"value":    {true, steal},
		"change":   {false, steal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			b := inProcess(t)
			k, err := b.Bucket(ctx, BucketOptions{Name: "kept"})
			if err != nil {
				t.Fatal(err)
			}
			put := func() {
				if _, err := k.Create(ctx, "key", []byte("value"), 0); err != nil {
					t.Fatal(err)
				}
			}
			if c.before {
				put()
			}
			asked := make(chan struct{})
			watched := &Bucket{b: between(t, b, func(hub *nats.Conn, question *nats.Msg) error {
				defer close(asked)
				return c.first(hub, question)
			}), options: k.options, prefix: k.prefix, keyTTL: k.keyTTL}
			watched.stream = &lazy{b: watched.b, open: watched.open}
			changes, err := watched.Watch(ctx, "")
			if err != nil {
				t.Fatal(err)
			}
			<-asked
			if !c.before {
				put()
			}
			ready := false
			for end := time.After(time.Minute); ; {
				select {
				case c := <-changes:
					ready = ready || c.Ready
					if c.Key == "key" && !bytes.Equal(c.Value, []byte("value")) {
						t.Errorf("%+v", c)
					}
					if c.Key == "key" {
						return
					}
				case <-end:
					t.Fatalf("nothing came; ready: %v", ready)
				}
			}
		})
	}
}

// A delayed record that is lost on its way to who moves it comes, if later.
func TestADelayedRecordIsNotLostOnTheWay(t *testing.T) {
	ctx := t.Context()
	b := inProcess(t)
	l := logged(t, between(t, b, steal), 500*time.Millisecond)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		info, err := l.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if info.Records == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", info)
		}
	}
}

// A list of keys is asked for again where the question for them was lost.
func TestKeysAreNotLostOnTheWay(t *testing.T) {
	ctx := t.Context()
	b := inProcess(t)
	k, err := between(t, b, func(*nats.Conn, *nats.Msg) error { return nil }).Bucket(ctx, BucketOptions{Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Create(ctx, "key", nil, 0); err != nil {
		t.Fatal(err)
	}
	if keys, err := k.Keys(ctx, ""); err != nil || !slices.Equal(keys, []string{"key"}) {
		t.Errorf("%q, %v", keys, err)
	}
}

// What a log has from a number on is known to the leader of its stream.
func TestNextOf(t *testing.T) {
	ctx := t.Context()
	b := inProcess(t)
	l := logged(t, b, 0)
	m, err := b.nextOf(ctx, l.name, 1, l.subjects)
	if err != nil || m == nil {
		t.Fatalf("%v, %v", m, err)
	}
	if m, err := b.nextOf(ctx, l.name, m.Seq+1, l.subjects); err != nil || m != nil {
		t.Errorf("behind the last: %v, %v", m, err)
	}
}

// inProcess is a backbone in this process, until the test ends.
func inProcess(t *testing.T) *Backbone {
	t.Helper()
	b, err := Open(t.Context(), Options{Node: "one", Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// logged is a log that keeps a record, which may be delayed.
func logged(t *testing.T, b *Backbone, delay time.Duration) *Log {
	t.Helper()
	l, err := b.Log(t.Context(), LogOptions{Name: "some"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	kept := make(chan error, 1)
	if err := l.Append("", delay, []byte("record"), func(a Appended) { kept <- a.Err }); err != nil {
		t.Fatal(err)
	}
	if err := <-kept; err != nil {
		t.Fatal(err)
	}
	return l
}

// steal takes the consumer's next message before who asks for it.
func steal(hub *nats.Conn, question *nats.Msg) error {
	inbox := hub.NewInbox()
	stolen, err := hub.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	if err := hub.PublishRequest(question.Subject, inbox, []byte(`{"batch":1,"expires":60000000000}`)); err != nil {
		return err
	}
	_, _ = stolen.NextMsg(100 * time.Millisecond) // or later
	return hub.PublishRequest(question.Subject, question.Reply, question.Data)
}

// between is the backbone with something between it and JetStream, which has the first
// question for a consumer's messages.
func between(t *testing.T, b *Backbone, first func(hub *nats.Conn, question *nats.Msg) error) *Backbone {
	t.Helper()
	hub, err := nats.Connect("", nats.InProcessServer(b.server))
	if err != nil {
		t.Fatal(err)
	}
	var over atomic.Bool // what comes then is for nobody
	t.Cleanup(func() { over.Store(true); hub.Close() })
	const far, near = "far.", "$JS.API."
	met := false
	_, err = hub.Subscribe(far+">", func(m *nats.Msg) {
		m.Subject = near + strings.TrimPrefix(m.Subject, far)
		var err error
		if !met && strings.HasPrefix(m.Subject, near+"CONSUMER.MSG.NEXT.") {
			met, err = true, first(hub, m)
		} else {
			err = hub.PublishRequest(m.Subject, m.Reply, m.Data)
		}
		if err != nil && !over.Load() {
			t.Error(err)
		}
	})
	if err := errors.Join(err, hub.Flush()); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.NewWithAPIPrefix(b.conn, strings.TrimSuffix(far, "."))
	if err != nil {
		t.Fatal(err)
	}
	return &Backbone{options: b.options, folder: b.folder, server: b.server, conn: b.conn, js: js, tracker: b.tracker, seldom: b.seldom, closed: b.closed, largest: b.payload()}
}
