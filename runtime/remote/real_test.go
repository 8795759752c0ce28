package remote_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// process is a program that a test runs, ends and runs again.
type process struct {
	t     *testing.T
	name  string
	args  []string
	ready string // a URL that answers when it is
	cmd   *exec.Cmd
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.name, p.args...)
	out := &lines{}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		answer, err := http.Get(p.ready)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s is not ready: %v\n%s", p.name, err, out)
		}
	}
}

func (p *process) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// program is what the variable names, or what is on the PATH; without it the test is
// skipped.
func program(t *testing.T, variable, name string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s: %s names none, and none is on the PATH", name, variable)
	}
	return path
}

// until sends requests until one is answered well.
func until(t *testing.T, method, url string, body []byte) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		q, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(q)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v, %v", url, answer, err)
		}
	}
}

// TestRealConsul follows a key of a Consul agent in a process of its own.
func TestRealConsul(t *testing.T) {
	binary := program(t, "WEFT_TEST_CONSUL", "consul")
	dir, at := t.TempDir(), freeAddress(t)
	_, port := hostPort(t, at)
	_, server := hostPort(t, freeAddress(t))
	_, serf := hostPort(t, freeAddress(t))
	hcl := fmt.Sprintf("bind_addr = \"127.0.0.1\"\ndisable_update_check = true\nserver = true\nbootstrap_expect = 1\nports { dns = -1  grpc = -1  grpc_tls = -1  serf_wan = -1  http = %s  server = %s  serf_lan = %s }\n", port, server, serf)
	file := filepath.Join(dir, "agent.hcl")
	if err := os.WriteFile(file, []byte(hcl), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: binary, args: []string{"agent", "-data-dir=" + filepath.Join(dir, "data"), "-config-file=" + file}, ready: "http://" + at + "/v1/status/leader"}
	p.start()
	defer func() { p.end() }()
	follow(t, site{
		address: "consul://" + at + "/weft/weft.yaml",
		put:     func(value string) { until(t, http.MethodPut, "http://"+at+"/v1/kv/weft/weft.yaml", []byte(value)) },
		fall:    p.end, rise: p.start,
	})
}

// TestRealEtcd follows a key of an etcd in a process of its own.
func TestRealEtcd(t *testing.T) {
	binary := program(t, "WEFT_TEST_ETCD", "etcd")
	at, peer := freeAddress(t), freeAddress(t)
	p := &process{t: t, name: binary, ready: "http://" + at + "/health", args: []string{
		"--data-dir=" + t.TempDir(), "--listen-client-urls=http://" + at, "--advertise-client-urls=http://" + at,
		"--listen-peer-urls=http://" + peer, "--initial-advertise-peer-urls=http://" + peer, "--initial-cluster=default=http://" + peer,
	}}
	p.start()
	defer func() { p.end() }()
	follow(t, site{
		address: "etcd://" + at + "/weft/weft.yaml",
		put: func(value string) {
			body, err := json.Marshal(map[string][]byte{"key": []byte("weft/weft.yaml"), "value": []byte(value)})
			if err != nil {
				t.Fatal(err)
			}
			until(t, http.MethodPost, "http://"+at+"/v3/kv/put", body)
		},
		fall: p.end, rise: p.start,
	})
}
