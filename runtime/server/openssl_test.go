package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/tlsconf/tlstest"
)

// program finds a program that others have written, or leaves the test out. Where
// it must be there (WEFT_REQUIRE_TOOLCHAINS=true) the test fails.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("WEFT_REQUIRE_TOOLCHAINS") == "true" {
			t.Fatalf("missing: %s (.ci/setup installs it)", name)
		}
		t.Skipf("LEFT OUT: %s is not here", name)
	}
	return path
}

// output collects what a program says.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// sClient runs openssl s_client, says hello when it is connected, and quits at the
// answer. It returns all that openssl has printed.
func sClient(t *testing.T, address string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", address}, args...)...)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	_, _ = io.WriteString(in, "hello\n")
	for {
		select {
		case <-ended:
			return out.String()
		case <-time.After(10 * time.Millisecond):
			if strings.Contains(out.String(), "ACK: hello") {
				_, _ = io.WriteString(in, "Q\n")
			}
		}
	}
}

// TestOpenSSLClient: OpenSSL's own client is let in, refused and remembered as it
// should be.
func TestOpenSSLClient(t *testing.T) {
	program(t, "openssl")
	fl := newFleet(t)
	other := tlstest.NewCA(t, "other")
	otherCA := other.Write(fl.dir, "other-ca")
	truck, truckKey := fl.WriteCert(fl.dir, "truck", fl.truck)
	stranger, strangerKey := other.WriteCert(fl.dir, "stranger", other.Issue(tlstest.Leaf{CN: "stranger"}))
	second, secondKey := fl.WriteCert(fl.dir, "second", fl.Issue(tlstest.Leaf{CN: "second", DNS: []string{"second.example"}}))
	f := start(t, "", fmt.Sprintf(`
listeners:
  - name: open
    address: "127.0.0.1:0"
    frame: line
    tls: {cert: %[1]s, key: %[2]s, alpn: [lines], certificates: [{cert: %[4]s, key: %[5]s}]}
  - {name: mutual, address: "127.0.0.1:0", frame: line, tls: {cert: %[1]s, key: %[2]s, client_ca: %[3]s}}
  - {name: modern, address: "127.0.0.1:0", frame: line, tls: {cert: %[1]s, key: %[2]s, min_version: "1.3"}}
api: {address: ""}
`, fl.cert, fl.key, fl.ca, second, secondKey))
	at := map[string]string{}
	for _, a := range f.Addresses() {
		at[a.Name] = a.Addr.String()
	}
	trusting := []string{"-CAfile", fl.ca, "-verify_return_error", "-verify_hostname", "localhost", "-servername", "localhost"}
	own := []string{"-cert", truck, "-key", truckKey}
	for _, test := range []struct {
		name, listener string
		args, want     []string
	}{
		{"TLS 1.2", "open", []string{"-tls1_2"}, []string{"ACK: hello", "New, TLSv1.2", "Verify return code: 0 (ok)"}},
		{"TLS 1.3", "open", []string{"-tls1_3"}, []string{"ACK: hello", "New, TLSv1.3", "Verify return code: 0 (ok)"}},
		{"TLS 1.1", "open", []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, []string{"alert protocol version"}},
		{"1.2 where 1.3 is asked for", "modern", []string{"-tls1_2"}, []string{"alert protocol version"}},
		{"1.3 where it is asked for", "modern", nil, []string{"ACK: hello", "New, TLSv1.3"}},
		{"ALPN", "open", []string{"-alpn", "other,lines"}, []string{"ACK: hello", "ALPN protocol: lines"}},
		{"another ALPN", "open", []string{"-alpn", "other"}, []string{"alert no application protocol"}},
		{"SNI", "open", []string{"-servername", "second.example", "-verify_hostname", "second.example"}, []string{"ACK: hello", "second", "Verify return code: 0 (ok)"}},
		{"a client that knows another CA", "open", []string{"-CAfile", otherCA}, []string{"verify error"}},
		{"a client certificate", "mutual", own, []string{"ACK: hello", "Acceptable client certificate CA names"}},
		{"a client certificate, 1.2", "mutual", append([]string{"-tls1_2"}, own...), []string{"ACK: hello"}},
		{"no client certificate", "mutual", nil, []string{"certificate required"}},
		{"no client certificate, 1.2", "mutual", []string{"-tls1_2"}, []string{"alert handshake failure"}},
		{"a client certificate of another CA", "mutual", []string{"-cert", stranger, "-key", strangerKey}, []string{"alert unknown ca"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append(append([]string{}, trusting...), test.args...)
			if test.name == "a client that knows another CA" {
				args = append(test.args, "-verify_return_error")
			}
			got := sClient(t, at[test.listener], args...)
			for _, part := range test.want {
				if !strings.Contains(got, part) {
					t.Errorf("%q is not in:\n%s", part, got)
				}
			}
			if strings.Contains(got, "ACK: hello") != (test.want[0] == "ACK: hello") {
				t.Errorf("answered or not:\n%s", got)
			}
		})
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run("resumption "+version, func(t *testing.T) {
			kept := filepath.Join(t.TempDir(), "session")
			args := append(append([]string{}, own...), append(trusting, version)...)
			first := sClient(t, at["mutual"], append(args, "-sess_out", kept)...)
			again := sClient(t, at["mutual"], append(args, "-sess_in", kept)...)
			if !strings.Contains(first, "New, TLS") || !strings.Contains(again, "Reused, TLS") || !strings.Contains(again, "ACK: hello") {
				t.Errorf("first:\n%s\nthen:\n%s", first, again)
			}
		})
	}
	if n := f.MetricOf("weft_tls_handshakes_total", "resumed"); n != 2 {
		t.Errorf("%v handshakes went on with a former session", n)
	}
}

// TestCurlWithTLS: curl reaches the API with the CA and a certificate, and not without.
func TestCurlWithTLS(t *testing.T) {
	curl := program(t, "curl")
	fl := newFleet(t)
	truck, truckKey := fl.WriteCert(fl.dir, "truck", fl.truck)
	f := start(t, "", fmt.Sprintf(`api: {address: "127.0.0.1:0", tls: {cert: %s, key: %s, client_ca: %s}}`, fl.cert, fl.key, fl.ca))
	_, port, err := net.SplitHostPort(f.Addresses()[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	get := func(args ...string) (string, error) {
		args = append(args, "--noproxy", "*", "-sS", "--max-time", "20", "-w", " %{http_code} %{http_version}", "https://localhost:"+port+"/readyz")
		out, err := exec.CommandContext(t.Context(), curl, args...).CombinedOutput()
		return string(out), err
	}
	if out, err := get("--cacert", fl.ca, "--cert", truck, "--key", truckKey); err != nil || !strings.Contains(out, " 200 ") {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := get("--cacert", fl.ca); err == nil || strings.Contains(out, " 200 ") {
		t.Errorf("without a certificate: %s, %v", out, err)
	}
	if out, err := get(); err == nil {
		t.Errorf("without the CA: %s", out)
	}
}
