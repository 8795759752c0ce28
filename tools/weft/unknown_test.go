package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a command line names and weft has not is wrong in it: alike for all commands, in
// words, and without the name of a code.
func TestUnknownNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(operated+"dead_letter: {keep: 10}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := startWeft(t, "-c", file).at
	for _, command := range []string{
		"connection show nobody", "connection show 0-99-1", "connection close 0-99-1 --yes",
		"session show 9-9-9", "session end 9-9-9 --yes",
		"listener list nobody", "upstream list nobody", "plugin list nobody", "plugin logs nobody",
		"plugin promote nobody", "plugin rollback nobody", "plugin swap nobody", "plugin canary nobody --weight 10",
		"plugin record --plugin nobody", "plugin record --listener nobody",
		"tail --plugin nobody", "tail --listener nobody",
		"deadletter show 4711", "deadletter purge 4711", "deadletter replay 4711",
		"log show nobody", "log replay nobody",
		"fastpath unblock 192.0.2.9", "fastpath block 192.0.2.9 --listener nobody",
		"frames nobody",
	} {
		r := weft(t, append(strings.Fields(command), "--api", at["api"])...)
		if strings.HasPrefix(command, "frames") {
			r = weft(t, strings.Fields(command)...)
		}
		if r.code != exitUsage || r.out != "" && !strings.HasPrefix(command, "deadletter replay") { // which prints each letter's end
			t.Errorf("weft %s: exit code %d, want %d:\n%s%s", command, r.code, exitUsage, r.out, r.errOut)
		}
		if strings.Contains(r.errOut, "not_found") || strings.Contains(r.errOut, "internal") || len(r.errOut) < 30 {
			t.Errorf("weft %s says: %s", command, r.errOut)
		}
	}
}

// A weft that is killed while it is watched has gone: this is said, with the code for it.
func TestCutOffStreams(t *testing.T) {
	for _, between := range []string{"", "\x00", "\x00\x00\x00\x00\x09abc"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
			_, _ = w.Write([]byte(between))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}))
		for _, command := range []string{"tail", "subscribe a", "plugin record --listener lines"} {
			r := weft(t, append(strings.Fields(command), "--api", s.URL)...)
			if r.code != exitAPI || !strings.Contains(r.errOut, "is gone") || !strings.Contains(r.errOut, "weft health") || strings.Contains(r.errOut, "envelope") {
				t.Errorf("weft %s, cut off after %q: exit code %d:\n%s", command, between, r.code, r.errOut)
			}
		}
		s.Close()
	}
}
