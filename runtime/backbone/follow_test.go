package backbone_test

import (
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
)

// TestBucketFollow: the first list is between Begin and Ready; afterwards deletions are
// told of keys too that lived too shortly to be told of, with the revision that Remove
// returned.
func TestBucketFollow(t *testing.T) {
	ctx := t.Context()
	k := bucket(t, opened(t, t.TempDir()), backbone.BucketOptions{Name: "followed"})
	if _, err := k.Put(ctx, "s/1", []byte("one"), 0); err != nil {
		t.Fatal(err)
	}
	changes, err := k.Follow(ctx, "s/")
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
	if a, b, c := next(), next(), next(); !a.Begin || b.Key != "s/1" || string(b.Value) != "one" || !c.Ready {
		t.Fatalf("%+v, %+v, %+v", a, b, c)
	}
	rev, err := k.Remove(ctx, "s/never", 0)
	if err != nil || rev == 0 {
		t.Fatal(rev, err)
	}
	if c := next(); !c.Deleted || c.Key != "s/never" || c.Rev != rev {
		t.Errorf("%+v, want s/never gone at %d", c, rev)
	}
}
