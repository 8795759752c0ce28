package hostfuncs

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ErrHost is wrapped by the errors of [ParseHost].
var ErrHost = errors.New("bad host")

// HostPattern is a place in the network that a plugin may send requests to.
type HostPattern struct {
	scheme string // http or https
	name   string // lower case; of a wildcard what follows the star, ".example.org"
	port   string
	below  bool // every name that ends in name
}

// ParseHost reads one entry of a grant:
//
//	api.example.org          https on port 443
//	api.example.org:8443     https on that port
//	http://10.0.0.7:8080     http; without a port 80
//	*.example.org            every name below example.org, but not that name
//
// An address stands for itself: a name that resolves to it is not granted by it. A
// name other than localhost does not lead to the machine itself or to its link: grant
// such an address.
func ParseHost(text string) (HostPattern, error) {
	p := HostPattern{scheme: "https"}
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		p.scheme, rest = strings.ToLower(scheme), after
	}
	if p.scheme != "http" && p.scheme != "https" {
		return p, fmt.Errorf("%w %q: expected http or https in front of ://", ErrHost, text)
	}
	if rest, p.below = strings.CutPrefix(rest, "*."); p.below && strings.HasPrefix(rest, ".") {
		return p, badHost(text)
	}
	u, err := url.Parse(p.scheme + "://" + rest)
	if err != nil || u.Host != rest || rest == "" {
		return p, badHost(text)
	}
	if p.name, p.port, err = place(u); err != nil || strings.Contains(p.name, "*") {
		return p, badHost(text)
	}
	if p.below {
		if _, err := netip.ParseAddr(p.name); err == nil {
			return p, badHost(text)
		}
		p.name = "." + p.name
	}
	return p, nil
}

func badHost(text string) error {
	return fmt.Errorf("%w %q: expected a name such as api.example.org, api.example.org:8443, *.example.org or http://10.0.0.7:8080", ErrHost, text)
}

// String is the pattern as ParseHost reads it, with scheme and port.
func (p HostPattern) String() string {
	name := p.name
	if p.below {
		name = "*" + name
	}
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	return p.scheme + "://" + name + ":" + p.port
}

// allows tells whether the pattern grants the place.
func (p HostPattern) allows(scheme, name, port string) bool {
	if scheme != p.scheme || port != p.port {
		return false
	}
	if p.below {
		return len(name) > len(p.name) && strings.HasSuffix(name, p.name)
	}
	return name == p.name
}

var errPlace = errors.New("no host in the URL")

// place is the host name and port that a URL leads to, in one spelling: lower
// case, no dot at the end, addresses in their shortest form, the port spelt out.
func place(u *url.URL) (name, port string, err error) {
	name, port = strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return "", "", errPlace
		}
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", "", errPlace
	}
	port = strconv.FormatUint(n, 10)
	if addr, err := netip.ParseAddr(name); err == nil {
		if addr.Zone() != "" {
			return "", "", errPlace
		}
		return addr.Unmap().String(), port, nil
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return "", "", errPlace
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return "", "", errPlace
		}
	}
	return name, port, nil
}

// granted tells whether one of the patterns allows the URL.
func granted(hosts []HostPattern, u *url.URL) bool {
	name, port, err := place(u)
	if err != nil {
		return false
	}
	for _, p := range hosts {
		if p.allows(u.Scheme, name, port) {
			return true
		}
	}
	return false
}
