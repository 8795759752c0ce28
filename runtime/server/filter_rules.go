package server

import (
	"fmt"
	"net/netip"

	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/filter"
)

// filterListeners is what the policy of sources says of each listener of the
// configuration; a listener's ID is its index. addrs are where they listen, by index,
// empty as long as that is not known. The rules are those of the configuration.
func filterListeners(cfg *config.Config, indices []int, addrs map[int]netip.AddrPort) (listeners []filter.Listener, rules []filter.Rule, err error) {
	for i := range cfg.Listeners {
		c := &cfg.Listeners[i]
		if indices[i] >= filter.MaxListeners {
			return nil, nil, fmt.Errorf("listeners.%s: %d listeners, and at most %d can have a filter: merge some of them", c.Name, len(cfg.Listeners), filter.MaxListeners)
		}
		f := &c.Filter
		l := filter.Listener{
			ID: uint16(indices[i]), Name: c.Name, Rate: limitOf(f.Rate, f.Burst), Connections: limitOf(f.Connections, f.ConnectionsBurst),
		}
		if network(c) == "udp" {
			l.Network = filter.UDP
		}
		l.Address = addrs[indices[i]]
		if f.Default == config.FilterDeny {
			l.Default = filter.Deny
		}
		switch c.FirstBytesOf() {
		case config.FirstBytesAuto:
			l.Patterns = datagramPatterns()
		case config.FirstBytesList:
			for _, p := range f.FirstBytes.Patterns {
				made, err := bytePattern(p)
				if err != nil {
					return nil, nil, fmt.Errorf("listeners.%s.filter.first_bytes: %w", c.Name, err)
				}
				l.Patterns = append(l.Patterns, made)
			}
		}
		listeners = append(listeners, l)
		made, err := filterRules(c)
		if err != nil {
			return nil, nil, err
		}
		rules = append(rules, made...)
	}
	return listeners, rules, nil
}

// filterRules are the rules of one listener's filter.
func filterRules(c *config.Listener) (rules []filter.Rule, err error) {
	for _, list := range []struct {
		key   string
		texts []string
		rule  filter.Rule
	}{
		{"allow", c.Filter.Allow, filter.Rule{Action: filter.Allow}},
		{"deny", c.Filter.Deny, filter.Rule{Action: filter.Deny}},
		{"protect", c.Filter.Protect, filter.Rule{Action: filter.Allow, Protect: true}},
	} {
		for i, text := range list.texts {
			r := list.rule
			if r.Prefix, err = config.ParsePrefix(text); err != nil {
				return nil, fmt.Errorf("listeners.%s.filter.%s.%d: %w", c.Name, list.key, i, err)
			}
			r.Owner, r.Listener = filter.OwnerConfig, c.Name
			rules = append(rules, r)
		}
	}
	return rules, nil
}

func limitOf(r config.Rate, burst int) filter.Limit {
	if r == 0 {
		return filter.Limit{}
	}
	return filter.Limit{Every: r.Every(), Burst: uint32(config.BurstOf(r, burst))}
}

func bytePattern(p config.BytePattern) (filter.Pattern, error) {
	value, mask, err := p.Bytes()
	if err != nil {
		return filter.Pattern{}, err
	}
	made := filter.Pattern{Offset: uint8(p.Offset), Length: uint8(len(value)), MinLength: uint16(p.Offset + len(value))}
	copy(made.Mask[:], mask)
	copy(made.Value[:], value)
	return made, nil
}

// datagramPatterns is how a datagram of mcp-dgram begins: with a whole header, whose low
// byte of type (offset 5) has one of the kinds 0 to 4 and neither of the two flags that
// nobody may set; see runtime/datagram/PROTOCOL.md.
func datagramPatterns() []filter.Pattern {
	const header, kind = 8, 5
	return []filter.Pattern{
		{Offset: kind, Length: 1, MinLength: header, Mask: [8]byte{0xcc}, Value: [8]byte{0x00}}, // 0 to 3
		{Offset: kind, Length: 1, MinLength: header, Mask: [8]byte{0xcf}, Value: [8]byte{0x04}},
	}
}
