package backbone

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const writerFile = "writer"

// writerID is the number of the data folder, made with the first log: by it a node
// knows the records that it wrote from those of another with the same name.
func (b *Backbone) writerID() (uint64, error) {
	name := filepath.Join(b.options.Dir, writerFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		var id [8]byte
		if _, err := rand.Read(id[:]); err != nil {
			return 0, err
		}
		text = hex.AppendEncode(nil, id[:])
		err = writeSynced(name, text)
	}
	if err != nil {
		return 0, err
	}
	id, err := hex.DecodeString(string(text))
	if err != nil || len(id) != 8 {
		return 0, fmt.Errorf("%s: found %q, expected 16 hexadecimal digits: remove the file if no records wait to be forwarded", name, text)
	}
	return binary.BigEndian.Uint64(id), nil
}

// writeSynced writes a file that is whole or not there, whatever happens.
func writeSynced(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
