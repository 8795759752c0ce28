package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompiledPluginsAreKept starts weft twice with one cache.
func TestCompiledPluginsAreKept(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "cache")
	addresses := []string{"--cache", folder, "--set", "listeners.trucks.address=127.0.0.1:0", "--set", "listeners.lines.address=127.0.0.1:0", "--set", "api.address=127.0.0.1:0"}
	start := func() map[string]fs.FileInfo {
		r := startWeft(t, addresses...)
		r.stop()
		code := <-r.ended
		r.ended <- code
		files := map[string]fs.FileInfo{}
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			files[path] = info
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	first := start()
	if len(first) != 3 { // the example's plugins
		t.Errorf("the cache holds %d files, expected 3", len(first))
	}
	for path, now := range start() {
		if was := first[path]; was == nil || !was.ModTime().Equal(now.ModTime()) {
			t.Errorf("%s was written again", path)
		}
	}
}

func TestACacheThatOthersWrite(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o777); err != nil { //nolint:gosec // that is what is refused
		t.Fatal(err)
	}
	if r := weft(t, "run", "--cache", folder); r.code != exitConfig || !strings.Contains(r.errOut, "others may write to "+folder) {
		t.Errorf("got %+v", r)
	}
}
