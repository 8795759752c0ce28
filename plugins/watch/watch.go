// Package watch tells when files have new content: once for each content, when
// whoever writes it has finished.
//
// It watches the folders in which a file and every symbolic link on the way to it
// lie, so it sees a file that is written over, one that is renamed into place as
// editors do, and Kubernetes' swap of a ..data link. What is seen is only a reason to
// look: a file is reported when its size and time have stood still for a while and
// its SHA-256 is not the one known.
package watch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options is what a Watcher is made of. Every field may be zero.
type Options struct {
	// Logger gets what cannot be watched or read; nil discards.
	Logger *slog.Logger
	// Settle is how long a file must stand still before it is read; 0 is 100 ms.
	Settle time.Duration
	// Poll is how often files are looked at although nothing was seen: some file
	// systems tell nothing. 0 is 5 s, negative never.
	Poll time.Duration
	// MaxSize bounds what is read, in bytes; 0 is 64 MiB. A larger file is logged
	// and not reported.
	MaxSize int64
}

// Change is new content of a file.
type Change struct {
	// Path is the file as Add was given it.
	Path string
	// Content is the whole file. It is the receiver's.
	Content []byte
	// Sum is Content's SHA-256.
	Sum [sha256.Size]byte
}

// Watcher watches files. Its methods may be called from any goroutine.
type Watcher struct {
	options Options
	log     *slog.Logger
	notify  *fsnotify.Watcher
	poke    chan struct{} // a file was added or removed

	mu    sync.Mutex
	files map[string]*file
}

// New makes a watcher without files. It fails where the system has no more means
// to watch. Close it, whether or not Run was called.
func New(o Options) (*Watcher, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Settle <= 0 {
		o.Settle = 100 * time.Millisecond
	}
	if o.Poll == 0 {
		o.Poll = 5 * time.Second
	}
	if o.MaxSize <= 0 {
		o.MaxSize = 64 << 20
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching files: %w; on Linux, raise fs.inotify.max_user_instances", err)
	}
	return &Watcher{options: o, log: o.Logger, notify: notify, poke: make(chan struct{}, 1), files: map[string]*file{}}, nil
}

// Add begins to watch a file, which need not exist. known is the SHA-256 of the
// content that is known already and not reported; the zero value stands for
// whatever is found first. A file that is watched already gets the new sum.
func (w *Watcher) Add(path string, known [sha256.Size]byte) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		absolute = path
	}
	w.mu.Lock()
	f := &file{path: path, absolute: absolute, known: known, due: time.Now()}
	if old := w.files[path]; old != nil {
		f.folders = old.folders
	}
	w.files[path] = f
	w.mu.Unlock()
	w.wake()
}

// Remove ends watching a file. A Change of it may still be under way.
func (w *Watcher) Remove(path string) {
	w.mu.Lock()
	delete(w.files, path)
	w.mu.Unlock()
	w.wake()
}

func (w *Watcher) wake() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// Close gives back what New has taken, and ends Run.
func (w *Watcher) Close() error { return w.notify.Close() }

// Run calls report for every change, one at a time, until ctx ends or the watcher
// is closed.
func (w *Watcher) Run(ctx context.Context, report func(Change)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var poll <-chan time.Time
	if w.options.Poll > 0 {
		ticker := time.NewTicker(w.options.Poll)
		defer ticker.Stop()
		poll = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.notify.Events:
			if !ok {
				return
			}
			w.seen(e.Name)
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.log.Warn("watching files failed", "error", err)
			}
			w.lookAtAll()
		case <-poll:
			w.lookAtAll()
		case <-w.poke:
		case <-timer.C:
		}
		for _, c := range w.check() {
			if ctx.Err() == nil {
				report(c)
			}
		}
		timer.Reset(w.next())
	}
}

// seen marks the files that something at a path may be about.
func (w *Watcher) seen(name string) {
	folder := filepath.Dir(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.files {
		if f.in(folder) || f.in(name) {
			f.look(time.Now().Add(w.options.Settle))
		}
	}
}

func (w *Watcher) lookAtAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.files {
		f.look(time.Now())
	}
}

// next is how long nothing is due.
func (w *Watcher) next() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := time.Hour
	for _, f := range w.files {
		if !f.due.IsZero() {
			wait = min(wait, max(time.Until(f.due), 0))
		}
	}
	return wait
}

// check looks at the files that are due and returns what is new.
func (w *Watcher) check() []Change {
	w.mu.Lock()
	var due []*file
	for _, f := range w.files {
		if !f.due.IsZero() && !time.Now().Before(f.due) {
			due = append(due, f)
		}
	}
	w.mu.Unlock()
	var changes []Change
	for _, f := range due {
		w.follow(f)
		if c, ok := w.read(f); ok {
			changes = append(changes, c)
		}
	}
	if len(due) > 0 {
		w.forget()
	}
	return changes
}
