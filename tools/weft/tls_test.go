package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/tlsconf/tlstest"
)

// The health check of a container has its TLS from the environment, in which weft itself
// runs, too.
func TestHealthByTLS(t *testing.T) {
	dir := t.TempDir()
	ca := tlstest.NewCA(t, "ca")
	file := ca.Write(dir, "ca")
	ca.WriteCert(dir, "server", ca.Issue(tlstest.Leaf{DNS: []string{"weft.example"}}))
	cert, key := ca.WriteCert(dir, "prober", ca.Issue(tlstest.Leaf{CN: "prober"}))
	conf := filepath.Join(dir, "weft.yaml")
	ask := func(env []string, args ...string) result {
		var out, errOut bytes.Buffer
		code := run(t.Context(), system{args: args, env: env, stdin: strings.NewReader(""), stdout: &out, stderr: &errOut, program: "weft"})
		return result{code, out.String(), errOut.String()}
	}
	for _, mutual := range []bool{false, true} {
		clients := ""
		if mutual {
			clients = ", client_ca: ca.crt"
		}
		yaml := "listeners: [{name: a, address: '127.0.0.1:0', frame: line}]\napi: {address: '127.0.0.1:0', tls: {cert: server.crt, key: server.key" + clients + "}}\n"
		if err := os.WriteFile(conf, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		api := startWeft(t, "-c", conf).at["api"]
		trusting := []string{apiVariable + "=" + api, "WEFT_CA_FILE=" + file, "WEFT_SERVER_NAME=weft.example"}
		env := trusting
		if mutual {
			env = append(slices.Clone(trusting), "WEFT_CERT_FILE="+cert, "WEFT_CERT_KEY_FILE="+key)
			if r := ask(trusting, "health"); r.code != exitAPI {
				t.Errorf("without a certificate: %+v", r)
			}
		}
		if r := ask(env, "health"); r.code != exitOK || r.out != "running\n" {
			t.Errorf("%q: %+v", env, r)
		}
		if r := ask(env, "health", "--live", "--server-name", "other.example"); r.code != exitAPI {
			t.Errorf("a flag does not win: %+v", r)
		}
		if r := ask(env[:1], "health"); r.code != exitAPI {
			t.Errorf("without TLS: %+v", r)
		}
		r := ask(append(slices.Clone(env), tokenVariable+"="+file), "check", "-c", conf)
		if !mutual && (r.code != exitOK || !strings.Contains(r.out, "warn   api "+api)) {
			t.Errorf("a configuration in such an environment: %+v", r)
		}
		if strings.Contains(r.out, "unknown key") {
			t.Errorf("a variable for clients is taken for a key: %+v", r)
		}
	}
}

// TestTLS speaks TLS with a listener and with the API, and fails with a remedy where
// something is missing.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca := tlstest.NewCA(t, "ca")
	file := ca.Write(dir, "ca")
	ca.WriteCert(dir, "server", ca.Issue(tlstest.Leaf{DNS: []string{"weft.example"}, IPs: []string{"127.0.0.1"}}))
	cert, key := ca.WriteCert(dir, "truck", ca.Issue(tlstest.Leaf{CN: "truck-7"}))
	conf := filepath.Join(dir, "weft.yaml")
	yaml := `
listeners: [{name: a, address: "127.0.0.1:0", frame: line, tls: {cert: server.crt, key: server.key, client_ca: ca.crt}}]
api: {address: "127.0.0.1:0", tls: {cert: server.crt, key: server.key, client_ca: ca.crt}}
`
	if err := os.WriteFile(conf, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startWeft(t, "-c", conf)
	listener, api := r.at["a"], r.at["api"]
	own := []string{"--ca", file, "--cert", cert, "--cert-key", key}
	send := []string{"send", "--to", listener, "--frame", "line", "hello"}
	publish := []string{"publish", "--api", api, "t", "hello"}
	for _, c := range []struct {
		args []string
		more []string
		code int
		says string
	}{
		{send, own, exitOK, "ACK: hello"},
		{send, append([]string{"--server-name", "weft.example"}, own...), exitOK, "ACK: hello"},
		{send, append([]string{"--server-name", "other.example"}, own...), exitRuntime, "--server-name NAME"},
		{send, []string{"--tls"}, exitRuntime, "--ca FILE"},
		{send, []string{"--ca", file}, exitRuntime, "--cert FILE"},
		{send, []string{"--ca", dir}, exitUsage, "--ca"},
		{send, []string{"--cert", cert}, exitUsage, "cert-key"},
		{send, []string{"--ca", file, "--cert", cert, "--cert-key", cert}, exitUsage, "--cert, --cert-key"},
		{publish, own, exitRuntime, "nobody took the message"},
		{publish, []string{"--tls"}, exitAPI, "--ca FILE"},
		{publish, []string{"--ca", file}, exitAPI, "--cert FILE"},
		{publish, nil, exitAPI, "--tls"},
	} {
		args := append(append([]string{}, c.args...), c.more...)
		got := weft(t, args...)
		if got.code != c.code || !strings.Contains(got.out+got.errOut, c.says) {
			t.Errorf("%q: code %d, want %d with %q:\n%s%s", args, got.code, c.code, c.says, got.out, got.errOut)
		}
	}
}
