package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/backbone/natstest"
)

func TestNodes(t *testing.T) {
	server := natstest.Start(t, natstest.Options{})
	var list []*running
	for _, name := range []string{"north", "south"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "weft.yaml")
		text := fmt.Sprintf(`
watch: false
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
backbone: {name: %s, url: [%q], data: %q}
api: {address: "127.0.0.1:0"}
`, name, server.URL(), dir)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list = append(list, startWeft(t, "-c", file))
	}
	north := list[0].at["api"]
	got := weft(t, "nodes", "--api", north)
	for _, want := range []string{"NODE", "north  self", "south  ok"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("weft nodes says no %q:\n%s%s", want, got.out, got.errOut)
		}
	}
	got = weft(t, "nodes", "--json", "--api", north)
	if nodes := linesOf[shownNode](t, got); len(nodes) != 2 || !nodes[0].Self || nodes[1].Name != "south" || nodes[1].Heard == nil {
		t.Errorf("it is %s", got.out)
	}
}

func TestNodesAlone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "weft.yaml")
	if err := os.WriteFile(file, []byte("watch: false\nlisteners: [{name: lines, address: \"127.0.0.1:0\", frame: line}]\napi: {address: \"127.0.0.1:0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := weft(t, "nodes", "--api", startWeft(t, "-c", file).at["api"])
	if got.code != 0 || !strings.Contains(got.out, "self") || !strings.Contains(got.errOut, "backbone.url") {
		t.Errorf("weft nodes says %q and %q", got.out, got.errOut)
	}
}
