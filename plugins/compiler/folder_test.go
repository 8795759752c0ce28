package compiler_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weftrun/weft/plugins/compiler"
)

// Nothing lies about before there is work: a weft that is killed then leaves nothing.
func TestNoFolderWithoutWork(t *testing.T) {
	open(t, "serves", compiler.Config{})
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
}

// Who makes a folder of the name that was private gets nothing run from it.
func TestFolderOfSomebodyElse(t *testing.T) {
	f := open(t, "serves", compiler.Config{Idle: time.Hour, Patience: time.Minute})
	f.runs(1)
	private, _ := filepath.Glob(filepath.Join(os.TempDir(), "weft-*"))
	if len(private) != 1 {
		t.Fatalf("folders %v", private)
	}
	if err := os.Chmod(private[0], 0o777); err != nil { // as others would make it
		t.Fatal(err)
	}
	f.runs(2)
	f.counts(compiler.Counts{Child: 1, Process: 1})
	f.says("is not as it was made")
}
