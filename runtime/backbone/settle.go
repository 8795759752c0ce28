package backbone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// settle brings what the server in this process has written about a stream to the
// disk. With sync: interval the server leaves it on the way there like any message;
// but a stream whose description was lost cannot be read again, and weft would not
// start after a power cut: what may be lost are messages, not the stream.
func (b *Backbone) settle(stream string) error {
	if b.server == nil || b.options.SyncEvery == 0 {
		return nil
	}
	var errs []error
	at := filepath.Join(b.folder.path, "jetstream", globalAccount, "streams", stream)
	for _, file := range []string{"meta.inf", "meta.sum"} {
		errs = append(errs, syncPath(filepath.Join(at, file)))
	}
	for ; len(at) >= len(b.folder.path); at = filepath.Dir(at) {
		errs = append(errs, syncPath(at))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: stream %s: %w", ErrFolder, stream, err)
	}
	return nil
}

// globalAccount is whose streams those of the server in this process are.
const globalAccount = "$G"

// syncPath brings a file, or what a folder lists, to the disk.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
