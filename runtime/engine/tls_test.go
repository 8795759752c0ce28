package engine_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// TestTLS wraps a listener's connections, whatever the driver of the others.
func TestTLS(t *testing.T) {
	server, client := certificates(t)
	drivers(t, func(t *testing.T, driver string) {
		version := make(chan uint16, 1)
		ln := engine.Listener{Wrap: func(c net.Conn) net.Conn { return tls.Server(c, server) }}
		r := start(t, engine.Config{Driver: driver}, ln, func(*engine.Loop) engine.Handler {
			return &funcs{data: frames(func(c *engine.Conn, f []byte) {
				if string(f[4:]) == "bye" {
					version <- c.NetConn().(*tls.Conn).ConnectionState().Version
					c.CloseAfterFlush(engine.ReasonOperator)
					return
				}
				c.Send(f, 0)
			})}
		})
		c := tls.Client(r.dial(), client)
		want := bytes.Repeat([]byte("secret"), 100_000)
		go func() { _, _ = c.Write(frame(want)) }()
		if got, err := readFrame(buffered(c)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		_, _ = c.Write(frame([]byte("bye")))
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			t.Errorf("no clean end: %d bytes, %v", len(rest), err)
		}
		if v := await(t, version, "the TLS state"); v != tls.VersionTLS13 {
			t.Errorf("TLS version %x", v)
		}
		plain := r.dial()
		_, _ = plain.Write([]byte("this is no TLS, not at all"))
		_, _ = io.ReadAll(plain)
		_ = plain.Close()
		r.until("it is closed", func(s engine.Stats) bool { return s.Listeners[0].Open <= 1 })
	})
}

func certificates(t testing.TB) (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: pool, ServerName: "localhost"}
}
