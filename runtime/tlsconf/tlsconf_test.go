package tlsconf_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/tlsconf"
	"github.com/weftrun/weft/runtime/tlsconf/tlstest"
)

// handshake lets a client and a server meet; the server's state and both errors.
func handshake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = a.SetDeadline(time.Now().Add(20 * time.Second))
	_ = b.SetDeadline(time.Now().Add(20 * time.Second))
	s := tls.Server(a, server)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if serverErr = s.Handshake(); serverErr == nil {
			state = s.ConnectionState()
			_, serverErr = s.Write([]byte("x")) // with it the client gets its ticket
		}
		_ = s.Close()
	}()
	c := tls.Client(b, client)
	_, clientErr = c.Read(make([]byte, 1))
	_ = b.Close()
	<-ended
	return state, serverErr, clientErr
}

func source(t *testing.T, cfg tlsconf.Config) *tlsconf.Source {
	t.Helper()
	s, err := tlsconf.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestIdentity: what a verified certificate says, and that nothing else counts.
func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	ca := tlstest.NewCA(t, "ca")
	cert, key := ca.WriteCert(dir, "server", ca.Issue(tlstest.Leaf{DNS: []string{"localhost"}}))
	s := source(t, tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: cert, Key: key}}, ClientCAs: []string{ca.Write(dir, "ca")}, ClientAuth: tlsconf.AuthRequest})
	svid := "spiffe://example.org/fleet/truck-7"
	for name, test := range map[string]struct {
		leaf *tlstest.Leaf
		want tlsconf.Identity
		ok   bool
	}{
		"none": {},
		"all": {&tlstest.Leaf{CN: "truck-7", DNS: []string{"truck-7.fleet", "t7"}, IPs: []string{"10.0.0.7", "fd00::7"}, Emails: []string{"t7@example.org"}, URIs: []string{svid}},
			tlsconf.Identity{CN: "truck-7", Names: "truck-7.fleet,t7,10.0.0.7,fd00::7,t7@example.org," + svid, SPIFFE: svid}, true},
		"two URIs":       {&tlstest.Leaf{CN: "x", URIs: []string{svid, "https://example.org/x"}}, tlsconf.Identity{CN: "x", Names: svid + ",https://example.org/x"}, true},
		"a CA":           {&tlstest.Leaf{CN: "x", CA: true, URIs: []string{svid}}, tlsconf.Identity{CN: "x", Names: svid}, true},
		"no SPIFFE ID":   {&tlstest.Leaf{URIs: []string{"spiffe://Example.org/x"}}, tlsconf.Identity{Names: "spiffe://Example.org/x"}, true},
		"comma in a SAN": {&tlstest.Leaf{CN: "x", Emails: []string{"a,root@example.org"}, DNS: []string{"d"}}, tlsconf.Identity{CN: "x", Names: "d"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
			if test.leaf != nil {
				client.Certificates = []tls.Certificate{ca.Issue(*test.leaf).TLS}
			}
			state, serverErr, clientErr := handshake(t, s.TLS(), client)
			if serverErr != nil || clientErr != nil {
				t.Fatal(serverErr, clientErr)
			}
			if got, ok := tlsconf.Peer(&state); got != test.want || ok != test.ok {
				t.Errorf("%+v %v, want %+v", got, ok, test.want)
			}
		})
	}
	t.Run("unverified", func(t *testing.T) {
		state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{ca.Issue(tlstest.Leaf{CN: "x"}).TLS.Leaf}}
		if id, ok := tlsconf.Peer(&state); ok {
			t.Errorf("it is %+v", id)
		}
	})
}

// TestManyNames: what a message carries of the names is bounded.
func TestManyNames(t *testing.T) {
	ca := tlstest.NewCA(t, "ca")
	leaf := tlstest.Leaf{}
	for range 100 {
		leaf.DNS = append(leaf.DNS, strings.Repeat("a", 60)+".example.org")
	}
	cert := ca.Issue(leaf).TLS.Leaf
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
	id, _ := tlsconf.Peer(&state)
	if len(id.Names) > 1024 || len(id.Names) < 900 || !strings.HasSuffix(id.Names, ".example.org") {
		t.Errorf("%d bytes: %s", len(id.Names), id.Names)
	}
}

// TestSPIFFE goes through the rules of SPIFFE-ID, sections 2.1 and 2.2.
func TestSPIFFE(t *testing.T) {
	right := []string{"spiffe://example.org/a", "spiffe://a_b-c.9/X/y-Z_.0", "spiffe://e/..."}
	wrong := []string{"", "spiffe://", "spiffe:///a", "spiffe://example.org", "spiffe://example.org/", "spiffe://example.org/a/", "spiffe://example.org//a",
		"spiffe://example.org/./a", "spiffe://example.org/a/..", "spiffe://Example.org/a", "SPIFFE://example.org/a", "spiffe://example.org:80/a",
		"spiffe://user@example.org/a", "spiffe://example.org/a?b", "spiffe://example.org/a#b", "spiffe://example.org/%61", "spiffe://example.org/ä",
		"https://example.org/a", "spiffe://" + strings.Repeat("a", 256) + "/a", "spiffe://a/" + strings.Repeat("a", 2048)}
	for _, uri := range right {
		if !tlsconf.ValidSPIFFE(uri) {
			t.Errorf("%q is one", uri)
		}
	}
	for _, uri := range wrong {
		if tlsconf.ValidSPIFFE(uri) {
			t.Errorf("%q is none", uri)
		}
	}
}

// TestReload: new certificates and CAs take effect, broken ones do not.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	ca, other := tlstest.NewCA(t, "ca"), tlstest.NewCA(t, "other")
	cert, key := ca.WriteCert(dir, "server", ca.Issue(tlstest.Leaf{CN: "first", DNS: []string{"localhost"}}))
	authority := ca.Write(dir, "ca")
	s := source(t, tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: cert, Key: key}}, ClientCAs: []string{authority}, ClientAuth: tlsconf.AuthRequire})
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1),
		Certificates: []tls.Certificate{ca.Issue(tlstest.Leaf{CN: "client"}).TLS}}
	serves := func(name string, resumed bool) {
		t.Helper()
		var seen string
		c := client.Clone()
		c.VerifyConnection = func(s tls.ConnectionState) error { seen = s.PeerCertificates[0].Subject.CommonName; return nil }
		state, serverErr, clientErr := handshake(t, s.TLS(), c)
		if serverErr != nil || clientErr != nil || seen != name || state.DidResume != resumed {
			t.Fatalf("%q, resumed %v, %v, %v", seen, state.DidResume, serverErr, clientErr)
		}
	}
	serves("first", false)
	serves("first", true)
	if err := s.Reload(); err != nil || s.Stats().Reloads != 0 {
		t.Errorf("unchanged: %v, %+v", err, s.Stats())
	}

	next := ca.Issue(tlstest.Leaf{CN: "second", DNS: []string{"localhost"}})
	if err := os.WriteFile(cert, next.Cert, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); !errors.Is(err, tlsconf.ErrConfig) || !strings.Contains(err.Error(), "not that of the first certificate") {
		t.Errorf("half a pair: %v", err)
	}
	serves("first", true)
	ca.WriteCert(dir, "server", next)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	serves("first", true) // what the client remembers of the session
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	serves("second", false)
	serves("second", true)

	// A session is not resumed for a client whose CA is not trusted any more.
	if err := os.WriteFile(authority, other.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	own := client.Certificates[0]
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	_, serverErr, _ := handshake(t, s.TLS(), client)
	if wrong := (x509.UnknownAuthorityError{}); !errors.As(serverErr, &wrong) {
		t.Errorf("a client of the former CA: %v", serverErr)
	}
	if st := s.Stats(); st.Reloads != 2 || st.Failures != 1 {
		t.Errorf("%+v", st)
	}
}

// TestNames: a client gets the certificate for the name that it asks for.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	ca := tlstest.NewCA(t, "ca")
	var pairs []tlsconf.Pair
	for _, name := range []string{"one.example.org", "*.two.example.org", "three.example.org"} {
		cert, key := ca.WriteCert(dir, strings.Trim(name, "*."), ca.Issue(tlstest.Leaf{CN: name, DNS: []string{name}}))
		pairs = append(pairs, tlsconf.Pair{Cert: cert, Key: key})
	}
	s := source(t, tlsconf.Config{Pairs: pairs})
	for ask, want := range map[string]string{
		"one.example.org": "one.example.org", "x.two.example.org": "*.two.example.org", "three.example.org": "three.example.org", "four.example.org": "one.example.org", "": "one.example.org",
	} {
		var got string
		client := &tls.Config{ServerName: ask, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			got = s.PeerCertificates[0].Subject.CommonName
			return nil
		}}
		if _, _, err := handshake(t, s.TLS(), client); err != nil || got != want {
			t.Errorf("%q: %q, %v", ask, got, err)
		}
	}
}

// TestFaults: each error names the file, what is wrong, and what to do.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	ca := tlstest.NewCA(t, "ca")
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := ca.WriteCert(dir, "server", ca.Issue(tlstest.Leaf{CN: "server"}))
	_, otherKey := ca.WriteCert(dir, "other", ca.Issue(tlstest.Leaf{}))
	broken := file("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	encrypted := file("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	badKey := file("badkey", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	large := file("large", strings.Repeat("x", 1<<20+1))
	ok := tlsconf.Pair{Cert: cert, Key: key}
	for name, test := range map[string]struct {
		cfg  tlsconf.Config
		want []string
	}{
		"no pair":        {tlsconf.Config{}, []string{"no certificate"}},
		"no such file":   {tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: dir + "/gone", Key: key}}}, []string{dir + "/gone", "no such file", "path of a certificate"}},
		"other key":      {tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: cert, Key: otherKey}}}, []string{otherKey, "not that of the first certificate of " + cert, "CN=server", "comes first"}},
		"no certificate": {tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: key, Key: key}}}, []string{key, "no certificate", "BEGIN CERTIFICATE"}},
		"broken":         {tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: broken, Key: key}}}, []string{broken, "certificate 1 cannot be read", "openssl x509"}},
		"no key":         {tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: cert, Key: cert}}}, []string{cert, "no private key", "BEGIN PRIVATE KEY"}},
		"bad key":        {tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: cert, Key: badKey}}}, []string{badKey, "cannot be read", "PKCS #8"}},
		"encrypted":      {tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: cert, Key: encrypted}}}, []string{encrypted, "encrypted", "openssl pkey"}},
		"large":          {tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: large, Key: key}}}, []string{large, "larger than"}},
		"no CA":          {tlsconf.Config{Pairs: []tlsconf.Pair{ok}, ClientAuth: tlsconf.AuthRequire}, []string{"no CA is named"}},
		"CA":             {tlsconf.Config{Pairs: []tlsconf.Pair{ok}, ClientAuth: tlsconf.AuthRequire, ClientCAs: []string{key}}, []string{key, "no certificate"}},
		"version":        {tlsconf.Config{Pairs: []tlsconf.Pair{ok}, MinVersion: tls.VersionTLS11}, []string{"TLS 1.1", "1.2 or 1.3"}},
		"all at once":    {tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: broken, Key: dir + "/gone"}}, ClientCAs: []string{key}}, []string{dir + "/gone", key}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tlsconf.New(test.cfg)
			if !errors.Is(err, tlsconf.ErrConfig) {
				t.Fatalf("error %v", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
		})
	}
}

// TestWarnings: an expired certificate and an open key are used, aloud.
func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	ca := tlstest.NewCA(t, "ca")
	cert, key := ca.WriteCert(dir, "server", ca.Issue(tlstest.Leaf{CN: "old", NotAfter: time.Now().Add(-time.Hour)}))
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := source(t, tlsconf.Config{Pairs: []tlsconf.Pair{{Cert: cert, Key: key}}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, part := range []string{"has expired", "CN=old", "can read a private key", "chmod 600", "mode=0644"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("%q is not in:\n%s", part, log.String())
		}
	}
	if left := time.Until(s.Stats().NotAfter); left > -50*time.Minute || left < -70*time.Minute {
		t.Errorf("it ends in %v", left)
	}
}
