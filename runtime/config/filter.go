package config

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
)

// Filter is which sources may speak to a listener, and how much. It holds before a byte
// of theirs becomes a frame: in the kernel where Config.Kernel says so, and in weft
// itself everywhere.
type Filter struct {
	// Allow are sources that are let in: an address, or a prefix such as 10.0.0.0/8.
	// Among Allow, Deny and Protect the longest prefix that contains a source decides.
	Allow []string `koanf:"allow" yaml:"allow"`
	// Deny are sources that are not.
	Deny []string `koanf:"deny" yaml:"deny"`
	// Protect are sources that are let in like those of Allow, and that no plugin and
	// no policy may block; an operator may.
	Protect []string `koanf:"protect" yaml:"protect"`
	// Default is what becomes of a source that nothing names: allow or deny.
	Default string `koanf:"default" yaml:"default" default:"allow" enum:"allow,deny"`
	// Rate is how many datagrams one source may send in the long run; 0 is no limit.
	// IPv6 sources count by their /64.
	Rate Rate `koanf:"rate" yaml:"rate" default:"0" min:"0" max:"10000000/s"`
	// Burst is how many of them at once; 0: as many as in a second, at least one.
	Burst int `koanf:"burst" yaml:"burst" default:"0" min:"0" max:"10000000"`
	// Connections is how many TCP connections one source may begin in the long run;
	// 0 is no limit.
	Connections Rate `koanf:"connections" yaml:"connections" default:"0" min:"0" max:"1000000/s"`
	// ConnectionsBurst is how many of them at once; 0: as many as in a second, at
	// least one.
	ConnectionsBurst int `koanf:"connections_burst" yaml:"connections_burst" default:"0" min:"0" max:"1000000"`
	// FirstBytes is how a datagram must begin: auto (what the frame's format says), off,
	// or a list of patterns of which one must match.
	FirstBytes FirstBytes `koanf:"first_bytes" yaml:"first_bytes" default:"auto"`
}

// The values of Filter.Default.
const (
	FilterAllow = "allow"
	FilterDeny  = "deny"
)

// The values of FirstBytes.Mode.
const (
	FirstBytesAuto = "auto"
	FirstBytesOff  = "off"
	FirstBytesList = "list"
)

// FirstBytes is how a datagram must begin. In a file it is auto, off, or a list of
// {offset: N, hex: TEXT, mask: TEXT}.
type FirstBytes struct {
	// Mode is auto, off, or list where patterns were given.
	Mode string
	// Patterns are those of the list.
	Patterns []BytePattern
}

// BytePattern is what some bytes of a datagram must be.
type BytePattern struct {
	// Offset is where they begin.
	Offset int `koanf:"offset" yaml:"offset" default:"0" min:"0" max:"24"`
	// Hex is the bytes, at most 8, in hexadecimal.
	Hex string `koanf:"hex" yaml:"hex" required:"true"`
	// Mask is which of their bits count, in hexadecimal and as long as Hex. Empty: all.
	Mask string `koanf:"mask" yaml:"mask"`
}

// maxBytePatterns is how many patterns a listener may have.
const maxBytePatterns = 4

// maxPatternBytes is how many bytes a pattern may have.
const maxPatternBytes = 8

// Bytes is the pattern's value and mask, of the same length; the value has no bit that
// the mask has not.
func (p BytePattern) Bytes() (value, mask []byte, err error) {
	if value, err = hex.DecodeString(p.Hex); err != nil || len(value) == 0 || len(value) > maxPatternBytes {
		return nil, nil, fmt.Errorf("hex %.40q: expected 1 to %d bytes in hexadecimal, such as 5744", p.Hex, maxPatternBytes)
	}
	mask = make([]byte, len(value))
	for i := range mask {
		mask[i] = 0xff
	}
	if p.Mask != "" {
		if mask, err = hex.DecodeString(p.Mask); err != nil || len(mask) != len(value) {
			return nil, nil, fmt.Errorf("mask %.40q: expected %d bytes in hexadecimal, as many as hex has", p.Mask, len(value))
		}
	}
	for i := range value {
		value[i] &= mask[i]
	}
	return value, mask, nil
}

// ParsePrefix reads a source: an address, or a prefix in CIDR form. IPv4 in IPv6 form
// becomes IPv4.
func ParsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%.60q is no address and no prefix: expected one such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32", text)
	case p.Masked() != p:
		return netip.Prefix{}, fmt.Errorf("%s has bits behind its length: did you mean %s?", p, p.Masked())
	case p.Addr().Is4In6():
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%s is neither of IPv4 nor of IPv6: write IPv4 sources as 10.0.0.0/8", p)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

// BurstOf is how many a rate allows at once if the configuration says burst.
func BurstOf(r Rate, burst int) int {
	if burst > 0 {
		return burst
	}
	return max(1, int(int64(r)/int64(perSecond)))
}

// FirstBytesOf is the mode that holds for the listener: off where datagrams are not its
// business.
func (l *Listener) FirstBytesOf() string {
	if l.Frame != FrameDatagram || l.Filter.FirstBytes.Mode == "" {
		return FirstBytesOff
	}
	return l.Filter.FirstBytes.Mode
}

// filter checks what a listener says of its sources.
func (k *checker) filter(path string, l *Listener) {
	path = join(path, "filter")
	f := &l.Filter
	seen := map[netip.Prefix]string{}
	for _, list := range []struct {
		key   string
		texts []string
	}{{"allow", f.Allow}, {"deny", f.Deny}, {"protect", f.Protect}} {
		for i, text := range list.texts {
			at := join(path, list.key+"."+strconv.Itoa(i))
			p, err := ParsePrefix(text)
			if err != nil {
				problem := Problem{Cause: "not a source", Value: show(text), Found: err.Error()}
				if problem.Value == Hidden {
					problem.Found = "no address and no prefix" // the error has the text
				}
				k.add(at, problem)
				continue
			}
			if before := seen[p]; before != "" {
				k.add(at, Problem{Cause: "listed twice", Value: p.String(), Found: "the same in " + before, Fix: "remove one"})
			}
			seen[p] = list.key
		}
	}
	if f.Default == FilterDeny && len(f.Allow)+len(f.Protect) == 0 {
		k.add(join(path, "default"), Problem{Cause: "nobody could connect", Value: f.Default, Expected: "sources in filter.allow", Fix: "name those that may, or remove the key"})
	}
	datagrams := l.Frame == FrameDatagram
	noEffect := func(key, found, expected string) {
		k.add(join(path, key), Problem{Cause: "has no effect", Found: found, Expected: expected, Fix: "remove the key"})
	}
	switch frame := "frame: " + l.Frame; {
	case datagrams && (f.Connections > 0 || f.ConnectionsBurst > 0):
		noEffect("connections", frame, "a frame over TCP; datagrams have filter.rate")
	case !datagrams && l.Frame != "" && (f.Rate > 0 || f.Burst > 0):
		noEffect("rate", frame, "frame: "+FrameDatagram+"; connections over TCP have filter.connections")
	case !datagrams && l.Frame != "" && f.FirstBytes.Mode == FirstBytesList:
		noEffect("first_bytes", frame, "frame: "+FrameDatagram)
	}
	if f.Rate == 0 && f.Burst > 0 && datagrams {
		noEffect("burst", "no rate", "filter.rate beside it")
	}
	if f.Connections == 0 && f.ConnectionsBurst > 0 && !datagrams {
		noEffect("connections_burst", "no connections", "filter.connections beside it")
	}
	k.patterns(join(path, "first_bytes"), f.FirstBytes)
}

// patterns checks a list of first bytes.
func (k *checker) patterns(path string, f FirstBytes) {
	if len(f.Patterns) > maxBytePatterns {
		k.add(path, Problem{Cause: "out of range", Value: fmt.Sprintf("%d patterns", len(f.Patterns)), Expected: fmt.Sprintf("at most %d", maxBytePatterns)})
	}
	for i, p := range f.Patterns {
		if p.Hex == "" {
			continue // said already
		}
		if _, _, err := p.Bytes(); err != nil {
			k.add(join(path, strconv.Itoa(i)), Problem{Cause: "not a pattern of bytes", Found: err.Error(), Fix: `write it like {offset: 0, hex: "5744"}, with an even number of digits`})
		}
	}
}
