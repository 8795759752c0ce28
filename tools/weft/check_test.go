package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckGroups goes through what check can find wrong, one group after the
// other: its name in the listing, the cause, the place.
func TestCheckGroups(t *testing.T) {
	const listener = "listeners:\n  - {name: a, address: 127.0.0.1:0, frame: line, chain: [p]}\napi: {address: 127.0.0.1:0}\n"
	// It imports functions of every capability.
	guest, err := filepath.Abs("../../abi/vectors/v1.0/rust.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		group, text string
		says        []string
	}{
		{"config", "listeners: 5\n", []string{"wrong type", "weft.yaml:1", "once the file is right"}},
		{"frames", "frames:\n  mine:\n    fields:\n      - {name: len, size: 2, counts: payloadd}\n      - {name: payload}\n" +
			"listeners: [{name: a, address: 127.0.0.1:0, frame: mine}]\napi: {address: 127.0.0.1:0}\n", []string{"payloadd", "weft.yaml:4"}},
		{"plugins", listener + "plugins: {p: {file: p.wasm}}\n", []string{"WebAssembly", "p.wasm"}},
		{"plugins", listener + "plugins: {p: {file: \"std:jwt-auth\", config: {algorithm: HS256, kay: x}, grants: {clock: {}}}}\n", []string{"kay"}},
		{"plugins", listener + "plugins: {p: {file: '" + guest + "'}}\n", []string{"not granted", "add `clock: {}` under plugins.p.grants"}},
	} {
		folder := t.TempDir()
		file := filepath.Join(folder, "weft.yaml")
		for name, content := range map[string]string{file: c.text, filepath.Join(folder, "p.wasm"): "no module"} {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := weft(t, "check", "-c", file)
		for _, want := range append(c.says, c.group+"\n") {
			if r.code != exitConfig || !strings.Contains(r.out, want) {
				t.Errorf("%s: exit code %d, %q is not in\n%s%s", c.group, r.code, want, r.out, r.errOut)
			}
		}
		var list []finding
		if r = weft(t, "check", "-c", file, "--json"); r.code != exitConfig || json.Unmarshal([]byte(r.out), &list) != nil {
			t.Fatalf("%s: weft check --json: %+v", c.group, r)
		}
		wrong := map[string]bool{}
		for _, f := range list {
			wrong[f.Group] = wrong[f.Group] || !f.OK
		}
		if !wrong[c.group] {
			t.Errorf("%s: JSON does not call it wrong: %s", c.group, r.out)
		}
		left, err := os.ReadDir(folder)
		if err != nil || len(left) != 2 {
			t.Errorf("%s: check has written to the folder: %v, %v", c.group, left, err)
		}
	}
}

// TestCheckWarns: a grant that nobody uses is said and is no failure.
func TestCheckWarns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	text := "listeners: [{name: a, address: 127.0.0.1:0, frame: line, chain: [p]}]\napi: {address: 127.0.0.1:0}\n" +
		"plugins: {p: {file: \"std:json-filter\", config: {rename: {a: b}}, grants: {log: {}, publish: {topics: [a]}}}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := weft(t, "check", "-c", file)
	for _, want := range []string{"  warn   p\n", "capability log is granted", "remove plugins.p.grants.publish", "passed, with 2 warnings"} {
		if r.code != exitOK || !strings.Contains(r.out, want) {
			t.Errorf("exit code %d, %q is not in\n%s%s", r.code, want, r.out, r.errOut)
		}
	}
	var list []finding
	r = weft(t, "check", "-c", file, "--json")
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || r.code != exitOK {
		t.Fatalf("weft check --json: %v, %+v", err, r)
	}
	warnings := 0
	for _, f := range list {
		if warnings += len(f.Warnings); !f.OK {
			t.Errorf("%+v", f)
		}
	}
	if warnings != 2 {
		t.Errorf("%d warnings in JSON: %s", warnings, r.out)
	}
}

// An address is tried with the protocol that it is for: TCP and UDP share no ports.
func TestCheckTriesTheAddress(t *testing.T) {
	stream, packets := oneOfTwo(t)
	for _, test := range []struct{ frame, address, want string }{
		{"line", stream.Addr().String(), "ss -ltnp shows it"},
		{"mcp-dgram", stream.Addr().String(), ""},
		{"mcp-dgram", packets.LocalAddr().String(), "ss -lunp shows it"},
		{"mqtt", packets.LocalAddr().String(), ""},
	} {
		file := filepath.Join(t.TempDir(), "weft.yaml")
		text := "listeners:\n  - {name: a, address: '" + test.address + "', frame: " + test.frame + "}\napi: {address: \"\"}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := weft(t, "check", "-c", file)
		if (test.want != "") != (r.code == exitConfig) || !strings.Contains(r.out, test.want) {
			t.Errorf("%s on %s: exit code %d, expected %q:\n%s%s", test.frame, test.address, r.code, test.want, r.out, r.errOut)
		}
	}
}

// oneOfTwo listens on a port by TCP and on another by UDP, which have the other
// protocol free: other tests run beside this one, and their ports come from the same
// range.
func oneOfTwo(t *testing.T) (stream net.Listener, packets net.PacketConn) {
	t.Helper()
	for range 50 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		b, err := net.ListenPacket("udp", a.Addr().String())
		switch {
		case err != nil:
			_ = a.Close()
		case stream == nil:
			stream = a
			_ = b.Close()
		default:
			_ = a.Close()
			t.Cleanup(func() { _, _ = stream.Close(), b.Close() })
			return stream, b
		}
	}
	t.Fatal("no port is free by TCP and by UDP")
	return nil, nil
}

// TestCheckWarnsOfSmallOutboxes: one that pauses its publishers after a turn must hold
// what a turn may bring.
func TestCheckWarnsOfSmallOutboxes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	text := `listeners:
  - {name: small, address: 127.0.0.1:0, frame: line, outbox: {size: 255KiB}}
  - {name: enough, address: 127.0.0.1:0, frame: line, outbox: {size: 256KiB}}
  - {name: drops, address: 127.0.0.1:0, frame: line, outbox: {size: 64KiB, when_full: drop-oldest}}
api: {address: 127.0.0.1:0}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := weft(t, "check", "-c", file)
	for _, want := range []string{"  warn   small 255KiB\n", "write 256KiB or more", "weft.yaml:2)", "passed, with 1 warning\n"} {
		if r.code != exitOK || !strings.Contains(r.out, want) {
			t.Errorf("exit code %d, %q is not in\n%s%s", r.code, want, r.out, r.errOut)
		}
	}
}
