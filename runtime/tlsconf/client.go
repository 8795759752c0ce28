package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ClientConfig says what a Client is made of. Every file may be missing.
type ClientConfig struct {
	// CA is a file of CA certificates in PEM that servers' certificates come from;
	// empty: those of the system.
	CA string
	// Cert and Key are the client's own certificate and its key, for servers that ask
	// for one; see Pair. Both or none.
	Cert, Key string
	// ServerName is the name that servers' certificates must have; empty: whoever
	// connects says which.
	ServerName string
	// Now is the time; nil is time.Now.
	Now func() time.Time
	// Logger gets warnings about certificates and keys; nil discards.
	Logger *slog.Logger
}

// Client is a client's TLS configuration that follows its files. Its methods may be
// called from any goroutine.
type Client struct {
	following
	cfg ClientConfig
}

// NewClient reads the files. The error wraps ErrConfig and has every fault of every file.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if (cfg.Cert == "") != (cfg.Key == "") {
		return nil, fmt.Errorf("%w: a certificate and its key go together: cert %q, key %q", ErrConfig, cfg.Cert, cfg.Key)
	}
	c := &Client{cfg: cfg}
	if err := c.follow(c.readAll); err != nil {
		return nil, err
	}
	return c, nil
}

// TLS is for the next connection: ask anew for each. It must not be changed; whoever
// has another ServerName clones it.
func (c *Client) TLS() *tls.Config { return c.current.Load().tls }

// For is TLS for a connection to the host: with its name, unless ServerName says one.
func (c *Client) For(host string) *tls.Config {
	t := c.TLS()
	if t.ServerName == "" {
		t = t.Clone()
		t.ServerName = host
	}
	return t
}

func (c *Client) readAll() (*snapshot, error) {
	r := reader{now: c.cfg.Now(), log: c.cfg.Logger}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.cfg.ServerName, Time: c.cfg.Now}
	if c.cfg.CA != "" {
		t.RootCAs = x509.NewCertPool()
		r.authorities(t.RootCAs, c.cfg.CA, "servers")
	}
	if c.cfg.Cert != "" {
		t.Certificates = []tls.Certificate{r.pair(Pair{c.cfg.Cert, c.cfg.Key})}
	}
	if err := errors.Join(r.faults...); err != nil {
		return nil, err
	}
	for _, warn := range r.warnings {
		warn()
	}
	return &snapshot{tls: t, files: r.files, notAfter: r.notAfter}, nil
}
