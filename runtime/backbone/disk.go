package backbone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Disk is what Open found out about the data folder's disk.
type Disk struct {
	// Filesystem is its type, "" if this system does not say; Volatile if nothing of
	// it outlives the machine, Remote if it is another machine's.
	Filesystem       string
	Volatile, Remote bool
	// Median and P99 are how long 4 KiB took to reach it, of Samples tries; P99 is
	// the worst of fewer than 100.
	Median, P99 time.Duration
	Samples     int
}

const (
	probeFile   = "weft.probe"
	probeBlock  = 4 << 10
	probeTries  = 32
	probeWithin = 200 * time.Millisecond
	// slowSync is where a disk begins to be slow: a batch waits for it.
	slowSync = 20 * time.Millisecond
)

// probeDisk writes a little file to the folder and removes it.
func probeDisk(dir string) (Disk, error) {
	var d Disk
	d.Filesystem, d.Volatile, d.Remote = filesystem(dir)
	path := filepath.Join(dir, probeFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return d, err
	}
	block := make([]byte, probeBlock)
	var took []time.Duration
	for began := time.Now(); len(took) < probeTries && (len(took) == 0 || time.Since(began) < probeWithin) && err == nil; {
		one := time.Now()
		if _, err = f.Write(block); err == nil {
			err = f.Sync()
		}
		took = append(took, time.Since(one))
	}
	if err = errors.Join(err, f.Close(), os.Remove(path)); err != nil {
		return d, fmt.Errorf("%w: writing to it: %w: make room, or set backbone.data to a folder on another disk", ErrFolder, err)
	}
	slices.Sort(took)
	d.Samples, d.Median, d.P99 = len(took), took[len(took)/2], took[(len(took)*99+99)/100-1]
	return d, nil
}
