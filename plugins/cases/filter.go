package cases

import (
	"net/netip"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weftrun/weft/hostfuncs"
)

// source reads where a session comes from.
func (r *reader) source(n *yaml.Node) netip.Addr {
	text := r.text(n, "source")
	addr, ok := hostfuncs.ParseSource(text)
	if !ok {
		r.fail(n, "source is %q: expected an address such as 198.51.100.4", text)
	}
	return addr
}

// filtered reads what the plugin must have said of sources.
func (r *reader) filtered(n *yaml.Node) *[]string {
	list := []string{}
	r.list(n, "filtered", func(n *yaml.Node) {
		words := strings.Fields(r.text(n, "filtered"))
		ok := len(words) == 3 && (words[0] == "block" || words[0] == "allow") || len(words) == 2 && words[0] == "unblock"
		if ok && len(words) == 3 {
			d, err := time.ParseDuration(words[2])
			words[2], ok = d.String(), err == nil
		}
		if !ok {
			r.fail(n, "filtered: expected entries such as: block 198.51.100.4 1m, allow 198.51.100.4 10s, unblock 198.51.100.4")
			return
		}
		list = append(list, strings.Join(words, " "))
	})
	return &list
}

// saidRules keeps what a plugin says of sources.
type saidRules struct{ list []string }

// Change implements hostfuncs.FilterRules.
func (s *saidRules) Change(c hostfuncs.FilterChange) bool {
	text := c.Verb.String() + " " + c.Source.String()
	if c.Source.IsSingleIP() {
		text = c.Verb.String() + " " + c.Source.Addr().String()
	}
	if c.Verb != hostfuncs.FilterForget {
		text += " " + c.TTL.String()
	}
	s.list = append(s.list, text)
	return true
}

// Revoke implements hostfuncs.FilterRules.
func (s *saidRules) Revoke(string) {}

// sourceOf is where a session comes from: 192.0.2. and its lowest byte, where the case
// says nothing else.
func (s *stage) sourceOf(session uint64) (netip.Addr, bool) {
	if addr, ok := s.sources[session]; ok {
		return addr, true
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(session)}), session != 0
}
