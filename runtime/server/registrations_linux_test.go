package server_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// realAgent is the address of a Consul agent of the test's own, of the binary that
// WEFT_TEST_CONSUL names; without one the test is skipped.
func realAgent(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("WEFT_TEST_CONSUL")
	if binary == "" {
		t.Skip("WEFT_TEST_CONSUL names no Consul agent")
	}
	var ports [3]int // Consul takes no port 0: those that were free a moment ago
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = l.Addr().(*net.TCPAddr).Port
		defer func() { _ = l.Close() }()
	}
	file := filepath.Join(t.TempDir(), "agent.hcl")
	text := fmt.Sprintf("bind_addr = \"127.0.0.1\"\ndisable_update_check = true\nports { dns = -1  grpc = -1  grpc_tls = -1  serf_wan = -1  http = %d  server = %d  serf_lan = %d }\n", ports[0], ports[1], ports[2])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "agent", "-dev", "-node", "real", "-config-file", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return fmt.Sprint("127.0.0.1:", ports[0])
}

// TestOneWeftFindsAnother: one registers itself with a real agent, another, whose pool
// says only the service's name, finds it there, and loses it when it drains.
func TestOneWeftFindsAnother(t *testing.T) {
	agent := "consul: {address: \"http://" + realAgent(t) + "\""
	asks := start(t, "auto", "listeners: [{name: a, address: 127.0.0.1:0, frame: line}]\napi: {address: 127.0.0.1:0}\n"+
		agent+"}\nupstreams: {edge: {protocol: weft, consul: {service: edge, tags: [x]}}}\n")
	found := start(t, "auto", "listeners: [{name: a, address: 127.0.0.1:0, frame: mcp-seq}]\n"+agent+", register: [{name: edge, listener: a, tags: [x]}]}\n")
	member := fmt.Sprintf("\nweft_upstream_member_up{member=\"%s\",pool=\"edge\"} 1\n", found.Addresses()[0].Addr)
	has := func() bool { return strings.Contains(scraped(t, asks), member) }
	eventually(t, "found", has)
	found.end()
	eventually(t, "away", func() bool { return !has() })
}
