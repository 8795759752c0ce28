package backbone

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrAccess says that the external cluster does not let weft in, or that weft does not trust it.
var ErrAccess = errors.New("the backbone's servers and weft do not trust each other")

const (
	dialWithin = 5 * time.Second
	// memberWithin is how long a node that has been in the cluster waits for it.
	memberWithin = 3 * time.Second
	// defaultPatience is how long a server may take nothing before it counts as gone, and
	// how often it is asked whether it is there; one that does not answer so many questions
	// is gone.
	defaultPatience = 5 * time.Second
	pingsOut        = 2
)

// connect connects to the external cluster; it tries for Options.Within, and not as
// long where the node can do without.
func (b *Backbone) connect(ctx context.Context) error {
	payload, member := b.member()
	within := b.options.Within
	if member {
		within = min(within, memberWithin)
	}
	err := b.reach(ctx, within)
	if member && errors.Is(err, ErrAway) && ctx.Err() == nil {
		err = b.startLate(payload, err)
	}
	return err
}

func (b *Backbone) reach(ctx context.Context, within time.Duration) error {
	options, dials, err := b.access()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("not within %s", within))
	defer cancel()
	var why error
	for wait := backoffFirst; ; wait = min(2*wait, time.Second) {
		began := time.Now()
		err := b.try(ctx, options)
		if err == nil {
			return nil
		}
		// A try that was cut short says less than the one before.
		if short := time.Since(began) < within/2; why == nil || !short || !errors.Is(err, ctx.Err()) {
			why = b.explain(err, dials.last())
		}
		if errors.Is(why, ErrAccess) {
			return why
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", why, context.Cause(ctx))
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// try connects once, and asks whether JetStream is there.
func (b *Backbone) try(ctx context.Context, options []nats.Option) error {
	conn, err := nats.Connect(strings.Join(b.options.URLs, ","), options...)
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn)
	if err == nil {
		asking, cancel := context.WithTimeout(ctx, dialWithin)
		defer cancel()
		_, err = js.AccountInfo(asking)
	}
	if err != nil {
		conn.SetClosedHandler(nil)
		conn.Close()
		return err
	}
	b.conn, b.js = conn, js
	return nil
}

// explain says what is wrong with the first connection, where, and what to do. An
// error that trying again does not mend wraps ErrAccess.
func (b *Backbone) explain(err, dial error) error {
	at := strings.Join(b.options.URLs, ", ")
	var (
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		record      tls.RecordHeaderError
		operation   *net.OpError
	)
	switch text := err.Error(); {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired),
		strings.Contains(strings.ToLower(text), "authorization violation"), errors.Is(err, nats.ErrNkeysNotSupported):
		return fmt.Errorf("%w: %s lets us not in: %w: check backbone.user and password_file, credentials, nkey, token or token_file", ErrAccess, at, err)
	case errors.Is(err, nats.ErrSecureConnRequired):
		return fmt.Errorf("%w: %s wants TLS: write tls:// in backbone.url, or backbone.tls", ErrAccess, at)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("%w: %s has no TLS: take backbone.tls out, or give the servers a certificate", ErrAccess, at)
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: the certificate of %s: %w: check backbone.tls.ca and server_name", ErrAccess, at, err)
	case errors.As(err, &alert), errors.As(err, &record), errors.As(err, &operation) && operation.Op == "remote error", strings.Contains(text, "tls: "):
		return fmt.Errorf("%w: TLS with %s: %w: check backbone.tls.cert and key, which the servers may ask for", ErrAccess, at, err)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: %w", ErrAccess, err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%s has no JetStream (%w): start nats-server with -js, or let the account have it", at, err)
	case errors.Is(err, nats.ErrNoServers) && dial != nil:
		return fmt.Errorf("%w: %s: %w: check that the servers run and that backbone.url is right", ErrAway, at, dial)
	}
	return fmt.Errorf("%w: %s: %w: check that the servers run and that backbone.url is right", ErrAway, at, err)
}

// dialer remembers why it could not connect: nats.go tells only that nobody answered.
type dialer struct {
	mu  sync.Mutex
	err error
}

// Dial is called by nats.go.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: dialWithin}).Dial(network, address)
	if err != nil {
		d.mu.Lock()
		d.err = err
		d.mu.Unlock()
	}
	return c, err
}

func (d *dialer) last() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// access makes nats.go's options of Options.Access.
func (b *Backbone) access() ([]nats.Option, *dialer, error) {
	dials := &dialer{}
	shown, err := b.options.Access.show()
	if err != nil {
		return nil, nil, err
	}
	return append(append(b.handlers(), nats.SetCustomDialer(dials), nats.SkipHostLookup()), shown...), dials, nil
}

// Check reads the files by which a cluster is shown who connects, as Open does; nil, or an
// error that wraps ErrAccess. No server is asked.
func (a *Access) Check() error {
	_, err := a.show()
	return err
}

// show makes nats.go's options of what a cluster asks for.
func (a *Access) show() ([]nats.Option, error) {
	var options []nats.Option
	switch {
	case a.Credentials != "":
		if _, err := os.ReadFile(a.Credentials); err != nil {
			return nil, fmt.Errorf("%w: backbone.credentials: %w", ErrAccess, err)
		}
		options = append(options, nats.UserCredentials(a.Credentials))
	case a.NKey != "":
		seed, err := nats.NkeyOptionFromSeed(a.NKey)
		if err != nil {
			return nil, fmt.Errorf("%w: backbone.nkey %s: %w: it is a file with a seed that begins with SU", ErrAccess, a.NKey, err)
		}
		options = append(options, seed)
	case a.User != "":
		if a.Password != "" {
			options = append(options, nats.UserInfo(a.User, a.Password))
			break
		}
		if _, err := secret(a.PasswordFile); err != nil {
			return nil, fmt.Errorf("%w: backbone.password_file: %w", ErrAccess, err)
		}
		options = append(options, nats.UserInfoHandler(func() (string, string) {
			password, _ := secret(a.PasswordFile) // else the server says no
			return a.User, password
		}))
	case a.Token != "":
		options = append(options, nats.Token(a.Token))
	case a.TokenFile != "":
		if _, err := secret(a.TokenFile); err != nil {
			return nil, fmt.Errorf("%w: backbone.token_file: %w", ErrAccess, err)
		}
		options = append(options, nats.TokenHandler(func() string {
			token, _ := secret(a.TokenFile)
			return token
		}))
	}
	if a.TLS {
		secure, err := a.secure()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAccess, err)
		}
		options = append(options, secure...)
	}
	return options, nil
}

// secret reads a file's line; an empty name is an empty secret.
func secret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	return strings.TrimRight(string(text), "\r\n"), err
}

// secure reads the certificates again for each connection.
func (a *Access) secure() ([]nats.Option, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.ServerName}
	if a.Cert != "" {
		load := func() (tls.Certificate, error) { return tls.LoadX509KeyPair(a.Cert, a.Key) }
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("backbone.tls.cert: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			one, err := load()
			return &one, err
		}
	}
	options := []nats.Option{nats.Secure(c)}
	if a.CA != "" {
		roots := func() (*x509.CertPool, error) {
			text, err := os.ReadFile(a.CA)
			if err != nil {
				return nil, err
			}
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(text) {
				return nil, fmt.Errorf("%s has no certificate", a.CA)
			}
			return pool, nil
		}
		if _, err := roots(); err != nil {
			return nil, fmt.Errorf("backbone.tls.ca: %w", err)
		}
		options = append(options, nats.ClientTLSConfig(nil, roots))
	}
	return options, nil
}

// handlers are the options of every connection: it is kept for ever, and what happens
// to it is in the state and the log.
func (b *Backbone) handlers() []nats.Option {
	log := b.options.Logger
	return []nats.Option{
		nats.Name("weft " + b.options.Node), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.Timeout(dialWithin),
		nats.PingInterval(b.options.Patience), nats.MaxPingsOutstanding(pingsOut), nats.DrainTimeout(closeWithin),
		// A server that takes nothing holds up whoever sends, or asks for anything.
		nats.FlusherTimeout(b.options.Patience),
		// What cannot be sent fails at once: who sends keeps it, in order.
		nats.ReconnectBufSize(-1),
		nats.CustomReconnectDelay(func(round int) time.Duration {
			wait := min(backoffFirst<<min(round, 8), backoffMost)
			return wait/2 + rand.N(wait)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			select {
			case <-b.closed:
				return
			default:
			}
			b.seldom.Warn("backbone is away", "error", err)
			b.tracker.set(true, func(s *State) {
				s.Connected = false
				if err != nil {
					s.Fault = err.Error()
				}
			})
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			b.seldom.Info("backbone is back", "server", c.ConnectedServerName(), "url", c.ConnectedUrlRedacted())
			b.tracker.set(true, func(s *State) {
				b.connected(c, s)
				s.Reconnects++
			})
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.seldom.Warn("backbone could not be reached", "error", err)
				b.tracker.set(true, func(s *State) { s.Fault = err.Error() })
			}
		}),
		nats.LameDuckModeHandler(func(c *nats.Conn) {
			log.Info("a server of the backbone is about to end", "server", c.ConnectedServerName())
		}),
		nats.ClosedHandler(func(*nats.Conn) {
			b.tracker.set(true, func(s *State) { s.Connected = false })
			b.going.Do(func() { close(b.gone) })
		}),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			subject := ""
			if s != nil {
				subject = s.Subject
			}
			b.seldom.Warn("backbone reports an error", "subject", subject, "error", err)
			b.tracker.set(false, func(s *State) { s.Errors++ })
		}),
	}
}

// connected fills in the state from the connection.
func (b *Backbone) connected(c *nats.Conn, s *State) {
	s.Connected, s.Reached, s.Fault, s.RTT = true, true, "", 0
	b.measurePayload(c)
	s.Server, s.Version = c.ConnectedServerName(), c.ConnectedServerVersion()
	if len(b.options.URLs) > 0 {
		s.URL, s.Cluster = c.ConnectedUrlRedacted(), c.ConnectedClusterName()
	}
}

// measure takes the time of a question to an external server.
func (b *Backbone) measure() {
	if len(b.options.URLs) == 0 {
		return
	}
	if rtt, err := b.conn.RTT(); err == nil {
		b.tracker.set(false, func(s *State) { s.RTT = rtt })
	}
}
