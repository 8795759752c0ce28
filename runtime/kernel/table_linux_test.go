package kernel

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/filter"
)

// The listeners of the table.
const (
	anyTCP = iota
	anyUDP
	oneUDP
	oneUDP6
	closedUDP
	slowUDP
	slowTCP
	manyUDP
	otherUDP // the port of oneUDP on another address
)

// here is this machine as the table's packets know it.
type here struct {
	near4, far4, near6, far6 string
}

func (h here) listeners() []filter.Listener {
	at := func(address string, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(address), port)
	}
	hour := filter.Limit{Every: time.Hour, Burst: 2}
	return []filter.Listener{
		{ID: anyTCP, Name: "any-tcp", Network: filter.TCP, Address: at("::", 1883)},
		{ID: anyUDP, Name: "any-udp", Network: filter.UDP, Address: at("0.0.0.0", 5683), Patterns: patterns},
		{ID: oneUDP, Name: "one-udp", Network: filter.UDP, Address: at(h.near4, 7000)},
		{ID: oneUDP6, Name: "one-udp6", Network: filter.UDP, Address: at(h.near6, 7000)},
		{ID: closedUDP, Name: "closed-udp", Network: filter.UDP, Address: at("::", 9000), Default: filter.Deny},
		{ID: slowUDP, Name: "slow-udp", Network: filter.UDP, Address: at("::", 9100), Rate: hour},
		{ID: slowTCP, Name: "slow-tcp", Network: filter.TCP, Address: at("::", 9200), Connections: hour},
		{ID: manyUDP, Name: "many-udp", Network: filter.UDP, Address: at("::", 9300), Patterns: []filter.Pattern{{MinLength: 4}}},
	}
}

// patterns are two: a frame that begins with MC, and one with a version in the high
// bits of its byte 24 and of at least 30 bytes.
var patterns = []filter.Pattern{
	{Length: 2, MinLength: 8, Mask: [8]byte{0xff, 0xff}, Value: [8]byte{'M', 'C'}},
	{Offset: 24, Length: 8, MinLength: 32, Mask: [8]byte{0xf0, 0, 0, 0, 0, 0, 0, 0xff}, Value: [8]byte{0x50, 0, 0, 0, 0, 0, 0, 'z'}},
}

// Sources that rules are about; the far end of the table has others, too.
const (
	denied4, blocked4, nested4, allowed4, ended4 = "198.51.100.1", "198.51.100.2", "203.0.113.200", "203.0.113.9", "198.51.100.77"
	denied6, blocked6, allowed6                  = "2001:db8:bad::1", "2001:db8:bad::2", "2001:db8:bad:1::7"
)

// entries are the rules of the table. ended is in the past.
func entries(ended time.Time) []filter.Entry {
	rule := func(listener uint16, prefix string, action filter.Action, reason filter.Reason, until time.Time) filter.Entry {
		return filter.Entry{Listener: listener, Prefix: netip.MustParsePrefix(prefix), Action: action, Reason: reason, Until: until}
	}
	var list []filter.Entry
	for _, l := range []uint16{anyTCP, anyUDP, oneUDP, oneUDP6} {
		list = append(list,
			rule(l, denied4+"/32", filter.Deny, filter.Denied, time.Time{}),
			rule(l, blocked4+"/32", filter.Deny, filter.Blocked, ended.Add(48*time.Hour)),
			rule(l, "203.0.113.0/24", filter.Deny, filter.Denied, time.Time{}),
			rule(l, "203.0.113.0/28", filter.Allow, filter.Pass, time.Time{}),
			rule(l, "203.0.113.200/32", filter.Allow, filter.Pass, ended), // the /24 holds again
			rule(l, "203.0.113.128/25", filter.Deny, filter.Blocked, ended),
			rule(l, ended4+"/32", filter.Deny, filter.Blocked, ended),
			rule(l, "2001:db8:bad::/48", filter.Deny, filter.Denied, time.Time{}),
			rule(l, blocked6+"/128", filter.Deny, filter.Blocked, time.Time{}),
			rule(l, "2001:db8:bad:1::/64", filter.Allow, filter.Pass, time.Time{}),
			rule(l, "2001:db8:bad:1:8000::/65", filter.Deny, filter.Blocked, ended),
		)
	}
	return append(list,
		rule(closedUDP, "203.0.113.0/24", filter.Allow, filter.Pass, time.Time{}),
		rule(closedUDP, "2001:db8:bad::/48", filter.Allow, filter.Pass, time.Time{}),
		rule(manyUDP, "0.0.0.0/0", filter.Deny, filter.Denied, time.Time{}),
		rule(manyUDP, "::/0", filter.Deny, filter.Blocked, time.Time{}),
		rule(manyUDP, allowed4+"/32", filter.Allow, filter.Pass, time.Time{}),
	)
}

// foreign is the verdict about packets for nobody of ours: they pass uncounted.
const foreign = filter.Reasons

// verdict is one row: a packet, and what becomes of it.
type verdict struct {
	name string
	packet
	listener uint16
	want     filter.Reason
}

// table is every kind of packet, each with its verdict. Rows that are about a rate come
// in their order.
func (h here) table() []verdict {
	udp := func(name, from, to string, port uint16, payload string, listener uint16, want filter.Reason) verdict {
		return verdict{name: name, listener: listener, want: want, packet: packet{network: filter.UDP, payload: payload,
			from: netip.AddrPortFrom(netip.MustParseAddr(from), 4000), to: netip.AddrPortFrom(netip.MustParseAddr(to), port)}}
	}
	tcp := func(name, from, to string, port uint16, flags uint8, listener uint16, want filter.Reason) verdict {
		v := udp(name, from, to, port, "", listener, want)
		v.network, v.flags = filter.TCP, flags
		return v
	}
	with := func(v verdict, change func(*packet)) verdict {
		change(&v.packet)
		return v
	}
	good, good6 := "MC\x01\x00\x00\x00\x00\x00", strings.Repeat("x", 24)+"\x5axxxxxxz"
	list := []verdict{
		udp("good", h.far4, h.near4, 5683, good, anyUDP, filter.Pass),
		udp("second pattern", h.far4, h.near4, 5683, good6, anyUDP, filter.Pass),
		udp("wrong magic", h.far4, h.near4, 5683, "MD\x01\x00\x00\x00\x00\x00", anyUDP, filter.Malformed),
		udp("too short for its magic", h.far4, h.near4, 5683, "MC\x01\x00\x00\x00\x00", anyUDP, filter.Malformed),
		udp("too short for the second", h.far4, h.near4, 5683, good6[:31], anyUDP, filter.Malformed),
		udp("wrong version", h.far4, h.near4, 5683, strings.Replace(good6, "\x5a", "\x6a", 1), anyUDP, filter.Malformed),
		udp("wrong last byte", h.far4, h.near4, 5683, good6[:31]+"y", anyUDP, filter.Malformed),
		udp("empty", h.far4, h.near4, 5683, "", anyUDP, filter.Malformed),
		udp("minimum only", allowed4, h.near4, 9300, "1234", manyUDP, filter.Pass),
		udp("under the minimum", allowed4, h.near4, 9300, "123", manyUDP, filter.Malformed),
		with(udp("magic in the padding", h.far4, h.near4, 5683, "", anyUDP, filter.Malformed), func(p *packet) { p.padding = 18 }),

		udp("denied", denied4, h.near4, 5683, good, anyUDP, filter.Denied),
		udp("blocked", blocked4, h.near4, 5683, good, anyUDP, filter.Blocked),
		udp("denied by its network", "203.0.113.77", h.near4, 5683, good, anyUDP, filter.Denied),
		udp("allowed by a longer prefix", allowed4, h.near4, 5683, good, anyUDP, filter.Pass),
		udp("allowed, and malformed", allowed4, h.near4, 5683, "XX\x01\x00\x00\x00\x00\x00", anyUDP, filter.Malformed),
		udp("an ended rule between two", nested4, h.near4, 5683, good, anyUDP, filter.Denied),
		udp("an ended rule alone", ended4, h.near4, 5683, good, anyUDP, filter.Pass),
		udp("denied everywhere", "192.0.2.55", h.near4, 9300, good, manyUDP, filter.Denied),
		udp("denied everywhere, IPv6", h.far6, h.near6, 9300, good, manyUDP, filter.Blocked),
		udp("default deny", h.far4, h.near4, 9000, good, closedUDP, filter.Denied),
		udp("default deny, IPv6", h.far6, h.near6, 9000, good, closedUDP, filter.Denied),
		udp("allowed in spite of the default", allowed4, h.near4, 9000, good, closedUDP, filter.Pass),
		udp("allowed in spite of the default, IPv6", allowed6, h.near6, 9000, good, closedUDP, filter.Pass),

		udp("other port", denied4, h.near4, 5684, good, 0, foreign),
		udp("TCP's port", denied4, h.near4, 1883, good, 0, foreign),
		tcp("UDP's port", denied4, h.near4, 5683, flagSYN, 0, foreign),
		udp("other family", denied6, h.near6, 5683, good, 0, foreign),
		udp("bound", h.far4, h.near4, 7000, "any", oneUDP, filter.Pass),
		udp("bound, denied", denied4, h.near4, 7000, "any", oneUDP, filter.Denied),
		udp("bound elsewhere", denied4, "192.0.2.9", 7000, "any", 0, foreign),
		udp("bound, IPv6", h.far6, h.near6, 7000, "any", oneUDP6, filter.Pass),
		udp("bound, denied, IPv6", denied6, h.near6, 7000, "any", oneUDP6, filter.Denied),
		udp("bound elsewhere, IPv6", denied6, "2001:db8::99", 7000, "any", 0, foreign),
		udp("blocked, IPv6", blocked6, h.near6, 7000, "any", oneUDP6, filter.Blocked),
		udp("allowed by a longer prefix, IPv6", allowed6, h.near6, 7000, "any", oneUDP6, filter.Pass),
		udp("an ended rule, IPv6", "2001:db8:bad:1:8000::5", h.near6, 7000, "any", oneUDP6, filter.Pass),

		tcp("SYN", h.far4, h.near4, 1883, flagSYN, anyTCP, filter.Pass),
		tcp("denied SYN", denied4, h.near4, 1883, flagSYN, anyTCP, filter.Denied),
		tcp("denied data", denied4, h.near4, 1883, flagACK, anyTCP, filter.Denied),
		tcp("denied, IPv6", denied6, h.near6, 1883, flagSYN, anyTCP, filter.Denied),
		tcp("data, IPv6", h.far6, h.near6, 1883, flagACK, anyTCP, filter.Pass),

		with(tcp("options", denied4, h.near4, 1883, flagACK, anyTCP, filter.Denied), func(p *packet) { p.options = 40 }),
		with(udp("options, good", h.far4, h.near4, 5683, good, anyUDP, filter.Pass), func(p *packet) { p.options = 4 }),
		with(udp("VLAN", denied4, h.near4, 5683, good, anyUDP, filter.Denied), func(p *packet) { p.tags = []uint16{0x8100} }),
		with(udp("VLAN, malformed", h.far4, h.near4, 5683, "no", anyUDP, filter.Malformed), func(p *packet) { p.tags = []uint16{0x8100} }),
		with(udp("QinQ", blocked4, h.near4, 5683, good, anyUDP, filter.Blocked), func(p *packet) { p.tags = []uint16{0x88a8, 0x8100} }),
		with(udp("QinQ, IPv6", blocked6, h.near6, 7000, good, oneUDP6, filter.Blocked), func(p *packet) { p.tags = []uint16{0x88a8, 0x8100} }),
		with(udp("three tags", blocked4, h.near4, 5683, good, 0, foreign), func(p *packet) { p.tags = []uint16{0x88a8, 0x8100, 0x8100} }),

		with(udp("first fragment", denied4, h.near4, 5683, good, anyUDP, filter.Denied), func(p *packet) { p.fragment = 0x2000 }),
		with(udp("first fragment, good", h.far4, h.near4, 5683, good, anyUDP, filter.Pass), func(p *packet) { p.fragment = 0x2000 }),
		with(udp("first fragment without its magic", h.far4, h.near4, 5683, "", anyUDP, filter.Malformed),
			func(p *packet) { p.fragment, p.size = 0x2000, 100 }),
		with(udp("later fragment", denied4, h.near4, 5683, good, 0, foreign), func(p *packet) { p.fragment = 0x2001 }),
		with(udp("don't fragment", denied4, h.near4, 5683, good, anyUDP, filter.Denied), func(p *packet) { p.fragment = 0x4000 }),
		with(udp("first fragment, IPv6", denied6, h.near6, 7000, good, oneUDP6, filter.Denied),
			func(p *packet) { p.extensions, p.fragment = []extension{{44, 8}}, 1 }),
		with(udp("later fragment, IPv6", denied6, h.near6, 7000, good, 0, foreign),
			func(p *packet) { p.extensions, p.fragment = []extension{{44, 8}}, 8 }),
		with(udp("extension headers", denied6, h.near6, 7000, good, oneUDP6, filter.Denied),
			func(p *packet) { p.extensions = []extension{{0, 8}, {60, 16}, {51, 12}, {60, 32}} }),
		with(udp("a long extension header", blocked6, h.near6, 7000, good, oneUDP6, filter.Blocked),
			func(p *packet) { p.extensions = []extension{{60, 256}} }),
		with(udp("eight extension headers", denied6, h.near6, 7000, good, oneUDP6, filter.Denied),
			func(p *packet) { p.extensions = repeated(8) }),
		with(udp("nine extension headers", denied6, h.near6, 7000, good, 0, foreign),
			func(p *packet) { p.extensions = repeated(9) }),

		with(udp("no Ethernet type of IP", denied4, h.near4, 5683, good, 0, foreign), func(p *packet) { p.etherType = 0x88cc }),
		with(udp("another protocol", denied4, h.near4, 5683, good, 0, foreign), func(p *packet) { p.protocol = 132 }),
		with(udp("IPv6 as IPv4", denied6, h.near6, 7000, good, 0, foreign), func(p *packet) { p.etherType = 0x0800 }),
		with(udp("IPv4 as IPv6", denied4, h.near4, 5683, good, 0, foreign), func(p *packet) { p.etherType = 0x86dd }),
		with(udp("length beyond the packet", h.far4, h.near4, 5683, good, anyUDP, filter.Pass), func(p *packet) { p.size = 1000 }),
		with(udp("length under the header", h.far4, h.near4, 5683, good, anyUDP, filter.Malformed), func(p *packet) { p.size = 3 }),
		with(tcp("flags in a later fragment", h.far4, h.near4, 1883, flagACK, anyTCP, filter.Pass),
			func(p *packet) { p.fragment, p.cut = 0x2000, 14+20+8 }),
	}
	for _, length := range []int{14, 20, 33, 34, 37} {
		list = append(list, with(udp("cut", denied4, h.near4, 5683, good, 0, foreign), func(p *packet) { p.cut = length }))
	}
	return append(list,
		udp("rate, first", h.far4, h.near4, 9100, "1", slowUDP, filter.Pass),
		udp("rate, second", h.far4, h.near4, 9100, "2", slowUDP, filter.Pass),
		udp("rate, third", h.far4, h.near4, 9100, "3", slowUDP, filter.Rate),
		udp("rate, somebody else", "192.0.2.8", h.near4, 9100, "1", slowUDP, filter.Pass),
		udp("rate, IPv6", h.far6, h.near6, 9100, "1", slowUDP, filter.Pass),
		udp("rate, IPv6, from the same /64", sameLink(h.far6), h.near6, 9100, "2", slowUDP, filter.Pass),
		udp("rate, IPv6, third", h.far6, h.near6, 9100, "3", slowUDP, filter.Rate),
		udp("rate, IPv6, elsewhere", "2001:db8:77::1", h.near6, 9100, "1", slowUDP, filter.Pass),
		tcp("SYN, first", h.far4, h.near4, 9200, flagSYN, slowTCP, filter.Pass),
		tcp("SYN, second", h.far4, h.near4, 9200, flagSYN, slowTCP, filter.Pass),
		tcp("SYN, third", h.far4, h.near4, 9200, flagSYN, slowTCP, filter.ConnectionRate),
		tcp("its data goes on", h.far4, h.near4, 9200, flagACK, slowTCP, filter.Pass),
		tcp("SYN and ACK is an answer", h.far4, h.near4, 9200, flagSYN|flagACK, slowTCP, filter.Pass),
		with(tcp("flags hidden", h.far4, h.near4, 9200, flagACK, slowTCP, filter.ConnectionRate),
			func(p *packet) { p.fragment, p.cut = 0x2000, 14+20+8 }),
	)
}

// jumbo are packets of so many bytes.
func (h here) jumbo(size int) []verdict {
	var list []verdict
	for _, v := range h.table() {
		switch v.name {
		case "good", "wrong magic", "denied", "bound, IPv6", "blocked, IPv6", "other port", "VLAN", "extension headers", "options, good":
			v.name, v.payload = v.name+", jumbo", v.payload+strings.Repeat("j", size-len(v.payload))
			list = append(list, v)
		}
	}
	return list
}

func repeated(n int) []extension {
	list := make([]extension, n)
	for i := range list {
		list[i] = extension{60, 8}
	}
	return list
}

// sameLink is another address of the same /64.
func sameLink(address string) string {
	raw := netip.MustParseAddr(address).As16()
	raw[15] ^= 0xff
	return netip.AddrFrom16(raw).String()
}

// example is the machine of TEST_RUN.
var example = here{near4: "192.0.2.1", far4: "192.0.2.2", near6: "2001:db8::1", far6: "2001:db8::2"}

// policy puts the table's policy in force.
func policy(t testing.TB, k *Kernel, h here) {
	t.Helper()
	if err := k.ListenersWith(h.listeners(), entries(time.Now().Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
}

// counted are the counts by listener.
func counted(t testing.TB, k *Kernel) map[uint16]filter.Count {
	t.Helper()
	list, err := k.Counts(nil)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[uint16]filter.Count{}
	for _, c := range list {
		counts[c.Listener] = c
	}
	return counts
}

// expect compares the counters with those before: the row's went up by one.
func (v *verdict) expect(t *testing.T, before, after map[uint16]filter.Count) {
	t.Helper()
	for listener, count := range after {
		for reason := range filter.Reasons {
			want := before[listener].Packets[reason]
			if v.want != foreign && listener == v.listener && reason == v.want {
				want++
			}
			if count.Packets[reason] != want {
				t.Errorf("%s: listener %d, %s: %d packets, not %d", v.name, listener, reason, count.Packets[reason], want)
			}
		}
	}
}
