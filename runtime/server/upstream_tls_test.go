package server_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/server"
	"github.com/weftrun/weft/runtime/tlsconf"
	"github.com/weftrun/weft/runtime/tlsconf/tlstest"
)

// authority is who signs now, for the members of a test's pools.
type authority struct {
	ca     *tlstest.CA
	server tls.Certificate
}

func newAuthority(t *testing.T, name string) *authority {
	ca := tlstest.NewCA(t, name)
	return &authority{ca, ca.Issue(tlstest.Leaf{CN: "member", IPs: []string{"127.0.0.1"}}).TLS}
}

// members are two services with TLS that want to know who connects: they answer with
// the name in the client's certificate.
type members struct {
	now        atomic.Pointer[authority]
	web, lines string // addresses
}

func newMembers(t *testing.T) *members {
	m := &members{}
	cfg := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		a := m.now.Load()
		return &tls.Config{Certificates: []tls.Certificate{a.server}, ClientCAs: a.ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}, nil
	}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].Subject.CommonName))
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.Listener = tls.NewListener(s.Listener, cfg)
	s.Start()
	t.Cleanup(s.Close)
	m.web = s.Listener.Addr().String()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.lines = l.Addr().String()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answerByName(c.(*tls.Conn))
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return m
}

// answerByName answers one line, and closes the connection.
func answerByName(c *tls.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
		_, _ = fmt.Fprintf(c, "%s\n", c.ConnectionState().PeerCertificates[0].Subject.CommonName)
	}
}

const securePools = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line, topic: t}]
upstreams:
  web: {protocol: http, members: ["%s"], retries: 0, breaker: {calls: 0}, health: {passive: {failures: 0}}, tls: {ca: %s, cert: %s, key: %s}}
  lines: {protocol: tcp, frame: line, members: ["%s"], retries: 0, breaker: {calls: 0}, health: {passive: {failures: 0}}, tls: {ca: %s, cert: %s, key: %s}}
routes:
  - {name: web, when: {topic: web}, to: ["upstream:web"]}
  - {name: lines, when: {topic: lines}, to: ["upstream:lines"]}
api: {address: ""}
`

// A pool's certificate, its key and its CA are taken up when their files change: new
// connections have them. What does not load changes nothing.
func TestPoolsFollowTheirTLSFiles(t *testing.T) {
	dir := t.TempDir()
	m := newMembers(t)
	var ca, cert, key string
	files := func(a *authority, name string) {
		ca = a.ca.Write(dir, "ca")
		cert, key = a.ca.WriteCert(dir, "weft", a.ca.Issue(tlstest.Leaf{CN: name}))
	}
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	m.now.Store(first)
	files(first, "weft before")
	f := start(t, "auto", fmt.Sprintf(securePools, m.web, ca, cert, key, m.lines, ca, cert, key))
	answer := func(pool string) string {
		d, err := f.ask(pool, "who is there?", 5*time.Second)
		if err != nil {
			return err.Error()
		}
		return string(d.Message.Payload)
	}
	for _, pool := range []string{"web", "lines"} {
		waitFor(t, pool+" has the first certificate", func() bool { return answer(pool) == "weft before" })
	}
	m.now.Store(second)
	for _, pool := range []string{"web", "lines"} {
		if got := answer(pool); got == "weft before" {
			t.Errorf("%s trusts whom it does not know", pool)
		}
	}
	files(second, "weft after")
	for _, pool := range []string{"web", "lines"} {
		waitFor(t, pool+" has the second certificate", func() bool { return answer(pool) == "weft after" })
		if n := f.MetricOf("weft_tls_client_reloads_total", "upstreams."+pool, "taken"); n == 0 {
			t.Errorf("%s: no reload was counted", pool)
		}
	}
	before := f.MetricOf("weft_tls_client_reloads_total", "upstreams.web", "refused")
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a bad file is refused", func() bool {
		return f.MetricOf("weft_tls_client_reloads_total", "upstreams.web", "refused") > before
	})
	waitFor(t, "the second certificate is kept", func() bool { return answer("web") == "weft after" })
	if n := f.MetricOf("weft_tls_client_certificate_expiry_seconds", "upstreams.web"); n < float64(time.Now().Unix()) {
		t.Errorf("it expires at %v", n)
	}
}

// A file that is missing or wrong is named, with its place, before weft starts.
func TestPoolsTLSFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, fmt.Sprintf(securePools, "127.0.0.1:1", path, path, path, "127.0.0.1:1", path, path, path))
	_, err := server.New(t.Context(), server.Options{Config: cfg, Logger: logger(t)})
	checked := server.CheckSetup(cfg)
	for _, err := range []error{err, checked} {
		if !errors.Is(err, tlsconf.ErrConfig) || !strings.Contains(err.Error(), "upstreams.web.tls") || !strings.Contains(err.Error(), "upstreams.lines.tls") || !strings.Contains(err.Error(), path) {
			t.Errorf("%v", err)
		}
	}
}
