package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Copy is the last good document on the disk, for a start while the store does not answer.
type Copy struct{ path string }

// CopyIn is the copy of a source in a folder, which Save makes.
func CopyIn(folder string, s *Source) Copy {
	sum := sha256.Sum256([]byte(s.Name))
	return Copy{filepath.Join(folder, "config-"+hex.EncodeToString(sum[:8]))}
}

// Path is where the copy lies.
func (c Copy) Path() string { return c.path }

// Save replaces the copy. It may hold secrets: nobody else may read it.
func (c Copy) Save(doc Document) error {
	folder := filepath.Dir(c.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("keeping a copy of the configuration: %w", err)
	}
	f, err := os.CreateTemp(folder, ".config-*") // 0600
	if err != nil {
		return fmt.Errorf("keeping a copy of the configuration: %w", err)
	}
	_, err = f.Write(doc.Data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), c.path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it is of no use
		return fmt.Errorf("keeping a copy of the configuration: %w", err)
	}
	return nil
}

// Load is the copy, and when it was saved. The error wraps os.ErrNotExist where there is
// none.
func (c Copy) Load() (Document, time.Time, error) {
	info, err := os.Stat(c.path)
	if err != nil {
		return Document{}, time.Time{}, err
	}
	data, err := os.ReadFile(c.path)
	return Document{Data: data}, info.ModTime(), err
}
