package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const logbook = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, subscribe: ["again"], acknowledge: ""}]
routes:
  - {name: orders, when: {topic: "orders/#"}, to: [subscribers], durable: {}}
  - {name: archive, when: {topic: "archive"}, to: [subscribers], durable: {}}
backbone: {data: FOLDER, name: one}
api: {address: "127.0.0.1:0"}
`

func TestLog(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "weft.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(logbook, "FOLDER", filepath.Join(folder, "data"), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startWeft(t, "-c", file)
	api := "--api=" + r.at["api"]
	for i := range 3 {
		if got := weft(t, "publish", "orders/x", fmt.Sprint("order ", i), api); got.code != 0 || !strings.Contains(got.out, "durable route's log") {
			t.Fatalf("%+v", got)
		}
	}
	entries := func(route string) uint64 {
		t.Helper()
		got := weft(t, "log", "list", "--json", api)
		list := linesOf[logLine](t, got)
		for _, l := range list {
			if l.Route == route {
				return l.Entries
			}
		}
		t.Fatalf("%+v has no %s", list, route)
		return 0
	}
	if n := entries("orders"); n != 3 {
		t.Errorf("%d entries", n)
	}
	if got := weft(t, "log", "list", api); got.code != 0 || !strings.Contains(got.out, "orders") || !strings.Contains(got.out, "READER") {
		t.Errorf("%+v", got)
	}
	got := weft(t, "log", "show", "orders", "--since", "1h", "-n", "2", api)
	if got.code != 0 || !strings.Contains(got.out, "order 1") || strings.Contains(got.out, "order 2") || !strings.Contains(got.errOut, "--from") {
		t.Errorf("%+v", got)
	}
	if got = weft(t, "log", "show", "none", api); got.code == 0 || !strings.Contains(got.errOut, "no durable route") {
		t.Errorf("%+v", got)
	}
	if got = weft(t, "log", "replay", "orders", api); got.code == 0 {
		t.Errorf("%+v", got)
	}
	if got = weft(t, "log", "replay", "orders", "--all", "--topic", "nobody", api); got.code != 1 || !strings.Contains(got.out, "3 not taken: no_subscriber") {
		t.Errorf("%+v", got)
	}
	if got = weft(t, "log", "replay", "orders", "--all", "--to-route", "archive", api); got.code != 0 || !strings.Contains(got.out, "3 replayed, 3 taken") {
		t.Errorf("%+v", got)
	}
	if n := entries("archive"); n != 3 {
		t.Errorf("%d entries in the archive", n)
	}
	if got = weft(t, "log", "replay", "orders", "--all", "--limit", "2", api); got.code != 0 || !strings.Contains(got.out, "2 replayed") {
		t.Errorf("%+v", got)
	}
	if n := entries("orders"); n != 5 {
		t.Errorf("%d entries", n)
	}
}
