package backbone

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRewritePutsCopiesInPlace(t *testing.T) {
	dir := t.TempDir()
	inode := func(name string) os.FileInfo {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	write := func(name string, at time.Time) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	write("a/1.blk", now.Add(-time.Hour))
	write("a/2.blk", now)
	write("b/1.blk", now)
	write("b/left"+copySuffix, now)
	old, last := inode("a/1.blk"), inode("a/2.blk")
	if err := rewrite(dir, now.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(old, inode("a/1.blk")) {
		t.Error("a file that was written long ago is another one")
	}
	if os.SameFile(last, inode("a/2.blk")) {
		t.Error("a file that was just written is the same: its bytes may not be on the disk")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "a/2.blk")); err != nil || string(text) != "a/2.blk" || inode("a/2.blk").Mode().Perm() != 0o640 {
		t.Errorf("%q, %v, %v", text, err, inode("a/2.blk").Mode())
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"+copySuffix))
	if err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}
