// Package tlsconf makes a *tls.Config from files, and makes it anew when they
// change: certificates with their keys, and the CAs of clients. It tells who a
// client is by its verified certificate.
//
// It reads files and starts nothing: whoever holds a Source watches Files and calls
// Reload.
package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrConfig is wrapped by every error about a Config or the files that it names.
var ErrConfig = errors.New("TLS cannot be set up")

// Auth says what is asked of clients.
type Auth uint8

// What is asked of clients.
const (
	// AuthNone asks for no certificate.
	AuthNone Auth = iota
	// AuthRequest asks for a certificate. A client without one is let in, one
	// whose certificate does not hold is not.
	AuthRequest
	// AuthRequire lets in only clients whose certificate holds.
	AuthRequire
)

// String is the name in the configuration.
func (a Auth) String() string {
	switch a {
	case AuthNone:
		return "none"
	case AuthRequest:
		return "request"
	case AuthRequire:
		return "require"
	}
	return fmt.Sprintf("auth %d", uint8(a))
}

// ParseAuth is the Auth called name; an empty name is AuthNone.
func ParseAuth(name string) (Auth, error) {
	for _, a := range []Auth{AuthNone, AuthRequest, AuthRequire} {
		if name == a.String() || name == "" {
			return a, nil
		}
	}
	return AuthNone, fmt.Errorf("%w: client_auth %q: expected none, request or require", ErrConfig, name)
}

// Pair is a certificate and its key, both in PEM.
type Pair struct {
	// Cert is the file of the certificate, followed by those of the CAs between
	// it and the root, if there are such.
	Cert string
	// Key is the file of its private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
	Key string
}

// Config says what a Source is made of.
type Config struct {
	// Pairs are the server's certificates; at least one. A client gets the first
	// one that is for the name it asks for (SNI), the first one of all if none is.
	Pairs []Pair
	// ClientCAs are files of CA certificates in PEM. A client's certificate must
	// come from one of them.
	ClientCAs []string
	// ClientAuth is what is asked of clients. Whatever asks for a certificate
	// needs ClientCAs.
	ClientAuth Auth
	// MinVersion is tls.VersionTLS12, which 0 stands for, or tls.VersionTLS13.
	MinVersion uint16
	// ALPN are the protocols offered, the preferred one first. A client that
	// offers others only is refused; one that offers none is not.
	ALPN []string
	// Now is the time; nil is time.Now.
	Now func() time.Time
	// Logger gets warnings about certificates and keys; nil discards.
	Logger *slog.Logger
}

// Source is a TLS configuration that follows its files. Its methods may be called
// from any goroutine.
type Source struct {
	following
	cfg  Config
	base *tls.Config // what servers hold: it asks current for every connection
}

// New reads the files. The error wraps ErrConfig and has every fault of every file.
func New(cfg Config) (*Source, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg}
	if err := s.follow(s.readAll); err != nil {
		return nil, err
	}
	// Tickets are sealed with the keys of base, which crypto/tls makes and turns
	// over every day; so a session can be resumed after a reload. What it may be
	// resumed for is checked against the current CAs.
	s.base = s.current.Load().tls.Clone()
	s.base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().tls, nil }
	return s, nil
}

func (c *Config) validate() error {
	switch {
	case len(c.Pairs) == 0:
		return fmt.Errorf("%w: there is no certificate", ErrConfig)
	case c.ClientAuth > AuthRequire:
		return fmt.Errorf("%w: %v: expected none, request or require", ErrConfig, c.ClientAuth)
	case c.ClientAuth != AuthNone && len(c.ClientCAs) == 0:
		return fmt.Errorf("%w: clients are asked for a certificate, and no CA is named that theirs must come from", ErrConfig)
	case c.MinVersion != tls.VersionTLS12 && c.MinVersion != tls.VersionTLS13:
		return fmt.Errorf("%w: least version %s: expected TLS 1.2 or 1.3", ErrConfig, tls.VersionName(c.MinVersion))
	}
	return nil
}

// TLS is the configuration for tls.Server and http.Server. It is the same one
// always, must not be changed, and serves each new connection by what was read last.
func (s *Source) TLS() *tls.Config { return s.base }

// readAll makes a snapshot of the files as they are now.
func (s *Source) readAll() (*snapshot, error) {
	c := &s.cfg
	r := reader{now: c.Now(), log: c.Logger}
	t := &tls.Config{MinVersion: c.MinVersion, NextProtos: c.ALPN, Time: c.Now}
	for _, p := range c.Pairs {
		t.Certificates = append(t.Certificates, r.pair(p))
	}
	if len(c.ClientCAs) > 0 {
		t.ClientCAs = x509.NewCertPool()
		for _, file := range c.ClientCAs {
			r.authorities(t.ClientCAs, file, "clients")
		}
	}
	switch c.ClientAuth {
	case AuthNone:
	case AuthRequest:
		t.ClientAuth = tls.VerifyClientCertIfGiven
	case AuthRequire:
		t.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if err := errors.Join(r.faults...); err != nil {
		return nil, err
	}
	for _, warn := range r.warnings {
		warn()
	}
	return &snapshot{tls: t, files: r.files, notAfter: r.notAfter}, nil
}
