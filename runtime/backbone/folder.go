package backbone

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
)

// ErrFolder says that the data folder cannot be used. The text says why, and what to do.
var ErrFolder = errors.New("the backbone's data folder cannot be used")

// ErrInUse says that another process has it. It comes with ErrFolder.
var ErrInUse = errors.New("in use by process")

const lockFile = "weft.lock"

// folder is a data folder that this process has for itself.
type folder struct {
	path string
	lock *os.File
}

// takeFolder makes the folder and locks it.
func takeFolder(path string, log *slog.Logger) (*folder, error) {
	if path == "" {
		return nil, fmt.Errorf("%w: it has no name: set backbone.data", ErrFolder)
	}
	path, err := filepath.Abs(path)
	if err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w: make it, or set backbone.data to one that can be written", ErrFolder, err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn("others can look into the backbone's data folder", "folder", path, "mode", info.Mode().Perm(), "fix", "chmod 700 "+path)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: give it to the user that weft runs as, or set backbone.data", ErrFolder, err)
	}
	taken, err := flock(lock)
	if err == nil && !taken {
		err = fmt.Errorf("%s is %w %s: stop that one, or set backbone.data of this one to another folder", path, ErrInUse, holder(lock))
	}
	if err == nil {
		err = writePid(lock)
	}
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return &folder{path, lock}, nil
}

// holder is who says so in the file: it is only ever read by people.
func holder(lock *os.File) string {
	text, err := io.ReadAll(io.LimitReader(lock, 32))
	if text = bytes.TrimSpace(text); err != nil || len(text) == 0 {
		return "(unknown)"
	}
	return string(text)
}

// writePid names this process. A full disk is not a reason to stop here: the lock
// is there without a name too.
func writePid(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, _ = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return nil
}

// release lets others have the folder. The file stays: who removes it removes the
// lock of somebody who waits for it.
func (f *folder) release() error {
	if f == nil || f.lock == nil {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

// CheckFolder tells whether Open could use a folder: nil, or an error that wraps
// ErrFolder. It leaves nothing: where nobody has the folder it makes an empty file in it,
// or where it is not there an empty folder in the closest one above, and removes that.
func CheckFolder(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		above := path
		for errors.Is(err, fs.ErrNotExist) && above != filepath.Dir(above) {
			above = filepath.Dir(above)
			info, err = os.Stat(above)
		}
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a folder", above)
		}
		if err == nil {
			err = writable(above)
		}
		if err == nil { // some file systems let nobody make one, whatever the mode
			var probe string
			if probe, err = os.MkdirTemp(above, probeNames); err == nil {
				err = os.Remove(probe)
			}
		}
		if err != nil {
			return fmt.Errorf("%w: %s cannot be made: %w", ErrFolder, path, err)
		}
		return nil
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", path)
	}
	if err == nil {
		err = writable(path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if err := checkLock(path); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	probe, err := os.CreateTemp(path, probeNames)
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return nil
}

// probeNames are the names of what CheckFolder makes and removes.
const probeNames = ".weft-check-*"

// checkLock tells whether nobody else has a folder that is there.
func checkLock(path string) error {
	lock, err := os.Open(filepath.Join(path, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if taken, err := flock(lock); err == nil && !taken {
		return fmt.Errorf("%s is %w %s", path, ErrInUse, holder(lock))
	}
	return nil
}
