package backbone_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
)

// lockedBuffer takes lines of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// small mounts a file system of a few bytes; the test is skipped without the right to.
func small(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskIsSaidAndMended(t *testing.T) {
	ctx := t.Context()
	dir := small(t, 96<<20)
	var lines lockedBuffer
	o := embedded(filepath.Join(dir, "data"))
	o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	b, err := backbone.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	k := bucket(t, b, backbone.BucketOptions{Name: "kept"})
	if _, err := k.Put(ctx, "first", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	_ = f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	value := make([]byte, 128<<10)
	for i := 0; err == nil || i < 4; i++ {
		_, err = k.Put(ctx, fmt.Sprint("more", i), value, 0)
		if i == 1000 {
			t.Fatal("a full disk takes what it gets")
		}
	}
	if !errors.Is(err, backbone.ErrAway) && !errors.Is(err, backbone.ErrFull) {
		t.Errorf("%v, want ErrAway or ErrFull", err)
	}
	state := await(t, b, func(s backbone.State) bool { return s.Fault != "" })
	t.Log(state.Fault)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	await(t, b, func(s backbone.State) bool { return s.Fault == "" })
	if value, _, err := k.Get(ctx, "first"); err != nil || string(value) != "1" {
		t.Errorf("what was kept before: %q, %v", value, err)
	}
	if _, err := k.Put(ctx, "last", []byte("2"), 0); err != nil {
		t.Errorf("after there was room: %v", err)
	}
	for _, want := range []string{"cannot store", "make room", "stores again", "in memory"} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no %q in:\n%s", want, lines.String())
		}
	}
}

func TestADiskThatIsFullAtFirst(t *testing.T) {
	dir := small(t, 64<<10)
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	_ = f.Close()
	_, err = backbone.Open(t.Context(), embedded(dir))
	if !errors.Is(err, backbone.ErrFolder) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("%v, want ErrFolder, no space left, make room", err)
	}
}

// A file that never ends to be read ends the start, within its bound.
func TestAFolderThatIsReadForEver(t *testing.T) {
	dir := t.TempDir()
	o := embedded(dir)
	b, err := backbone.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	bucket(t, b, backbone.BucketOptions{Name: "kept"})
	closed(t, b)
	file := filepath.Join(dir, "jetstream", "$G", "streams", "KV_weft_kept", "meta.inf")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	o.StartWithin = time.Second
	_, err = backbone.Open(t.Context(), o)
	if !errors.Is(err, backbone.ErrFolder) || !strings.Contains(err.Error(), "start_within") || !strings.Contains(err.Error(), "aside") {
		t.Errorf("%v", err)
	}
	end, err := os.OpenFile(file, os.O_WRONLY, 0) // the server goes on, and is ended
	if err == nil {
		err = end.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the folder is let go", func() bool { return backbone.CheckFolder(dir) == nil })
}
