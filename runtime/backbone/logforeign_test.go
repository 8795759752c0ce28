package backbone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// A message that somebody else has put into the log's stream, or that a broken disk has
// changed, is left out: what is behind it is read.
func TestLogGoesOnBehindWhatIsNoRecord(t *testing.T) {
	o := Options{Node: "one", Dir: t.TempDir(), Size: 1 << 30, Logger: slog.New(slog.DiscardHandler)}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	l, err := b.Log(t.Context(), LogOptions{Name: "r"})
	if err != nil {
		t.Fatal(err)
	}
	put := func(i int) {
		done := make(chan error, 1)
		if err := l.Append("", 0, fmt.Append(nil, "record ", i), func(a Appended) { done <- a.Err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	foreign := func(node string) {
		if _, err := b.js.Publish(t.Context(), "weft.log.r."+node, []byte("not a record at all, but long enough")); err != nil {
			t.Fatal(err)
		}
	}
	foreign("evil")
	put(1)
	foreign("one")
	put(2)
	foreign("evil")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	f, err := l.Follow(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for got := 0; got < 2; {
		entries, err := f.Next(ctx)
		if err != nil {
			t.Errorf("follow: %v", err)
			break
		}
		got += len(entries)
	}
	if entries, err := l.Read(ctx, 0, 100); err != nil || len(entries) != 2 {
		t.Errorf("read: %d entries, %v", len(entries), err)
	}
	if info, err := l.Info(ctx); err != nil {
		t.Errorf("info: %+v, %v", info, err)
	}
	if err := l.Close(ctx); err != nil && !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
