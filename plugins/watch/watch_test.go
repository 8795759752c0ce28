package watch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/plugins/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a folder with a watcher.
type bench struct {
	t       *testing.T
	dir     string
	w       *watch.Watcher
	changes chan watch.Change
	log     *lockedBuffer
	slow    bool // something was written in place for so long that it stood still half written
}

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

// settle is short, so that tests are; poll is off, so that they test what is seen.
const settle = 50 * time.Millisecond

func newBench(t *testing.T, change ...func(*watch.Options)) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), changes: make(chan watch.Change, 16), log: &lockedBuffer{}}
	o := watch.Options{Logger: slog.New(slog.NewTextHandler(b.log, nil)), Settle: settle, Poll: -1, MaxSize: 1 << 20}
	for _, f := range change {
		f(&o)
	}
	var err error
	if b.w, err = watch.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.w.Run(ctx, func(c watch.Change) { b.changes <- c })
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if err := b.w.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, filepath.FromSlash(name)) }

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) write(name, content string) {
	b.t.Helper()
	b.must(os.MkdirAll(filepath.Dir(b.path(name)), 0o755))
	began := time.Now()
	b.must(os.WriteFile(b.path(name), []byte(content), 0o644))
	b.slow = b.slow || time.Since(began) >= settle
}

func (b *bench) rename(from, to string) { b.t.Helper(); b.must(os.Rename(b.path(from), b.path(to))) }

// link makes a symbolic link, or points an existing one elsewhere in one step.
func (b *bench) link(target, name string) {
	b.t.Helper()
	b.must(os.Symlink(filepath.FromSlash(target), b.path(name+".tmp")))
	b.rename(name+".tmp", name)
}

func (b *bench) add(name, known string) {
	b.t.Helper()
	b.w.Add(b.path(name), sha256.Sum256([]byte(known)))
}

// expect waits for the next change, which must be this one. That a file was empty is passed
// over where it was for long enough.
func (b *bench) expect(name, content string) {
	b.t.Helper()
	select {
	case c := <-b.changes:
		if b.slow && len(c.Content) == 0 && c.Sum == sha256.Sum256(nil) {
			b.expect(name, content)
			return
		}
		if c.Path != b.path(name) || string(c.Content) != content || c.Sum != sha256.Sum256([]byte(content)) {
			b.t.Fatalf("got %s with %.60q, expected %s with %q", c.Path, c.Content, name, content)
		}
	case <-time.After(time.Minute):
		b.t.Fatalf("nothing was reported, expected %s with %q; log:\n%s", name, content, b.log)
	}
}

// awaitLog waits for a text in the log.
func (b *bench) awaitLog(text string) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(b.log.String(), text); {
		if time.Now().After(end) {
			b.t.Fatalf("the log has no %q:\n%s", text, b.log)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWrittenOver(t *testing.T) {
	b := newBench(t)
	b.write("p.wasm", "one")
	b.add("p.wasm", "one")
	b.write("p.wasm", "two")
	b.expect("p.wasm", "two")
	b.write("p.wasm", "owt") // of the same length
	b.expect("p.wasm", "owt")
}

func TestKnownContentIsNotReported(t *testing.T) {
	b := newBench(t)
	b.write("a.wasm", "a")
	b.write("b.wasm", "b")
	b.add("a.wasm", "before") // it changed before it was watched
	b.expect("a.wasm", "a")
	b.add("b.wasm", "b")
	again, err := os.OpenFile(b.path("b.wasm"), os.O_WRONLY, 0)
	b.must(err)
	_, err = again.WriteString("b") // touched, written anew: no news
	b.must(err)
	b.must(again.Close())
	b.must(os.Chtimes(b.path("a.wasm"), time.Now(), time.Now().Add(-time.Hour)))
	b.write("c.wasm", "c")
	b.w.Add(b.path("c.wasm"), [sha256.Size]byte{}) // whatever is there is known
	b.add("last.wasm", "")
	b.write("last.wasm", "end")
	b.expect("last.wasm", "end")
}

// TestEditors does what editors do when they save.
func TestEditors(t *testing.T) {
	b := newBench(t)
	b.write("p.wasm", "0")
	b.add("p.wasm", "0")
	for i, save := range []func(content string){
		func(content string) { // a new file renamed into place
			b.write(".p.wasm.swp", content)
			b.rename(".p.wasm.swp", "p.wasm")
		},
		func(content string) { // the old one away, a new one written, the old one removed
			b.rename("p.wasm", "p.wasm~")
			b.write("p.wasm", content)
			b.must(os.Remove(b.path("p.wasm~")))
		},
		func(content string) { // removed and made again
			b.must(os.Remove(b.path("p.wasm")))
			b.write("p.wasm", content)
		},
		func(content string) { // a backup linked beside it, then truncated and written
			b.must(os.Link(b.path("p.wasm"), b.path("p.bak")))
			b.write("p.wasm", content)
			b.must(os.Remove(b.path("p.bak")))
		},
	} {
		content := fmt.Sprint("save ", i)
		save(content)
		b.expect("p.wasm", content)
	}
}

// TestHalfWritten writes a file in pieces: none but the whole is reported, however often
// the file is looked at.
func TestHalfWritten(t *testing.T) {
	for name, poll := range map[string]time.Duration{"told": -1, "polled": time.Millisecond} {
		t.Run(name, func(t *testing.T) { testHalfWritten(t, poll) })
	}
}

func testHalfWritten(t *testing.T, poll time.Duration) {
	b := newBench(t, func(o *watch.Options) { o.Settle, o.Poll = 2*time.Second, poll })
	b.write("p.wasm", "old")
	b.add("p.wasm", "old")
	f, err := os.Create(b.path("p.wasm"))
	b.must(err)
	whole := ""
	for i := range 30 {
		piece := fmt.Sprintf("piece %d\n", i)
		whole += piece
		_, err := f.WriteString(piece)
		b.must(err)
		time.Sleep(10 * time.Millisecond) // the writer takes longer than a look
	}
	b.must(f.Close())
	b.expect("p.wasm", whole)
}

// TestKubernetes swaps the link ..data, as a mounted ConfigMap does.
func TestKubernetes(t *testing.T) {
	b := newBench(t)
	b.write("..v1/p.wasm", "v1")
	b.write("..v1/q.wasm", "the same")
	b.link("..v1", "..data")
	b.link("..data/p.wasm", "p.wasm")
	b.link("..data/q.wasm", "q.wasm")
	b.add("p.wasm", "v1")
	b.add("q.wasm", "the same")
	for v := 2; v < 6; v++ {
		content := fmt.Sprint("v", v)
		b.write("..new/p.wasm", content)
		b.write("..new/q.wasm", "the same")
		b.rename("..new", ".."+content)
		b.link(".."+content, "..data")
		b.must(os.RemoveAll(b.path(fmt.Sprint("..v", v-1))))
		b.expect("p.wasm", content)
	}
}

// TestLinks follows links to files and folders elsewhere, and what happens there.
func TestLinks(t *testing.T) {
	b := newBench(t)
	b.write("releases/1/p.wasm", "1")
	b.write("releases/2/p.wasm", "2")
	b.write("elsewhere/p.wasm", "3")
	b.link("releases/1", "current")
	b.must(os.Mkdir(b.path("use"), 0o755))
	b.link("../current/p.wasm", "use/p.wasm")
	b.add("use/p.wasm", "1")
	b.link("releases/2", "current") // a folder on the way
	b.expect("use/p.wasm", "2")
	b.link(b.path("elsewhere/p.wasm"), "use/p.wasm") // the file's own link, now absolute
	b.expect("use/p.wasm", "3")
	b.write("elsewhere/p.wasm", "4") // at the end of the way
	b.expect("use/p.wasm", "4")
	b.rename("elsewhere", "away") // the whole folder
	b.write("elsewhere/p.wasm", "5")
	b.expect("use/p.wasm", "5")
	b.link("p.wasm", "use/p.wasm") // to itself
	b.awaitLog("too many levels")
	b.must(os.Remove(b.path("use/p.wasm")))
	b.write("use/p.wasm", "6")
	b.expect("use/p.wasm", "6")
}

// TestFoldersComeAndGo begins with a path of which nothing exists.
func TestFoldersComeAndGo(t *testing.T) {
	b := newBench(t)
	b.add("a/b/p.wasm", "")
	b.awaitLog("no such file")
	for _, content := range []string{"1", "2", "3"} {
		b.write("a/b/p.wasm", content)
		b.expect("a/b/p.wasm", content)
		b.must(os.RemoveAll(b.path("a")))
	}
}

func TestUnrelatedFilesDelayNothing(t *testing.T) {
	b := newBench(t)
	b.write("p.wasm", "old")
	b.add("p.wasm", "old")
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.WriteFile(b.path("busy.log"), []byte(time.Now().String()), 0o644)
			}
		}
	}()
	b.write("p.wasm", "new")
	b.expect("p.wasm", "new")
	close(stop)
	<-ended
}

func TestTooLargeIsSaidOnceAndTriedAgain(t *testing.T) {
	b := newBench(t, func(o *watch.Options) { o.MaxSize = 10 })
	b.write("p.wasm", "old")
	b.add("p.wasm", "old")
	b.write("p.wasm", "far too large for it")
	b.awaitLog("larger than 10 bytes")
	b.write("p.wasm", "fits")
	b.expect("p.wasm", "fits")
	if n := strings.Count(b.log.String(), "larger than"); n != 1 {
		t.Errorf("it was said %d times:\n%s", n, b.log)
	}
}

func TestPollSeesWhatIsNotTold(t *testing.T) {
	b := newBench(t, func(o *watch.Options) { o.Poll = 30 * time.Millisecond })
	b.write("p.wasm", "old")
	b.add("p.wasm", "old")
	b.must(b.w.Unwatch())
	b.write("p.wasm", "new")
	b.expect("p.wasm", "new")
}

func TestRemove(t *testing.T) {
	b := newBench(t)
	b.write("a.wasm", "1")
	b.write("b.wasm", "1")
	b.add("a.wasm", "1")
	b.add("b.wasm", "1")
	b.w.Remove(b.path("a.wasm"))
	b.write("a.wasm", "2")
	b.write("b.wasm", "2")
	b.expect("b.wasm", "2")
}
