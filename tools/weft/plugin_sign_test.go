package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSigning goes the way of a plugin's author and its operator: a key, a
// signature, a configuration that asks for it, and a file that somebody altered.
func TestSigning(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	guest, err := os.ReadFile("../../plugins/std/json-filter/json-filter.wasm")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		t.Helper()
		if err := os.WriteFile(at(name), content, 0o640); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	plugin := write("p.wasm", guest)
	expect := func(code int, says string, args ...string) result {
		t.Helper()
		r := weft(t, args...)
		if r.code != code || !strings.Contains(r.out+r.errOut, says) {
			t.Errorf("weft %s: exit code %d, expected %d with %q in\n%s%s", strings.Join(args, " "), r.code, code, says, r.out, r.errOut)
		}
		return r
	}
	var key madeKey
	r := expect(exitOK, "id", "plugin", "keygen", "--out", at("release"), "--json")
	if err := json.Unmarshal([]byte(r.out), &key); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{key.Private, key.Public} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	expect(exitRuntime, "exists", "plugin", "keygen", "--out", at("release"))
	expect(exitOK, "keep it to yourself", "plugin", "keygen", "--out", at("other"))

	expect(exitFailed, "is not signed", "plugin", "verify", "--key", key.Public, plugin)
	expect(exitOK, "signed by  "+key.ID, "plugin", "sign", "--key", key.Private, plugin)
	expect(exitOK, "signed by  "+key.ID, "plugin", "verify", "--key", key.Public, plugin)
	expect(exitFailed, "not trusted", "plugin", "verify", "--key", at("other.pub.pem"), plugin)
	if info, err := os.Stat(plugin); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the signed file: %v, %v", info, err)
	}
	signed, err := os.ReadFile(plugin)
	if err != nil {
		t.Fatal(err)
	}
	var both signedFile
	r = expect(exitOK, key.ID, "plugin", "sign", "--key", at("other.pem"), plugin, "-o", at("both.wasm"), "--json")
	if err := json.Unmarshal([]byte(r.out), &both); err != nil || len(both.Keys) != 2 || both.File != at("both.wasm") {
		t.Errorf("%+v, %v", both, err)
	}
	if now, err := os.ReadFile(plugin); err != nil || !bytes.Equal(now, signed) {
		t.Errorf("signing into another file has changed the first: %v", err)
	}

	config := func(plugin, more string) string {
		return write("weft.yaml", []byte("listeners: [{name: a, address: 127.0.0.1:0, frame: line, chain: [p]}]\napi: {address: 127.0.0.1:0}\n"+
			"trust: {keys: [release.pub.pem], require: true}\nplugins: {p: {file: "+plugin+", config: {rename: {a: b}}"+more+"}}\n"))
	}
	expect(exitOK, "checks passed", "check", "-c", config("p.wasm", ", signed_by: ['"+key.ID+"']"))
	expect(exitOK, "checks passed", "check", "-c", config(`"std:json-filter"`, ""))
	expect(exitConfig, "no key in trust.keys has the id 0123456789abcdef", "check", "-c", config("p.wasm", ", signed_by: ['0123456789abcdef']"))
	write("plain.wasm", guest)
	expect(exitConfig, "it is not signed: sign it with", "check", "-c", config("plain.wasm", ""))
	altered := bytes.Clone(signed)
	altered[bytes.Index(altered, []byte("json-filter"))] = 'J'
	write("altered.wasm", altered)
	expect(exitConfig, "altered after it was signed", "check", "-c", config("altered.wasm", ""))
	expect(exitFailed, "altered after it was signed", "plugin", "verify", "--key", key.Public, at("altered.wasm"))
	write("release.pub.pem", []byte("no key"))
	expect(exitConfig, "is no PEM", "check", "-c", config("p.wasm", ""))

	expect(exitConfig, "only the private one signs", "plugin", "sign", "--key", at("other.pub.pem"), plugin)
	expect(exitConfig, "it is a private key", "plugin", "verify", "--key", at("other.pem"), plugin)
	expect(exitConfig, "not a WebAssembly module", "plugin", "sign", "--key", key.Private, write("text.wasm", []byte("text")))
	expect(exitConfig, "no such file", "plugin", "verify", "--key", key.Private+"x", plugin)
	for _, wrong := range [][]string{{"keygen"}, {"sign", plugin}, {"verify", plugin}, {"sign", "--key", key.Private}} {
		expect(exitUsage, "--help shows examples", append([]string{"plugin"}, wrong...)...)
	}
	left, err := filepath.Glob(at(".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
