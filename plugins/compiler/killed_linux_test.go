package compiler_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A weft that is killed takes the process along, and its folder.
func TestKilledParent(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(as("weft:begin"), "TMPDIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	await(t, "a process that compiles", func() bool { return len(processes(dir)) == 2 })
	pids := processes(dir)
	await(t, "a folder", func() bool { left, _ := os.ReadDir(dir); return len(left) == 1 })
	await(t, "its priority", func() bool {
		for _, pid := range pids {
			score, _ := os.ReadFile("/proc/" + pid + "/oom_score_adj")
			if strings.TrimSpace(string(score)) == "1000" {
				return true
			}
		}
		return false
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	await(t, "the end of both", func() bool { return len(processes(dir)) == 0 })
	await(t, "no folder", func() bool { left, _ := os.ReadDir(dir); return len(left) == 0 })
}

// processes are those of this program whose files lie in the folder: the one that is
// told so, and those whose parent is one of them.
func processes(dir string) []string {
	var pids []string
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		pid := filepath.Base(filepath.Dir(path))
		if env, _ := os.ReadFile(path); strings.Contains(string(env), dir) {
			pids = append(pids, pid)
		}
	}
	for _, parent := range pids {
		tasks, _ := filepath.Glob("/proc/" + parent + "/task/*/children")
		for _, path := range tasks {
			children, _ := os.ReadFile(path)
			pids = append(pids, strings.Fields(string(children))...)
		}
	}
	return pids
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: no %s", what)
		}
	}
}
