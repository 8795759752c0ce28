package main

import (
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/backbone"
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

// TestCheckReadsTokens: what run refuses about tokens check refuses in the same words, and
// shows none.
func TestCheckReadsTokens(t *testing.T) {
	t.Setenv("CHECKED_TOKEN", "planted-planted-planted")
	t.Setenv("NO_CHECKED_TOKEN", "")
	for tokens, says := range map[string]string{
		"{a: {role: read, file: short}}":                                           "api.tokens.a: the token is too short",
		"{a: {role: read, file: empty}}":                                           "api.tokens.a: the token is too short: 0 bytes",
		"{a: {role: read, env: NO_CHECKED_TOKEN}}":                                 "NO_CHECKED_TOKEN is not set",
		"{a: {role: read, env: CHECKED_TOKEN}, b: {role: operate, file: of-both}}": "api.tokens.b: this is the token of another name, too: of a",
		"{a: {role: read, env: CHECKED_TOKEN}}":                                    "",
	} {
		folder := t.TempDir()
		file := filepath.Join(folder, "weft.yaml")
		text := "listeners: [{name: a, address: 127.0.0.1:0, frame: line}]\napi: {address: 127.0.0.1:0, tokens: " + tokens + "}\n"
		for name, content := range map[string]string{"weft.yaml": text, "short": "planted", "empty": "", "of-both": "planted-planted-planted\n"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := weft(t, "check", "-c", file)
		if (r.code == exitConfig) != (says != "") || !strings.Contains(r.out, says) || strings.Contains(r.out+r.errOut, "planted") {
			t.Errorf("%s: %+v", tokens, r)
		}
		if says == "" {
			continue
		}
		if run := weft(t, "run", "-c", file); run.code != exitConfig || !strings.Contains(run.errOut, says) || strings.Contains(run.errOut, "planted") {
			t.Errorf("%s: run says %+v", tokens, run)
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

// Beside the weft that runs the file check has no complaint about what that one has, but
// about what somebody else has.
func TestCheckBesideItsWeft(t *testing.T) {
	for _, tokens := range []bool{false, true} {
		folder := t.TempDir()
		write := func(name, text string) string {
			t.Helper()
			file := filepath.Join(folder, name)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return file
		}
		text := "watch: false\nlisteners:\n  - {name: lines, address: '127.0.0.1:0', frame: line}\n  - {name: packets, address: '127.0.0.1:0', frame: mcp-dgram}\n" +
			"backbone: {data: data}\napi: {address: '127.0.0.1:0'}\n"
		if tokens {
			write("t", "a-token-of-somebody")
			text = strings.Replace(text, "api: {address: '127.0.0.1:0'}", "api: {address: '127.0.0.1:0', tokens: {ops: {role: operate, file: t}}}", 1)
		}
		at := startWeft(t, "-c", write("weft.yaml", text)).at
		for _, name := range []string{"lines", "packets", "api"} {
			text = strings.Replace(text, "127.0.0.1:0", at[name], 1)
		}
		r := weft(t, "check", "-c", write("its.yaml", text))
		for _, want := range []string{"warn   lines " + at["lines"], "warn   packets " + at["packets"], "warn   api " + at["api"], "in use by process", "at " + at["api"], "with 4 warnings"} {
			if r.code != exitOK || !strings.Contains(r.out, want) {
				t.Errorf("exit code %d, %q is not in\n%s%s", r.code, want, r.out, r.errOut)
			}
		}
		stream, _ := oneOfTwo(t)
		r = weft(t, "check", "-c", write("others.yaml", strings.Replace(text, at["lines"], stream.Addr().String(), 1)))
		if !tokens && (r.code != exitConfig || !strings.Contains(r.out, "WRONG  lines")) {
			t.Errorf("an address of somebody else: %+v", r)
		}
	}
}

// A token that goes over plain HTTP past this machine is a note.
func TestCheckWarnsOfTokensOverHTTP(t *testing.T) {
	t.Setenv("CHECKED_TOKEN", "a-token-of-somebody")
	for address, warned := range map[string]bool{"0.0.0.0:0": true, "127.0.0.1:0": false} {
		file := filepath.Join(t.TempDir(), "weft.yaml")
		text := "listeners: [{name: a, address: '127.0.0.1:0', frame: line}]\napi: {address: '" + address + "', tokens: {a: {role: read, env: CHECKED_TOKEN}}}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := weft(t, "check", "-c", file); r.code != exitOK || strings.Contains(r.out, "plain HTTP") != warned {
			t.Errorf("%s: %+v", address, r)
		}
	}
}

// TestCheckBackbone: check says where things are kept and whether they can be, and
// makes nothing.
func TestCheckBackbone(t *testing.T) {
	folder := t.TempDir()
	data := filepath.Join(folder, "state", "weft")
	file := filepath.Join(folder, "weft.yaml")
	text := "listeners: [{name: a, address: 127.0.0.1:0, frame: line}]\napi: {address: 127.0.0.1:0}\nbackbone: {data: " + data + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := weft(t, "check", "-c", file); r.code != exitOK || !strings.Contains(r.out, "backbone\n  ok     "+data) {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(filepath.Dir(data)); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
	b, err := backbone.Open(t.Context(), backbone.Options{Node: "one", Dir: data, Size: 64 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	if r := weft(t, "check", "-c", file); r.code != exitConfig || !strings.Contains(r.out, "in use by process") || !strings.Contains(r.out, "--no-addresses") {
		t.Errorf("%+v", r)
	}
	if r := weft(t, "check", "-c", file, "--no-addresses"); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		return
	}
	if err := os.WriteFile(file, []byte(strings.Replace(text, data, "/proc/nope", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := weft(t, "check", "-c", file); r.code != exitConfig || !strings.Contains(r.out, "/proc/nope cannot be made") {
		t.Errorf("%+v", r)
	}
}

// TestCheckOfAnEmptyFile: it is right, and hardly what was meant.
func TestCheckOfAnEmptyFile(t *testing.T) {
	for _, text := range []string{"", "# nothing yet\n", "\ufeff"} {
		file := filepath.Join(t.TempDir(), "weft.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := weft(t, "check", "-c", file, "--no-addresses")
		if r.code != exitOK || !strings.Contains(r.out, "nothing stands in the file") || !strings.Contains(r.out, "write listeners: []") || !strings.Contains(r.out, "with 1 warning") {
			t.Errorf("%q: exit code %d\n%s%s", text, r.code, r.out, r.errOut)
		}
	}
}
