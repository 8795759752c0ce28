package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestManualPages: every command has a page that begins with examples, and where mandoc
// is it finds nothing to complain of.
func TestManualPages(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "man1")
	if r := weft(t, "man", folder); r.code != exitOK || r.out+r.errOut != "" {
		t.Fatalf("weft man: %+v", r)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	want := 1
	for _, cmd := range below(newRoot(system{program: "weft"})) {
		hidden := cmd.Name() == "help"
		for c := cmd; c != nil; c = c.Parent() {
			hidden = hidden || c.Hidden
		}
		if !hidden {
			want++
		}
	}
	if len(files) != want {
		t.Errorf("%d pages of %d commands", len(files), want)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		examples, description := strings.Index(text, ".SH EXAMPLES"), strings.Index(text, ".SH DESCRIPTION")
		if (examples < 0 || examples > description) && !strings.Contains(file, "completion") {
			t.Errorf("%s does not begin with examples", filepath.Base(file))
		}
	}
	if _, err := exec.LookPath("mandoc"); err == nil {
		if out, err := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "error"}, files...)...).CombinedOutput(); err != nil {
			t.Errorf("mandoc: %v\n%.2000s", err, out)
		}
	}
}

// TestCompletions: each shell gets a script, and names of plugins come from the weft that
// runs.
func TestCompletions(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := weft(t, "completion", shell); r.code != exitOK || !strings.Contains(r.out, "weft") {
			t.Errorf("weft completion %s: %+v", shell, r)
		}
	}
	r := startExample(t)
	said := weft(t, "__complete", "plugin", "promote", "--api", r.at["api"], "")
	for _, name := range []string{"auth", "normalise", "route"} {
		if !strings.Contains(said.out, "\n"+name+"\n") && !strings.HasPrefix(said.out, name+"\n") {
			t.Errorf("%s is not offered:\n%s%s", name, said.out, said.errOut)
		}
	}
	if said := weft(t, "__complete", "plugin", "swap", "--api", "127.0.0.1:"+unusedPort(t), ""); said.code != exitOK || !strings.Contains(said.out, ":4") {
		t.Errorf("where no weft is, nothing is offered: %+v", said)
	}
	if said := weft(t, "__complete", "frames", "mcp-"); !strings.Contains(said.out, "mcp-seq") {
		t.Errorf("frames: %+v", said)
	}
}
