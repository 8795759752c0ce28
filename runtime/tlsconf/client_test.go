package tlsconf_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/tlsconf"
	"github.com/weftrun/weft/runtime/tlsconf/tlstest"
)

// A client has what its files say at the time, and keeps what it had where they are
// wrong.
func TestClientFollowsItsFiles(t *testing.T) {
	dir := t.TempDir()
	server := func(ca *tlstest.CA) *tls.Config {
		return &tls.Config{
			Certificates: []tls.Certificate{ca.Issue(tlstest.Leaf{CN: "s", DNS: []string{"s.example"}}).TLS},
			ClientCAs:    ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
		}
	}
	first, second := tlstest.NewCA(t, "first"), tlstest.NewCA(t, "second")
	cert, key := first.WriteCert(dir, "c", first.Issue(tlstest.Leaf{CN: "one"}))
	c, err := tlsconf.NewClient(tlsconf.ClientConfig{CA: first.Write(dir, "ca"), Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	meets := func(ca *tlstest.CA, host, want string) {
		t.Helper()
		state, serverErr, clientErr := handshake(t, server(ca), c.For(host))
		switch {
		case want == "":
			if clientErr == nil {
				t.Error("it trusts whom it does not know")
			}
		case serverErr != nil || clientErr != nil:
			t.Error(serverErr, clientErr)
		case state.PeerCertificates[0].Subject.CommonName != want:
			t.Errorf("it is %s, not %s", state.PeerCertificates[0].Subject.CommonName, want)
		}
	}
	meets(first, "s.example", "one")
	meets(first, "else.example", "")
	meets(second, "s.example", "")
	first.WriteCert(dir, "c", second.Issue(tlstest.Leaf{CN: "two"}))
	second.Write(dir, "ca")
	meets(first, "s.example", "one") // until it is told
	for range 2 {                    // once more without effect
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	meets(second, "s.example", "two")
	meets(first, "s.example", "")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); !errors.Is(err, tlsconf.ErrConfig) || !strings.Contains(err.Error(), key) {
		t.Error(err)
	}
	meets(second, "s.example", "two")
	if s := c.Stats(); s.Reloads != 1 || s.Failures != 1 || s.NotAfter.IsZero() || len(c.Files()) != 3 {
		t.Errorf("%+v, %d files", s, len(c.Files()))
	}
}

func TestClientOfNothing(t *testing.T) {
	c, err := tlsconf.NewClient(tlsconf.ClientConfig{ServerName: "x.example"})
	if err != nil || c.For("host").ServerName != "x.example" || c.TLS().RootCAs != nil || len(c.Files()) != 0 || !c.Stats().NotAfter.IsZero() {
		t.Error(err)
	}
	for _, bad := range []tlsconf.ClientConfig{{Cert: "a"}, {Key: "a"}, {CA: filepath.Join(t.TempDir(), "no")}, {CA: "client_test.go"}} {
		if _, err := tlsconf.NewClient(bad); !errors.Is(err, tlsconf.ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
