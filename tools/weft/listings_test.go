package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// linesOf reads what --json of a listing prints: an entry a line.
func linesOf[T any](t *testing.T, r result) (list []T) {
	t.Helper()
	if r.code != exitOK {
		t.Fatalf("it ended with %+v", r)
	}
	for line := range strings.Lines(r.out) {
		var one T
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v in the line %q", err, line)
		}
		list = append(list, one)
	}
	return list
}

// listings are the commands that list something.
func listings(root *cobra.Command) (list []*cobra.Command) {
	for _, c := range root.Commands() {
		if c.Name() == "list" || c.CommandPath() == "weft nodes" || c.CommandPath() == "weft frames" {
			list = append(list, c)
		}
		list = append(list, listings(c)...)
	}
	return list
}

// Every listing has the same shape as JSON: an object a line, and no line where there is
// nothing. What a report has more is one document, and says so.
func TestListingsAreLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte("watch: false\nloops: 1\ndead_letter: {keep: 10}\nlisteners: [{name: lines, address: \"127.0.0.1:0\", frame: line}]\napi: {address: \"127.0.0.1:0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := startWeft(t, "-c", file).at
	full := map[string]bool{"weft listener list": true, "weft route list": true, "weft nodes": true, "weft frames": true}
	all := listings(newRoot(system{program: "weft"}))
	if len(all) < 12 {
		t.Fatalf("only %d listings", len(all))
	}
	for _, c := range all {
		path := c.CommandPath()
		asJSON := c.Flags().Lookup("json")
		if asJSON == nil {
			t.Errorf("%s has no --json", path)
			continue
		}
		args := append(strings.Fields(path)[1:], "--json")
		if c.Flags().Lookup("api") != nil {
			args = append(args, "--api", at["api"])
		}
		r := weft(t, args...)
		if path == "weft deadletter list" {
			if !strings.Contains(asJSON.Usage, "one document") || !json.Valid([]byte(r.out)) || !strings.Contains(r.out, `"letters":[]`) {
				t.Errorf("%s --json (%s): %+v", path, asJSON.Usage, r)
			}
			continue
		}
		if !strings.HasPrefix(asJSON.Usage, "print JSON, a") || !strings.Contains(asJSON.Usage, " a line") {
			t.Errorf("%s --json: its help says %q", path, asJSON.Usage)
		}
		if n := len(linesOf[map[string]any](t, r)); (n > 0) != full[path] {
			t.Errorf("%s --json: %d lines: %+v", path, n, r)
		}
	}
}
