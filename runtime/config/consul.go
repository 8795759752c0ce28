package config

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// Consul is the agent of Consul beside this weft, and what weft registers there. Pools
// whose consul says no address of its own ask this agent as well. Paths are relative to
// the configuration file's folder.
type Consul struct {
	// Address is the agent's URL. Empty: http://127.0.0.1:8500, with TLS
	// https://127.0.0.1:8501.
	Address string `koanf:"address" yaml:"address"`
	// TokenFile is a file with the token to speak with; empty: none. It is read before
	// every question.
	TokenFile string `koanf:"token_file" yaml:"token_file"`
	// Datacenter is where services are looked for; empty: the agent's own. What weft
	// registers is where the agent is.
	Datacenter string `koanf:"datacenter" yaml:"datacenter"`
	// TLS is how weft and the agent trust each other; nil: as the system does.
	TLS *ClientTLS `koanf:"tls" yaml:"tls"`
	// Register are the services that this weft is an instance of, as long as it is
	// ready.
	Register []ConsulService `koanf:"register" yaml:"register"`
}

// ConsulService is a service that weft is an instance of.
type ConsulService struct {
	// Name is the service's.
	Name string `koanf:"name" yaml:"name" required:"true"`
	// Listener is the name of the listener that others shall find. Its address is
	// registered, unless Address is given.
	Listener string `koanf:"listener" yaml:"listener"`
	// Address is where others reach this weft: a host and a port, or with Listener a
	// host alone, which gets the listener's port.
	Address string `koanf:"address" yaml:"address"`
	// Tags are those of this instance.
	Tags []string `koanf:"tags" yaml:"tags"`
	// CheckEvery is how often weft tells the agent that it is well. After three times
	// as long without a word the instance is critical.
	CheckEvery Duration `koanf:"check_every" yaml:"check_every" default:"5s" min:"1s" max:"10m"`
	// Meta is what others may know besides.
	Meta map[string]string `koanf:"meta" yaml:"meta"`
}

// Reached is where others reach the service, given where its listener listens (nothing
// for a service without one). The host is unspecified (0.0.0.0, [::]) where the
// configuration does not say.
func (s *ConsulService) Reached(listening netip.AddrPort) (host string, port int, err error) {
	if s.Address == "" {
		return listening.Addr().Unmap().WithZone("").String(), int(listening.Port()), nil
	}
	if host, text, err := net.SplitHostPort(s.Address); err == nil {
		number, err := strconv.ParseUint(text, 10, 16)
		if err != nil || number == 0 || !plainHost(host) {
			return "", 0, errNotReached
		}
		return host, int(number), nil
	}
	host = strings.TrimSuffix(strings.TrimPrefix(s.Address, "["), "]")
	if s.Listener == "" || !plainHost(host) {
		return "", 0, errNotReached
	}
	return host, int(listening.Port()), nil
}

var errNotReached = errors.New("not an address: expected a host and a port")

// plainHost tells an IP address or a host's name from what is neither.
func plainHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	return text != "" && len(text) <= 253 && strings.IndexFunc(text, func(r rune) bool { return !serviceRune(r) }) < 0
}

// serviceRune tells what names of hosts and services are made of.
func serviceRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// complete sets what follows from other keys.
func (c *Consul) complete(folder string) {
	c.Address = agentAddress(c.Address, c.TLS)
	c.TokenFile = resolved(folder, c.TokenFile)
	c.TLS.complete(folder)
}

func agentAddress(given string, t *ClientTLS) string {
	switch {
	case given != "":
		return given
	case t != nil:
		return "https://127.0.0.1:8501"
	}
	return "http://127.0.0.1:8500"
}

func resolved(folder, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// inherit gives a pool's discovery what it leaves out and from is about. One with an
// address of its own is about another agent, which gets nothing of this one's: least
// of all its token.
func (u *UpstreamConsul) inherit(from *Consul, folder string) {
	u.TokenFile = resolved(folder, u.TokenFile)
	u.TLS.complete(folder)
	if u.Address != "" {
		return
	}
	u.inherited = true
	if u.Address = from.Address; u.TLS == nil {
		u.TLS = from.TLS
	}
	if u.TokenFile == "" {
		u.TokenFile = from.TokenFile
	}
	if u.Datacenter == "" {
		u.Datacenter = from.Datacenter
	}
}

// upstreamConsul checks what a pool says of an agent itself.
func (k *checker) upstreamConsul(path string, u *UpstreamConsul) {
	if !u.inherited {
		k.agentAddress(join(path, "address"), u.Address, u.TLS)
	}
	if u.TLS != k.c.Consul.TLS {
		k.clientTLS(join(path, "tls"), u.TLS)
		if u.inherited && u.TLS != nil && strings.HasPrefix(u.Address, "http:") {
			k.add(join(path, "tls"), Problem{Cause: "contradiction", Found: "consul.address: " + redacted(u.Address), Fix: "give the address of an agent that speaks TLS here as well"})
		}
	}
	if u.TokenFile != k.c.Consul.TokenFile {
		k.pem(join(path, "token_file"), u.TokenFile, u.TokenFile)
	}
}

func (k *checker) agentAddress(path, address string, t *ClientTLS) {
	at, err := url.Parse(address)
	switch {
	case address == "": // of a Config made by hand
	case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https":
		k.add(path, Problem{Cause: "not an address", Value: show(redacted(address)), Expected: "a URL, such as http://127.0.0.1:8500"})
	case at.User != nil:
		k.add(path, Problem{Cause: "a password in the configuration", Value: show(redacted(address)), Fix: "write consul.token_file"})
	case at.Scheme == "http" && t != nil:
		k.add(path, Problem{Cause: "contradiction", Value: show(address), Found: "tls as well", Fix: "write https://" + at.Host + ", with the port on which the agent speaks TLS, or remove tls"})
	}
}
