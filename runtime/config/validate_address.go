package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// address checks one that is not empty; ok is false where it cannot be used.
func (k *checker) address(path, text string) (at netip.AddrPort, ok bool) {
	if text == "" {
		return at, false
	}
	at, err := netip.ParseAddrPort(text)
	if err == nil {
		return at, true
	}
	p := Problem{Cause: "not an address", Value: show(text), Expected: "an IP address and a port, such as 127.0.0.1:7400"}
	host, port, cut := strings.Cut(text, ":")
	number, portErr := strconv.ParseUint(port, 10, 16)
	_, hostErr := netip.ParseAddr(text)
	switch {
	case hostErr == nil && strings.Contains(text, ":"):
		p.Fix = fmt.Sprintf("write the address in brackets and add a port: [%s]:7400", text)
	case hostErr == nil:
		p.Fix = fmt.Sprintf("add a port: %s:7400", text)
	case !cut || portErr != nil:
	case host == "":
		p.Fix = fmt.Sprintf("write 127.0.0.1:%d for this machine only, 0.0.0.0:%d or [::]:%d for every network", number, number, number)
	case host == "localhost":
		p.Fix = fmt.Sprintf("write 127.0.0.1:%d", number)
	}
	k.add(path, p)
	return at, false
}

// addresses finds sockets that would collide.
func (k *checker) addresses() {
	type socket struct {
		path string
		at   netip.AddrPort
		udp  bool
	}
	var taken []socket
	take := func(path, text string, udp bool) {
		at, err := netip.ParseAddrPort(text)
		if err != nil || at.Port() == 0 {
			return
		}
		for _, other := range taken {
			a, b := at.Addr(), other.at.Addr()
			if udp == other.udp && at.Port() == other.at.Port() && (a == b || (a.IsUnspecified() || b.IsUnspecified()) && (a.Is4() == b.Is4() || a.Is6() && a.IsUnspecified() || b.Is6() && b.IsUnspecified())) {
				k.add(path, Problem{Cause: "address used twice", Value: text, Found: fmt.Sprintf("%s has %s", k.c.readable(other.path), other.at), Fix: "give one of them another port"})
				return
			}
		}
		taken = append(taken, socket{path, at, udp})
	}
	take("api.address", k.c.API.Address, false)
	for i, l := range k.c.Listeners {
		take(fmt.Sprintf("listeners.%d.address", i), l.Address, l.Frame == FrameDatagram)
	}
}
