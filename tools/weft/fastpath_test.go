package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFastPath(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(`watch: false
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, filter: {deny: [192.0.2.0/24]}}]
api: {address: "127.0.0.1:0"}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	at := startWeft(t, "-c", file).at
	run := func(words ...string) result {
		t.Helper()
		return weft(t, append(append([]string{"fastpath"}, words...), "--api", at["api"])...)
	}
	if got := run("list"); got.code != 0 || !strings.Contains(got.out, "192.0.2.0/24") || !strings.Contains(got.out, "config") {
		t.Errorf("list: %+v", got)
	}
	if got := run("block", "127.0.0.1", "--for", "1h", "--why", "a test"); got.code != 0 || !strings.Contains(got.out, "127.0.0.1/32") || !strings.Contains(got.errOut, "weft fastpath unblock 127.0.0.1/32") {
		t.Fatalf("block: %+v", got)
	}
	if got := run("list", "--owner", "operator"); !strings.Contains(got.out, "1h00m") {
		t.Errorf("what is left of an hour: %+v", got)
	}
	refused(t, at["lines"])
	got := run("list", "--source", "127.0.0.1", "--json")
	var rule fastPathRule
	if err := json.Unmarshal([]byte(got.out), &rule); err != nil || rule.Owner != "operator" || rule.Action != "deny" || rule.Why != "a test" || rule.Until == nil || rule.Overruled {
		t.Errorf("%v: %+v", err, got)
	}
	got = run("status", "--json")
	var status fastPathStatus
	if err := json.Unmarshal([]byte(got.out), &status); err != nil || status.Kernel || status.Entries != 2 || len(status.Counts) != 1 || status.Counts[0].Reason != "blocked" || status.Counts[0].Packets != 1 {
		t.Errorf("%v: %+v", err, got)
	}
	if got := run("status"); got.code != 0 || !strings.Contains(got.out, "no kernel block") || !strings.Contains(got.out, "blocked") {
		t.Errorf("status: %+v", got)
	}
	if got := run("unblock", "127.0.0.0/8"); got.code != exitUsage || !strings.Contains(got.errOut, "nothing blocks exactly this") {
		t.Errorf("unblock something else: %+v", got)
	}
	if got := run("unblock", "192.0.2.0/24"); got.code != exitUsage || !strings.Contains(got.errOut, "the configuration denies 192.0.2.0/24") {
		t.Errorf("unblock what the configuration denies: %+v", got)
	}
	if got := run("unblock", "127.0.0.1"); got.code != 0 || !strings.Contains(got.out, "127.0.0.1/32") {
		t.Errorf("unblock: %+v", got)
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
		t.Errorf("after it was unblocked: %v", err)
	}
	for _, wrong := range [][]string{{"block"}, {"block", "nowhere"}, {"block", "10.0.0.1/8"}, {"block", "::1", "--for", "-1s"}, {"block", "::1", "--listener", "none"}, {"block", "0.0.0.0/0"}, {"block", "::/0"}, {"block", "fe80::1%lo"}, {"list", "--listener", "none"}, {"list", "--source", "x"}, {"list", "-n", "20000"}} {
		if got := run(wrong...); got.code != exitUsage || got.errOut == "" {
			t.Errorf("%q: %+v", wrong, got)
		}
	}
}

// refused fails unless a connection is reset before anything is read.
func refused(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if n, err := io.ReadFull(conn, make([]byte, 1)); n > 0 || os.IsTimeout(err) {
		t.Errorf("it is served: %d bytes, %v", n, err)
	}
}

func TestFastPathDetach(t *testing.T) {
	pin := filepath.Join(t.TempDir(), "none")
	if got := weft(t, "fastpath", "detach", "--pin", pin); got.code == exitUsage || got.code == 0 && !strings.Contains(got.errOut, pin) && !strings.Contains(got.out, pin) {
		t.Errorf("%+v", got)
	}
}
