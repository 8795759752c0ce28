package clients

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const tlsBroker = `
listeners:
  - {name: mqtt, address: "127.0.0.1:0", frame: mqtt, tls: {cert: %[1]s/server.crt, key: %[1]s/server.key%[2]s}}
api: {address: "127.0.0.1:0"}
`

// certificates makes a CA, a server's certificate of it and one of truck-7, and another CA
// and its truck-7, as operators do: by openssl.
func certificates(t *testing.T) (dir string) {
	t.Helper()
	dir, openssl := t.TempDir(), need(t, "openssl")
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(openssl, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	key := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	for _, ca := range []string{"ca", "other-ca"} {
		run(append([]string{"req", "-x509", "-days", "365", "-subj", "/CN=" + ca, "-keyout", ca + ".key", "-out", ca + ".crt"}, key...)...)
	}
	for _, c := range []struct{ ca, name, cn, is string }{
		{"ca", "server", "server", "DNS:localhost,IP:127.0.0.1"},
		{"ca", "truck", "truck-7", "DNS:truck-7.fleet.example"},
		{"other-ca", "stranger", "truck-7", "DNS:truck-7.fleet.example"},
	} {
		run(append([]string{"req", "-subj", "/CN=" + c.cn, "-addext", "subjectAltName=" + c.is, "-keyout", c.name + ".key", "-out", c.name + ".csr"}, key...)...)
		run("x509", "-req", "-days", "365", "-in", c.name+".csr", "-CA", c.ca+".crt", "-CAkey", c.ca+".key", "-CAcreateserial", "-copy_extensions", "copy", "-out", c.name+".crt")
	}
	return dir
}

// TestMosquittoTLS: mosquitto's clients over TLS, which check the server's certificate, and
// show their own where one is asked for: it says who they are in what they publish. Over
// WebSocket they cannot: Debian's (2.0.11) have no option for it. That is tested by Paho's
// and gorilla's clients and by a browser.
func TestMosquittoTLS(t *testing.T) {
	dir := certificates(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	trust := []string{"--cafile", file("ca.crt")}
	as := func(name string, more ...string) []string {
		return append([]string{"--cafile", file("ca.crt"), "--cert", file(name + ".crt"), "--key", file(name + ".key")}, more...)
	}
	// refused sees that a client ends with an error, and why.
	refused := func(t *testing.T, w *weft, v, reason string, args ...string) {
		t.Helper()
		before := failed(t, w, reason)
		if code := w.run("mosquitto_pub", v, append(args, "-t", "fleet/stranger", "-m", "x", "-q", "1")...).wait(); code <= 0 {
			t.Errorf("mosquitto_pub ended with %d", code)
		}
		for end := time.Now().Add(patience); failed(t, w, reason) == before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no handshake failed for %s: %s", reason, failed(t, w, ""))
			}
		}
	}
	eachVersion(t, func(t *testing.T, v string) {
		t.Run("server", func(t *testing.T) {
			w := start(t, fmt.Sprintf(tlsBroker, dir, ""))
			for _, version := range []string{"tlsv1.2", "tlsv1.3"} {
				args := append([]string{"--tls-version", version, "-q", "2"}, trust...)
				m := w.subscribe(v, "%t %p %q", append(args, "-t", "fleet/#")...)
				w.publish(v, append(args, "-t", "fleet/a", "-m", version)...)
				m.hears("fleet/a " + version + " 2")
				m.kill()
			}
			refused(t, w, v, "", "--cafile", file("other-ca.crt")) // it may hang up without saying why
			refused(t, w, v, "plaintext")
		})
		t.Run("mutual", func(t *testing.T) {
			w := start(t, fmt.Sprintf(tlsBroker, dir, ", client_ca: "+file("ca.crt")))
			plain := w.subscribe(v, "%t %p", as("truck", "-t", "fleet/#")...)
			known := w.subscribe("5", "%t %p %P", as("truck", "-t", "fleet/#")...)
			for _, version := range []string{"tlsv1.2", "tlsv1.3"} {
				refused(t, w, v, "no_certificate", append(trust, "--tls-version", version)...)
				refused(t, w, v, "unknown_authority", as("stranger", "--tls-version", version)...)
				w.publish(v, as("truck", "--tls-version", version, "-t", "fleet/up", "-m", version, "-q", "1")...)
				plain.hears("fleet/up " + version) // and nothing of the strangers
				known.hears("fleet/up " + version + " tls.cn:truck-7 tls.san:truck-7.fleet.example")
			}
			if v == "5" {
				w.publish(v, as("truck", "-t", "fleet/up", "-m", "forged", "-D", "publish", "user-property", "tls.cn", "root")...)
				known.hears("fleet/up forged tls.cn:truck-7 tls.san:truck-7.fleet.example")
			}
		})
	})
}

// failed are the counts of handshakes that failed for a reason that begins like this.
func failed(t *testing.T, w *weft, reason string) (counts string) {
	t.Helper()
	for line := range strings.Lines(metrics(t, w.address("api"))) {
		if strings.HasPrefix(line, "weft_tls_handshakes_failed_total{") && strings.Contains(line, `reason="`+reason) {
			counts += line
		}
	}
	return counts
}
