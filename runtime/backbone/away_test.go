package backbone_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/backbone/natstest"
)

// again opens a backbone in a folder, on a server that may be down.
func again(t *testing.T, dir string, s *natstest.Server, change func(*backbone.Options)) (*backbone.Backbone, error) {
	t.Helper()
	o := backbone.Options{URLs: []string{s.URL()}, Node: "edge", Dir: dir, Within: time.Second, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	return backbone.Open(t.Context(), o)
}

func closed(t *testing.T, b *backbone.Backbone, logs ...*backbone.Log) {
	t.Helper()
	for _, l := range logs {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := b.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// A node that has been in the cluster starts without it; one that was not, or with
// another URL, or with a wrong password, does not.
func TestStartsWithoutTheCluster(t *testing.T) {
	s := natstest.Start(t, natstest.Options{User: "u", Password: "p"})
	dir, right, wrong := t.TempDir(), file(t, "p"), file(t, "q")
	access := func(password string) func(*backbone.Options) {
		return func(o *backbone.Options) {
			o.Access = backbone.Access{User: "u", PasswordFile: password}
			o.Within = 20 * time.Second
		}
	}
	s.Stop()
	if _, err := again(t, dir, s, func(o *backbone.Options) { access(right)(o); o.Within = time.Second }); !errors.Is(err, backbone.ErrAway) {
		t.Fatalf("%v, want ErrAway the first time", err)
	}
	s.Start()
	s.WaitReady()
	b, err := again(t, dir, s, access(right))
	if err != nil {
		t.Fatal(err)
	}
	closed(t, b)
	began := time.Now()
	patient := func(o *backbone.Options) { access(wrong)(o); o.Within = 5 * time.Minute }
	if _, err := again(t, dir, s, patient); !errors.Is(err, backbone.ErrAccess) || time.Since(began) > time.Minute {
		t.Fatalf("%v after %s, want ErrAccess at once", err, time.Since(began))
	}
	s.Stop()
	if _, err := again(t, dir, s, func(o *backbone.Options) { o.URLs, o.Within = []string{"nats://127.0.0.1:1"}, time.Second }); !errors.Is(err, backbone.ErrAway) {
		t.Fatalf("%v, want ErrAway with another URL", err)
	}
	if b, err = again(t, dir, s, access(right)); err != nil {
		t.Fatal(err)
	}
	if state := b.State(); state.Connected || state.Reached || state.Fault == "" {
		t.Errorf("%+v", state)
	}
	k, err := b.Bucket(t.Context(), backbone.BucketOptions{Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Get(t.Context(), "x"); !errors.Is(err, backbone.ErrAway) {
		t.Errorf("get: %v, want ErrAway", err)
	}
	if _, err := k.Put(t.Context(), "x", nil, 0); !errors.Is(err, backbone.ErrAway) {
		t.Errorf("put: %v, want ErrAway", err)
	}
	if _, err := k.Watch(t.Context(), ""); !errors.Is(err, backbone.ErrAway) {
		t.Errorf("watch: %v, want ErrAway", err)
	}
	if _, err := b.Status(t.Context()); !errors.Is(err, backbone.ErrAway) {
		t.Errorf("status: %v, want ErrAway", err)
	}
	s.Start()
	eventually(t, "it connects", func() bool { return b.State().Connected })
	if _, err := k.Put(t.Context(), "x", []byte("y"), time.Minute); err != nil {
		t.Error(err)
	}
	if value, _, err := k.Get(t.Context(), "x"); err != nil || string(value) != "y" {
		t.Errorf("%q, %v", value, err)
	}
	if st, err := b.Status(t.Context()); err != nil || !st.State.Reached || st.Payload == 0 {
		t.Errorf("%+v, %v", st, err)
	}
	closed(t, b)
}

// What a node took while it was down, up without the cluster, killed, and up again is
// in the log in order and once.
func TestForwardOfStartsWithoutTheCluster(t *testing.T) {
	s := natstest.Start(t, natstest.Options{})
	dir, n := t.TempDir(), 0
	log := func(b *backbone.Backbone) *backbone.Log {
		t.Helper()
		l, err := b.Log(t.Context(), backbone.LogOptions{Name: "r", Window: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	add := func(l *backbone.Log, id string, delay time.Duration) {
		t.Helper()
		done := make(chan backbone.Appended, 1)
		if err := l.Append(id, delay, record(n), func(a backbone.Appended) { done <- a }); err != nil {
			t.Fatal(err)
		}
		if a := <-done; a.Err != nil || a.Duplicate {
			t.Fatalf("%d: %+v", n, a)
		}
		n++
	}
	run := func(what func(*backbone.Log), wait bool) {
		t.Helper()
		b, err := again(t, dir, s, func(o *backbone.Options) { o.Within = 20 * time.Second })
		if err != nil {
			t.Fatal(err)
		}
		l := log(b)
		what(l)
		if wait {
			eventually(t, "all is forwarded", func() bool { return !l.Waiting().Away })
		}
		closed(t, b, l)
	}
	some := func(l *backbone.Log) {
		for range 5 {
			add(l, "", 0)
			add(l, fmt.Sprint("id", n), 0)
		}
	}
	run(some, false)
	for range 2 {
		s.Stop()
		run(some, false)
		run(func(l *backbone.Log) { // a second start, with what waits from the first
			some(l)
			if i, err := l.Info(t.Context()); !errors.Is(err, backbone.ErrAway) || !i.Away || i.Backlog < 20 {
				t.Errorf("%+v, %v", i, err)
			}
			if _, err := l.Read(t.Context(), 0, 1); !errors.Is(err, backbone.ErrAway) {
				t.Errorf("read: %v", err)
			}
			if _, err := l.Work(t.Context(), backbone.WorkOptions{Name: "w"}); !errors.Is(err, backbone.ErrAway) {
				t.Errorf("work: %v", err)
			}
			if err := l.Release(t.Context(), 9); !errors.Is(err, backbone.ErrAway) {
				t.Errorf("release: %v", err)
			}
			f, err := l.Follow(t.Context(), 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			s.Start()
			for next := 0; next < n; {
				entries, err := f.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					if string(e.Record) != string(record(next)) {
						t.Fatalf("record %d is %q", next, e.Record)
					}
					next++
				}
			}
			f.Close()
		}, true)
		run(some, false) // connected: right behind
	}
	run(func(l *backbone.Log) {
		entries, err := l.Read(t.Context(), 0, 1000)
		if err != nil || len(entries) != n {
			t.Fatalf("%d records, not %d: %v", len(entries), n, err)
		}
		for i, e := range entries {
			if string(e.Record) != string(record(i)) {
				t.Fatalf("record %d is %q", i, e.Record)
			}
		}
	}, false)
	if _, err := os.Stat(filepath.Join(dir, "member")); err != nil {
		t.Error(err)
	}
}

// betweenTwo is a context that does something when the second bound is put on it.
type betweenTwo struct {
	context.Context
	asked int
	do    func()
}

// Deadline implements context.Context.
func (c *betweenTwo) Deadline() (time.Time, bool) {
	if c.asked++; c.asked == 2 {
		c.do()
	}
	return c.Context.Deadline()
}

// The cluster comes back while a node that has started without it opens a log which is not
// there yet: behind the look for the log, and before the one for its newest record.
func TestTheClusterComesBackAsALogIsOpened(t *testing.T) {
	s := natstest.Start(t, natstest.Options{})
	dir := t.TempDir()
	b, err := again(t, dir, s, func(o *backbone.Options) { o.Within = 20 * time.Second })
	if err != nil {
		t.Fatal(err)
	}
	closed(t, b)
	s.Stop()
	if b, err = again(t, dir, s, nil); err != nil {
		t.Fatal(err)
	}
	ctx := &betweenTwo{Context: t.Context(), do: func() {
		s.Start()
		eventually(t, "it connects", func() bool { return b.State().Connected })
	}}
	l, err := b.Log(ctx, backbone.LogOptions{Name: "new", Window: time.Minute})
	if err != nil || ctx.asked < 2 {
		closed(t, b)
		t.Fatal(err, ctx.asked)
	}
	done := make(chan backbone.Appended, 1)
	if err := l.Append("", 0, record(1), func(a backbone.Appended) { done <- a }); err != nil {
		t.Fatal(err)
	}
	if a := <-done; a.Err != nil {
		t.Errorf("%+v", a)
	}
	eventually(t, "it is in the cluster's log", func() bool {
		i, err := l.Info(t.Context())
		return err == nil && !i.Away && i.Records == 1
	})
	closed(t, b, l)
}
