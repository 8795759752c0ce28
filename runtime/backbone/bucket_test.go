package backbone_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
)

func opened(t *testing.T, dir string) *backbone.Backbone {
	t.Helper()
	b, err := backbone.Open(t.Context(), backbone.Options{Node: "one", Dir: dir, Size: 1 << 28, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

func bucket(t *testing.T, b *backbone.Backbone, o backbone.BucketOptions) *backbone.Bucket {
	t.Helper()
	k, err := b.Bucket(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestBucketValues(t *testing.T) {
	for _, memory := range []bool{false, true} {
		t.Run(fmt.Sprint("memory=", memory), func(t *testing.T) {
			ctx := t.Context()
			k := bucket(t, opened(t, t.TempDir()), backbone.BucketOptions{Name: "a.b c", Memory: memory})
			is := func(what string, err, want error) {
				t.Helper()
				if !errors.Is(err, want) || (want == nil) != (err == nil) {
					t.Fatalf("%s: %v, want %v", what, err, want)
				}
			}
			_, _, err := k.Get(ctx, "x")
			is("get of nothing", err, backbone.ErrNoKey)
			first, err := k.Create(ctx, "x", []byte("1"), 0)
			is("create", err, nil)
			_, err = k.Create(ctx, "x", []byte("2"), 0)
			is("create again", err, backbone.ErrConflict)
			second, err := k.Update(ctx, "x", []byte("3"), first, 0)
			is("update", err, nil)
			_, err = k.Update(ctx, "x", []byte("4"), first, 0)
			is("update of an old revision", err, backbone.ErrConflict)
			value, rev, err := k.Get(ctx, "x")
			is("get", err, nil)
			if string(value) != "3" || rev != second || rev <= first {
				t.Fatalf("%q of revision %d, want 3 of %d", value, rev, second)
			}
			is("delete of an old revision", k.Delete(ctx, "x", first), backbone.ErrConflict)
			is("delete", k.Delete(ctx, "x", second), nil)
			is("delete of nothing", k.Delete(ctx, "y", 0), nil)
			_, _, err = k.Get(ctx, "x")
			is("get of what was deleted", err, backbone.ErrNoKey)
			_, err = k.Update(ctx, "x", []byte("5"), second, 0)
			is("update of what was deleted", err, backbone.ErrConflict)
			_, err = k.Create(ctx, "x", nil, 0)
			is("create of what was deleted", err, nil)
			value, _, err = k.Get(ctx, "x")
			is("get of nothing at all", err, nil)
			if len(value) != 0 {
				t.Fatalf("%q, want an empty value", value)
			}
			_, err = k.Put(ctx, "", nil, 0)
			is("no key", err, backbone.ErrKey)
			_, err = k.Put(ctx, strings.Repeat("k", backbone.KeyMax+1), nil, 0)
			is("a long key", err, backbone.ErrKey)
			_, err = k.Put(ctx, "large", make([]byte, 9<<20), 0)
			is("a large value", err, backbone.ErrTooLarge)
		})
	}
}

func TestBucketKeysOfAnyBytes(t *testing.T) {
	ctx := t.Context()
	k := bucket(t, opened(t, t.TempDir()), backbone.BucketOptions{Name: "keys"})
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	keys := []string{
		"a", "a/b", "a/b/c", "/a", "a/", "a//b", "//", "/", "a.b", ".", "..", "a b", "*", ">", "a/*", "a/>", "=", "=2F", "a=2F", "\x00", "\xff\xfe", "ü", "$SYS/x",
		string(every), strings.Repeat("\xff", backbone.KeyMax), strings.Repeat("a/", backbone.KeyMax/2-1) + "a",
	}
	for i, key := range keys {
		if _, err := k.Create(ctx, key, []byte{byte(i)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, key := range keys {
		if value, _, err := k.Get(ctx, key); err != nil || !bytes.Equal(value, []byte{byte(i)}) {
			t.Errorf("%q: %x, %v", key, value, err)
		}
	}
	for _, prefix := range []string{"", "a", "a/", "a/b", "a//", "/", "//", "\x00", "none", "a."} {
		var want []string
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		got, err := k.Keys(ctx, prefix)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("keys with %q: %q, want %q", prefix, got, want)
		}
	}
}

func TestBucketWatch(t *testing.T) {
	ctx := t.Context()
	b := opened(t, t.TempDir())
	k := bucket(t, b, backbone.BucketOptions{Name: "watched"})
	for _, key := range []string{"s/1", "s/2", "s/3", "other"} {
		if _, err := k.Put(ctx, key, []byte(key), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Delete(ctx, "s/3", 0); err != nil {
		t.Fatal(err)
	}
	watching, stop := context.WithCancel(ctx)
	changes, err := k.Watch(watching, "s/")
	if err != nil {
		t.Fatal(err)
	}
	next := func() backbone.Change {
		t.Helper()
		select {
		case c := <-changes:
			return c
		case <-time.After(time.Minute):
			t.Fatal("no change came")
			return backbone.Change{}
		}
	}
	a, c := next(), next()
	if a.Key > c.Key {
		a, c = c, a
	}
	if a.Key != "s/1" || string(a.Value) != "s/1" || c.Key != "s/2" {
		t.Fatalf("%+v and %+v, want s/1 and s/2", a, c)
	}
	if c := next(); !c.Ready {
		t.Fatalf("%+v, want Ready", c)
	}
	rev, _ := k.Put(ctx, "s/4", []byte("new"), 0)
	if c := next(); c.Key != "s/4" || string(c.Value) != "new" || c.Rev != rev {
		t.Fatalf("%+v, want s/4 of %d", c, rev)
	}
	_ = k.Delete(ctx, "s/1", 0)
	if c := next(); c.Key != "s/1" || !c.Deleted {
		t.Fatalf("%+v, want s/1 deleted", c)
	}
	if _, err := k.Put(ctx, "s/5", nil, time.Second); err != nil {
		t.Fatal(err)
	}
	if c := next(); c.Key != "s/5" || c.Deleted {
		t.Fatalf("%+v, want s/5", c)
	}
	if c := next(); c.Key != "s/5" || !c.Deleted {
		t.Fatalf("%+v, want s/5 deleted by its time", c)
	}
	stop()
	for range changes {
		t.Error("a change after the end")
	}
	empty, err := k.Watch(ctx, "none/")
	if err != nil {
		t.Fatal(err)
	}
	if c := <-empty; !c.Ready {
		t.Fatalf("%+v, want Ready", c)
	}
	if err := b.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for range empty {
		t.Error("a change after Close")
	}
}

func TestBucketFull(t *testing.T) {
	ctx := t.Context()
	k := bucket(t, opened(t, t.TempDir()), backbone.BucketOptions{Name: "full", Size: 64 << 10})
	var err error
	n := 0
	for ; n < 10000 && err == nil; n++ {
		_, err = k.Put(ctx, fmt.Sprint("k", n), []byte("v"), 0)
	}
	if !errors.Is(err, backbone.ErrFull) {
		t.Fatalf("%v after %d keys, want ErrFull", err, n)
	}
	if _, err := k.Put(ctx, "k0", []byte("w"), 0); err != nil {
		t.Errorf("a value of the same size: %v", err)
	}
	for i := range n / 2 {
		if err := k.Delete(ctx, fmt.Sprint("k", i), 0); err != nil {
			t.Fatalf("delete %d: %v", i, err)
		}
	}
	info, err := k.Info(ctx)
	if err != nil || info.Bytes >= 64<<10 || info.Size != 64<<10 {
		t.Fatalf("%+v, %v", info, err)
	}
}

func TestBucketsAreBounded(t *testing.T) {
	b := opened(t, t.TempDir())
	for i := range 64 {
		bucket(t, b, backbone.BucketOptions{Name: fmt.Sprint(i), Memory: true})
	}
	bucket(t, b, backbone.BucketOptions{Name: "1", Memory: true})
	if _, err := b.Bucket(t.Context(), backbone.BucketOptions{Name: "more", Memory: true}); !errors.Is(err, backbone.ErrTooMany) {
		t.Fatalf("%v, want ErrTooMany", err)
	}
}
