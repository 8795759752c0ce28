package compiler

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/tetratelabs/wazero"
)

// folder is where the process that compiles leaves what it has compiled. Beside each
// module that is known to lie there is an empty file of ours, named after the module:
// wazero's names cannot be told from outside.
type folder struct {
	path    string
	private bool // made for this process, and nothing stays in it

	mu     sync.Mutex // guards what follows
	there  bool       // a private one is there
	closed bool
}

// privateFiles is how many files a private folder may hold: two a module.
const privateFiles = 8

// openFolder opens the folder, or a private one if path is empty, and wazero's cache
// in it.
func openFolder(path string) (*folder, wazero.CompilationCache, error) {
	f := &folder{path: path, private: path == ""}
	if f.private {
		var err error
		if f.path, err = os.MkdirTemp("", "weft-compiled-"); err != nil {
			return nil, nil, err
		}
	}
	cache, err := wazero.NewCompilationCacheWithDir(f.path)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("the folder for compiled plugins %s: %w", f.path, err), f.close())
	}
	return f, cache, f.drop() // a private one until there is something to compile
}

// knows reports whether the compiled module should lie here.
func (f *folder) knows(wasm []byte) bool {
	if f.private && !f.safe() {
		return false
	}
	_, err := os.Stat(f.mark(wasm))
	return err == nil
}

// safe reports whether the private folder is the one that was made here: what lies in
// it is run, and its name is known to others once it was dropped.
func (f *folder) safe() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Lstat(f.path)
	return err == nil && f.there && info.IsDir() && info.Mode().Perm() == 0o700 && ours(info)
}

// note writes down that it does. Who fails to compiles it once more, another time.
func (f *folder) note(wasm []byte) {
	if file, err := os.OpenFile(f.mark(wasm), os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		_ = file.Close()
	}
}

// mark is the file that stands for the compiled module.
func (f *folder) mark(wasm []byte) string {
	sum := sha256.New()
	sum.Write(wasm)
	sum.Write([]byte(runtime.GOARCH + " " + wazeroVersion()))
	return filepath.Join(f.path, "weft-"+hex.EncodeToString(sum.Sum(nil)))
}

func wazeroVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, d := range info.Deps {
		if d.Path == "github.com/tetratelabs/wazero" {
			return d.Version
		}
	}
	return ""
}

// ensure makes room for one more module in a private folder. If that was dropped, it is
// made again with what wazero makes in it, and only once by itself.
func (f *folder) ensure() error {
	if !f.private {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	f.bound()
	if !f.there {
		if err := os.Mkdir(f.path, 0o700); err != nil { // also if somebody else has made it
			return err
		}
		f.there = true
	}
	_, err := wazero.NewCompilationCacheWithDir(f.path) // holds nothing before it is used
	return err
}

// bound empties a private folder that is full.
func (f *folder) bound() {
	files, _ := filepath.Glob(filepath.Join(f.path, "*", "*"))
	marks, _ := filepath.Glob(filepath.Join(f.path, "weft-*"))
	if len(files)+len(marks) < privateFiles {
		return
	}
	for _, path := range append(marks, files...) {
		_ = os.Remove(path)
	}
}

// drop removes a private folder until it is needed again.
func (f *folder) drop() error {
	if !f.private {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.there = false
	return os.RemoveAll(f.path)
}

// close removes a private folder.
func (f *folder) close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	return f.drop()
}
