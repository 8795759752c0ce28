package datagram

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

// cookieLife is how long a cookie is good at least, in ns; at most twice that.
const cookieLife = int64(16e9)

// Door answers those who have no connection yet, and keeps nothing about them: an
// address is let in when it sends back a cookie that only it can have received.
// It is immutable and may be used by several goroutines at once.
type Door struct {
	key   [32]byte
	epoch uint64
	cfg   Config
}

// NewDoor makes a door from 40 random bytes that nobody else knows. cfg is what is
// offered to those who come in.
func NewDoor(secret [40]byte, cfg Config) *Door {
	d := &Door{epoch: binary.BigEndian.Uint64(secret[32:]) | 1, cfg: cfg.withDefaults()}
	copy(d.key[:], secret[:])
	return d
}

// Config is what the door's connections are made with.
func (d *Door) Config() *Config { return &d.cfg }

// Guest is who has shown that it receives what is sent to its address; a
// connection is made of it by Accept.
type Guest struct {
	cookie uint32
	hello  hello // step 0: a plain peer
}

// Ask looks at a datagram from an address that has no connection. Either it is
// let in, or it gets the answer, appended to dst, which is never longer than b. now
// is in ns, of any clock that does not jump.
func (d *Door) Ask(now int64, from netip.AddrPort, b, dst []byte) (answer []byte, guest Guest, ok bool) {
	h, whole := parse(b)
	if !whole {
		return nil, guest, false
	}
	bucket := now / cookieLife
	payload := b[HeaderSize : HeaderSize+h.size]
	hi, full := parseHello(payload)
	if Kind(h.kind) != Heartbeat || h.channel != 0 {
		full = false
	}
	switch {
	case full && hi.step == stepConnect && d.mine(bucket, from, hi.connection, h.seq, hi.token):
		return nil, Guest{h.seq, hi}, true
	case full:
		if hi.step == stepChallenge || hi.step == stepWelcome {
			return nil, guest, false // an answer to nothing is not answered
		}
		return d.challenge(dst, bucket, from, hi.connection), guest, false
	case Kind(h.kind) != Heartbeat:
		// Somebody who believes to have a connection: weft was restarted. A peer of
		// the full protocol asks who we are, a plain one begins again.
		return d.plain(dst, bucket, from), guest, false
	case h.size > 0:
		return nil, guest, false // a heartbeat or goodbye of a connection that is over
	case h.seq != 0 && d.mine(bucket, from, 0, h.seq, 0):
		return nil, Guest{cookie: h.seq}, true
	}
	return d.plain(dst, bucket, from), guest, false
}

func (d *Door) plain(dst []byte, bucket int64, from netip.AddrPort) []byte {
	seq, _ := d.cookie(bucket, from, 0)
	return appendHeader(dst, seq, 0, uint8(Heartbeat), 0)
}

func (d *Door) challenge(dst []byte, bucket int64, from netip.AddrPort, connection uint64) []byte {
	seq, token := d.cookie(bucket, from, connection)
	h := d.cfg.hello(stepChallenge, connection)
	h.token = token
	return appendHello(dst, seq, h)
}

// mine tells whether a cookie was given to this address not too long ago.
func (d *Door) mine(bucket int64, from netip.AddrPort, connection uint64, seq uint32, token uint64) bool {
	for _, b := range [...]int64{bucket, bucket - 1} {
		s, t := d.cookie(b, from, connection)
		if s == seq && (connection == 0 || t == token) {
			return true
		}
	}
	return false
}

// cookie is a keyed hash over what it is good for. The input has one length, and
// most of the sum stays here: nobody can extend it.
func (d *Door) cookie(bucket int64, from netip.AddrPort, connection uint64) (seq uint32, token uint64) {
	var in [32 + 16 + 2 + 8 + 8]byte
	copy(in[:], d.key[:])
	addr := from.Addr().As16()
	copy(in[32:], addr[:])
	binary.BigEndian.PutUint16(in[48:], from.Port())
	binary.BigEndian.PutUint64(in[50:], connection)
	binary.BigEndian.PutUint64(in[58:], uint64(bucket))
	sum := sha256.Sum256(in[:])
	return binary.BigEndian.Uint32(sum[:]) | 1, binary.BigEndian.Uint64(sum[4:])
}

// hello is what a side says about itself.
func (c *Config) hello(step uint8, connection uint64) hello {
	return hello{step: step, connection: connection, mtu: c.MTU, records: c.Window, bytes: c.WindowBytes}
}
