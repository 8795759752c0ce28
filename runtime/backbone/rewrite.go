package backbone

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// writtenBefore is how long before a fault was seen a file may have been written for its
// bytes to be doubtful.
const writtenBefore = time.Minute

// rewrite brings to the disk what the server is about to read again after a write had
// failed. The operating system shows bytes that it could not write as if they were
// there, and counts them as written: what a server finds so it would acknowledge, and a
// power cut would take it back. So the files that were written last are copied, synced,
// and put in the place of the old ones. Nobody else uses the folder meanwhile.
func rewrite(folder string, since time.Time) error {
	var folders []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.ModTime().Before(since) {
			return err
		}
		if dir := filepath.Dir(path); len(folders) == 0 || folders[len(folders)-1] != dir {
			folders = append(folders, dir)
		}
		return rewriteFile(path, info.Mode().Perm())
	})
	for _, dir := range folders {
		err = errors.Join(err, syncPath(dir))
	}
	if err != nil {
		return fmt.Errorf("%s: what was written last cannot be written again: %w", folder, err)
	}
	return nil
}

// copySuffix is of files that rewrite makes; one that is left behind is nobody's.
const copySuffix = ".weft-copy"

func rewriteFile(path string, mode fs.FileMode) error {
	if filepath.Ext(path) == copySuffix {
		return os.Remove(path)
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close() // it was read alone
	to, err := os.OpenFile(path+copySuffix, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err == nil {
		err = os.Rename(to.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(to.Name()))
	}
	return nil
}
