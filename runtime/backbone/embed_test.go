package backbone_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/runtime/backbone"
)

func embedded(dir string) backbone.Options {
	return backbone.Options{Node: "one", Dir: dir, Size: 1 << 28, Logger: slog.New(slog.DiscardHandler)}
}

// childDir asks this program, started again by a test, to write to a backbone in a
// folder until it is killed.
const childDir = "WEFT_BACKBONE_CHILD"

// TestChild is that program; it says on its standard output what it has been promised.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("runs as the child of another test")
	}
	b, err := backbone.Open(t.Context(), embedded(dir))
	if err != nil {
		t.Fatal(err)
	}
	k, err := b.Bucket(t.Context(), backbone.BucketOptions{Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		if _, err := k.Put(t.Context(), fmt.Sprint(i%1000), fmt.Append(nil, i), 0); err != nil {
			t.Fatal(err)
		}
		fmt.Println("kept", i)
	}
}

// killed runs the child until it has been promised n writes, kills it, and returns the
// last one that it told of.
func killed(t *testing.T, dir string, n int) (last int) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	c.Env = append(os.Environ(), childDir+"="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var faults bytes.Buffer
	c.Stderr = &faults
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	last = -1
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "kept ")
		if !ok {
			said = append(said, lines.Text())
			continue
		}
		if last, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		if last == n {
			_ = c.Process.Kill()
		}
	}
	_ = c.Wait()
	if last < n {
		t.Fatalf("the child ended by itself after %d writes: %s%s", last, said, faults.Bytes())
	}
	return last
}

func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		last := killed(t, dir, 200+100*round)
		b, err := backbone.Open(t.Context(), embedded(dir))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		k := bucket(t, b, backbone.BucketOptions{Name: "kept"})
		for i := range last + 1 {
			value, _, err := k.Get(t.Context(), fmt.Sprint(i))
			if got, _ := strconv.Atoi(string(value)); err != nil || got < i {
				t.Fatalf("round %d: key %d of %d: %q, %v", round, i, last, value, err)
			}
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATornBlockIsRead(t *testing.T) {
	dir := t.TempDir()
	last := killed(t, dir, 300)
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("%v, %v", blocks, err)
	}
	block := blocks[len(blocks)-1]
	info, err := os.Stat(block)
	if err == nil {
		err = os.Truncate(block, info.Size()-20) // in the midst of the last record
	}
	if err != nil {
		t.Fatal(err)
	}
	k := bucket(t, opened(t, dir), backbone.BucketOptions{Name: "kept"})
	for i := range last - 1 {
		if value, _, err := k.Get(t.Context(), fmt.Sprint(i)); err != nil || string(value) != fmt.Sprint(i) {
			t.Fatalf("key %d of %d: %q, %v", i, last, value, err)
		}
	}
	if _, err := k.Put(t.Context(), "more", nil, 0); err != nil {
		t.Fatal(err)
	}
}

func TestTheFolderIsLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	if err := backbone.CheckFolder(dir); err != nil {
		t.Fatal(err)
	}
	b, err := backbone.Open(t.Context(), embedded(dir))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v, want 0700", info.Mode(), err)
	}
	pid := fmt.Sprint("process ", os.Getpid())
	_, err = backbone.Open(t.Context(), embedded(dir))
	for _, err := range []error{err, backbone.CheckFolder(dir)} {
		if !errors.Is(err, backbone.ErrFolder) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), pid) {
			t.Errorf("%v, want ErrFolder that names %s and %s", err, dir, pid)
		}
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := backbone.CheckFolder(dir); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused := []string{file, filepath.Join(file, "below")}
	if _, err := os.Stat("/proc/self"); err == nil {
		refused = append(refused, "/proc/nope", "/proc/nope/below") // whatever its mode says
	}
	for _, path := range refused {
		if _, err := backbone.Open(t.Context(), embedded(path)); !errors.Is(err, backbone.ErrFolder) {
			t.Errorf("%s: %v, want ErrFolder", path, err)
		}
		if err := backbone.CheckFolder(path); !errors.Is(err, backbone.ErrFolder) {
			t.Errorf("%s: %v, want ErrFolder", path, err)
		}
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := backbone.Open(ctx, embedded(dir)); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want Canceled", err)
	}
	deadline := time.After(30 * time.Second) // what was begun is ended behind our back
	for backbone.CheckFolder(dir) != nil {
		select {
		case <-deadline:
			t.Fatal("the folder stays locked")
		case <-time.Tick(10 * time.Millisecond):
		}
	}
}

func TestStatusOfAnEmbeddedOne(t *testing.T) {
	var lines bytes.Buffer
	o := embedded(t.TempDir())
	o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	b, err := backbone.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	bucket(t, b, backbone.BucketOptions{Name: "kept", Size: 1 << 20})
	s, err := b.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !s.Embedded || !s.State.Connected || s.Dir != o.Dir || s.Limit != o.Size || s.Reserved != 1<<20 || s.Streams != 1 || s.Sync != "always" || s.Disk.P99 == 0 || s.Disk.Samples == 0 || s.State.Server != "one" || s.Payload != 8<<20 {
		t.Errorf("%+v", s)
	}
	if _, err := b.Bucket(t.Context(), backbone.BucketOptions{Name: "large", Size: 1 << 30}); !errors.Is(err, backbone.ErrFull) || !strings.Contains(err.Error(), "backbone.size") {
		t.Errorf("%v, want ErrFull and what to raise", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"sync=always", "fsync_p99=", "folder=" + o.Dir} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no %s in:\n%s", want, lines.String())
		}
	}
}

// TestCloseLeavesNothing: also where somebody still watches.
func TestCloseLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	b, err := backbone.Open(t.Context(), embedded(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	k := bucket(t, b, backbone.BucketOptions{Name: "kept"})
	changes, err := k.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 { // more than wait for a receiver that does not read
		if _, err := k.Put(t.Context(), fmt.Sprint(i%300), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range changes {
	}
	if _, err := k.Put(t.Context(), "late", nil, 0); !errors.Is(err, backbone.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
}
