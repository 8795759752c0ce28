package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// secure is how a client command speaks TLS.
type secure struct {
	on                  bool
	ca, cert, key, name string
}

func (s *secure) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&s.on, "tls", false, "speak TLS; each of the next four flags says so too")
	f.StringVar(&s.ca, "ca", "", "`FILE` of the CA certificates in PEM that the server's comes from; none: those of the system")
	f.StringVar(&s.cert, "cert", "", "`FILE` of a certificate of your own in PEM, for a server that asks for one")
	f.StringVar(&s.key, "cert-key", "", "`FILE` of its private key in PEM")
	f.StringVar(&s.name, "server-name", "", "`NAME` that the server's certificate must have; none: the host of its address")
	cmd.MarkFlagsRequiredTogether("cert", "cert-key")
}

func (s *secure) wanted() bool {
	return s.on || s.ca != "" || s.cert != "" || s.key != "" || s.name != ""
}

// config is what the flags ask for; nil for no TLS.
func (s *secure) config() (*tls.Config, error) {
	if !s.wanted() {
		return nil, nil
	}
	cfg := &tls.Config{ServerName: s.name}
	if s.ca != "" {
		pem, err := os.ReadFile(s.ca)
		if err != nil {
			return nil, fail(exitUsage, fmt.Errorf("--ca: %w", err), "")
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usageError("--ca: %s holds no certificate in PEM", s.ca)
		}
	}
	if s.cert != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, fail(exitUsage, fmt.Errorf("--cert, --cert-key: %w", err), "")
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// over is config for a connection to an address of host and port.
func (s *secure) over(address string) (*tls.Config, error) {
	cfg, err := s.config()
	if cfg != nil && cfg.ServerName == "" {
		if cfg.ServerName, _, err = net.SplitHostPort(address); err != nil {
			return nil, fail(exitUsage, err, "Write the address as HOST:PORT.")
		}
	}
	return cfg, err
}

// untrusted is the remedy for an error of a TLS connection; empty if it has another
// reason. A server that misses a certificate may say so (TLS 1.3) only after what the
// client has sent, which then meets a closed connection.
func (s *secure) untrusted(err error) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		return "Name the CA that the server's certificate comes from: --ca FILE."
	case errors.As(err, &host):
		return "Name the server as its certificate does: --server-name NAME."
	case errors.As(err, &record):
		return "It seems to speak no TLS there: try without --tls."
	case strings.Contains(err.Error(), "certificate required"):
		return "The server asks for a certificate of yours: --cert FILE --cert-key FILE."
	case s.wanted() && s.cert == "" && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "client conn could not be established")): // in the words of HTTP/2
		return "It may ask for a certificate of yours: --cert FILE --cert-key FILE."
	}
	return ""
}

// httpClient is the client of HTTP for the API.
func (s *secure) httpClient() *http.Client {
	cfg, err := s.config()
	switch {
	case err != nil:
		return &http.Client{Transport: broken{err}}
	case cfg == nil:
		return http.DefaultClient
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment}}
}

// broken answers every request with an error.
type broken struct{ err error }

func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }
