package watch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is one watched file. Its fields are guarded by the watcher's mutex; those
// that only Run's goroutine uses are said so.
type file struct {
	path, absolute string
	known          [sha256.Size]byte
	folders        []string  // that are watched for it
	due            time.Time // when it is looked at next; zero: when something is seen

	// Of Run's goroutine:
	settled  os.FileInfo // as it was when known was read; nil: not read yet
	pending  os.FileInfo // as it was when it was looked at last, if it had changed
	since    time.Time   // when pending was seen first
	reported string      // the error that was logged last
}

func (f *file) in(folder string) bool { return slices.Contains(f.folders, folder) }

// look makes sure that the file is looked at no later than at. It never puts off:
// whatever else happens in the folder delays nothing.
func (f *file) look(at time.Time) {
	if f.due.IsZero() || at.Before(f.due) {
		f.due = at
	}
}

// same tells whether nothing was written between two looks.
func same(a, b os.FileInfo) bool {
	return a != nil && b != nil && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// follow watches the folders on the way to the file, as the way is now: of what was made
// on it before its folder was watched, nobody tells.
func (w *Watcher) follow(f *file) {
	var before []string
	for range maxLinks {
		folders := way(f.absolute)
		if slices.Equal(folders, before) {
			return
		}
		before = folders
		w.mu.Lock()
		f.folders = folders
		w.mu.Unlock()
		watched := w.notify.WatchList()
		for _, folder := range folders {
			if slices.Contains(watched, folder) {
				continue
			}
			if err := w.notify.Add(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
				w.complain(f, fmt.Errorf("folder %s: %w", folder, err))
			}
		}
	}
}

// forget takes the watch from folders that no file needs any more.
func (w *Watcher) forget() {
	w.mu.Lock()
	needed := map[string]bool{}
	for _, f := range w.files {
		for _, folder := range f.folders {
			needed[folder] = true
		}
	}
	w.mu.Unlock()
	for _, folder := range w.notify.WatchList() {
		if !needed[folder] {
			_ = w.notify.Remove(folder) // it may be gone already
		}
	}
}

// maxLinks is how many symbolic links a path may have, as on Linux.
const maxLinks = 40

// way lists the folders that hold the file and each symbolic link on the way to it;
// where the way ends early, the last folder that exists.
func way(path string) []string {
	var list []string
	add := func(folder string) {
		if !slices.Contains(list, folder) {
			list = append(list, folder)
		}
	}
	root := filepath.VolumeName(path) + string(filepath.Separator)
	at, rest := root, parts(path)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			add(at)
			return list
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			add(at)
			target, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return list
			}
			if filepath.IsAbs(target) {
				at = filepath.VolumeName(target) + string(filepath.Separator)
			}
			rest = append(parts(target), rest...)
			continue
		}
		if len(rest) == 0 {
			add(at)
		}
		at = next
	}
	return list
}

// parts are the names in a path.
func parts(path string) []string {
	path = path[len(filepath.VolumeName(path)):]
	return slices.DeleteFunc(strings.Split(filepath.ToSlash(path), "/"), func(s string) bool { return s == "" || s == "." })
}

// read looks at the file, and answers its content if that is new and complete.
func (w *Watcher) read(f *file) (Change, bool) {
	again := func(d time.Duration) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f.due = time.Time{}
		if d > 0 {
			f.due = time.Now().Add(d)
		}
	}
	changed := func(info os.FileInfo) {
		f.pending, f.since = info, time.Now()
		again(w.options.Settle)
	}
	info, err := os.Stat(f.absolute)
	switch {
	case err != nil:
		// In the middle of an editor's dance it is away for a moment.
		wasThere := f.pending != nil || f.settled != nil
		f.pending, f.settled = nil, nil
		if wasThere {
			again(w.options.Settle)
		} else {
			again(0)
			w.complain(f, err)
		}
		return Change{}, false
	case same(info, f.settled):
		f.pending = nil
		again(0)
		return Change{}, false
	case !same(info, f.pending):
		changed(info)
		return Change{}, false
	case time.Since(f.since) < w.options.Settle: // looked at for another reason
		again(w.options.Settle - time.Since(f.since))
		return Change{}, false
	}
	content, err := w.content(f.absolute)
	after, statErr := os.Stat(f.absolute)
	if err != nil {
		f.pending, f.settled = nil, info
		again(0)
		w.complain(f, err)
		return Change{}, false
	}
	if statErr != nil || !same(info, after) {
		changed(after)
		return Change{}, false
	}
	f.settled, f.pending, f.reported = info, nil, ""
	again(0)
	return w.news(f, content)
}

// news is a change, unless the content is known.
func (w *Watcher) news(f *file, content []byte) (Change, bool) {
	sum := sha256.Sum256(content)
	w.mu.Lock()
	defer w.mu.Unlock()
	first := f.known == [sha256.Size]byte{}
	if first || f.known == sum {
		f.known = sum
		return Change{}, false
	}
	if w.files[f.path] != f {
		return Change{}, false
	}
	f.known = sum
	return Change{Path: f.path, Content: content, Sum: sum}, true
}

func (w *Watcher) content(path string) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, w.options.MaxSize+1))
	if err == nil && int64(len(content)) > w.options.MaxSize {
		err = fmt.Errorf("it is larger than %d bytes, the most that is read", w.options.MaxSize)
	}
	return content, err
}

// complain logs what is wrong with a file, once.
func (w *Watcher) complain(f *file, err error) {
	if text := err.Error(); text != f.reported {
		f.reported = text
		w.log.Warn("a watched file cannot be read; what runs goes on", "file", f.path, "error", err)
	}
}
