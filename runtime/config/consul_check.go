package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// consul checks the agent and what is registered there.
func (k *checker) consul() {
	c := &k.c.Consul
	k.agentAddress("consul.address", c.Address, c.TLS)
	k.pem("consul.token_file", c.TokenFile, c.TokenFile)
	k.clientTLS("consul.tls", c.TLS)
	first := map[string]bool{}
	for i := range c.Register {
		s, path := &c.Register[i], fmt.Sprintf("consul.register.%d", i)
		k.registered(path, s)
		if at := k.reached(path, s); at != "" && first[at] {
			k.add(path, Problem{Cause: "registered twice", Value: show(at), Fix: "remove one, with its tags added to the other"})
		} else if at != "" {
			first[at] = true
		}
	}
}

// What Consul takes of an instance's meta, and what we take of names.
const (
	metaMost      = 64
	metaKeyMost   = 128
	metaValueMost = 512
	serviceMost   = 128
)

// registered checks what the instance is called, and what is said of it.
func (k *checker) registered(path string, s *ConsulService) {
	odd := func(text string) bool {
		return strings.IndexFunc(text, func(r rune) bool { return !serviceRune(r) }) >= 0
	}
	if s.Name != "" && (odd(s.Name) || len(s.Name) > serviceMost) {
		k.add(join(path, "name"), Problem{Cause: "not a service's name", Value: show(s.Name), Expected: fmt.Sprintf("letters, digits, '-', '_' and '.', at most %d in all", serviceMost)})
	}
	for i, tag := range s.Tags {
		if strings.TrimSpace(tag) != tag || tag == "" || strings.ContainsAny(tag, "\r\n\x00") {
			k.add(join(path, fmt.Sprintf("tags.%d", i)), Problem{Cause: "not a tag", Value: show(tag), Expected: "a text of one line, with no blank around it"})
		}
	}
	if len(s.Meta) > metaMost {
		k.add(join(path, "meta"), Problem{Cause: "out of range", Value: fmt.Sprintf("%d entries", len(s.Meta)), Expected: fmt.Sprintf("at most %d: Consul takes no more", metaMost)})
	}
	for _, key := range sortedKeys(s.Meta) {
		at := join(path, "meta."+key)
		switch {
		case key == "" || odd(key) || strings.Contains(key, ".") || len(key) > metaKeyMost:
			k.add(at, Problem{Cause: "not a key of meta", Value: show(key), Expected: fmt.Sprintf("letters, digits, '-' and '_', at most %d in all", metaKeyMost)})
		case strings.HasPrefix(key, "consul-"):
			k.add(at, Problem{Cause: "not a key of meta", Value: show(key), Found: "keys that begin with consul- are Consul's own", Fix: "choose another"})
		case len(s.Meta[key]) > metaValueMost:
			k.add(at, Problem{Cause: "out of range", Value: fmt.Sprintf("%d bytes", len(s.Meta[key])), Expected: fmt.Sprintf("at most %d: Consul takes no more", metaValueMost)})
		}
	}
}

// reached checks where others shall find the service, and is a text that two have only
// if they are one; empty where something is wrong.
func (k *checker) reached(path string, s *ConsulService) string {
	var listening netip.AddrPort
	var listener *Listener
	if s.Listener != "" {
		for i := range k.c.Listeners {
			if k.c.Listeners[i].Name == s.Listener {
				listener = &k.c.Listeners[i]
			}
		}
		if listener == nil {
			k.oneOf(join(path, "listener"), s.Listener, k.c.names("listeners"), "unknown listener", "the name of a listener")
			return ""
		}
		at, err := netip.ParseAddrPort(listener.Address)
		if err != nil {
			return "" // the listener is wrong, which is said there
		}
		listening = at
	} else if s.Address == "" {
		k.add(path, Problem{Cause: "missing value", Expected: "listener or address: where others reach this weft", Fix: "write listener: and the name of one"})
		return ""
	}
	host, port, err := s.Reached(listening)
	if err != nil {
		p := Problem{Cause: "not an address", Value: show(s.Address), Expected: "a host and a port, such as 192.0.2.7:7400"}
		if listener != nil {
			p.Expected = "a host, which gets the listener's port, or a host and a port"
		} else if plainHost(s.Address) {
			p.Fix = "add a port, or the listener whose port it is"
		}
		k.add(join(path, "address"), p)
		return ""
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		p := Problem{Cause: "an address that nobody can connect to", Value: show(s.Address), Expected: "the host under which others reach this machine", Fix: "write it: address: HOST"}
		if s.Address == "" {
			p.Cause, p.Value, p.Found = "missing value", "", fmt.Sprintf("listener %s on %s, which is every address of this machine", s.Listener, listener.Address)
		}
		k.add(join(path, "address"), p)
		return ""
	}
	if port == 0 { // one that the system chooses: the listener stands for it
		return fmt.Sprintf("%s at %s of %s", s.Name, host, s.Listener)
	}
	return fmt.Sprintf("%s at %s", s.Name, net.JoinHostPort(host, strconv.Itoa(port)))
}
