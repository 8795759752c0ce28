//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// TestNothingShowsASecret runs weft with a secret at each key that takes one, has what
// uses them fail, and looks for them in all that weft says: its log, its answers, its
// metrics, its traces, and what the commands print.
func TestNothingShowsASecret(t *testing.T) {
	const mark = "mArKeD"
	var traces struct {
		sync.Mutex
		got []byte
	}
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if z, err := gzip.NewReader(r.Body); r.Header.Get("Content-Encoding") == "gzip" && err == nil {
			body = z
		}
		b, _ := io.ReadAll(body)
		traces.Lock()
		traces.got = append(traces.got, b...)
		traces.Unlock()
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(refusing.Close)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	token := "operator-" + mark + "-0123456789"
	tokenFile, secretFile := write("ops.token", token+"\n"), write("plugin.secret", mark+"-of-a-plugin-0123456789-0123456789\n")
	at := strings.TrimPrefix(refusing.URL, "http://")
	config := fmt.Sprintf(`
log: {level: debug, format: json}
compile: process
listeners: [{name: mqtt, address: "127.0.0.1:0", frame: mqtt, chain: [auth]}]
plugins:
  auth: {file: "std:jwt-auth", config: {key: "${file:%s}", required: false}, grants: {clock: {}}}
upstreams:
  refusing: {protocol: http, members: [%q], http: {path: "/x?key=%s-in-a-query", headers: {authorization: "Bearer ${env:UPSTREAM_SECRET}"}}}
  gone: {protocol: http, members: ["127.0.0.1:1"], retries: 1, http: {path: "/x?key=%s-in-a-query", headers: {x-key: "${env:UPSTREAM_SECRET}"}}}
routes: [{name: out, when: {topic: "#"}, to: ["upstream:refusing", "upstream:gone"]}]
tracing: {endpoint: %q, sample: 100%%, delay: 10ms, headers: {authorization: "${env:TRACING_SECRET}"}}
api: {address: "127.0.0.1:0", tokens: {ops: {role: operate, file: %q}, readers: {role: read, env: READERS_SECRET}}}
`, secretFile, at, mark, mark, refusing.URL, tokenFile)
	env := []string{"UPSTREAM_SECRET=" + mark + "-upstream-0123456789", "TRACING_SECRET=Bearer " + mark + "-tracing-0123456789", "READERS_SECRET=" + mark + "-readers-0123456789"}
	// What stands in the file itself, and is not a key for secrets, may be printed.
	const known = mark + "-in-a-query"
	p := startProcess(t, config, env...)
	api := p.at["api"]
	var said strings.Builder
	get := func(path, credential string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+api+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+credential)
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		_ = answer.Header.Write(&said)
		said.Write(b)
	}
	get("/metrics", token)
	get("/metrics?access_token="+mark+"-in-a-call", mark+"-that-nobody-has-0123456789")
	s := dialStream(t, p.at["mqtt"])
	_, err := s.Write(packet.AppendConnect(nil, &packet.Connect{Version: packet.V311, CleanStart: true, ClientID: []byte("c"), Username: []byte("u"), Password: []byte(mark + "-of-a-client")}))
	if err == nil {
		_, err = s.packet() // CONNACK
	}
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	ask := func(args ...string) {
		t.Helper()
		r := weft(t, append(args, "--api", api, "--token-file", tokenFile)...)
		if strings.Contains(r.errOut, "unknown flag") || strings.Contains(r.errOut, "unknown command") {
			t.Fatalf("weft %v: %s", args, r.errOut)
		}
		commands++
		said.WriteString(r.out + r.errOut)
	}
	ask("publish", "a", "x")
	failed := func() bool { // both pools, each for its own reason
		return strings.Contains(said.String(), `upstream_refused"} 1`) && strings.Contains(said.String(), `upstream_failed"} 1`)
	}
	for deadline := time.Now().Add(time.Minute); !failed() || !strings.Contains(p.errOut.String(), "spans could not be exported"); time.Sleep(10 * time.Millisecond) {
		if get("/metrics", token); time.Now().After(deadline) {
			t.Fatalf("what should fail does not:\n%s\n%s", p.errOut, said.String())
		}
	}
	for _, args := range [][]string{{"config", "show"}, {"config", "show", "--json"}, {"connection", "list", "--json"}, {"upstream", "list", "--json"}, {"plugin", "list", "--json"}, {"plugin", "logs", "auth"}, {"listener", "list", "--json"}, {"route", "list", "--json"}, {"health"}} {
		ask(args...)
	}
	if err := os.Remove(secretFile); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP) // which fails, and is told of
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.errOut.String(), "plugins.auth.config.key"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the reload says nothing:\n%s", p.errOut)
		}
	}
	ask("config", "show", "--json")
	write("plugin.secret", mark+"-of-a-plugin-0123456789-0123456789\n")
	with := func(args ...string) result {
		var out, errOut bytes.Buffer
		code := run(t.Context(), system{args: args, stdin: strings.NewReader(""), stdout: &out, stderr: &errOut, program: "weft", env: env})
		return result{code, out.String(), errOut.String()}
	}
	for _, one := range env { // tokens of the API are read from this process's environment
		name, value, _ := strings.Cut(one, "=")
		t.Setenv(name, value)
	}
	file := write("weft.yaml", config)
	for _, args := range [][]string{{"check", "-c", file}, {"config", "print", "-c", file}, {"config", "print", "-c", file, "--json"}} {
		r := with(args...)
		if r.code != exitOK {
			t.Errorf("weft %v: %+v", args, r)
		}
		said.WriteString(r.out + r.errOut)
	}
	r := with("config", "print", "-c", write("wrong.yaml", config+"nonsense: 1\n"))
	said.WriteString(r.out + r.errOut)
	p.signal(t, syscall.SIGQUIT) // the runtime prints every stack
	p.exit(t)
	traces.Lock()
	all := strings.ReplaceAll(said.String()+p.out.String()+p.errOut.String()+string(traces.got), known, "")
	seen := bytes.Contains(traces.got, []byte("send refusing"))
	traces.Unlock()
	if !strings.Contains(said.String(), known) || !strings.Contains(all, "goroutine ") || !strings.Contains(all, "upstreams.refusing.http.headers.authorization") || !seen {
		t.Error("not all that was to be looked at has been seen")
	}
	if at := strings.Index(all, mark); at >= 0 {
		t.Errorf("a secret is shown: %s", all[max(0, at-300):min(len(all), at+100)])
	}
}
