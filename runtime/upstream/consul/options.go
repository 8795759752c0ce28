package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// Options say which agent is asked, and as whom. What is empty is what Consul's own
// environment variables say (CONSUL_HTTP_ADDR, CONSUL_CACERT, ...), and their
// defaults.
type Options struct {
	// Address of the agent, "host:port" or a URL (http, https, unix); empty is
	// 127.0.0.1:8500.
	Address string
	// TokenFile holds the ACL token. It is read before every question, so that a
	// token that is renewed is taken up. Empty: CONSUL_HTTP_TOKEN, or no token.
	TokenFile string
	// Datacenter; empty is the agent's.
	Datacenter string
	// TLS is for an agent that speaks TLS; it is asked for each connection to a host, or
	// once where a proxy is between. nil: as the environment says, or the system's
	// authorities and no certificate of our own.
	TLS func(host string) *tls.Config
	// Secure speaks TLS also where the address does not say https.
	Secure bool
	// Wait is how long one question may stay open while nothing changes, at most
	// 10 min; 0 is 5 min.
	Wait time.Duration
	// Pause is the least time between two answers, so that a service that flaps does
	// not keep everyone busy; 0 is 100 ms.
	Pause time.Duration
}

// ErrOptions is wrapped by every error about [Options] and [Registration].
var ErrOptions = errors.New("bad options of Consul")

// client is a connection to one agent.
type client struct {
	*api.Client
	options   Options
	transport *http.Transport
}

func connect(o Options) (*client, error) {
	if o.Wait < 0 || o.Wait > 10*time.Minute {
		return nil, fmt.Errorf("%w: it may wait %v; expected up to 10m", ErrOptions, o.Wait)
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Minute
	}
	if o.Pause == 0 {
		o.Pause = 100 * time.Millisecond
	}
	// Not a clone of the default one, whose TLS the client would take for ours.
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: answerWithin}).DialContext,
		TLSHandshakeTimeout: answerWithin, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
	}
	if o.TLS != nil {
		t.TLSClientConfig, t.DialTLSContext = o.TLS(""), o.dial
	}
	c := &api.Config{Address: o.Address, Transport: t}
	if o.Secure {
		c.Scheme = "https"
	}
	a, err := api.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return &client{Client: a, options: o, transport: t}, nil
}

// dial asks for the settings anew: their files may have changed.
func (o *Options) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(address)
	secure := tls.Client(c, o.TLS(host))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return secure, nil
}

// query is what every question says. An unreadable token file is its error.
func (c *client) query() (*api.QueryOptions, error) {
	q := &api.QueryOptions{Datacenter: c.options.Datacenter}
	if c.options.TokenFile == "" {
		return q, nil
	}
	token, err := os.ReadFile(c.options.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("the token: %w", err)
	}
	q.Token = strings.TrimSpace(string(token))
	return q, nil
}
