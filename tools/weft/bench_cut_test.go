package main

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/tools/load"
)

// A server that goes does not take with it what was measured.
func TestBenchCutOff(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 2 { // a run as text and one as JSON
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(conn)
			for range 100 {
				line, err := in.ReadBytes('\n')
				if err != nil {
					break
				}
				_, _ = conn.Write(line)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-ended })
	page := filepath.Join(t.TempDir(), "report.html")
	args := []string{"bench", "--to", ln.Addr().String(), "--frame", "line", "--request", "--warmup", "0s", "--duration", "1m", "--exact"}
	r := weft(t, append(args, "--html", page)...)
	for _, want := range []string{"cut off", "the server closed the connection", "100 received", "p99"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the report has no %q:\n%s", want, r.out)
		}
	}
	if r.code != exitRuntime || !strings.Contains(r.errOut, "the server closed the connection") {
		t.Errorf("it ended with %d: %s", r.code, r.errOut)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "Cut off after") {
		t.Errorf("the page: %v", err)
	}
	r = weft(t, append(args, "--json")...)
	if all := linesOf[load.Result](t, result{out: strings.ReplaceAll(r.out, "\n", "") + "\n"}); len(all) != 1 || all[0].CutOff == "" || all[0].Measured.Received != 100 || r.code != exitRuntime {
		t.Errorf("as JSON: %+v", r)
	}
}
