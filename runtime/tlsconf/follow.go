package tlsconf

import (
	"crypto/sha256"
	"crypto/tls"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// following is what was read of files, and read again.
type following struct {
	read    func() (*snapshot, error)
	current atomic.Pointer[snapshot]

	mu       sync.Mutex // held by Reload
	reloads  atomic.Uint64
	failures atomic.Uint64
}

// snapshot is what the files said at one time.
type snapshot struct {
	tls      *tls.Config
	files    []File
	notAfter time.Time
}

// File is a file that was read.
type File struct {
	Path string
	// Sum is the SHA-256 of its content.
	Sum [sha256.Size]byte
}

// Stats counts what became of changed files.
type Stats struct {
	// Reloads counts reloads that took effect, Failures those that did not.
	Reloads, Failures uint64
	// NotAfter is when the first of the certificates in use expires; zero without any.
	NotAfter time.Time
}

// follow reads the files for the first time.
func (f *following) follow(read func() (*snapshot, error)) error {
	first, err := read()
	f.read = read
	f.current.Store(first)
	return err
}

// Files are those that were read last, for a watcher.
func (f *following) Files() []File { return f.current.Load().files }

// Stats counts the reloads.
func (f *following) Stats() Stats {
	return Stats{Reloads: f.reloads.Load(), Failures: f.failures.Load(), NotAfter: f.current.Load().notAfter}
}

// Reload reads the files again. New connections get what they say now; those that
// are open stay as they are. On an error everything is as it was. It does nothing
// if no file has changed.
func (f *following) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := f.read()
	if err != nil {
		f.failures.Add(1)
		return err
	}
	if slices.Equal(f.current.Load().files, next.files) {
		return nil
	}
	f.current.Store(next)
	f.reloads.Add(1)
	return nil
}
