// Package filter says who may speak to the listeners in whose chains the plugin
// stands, with the operator's grant filter. A rule is enforced before a byte becomes a
// message, in the kernel where weft can, and ends by itself.
//
// A source is the text of an address, with or without a port, as the attribute peer
// has it in Open. A TTL of Longest is the operator's; one beyond it, more sources at
// once or more changes a second than granted are weft.ErrLimit, and nothing changes.
// Errors are of type weft.HostError.
package filter

import (
	weft "github.com/weftrun/weft/abi/sdk/tinygo"
	"github.com/weftrun/weft/abi/sdk/tinygo/internal/host"
)

// TTL is how long a rule holds, in milliseconds.
type TTL int64

// Lifetimes.
const (
	Longest TTL = 0 // the operator's longest
	Second  TTL = 1000
	Minute      = 60 * Second
	Hour        = 60 * Minute
)

// Source is the address that the message's session comes from; false if it has no
// session, or that is gone.
func Source(m *weft.Message) (address string, ok bool, err error) {
	var text [host.MaxSource]byte
	n := host.FilterSource(m.Session(), text[:])
	if ok, err = host.Found(n); !ok {
		return "", false, err
	}
	if int(n) > len(text) {
		return "", false, weft.ErrFailed
	}
	return string(text[:n]), true, nil
}

// Block lets nothing in that comes from the source.
func Block(source string, ttl TTL) error {
	return host.Check(int64(host.FilterBlock(source, int64(ttl))))
}

// BlockSource lets nothing in that comes from where the message came from; false if
// it has no session, or that is gone.
func BlockSource(m *weft.Message, ttl TTL) (ok bool, err error) {
	address, ok, err := Source(m)
	if !ok {
		return false, err
	}
	err = Block(address, ttl)
	return err == nil, err
}

// Allow lets in what comes from the source.
func Allow(source string, ttl TTL) error {
	return host.Check(int64(host.FilterAllow(source, int64(ttl))))
}

// Unblock takes back what the plugin has said of the source; false if that is nothing.
func Unblock(source string) (ok bool, err error) {
	return host.Found(int64(host.FilterUnblock(source)))
}
