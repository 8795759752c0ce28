package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConnection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte("watch: false\nlisteners: [{name: lines, address: \"127.0.0.1:0\", frame: line, subscribe: [news]}]\napi: {address: \"127.0.0.1:0\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := startWeft(t, "-c", file).at
	if got := weft(t, "connection", "list", "--api", at["api"]); got.code != 0 || got.out != "" || !strings.Contains(got.errOut, "Nobody is connected") {
		t.Errorf("nobody has come: %+v", got)
	}
	conn, err := net.Dial("tcp", at["lines"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}

	got := weft(t, "connection", "list", "--json", "--order", "queued", "--api", at["api"])
	var one shownConnection
	if err := json.Unmarshal([]byte(got.out), &one); err != nil || one.Listener != "lines" || one.Remote != conn.LocalAddr().String() || one.BytesIn != 6 || one.Subscriptions != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	if got := weft(t, "connection", "list", "--api", at["api"]); !strings.Contains(got.out, one.ID) || !strings.Contains(got.out, "open") {
		t.Errorf("the list: %+v", got)
	}
	if got := weft(t, "connection", "list", "--source", "192.0.2.0/24", "--api", at["api"]); !strings.Contains(got.errOut, "None of the 1 connections") {
		t.Errorf("from elsewhere: %+v", got)
	}
	if got := weft(t, "connection", "show", one.ID, "--api", at["api"]); !strings.Contains(got.out, "news") || got.code != 0 {
		t.Errorf("show: %+v", got)
	}
	if got := weft(t, "connection", "close", one.ID, "--yes", "--api", at["api"]); got.out != "closed 1\n" || got.code != 0 {
		t.Errorf("close: %+v", got)
	}
	if got := weft(t, "connection", "close", one.ID, "--yes", "--api", at["api"]); got.code != exitUsage || !strings.Contains(got.errOut, "no such connection") {
		t.Errorf("closed twice: %+v", got)
	}
	for _, wrong := range [][]string{{"list", "--order", "tallest"}, {"list", "--source", "nowhere"}, {"list", "-n", "5000"}, {"close"}} {
		if got := weft(t, append(append([]string{"connection"}, wrong...), "--api", at["api"])...); got.code != exitUsage || got.errOut == "" {
			t.Errorf("%q: %+v", wrong, got)
		}
	}
}
