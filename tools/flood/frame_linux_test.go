package main

import (
	"net/netip"
	"testing"
)

// TestFrames: a receiver that adds up the words of a header, its checksum included, finds
// all ones (RFC 1071); of the transport with the pseudo header.
func TestFrames(t *testing.T) {
	from, to := netip.MustParseAddrPort("10.20.3.4:20001"), netip.MustParseAddrPort("10.7.0.1:7402")
	for name, c := range map[string]struct {
		b        []byte
		protocol uint32
		length   int
	}{
		"datagram":           {datagram([6]byte{2}, from, to, []byte("an odd one.")), protocolUDP, 14 + 20 + 8 + 11},
		"opening":            {opening([6]byte{2}, from, to), protocolTCP, 14 + 20 + 20},
		"datagram of nought": {datagram([6]byte{2}, from, to, nil), protocolUDP, 14 + 20 + 8},
	} {
		if len(c.b) != c.length || int(c.b[16])<<8|int(c.b[17]) != c.length-14 {
			t.Errorf("%s: %d bytes, expected %d: % x", name, len(c.b), c.length, c.b)
		}
		if n := fold(sum(0, c.b[14:34])); n != 0 {
			t.Errorf("%s: the header's sum is %x", name, n)
		}
		n := sum(0, from.Addr().AsSlice())
		n = sum(n, to.Addr().AsSlice()) + c.protocol + uint32(len(c.b)-34)
		if n := fold(sum(n, c.b[34:])); n != 0 {
			t.Errorf("%s: the transport's sum is %x", name, n)
		}
	}
}

func TestCounter(t *testing.T) {
	labels, value, ok := counter(`weft_filter_packets_total{listener="packets",reason="denied",enforcer="kernel"} 1.5e+06`)
	if !ok || labels != [3]string{"packets", "denied", "kernel"} || value != 1_500_000 {
		t.Errorf("%v, %d, %v", labels, value, ok)
	}
	for _, line := range []string{"", "weft_filter_entries 5", `weft_filter_packets_total{listener="p"} much`} {
		if _, _, ok := counter(line); ok {
			t.Errorf("%q is taken", line)
		}
	}
}
