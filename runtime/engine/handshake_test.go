package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// secret is a listener with TLS.
func secret(cfg *tls.Config) engine.Listener {
	return engine.Listener{Wrap: func(c net.Conn) net.Conn { return tls.Server(c, cfg) }}
}

func echoes(*engine.Loop) engine.Handler {
	return &funcs{data: frames(func(c *engine.Conn, f []byte) { c.Send(f, 0) })}
}

// pingpong sends a frame and expects it back.
func pingpong(c net.Conn) error {
	want := []byte("hello")
	if _, err := c.Write(frame(want)); err != nil {
		return err
	}
	got, err := readFrame(c)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("another frame came back")
	}
	return err
}

// TestHandshakeFirst: when a connection is opened its handshake is done.
func TestHandshakeFirst(t *testing.T) {
	server, client := certificates(t)
	drivers(t, func(t *testing.T, driver string) {
		opened := make(chan bool, 2)
		r := start(t, engine.Config{Driver: driver}, secret(server), func(*engine.Loop) engine.Handler {
			return &funcs{open: func(c *engine.Conn) { opened <- c.NetConn().(*tls.Conn).ConnectionState().HandshakeComplete }}
		})
		silent := r.dial()
		r.until("it is under way", func(s engine.Stats) bool { return s.Listeners[0].Handshakes.Open == 1 })
		c := tls.Client(r.dial(), client)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if !await(t, opened, "Open") {
			t.Error("it was opened before its handshake")
		}
		_ = silent.Close()
		r.until("it has failed", func(s engine.Stats) bool {
			h := s.Listeners[0].Handshakes
			return h.Failed[engine.HandshakeHungUp] == 1 && h.Open == 0 && h.Done == 1
		})
		r.on(0, func() {}) // what the turn of Open has counted is seen
		if s := r.Stats().Listeners[0]; s.Accepted != 1 || len(opened) > 0 {
			t.Errorf("%d accepted, %d opened more", s.Accepted, len(opened))
		}
	})
}

// TestHandshakeFaults: each failure is counted as what it is, and leaves nothing.
func TestHandshakeFaults(t *testing.T) {
	server, client := certificates(t)
	_, stranger := certificates(t)
	strangers, _ := certificates(t)
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, client.RootCAs
	with := func(change func(*tls.Config)) func(net.Conn) {
		cfg := client.Clone()
		cfg.Certificates = server.Certificates
		change(cfg)
		return func(c net.Conn) {
			_, err := tls.Client(c, cfg).Read(make([]byte, 1))
			var told *net.OpError
			if err == nil || errors.As(err, &told) && told.Op != "remote error" && told.Op != "local error" {
				t.Errorf("the client was not told: %v", err)
			}
		}
	}
	tests := map[engine.HandshakeFault]func(net.Conn){
		engine.HandshakePlaintext: func(c net.Conn) {
			_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
			_, _ = io.ReadAll(c)
		},
		engine.HandshakeNoCertificate: with(func(cfg *tls.Config) { cfg.Certificates = nil }),
		engine.HandshakeUnknownAuthority: with(func(cfg *tls.Config) {
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &strangers.Certificates[0], nil }
		}),
		engine.HandshakeVersion: with(func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }),
		engine.HandshakeRefused: with(func(cfg *tls.Config) { cfg.RootCAs = stranger.RootCAs }),
		engine.HandshakeTimeout: func(c net.Conn) { _, _ = io.ReadAll(c) },
		engine.HandshakeHungUp:  func(net.Conn) {},
	}
	drivers(t, func(t *testing.T, driver string) {
		ln := secret(server)
		ln.HandshakeDeadline = 3 * time.Second // one fault is a client that takes longer
		r := start(t, engine.Config{Driver: driver}, ln, echoes)
		for fault, act := range tests {
			t.Run(fault.String(), func(t *testing.T) {
				c := r.dial()
				act(c)
				_ = c.Close()
				r.until(fault.String(), func(s engine.Stats) bool { return s.Listeners[0].Handshakes.Failed[fault] == 1 })
			})
		}
		h := r.Stats().Listeners[0].Handshakes
		for fault, n := range h.Failed {
			if _, tested := tests[engine.HandshakeFault(fault)]; n > 0 && !tested {
				t.Errorf("%v: %d", engine.HandshakeFault(fault), n)
			}
		}
		if h.Open != 0 || h.Done != 0 {
			t.Errorf("%+v", h)
		}
		cfg := client.Clone()
		cfg.Certificates = server.Certificates
		if err := pingpong(tls.Client(r.dial(), cfg)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestHandshakeSlowly: a peer that says hello byte by byte has no longer than others.
func TestHandshakeSlowly(t *testing.T) {
	server, _ := certificates(t)
	ln := secret(server)
	ln.HandshakeDeadline = 300 * time.Millisecond
	r := start(t, engine.Config{}, ln, echoes)
	c := r.dial()
	slowly := append([]byte{22, 3, 1, 62, 128, 1}, make([]byte, 16000)...) // a minute and more
	for len(slowly) > 0 {
		if _, err := c.Write(slowly[:1]); err != nil {
			break
		}
		slowly = slowly[1:]
		time.Sleep(5 * time.Millisecond) // the pace of the attack
	}
	r.until("it is over", func(s engine.Stats) bool { return s.Listeners[0].Handshakes.Failed[engine.HandshakeTimeout] == 1 })
	if len(slowly) == 0 {
		t.Error("all of it was taken")
	}
}

// TestHandshakeFlood: 1,000 connections that never say hello keep neither those who
// are there nor those who come from being served.
func TestHandshakeFlood(t *testing.T) {
	server, client := certificates(t)
	drivers(t, func(t *testing.T, driver string) {
		const crowd, most = 1000, 200
		ln := secret(server)
		ln.MaxHandshakes, ln.HandshakeDeadline = most, time.Minute
		r := start(t, engine.Config{Driver: driver}, ln, echoes)
		there := tls.Client(r.dial(), client)
		if err := pingpong(there); err != nil {
			t.Fatal(err)
		}
		var longest time.Duration
		for i := range crowd {
			_ = r.dial()
			if i%20 != 0 {
				continue
			}
			begun := time.Now()
			if err := pingpong(there); err != nil {
				t.Fatal(err)
			}
			longest = max(longest, time.Since(begun))
		}
		r.until("the bound holds", func(s engine.Stats) bool {
			h := s.Listeners[0].Handshakes
			return h.Open == most && h.Failed[engine.HandshakeCrowded] == crowd-most
		})
		for range 20 {
			begun := time.Now()
			c := tls.Client(r.dial(), client)
			if err := pingpong(c); err != nil {
				t.Fatalf("a newcomer: %v", err)
			}
			longest = max(longest, time.Since(begun))
			_ = c.Close()
		}
		t.Logf("the longest exchange took %v", longest)
	})
}

// TestHandshakeStops: neither Drain nor Close waits for a handshake.
func TestHandshakeStops(t *testing.T) {
	server, _ := certificates(t)
	for name, end := range map[string]func(*running) error{
		"drain": func(r *running) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return r.Drain(ctx)
		},
		"close": func(r *running) error { return r.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			drivers(t, func(t *testing.T, driver string) {
				ln := secret(server)
				ln.HandshakeDeadline = time.Hour
				r := start(t, engine.Config{Driver: driver}, ln, echoes)
				c := r.dial()
				r.until("it is under way", func(s engine.Stats) bool { return s.Listeners[0].Handshakes.Open == 1 })
				if err := end(r); err != nil {
					t.Error(err)
				}
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("it was not closed")
				}
				if h := r.Stats().Listeners[0].Handshakes; h.Failed[engine.HandshakeStopped] != 1 || h.Open != 0 {
					t.Errorf("%+v", h)
				}
			})
		})
	}
}

// TestHandshakeAdmission: what fails is counted out of the limits again.
func TestHandshakeAdmission(t *testing.T) {
	server, client := certificates(t)
	r := start(t, engine.Config{MaxPerSource: 2}, secret(server), echoes)
	for i := range 10 {
		c := r.dial()
		_, _ = c.Write([]byte("this is no TLS"))
		_, _ = io.ReadAll(c)
		_ = c.Close()
		r.until("it has failed", func(s engine.Stats) bool {
			return s.Listeners[0].Handshakes.Failed[engine.HandshakePlaintext] == uint64(i+1)
		})
	}
	if err := pingpong(tls.Client(r.dial(), client)); err != nil {
		t.Error(err)
	}
	if s := r.Stats().Listeners[0]; s.Refused[engine.RefusedSource] != 0 {
		t.Errorf("%+v", s)
	}
}
