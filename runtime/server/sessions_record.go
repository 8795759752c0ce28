package server

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/mqtt"
	"github.com/weftrun/weft/runtime/router"
)

// keptKey names a session in the bucket.
func keptKey(listener string, key mqtt.Key) string {
	return listener + "\x00" + key.Principal + "\x00" + key.ClientID
}

func cutKeptKey(text string) (listener string, key mqtt.Key, ok bool) {
	parts := strings.Split(text, "\x00")
	if len(parts) != 3 {
		return "", mqtt.Key{}, false
	}
	return parts[0], mqtt.Key{Principal: parts[1], ClientID: parts[2]}, true
}

// keptRecord is what the bucket has of a session.
type keptRecord struct {
	owner         keptOwner
	expiry        uint32
	ends          int64 // ns since 1970; 0: its client was there
	subscriptions []mqttSubscription
	cursors       []keptCursor
	known         []uint16 // QoS 2 messages of the client that were taken
	carried       []keptMessage
	frames        bool           // it is a client of frames, not of MQTT
	context       abi.Attributes // what plugins know of it
	given         abi.Attributes // of that, the names of what it introduced itself with
	will          keptWill
	claimed       bool // while this node runs; not written
}

// keptWill is a client's will.
type keptWill struct {
	record string // the message, see package delivery; empty for none
	delay  uint32 // seconds
	due    int64  // ns since 1970; 0: its client was there
}

// keptCursor is how far it is in a route's log.
type keptCursor struct {
	route string
	seq   uint64
	live  bool
	// part is by how many destinations it has the next entry, if it has not got it by
	// all; sum is that of the route's destinations then.
	part, sum uint16
}

// most is the last entry of which it has anything.
func (c *keptCursor) most() uint64 {
	if c.part > 0 {
		return c.seq + 1
	}
	return c.seq
}

// how is what a record has beside the entry.
func (c *keptCursor) how() uint64 {
	if c.part == 0 {
		return uint64(flag(c.live))
	}
	return uint64(c.part)<<17 | uint64(c.sum)<<1 | uint64(flag(c.live))
}

func cursorOf(route string, seq, how uint64) keptCursor {
	return keptCursor{route: route, seq: seq, live: how&1 != 0, part: uint16(how >> 17), sum: uint16(how >> 1)}
}

// A record: version u8, length of the owner's name, name, epoch uvarint, expiry uvarint,
// ends uvarint, then as uvarint how many subscriptions: length of the filter, filter,
// identifier, options u8; then how many cursors: length of the route's name, name, seq,
// and as uvarint live in bit 0, sum from bit 1 and part from bit 17 on; then how many
// packet ids that are known; then how many messages, see keptMessage; then flags u8; length
// of the context, context; length of its names that were given, these as attributes without
// values; length of the will's record, that, delay uvarint, due uvarint.
const keptVersion = 3

// keptFrames is the flag of a client of frames.
const keptFrames = 1

func (r *keptRecord) append(b []byte) []byte {
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = append(b, keptVersion)
	text(r.owner.node)
	b = binary.AppendUvarint(b, r.owner.epoch)
	b = binary.AppendUvarint(b, uint64(r.expiry))
	b = binary.AppendUvarint(b, uint64(r.ends))
	b = binary.AppendUvarint(b, uint64(len(r.subscriptions)))
	for i := range r.subscriptions {
		text(r.subscriptions[i].filter)
		b = binary.AppendUvarint(b, uint64(r.subscriptions[i].by.Identifier))
		b = append(b, byte(r.subscriptions[i].by.Options))
	}
	b = binary.AppendUvarint(b, uint64(len(r.cursors)))
	for i := range r.cursors {
		text(r.cursors[i].route)
		b = binary.AppendUvarint(b, r.cursors[i].seq)
		b = binary.AppendUvarint(b, r.cursors[i].how())
	}
	b = binary.AppendUvarint(b, uint64(len(r.known)))
	for _, id := range r.known {
		b = binary.AppendUvarint(b, uint64(id))
	}
	b = binary.AppendUvarint(b, uint64(len(r.carried)))
	for i := range r.carried {
		b = r.carried[i].append(b)
	}
	b = append(b, flag(r.frames)*keptFrames)
	text(string(r.context))
	text(string(r.given))
	text(r.will.record)
	b = binary.AppendUvarint(b, uint64(r.will.delay))
	return binary.AppendUvarint(b, uint64(r.will.due))
}

var errKept = errors.New("not what this version of weft writes")

func (r *keptRecord) parse(b []byte) error {
	bad := false
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			bad = true
			return 0
		}
		b = b[size:]
		return n
	}
	octet := func() byte {
		if len(b) == 0 {
			bad = true
			return 0
		}
		c := b[0]
		b = b[1:]
		return c
	}
	text := func() string {
		n := number()
		if n > uint64(len(b)) {
			bad = true
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	if octet() != keptVersion {
		return errKept
	}
	*r = keptRecord{owner: keptOwner{text(), number()}, expiry: uint32(number()), ends: int64(number())}
	for n := number(); n > 0 && !bad; n-- {
		s := mqttSubscription{filter: text()}
		s.by.Identifier, s.by.Options = uint32(number()), router.Options(octet())
		r.subscriptions = append(r.subscriptions, s)
	}
	for n := number(); n > 0 && !bad; n-- {
		r.cursors = append(r.cursors, cursorOf(text(), number(), number()))
	}
	for n := number(); n > 0 && !bad; n-- {
		r.known = append(r.known, uint16(number()))
	}
	for n := number(); n > 0 && !bad; n-- {
		m := keptMessage{id: uint16(number()), flags: octet(), qos: octet(), group: text()}
		for n := number(); n > 0 && !bad; n-- {
			m.identifiers = append(m.identifiers, uint32(number()))
		}
		m.expires, m.route, m.seq, m.record = int64(number()), text(), number(), text()
		r.carried = append(r.carried, m)
	}
	r.frames = octet()&keptFrames != 0
	r.context, r.given = abi.Attributes(text()), abi.Attributes(text())
	r.will = keptWill{text(), uint32(number()), int64(number())}
	if bad || len(b) > 0 || r.context.Validate(abi.MaxContext) != nil || r.given.Validate(abi.MaxContext) != nil {
		return errKept
	}
	return nil
}

// record is what the bucket is to have of a session.
func (s *mqttSpeaker) record(session *mqttSession) []byte {
	r := keptRecord{expiry: session.start.Expiry, subscriptions: session.subscriptions}
	if session.peer == nil && session.start.Expiry != mqtt.Forever {
		r.ends = session.kept.left + int64(session.start.Expiry)*int64(time.Second)
	}
	r.owner = s.path.server.durable.kept.moves.self
	if session.kept.leaving {
		r.owner = keptOwner{} // nobody's, until it is claimed
	}
	s.bequeath(session, &r)
	if session.kept.full {
		s.carry(session, &r)
		return r.append(nil)
	}
	for _, l := range s.path.logList {
		seq, part, live := session.acked(l)
		r.cursors = append(r.cursors, keptCursor{l.route.name, seq, live, part, l.route.sum})
	}
	r.cursors = append(r.cursors, session.kept.elsewhere...)
	return r.append(nil)
}

// maxElsewhere is of how many logs without a route here a session knows how far it is.
const maxElsewhere = 64

// elsewhere are the cursors of logs that have no route here.
func (d *durables) elsewhere(r *keptRecord) []keptCursor {
	list := slices.DeleteFunc(slices.Clone(r.cursors), func(c keptCursor) bool {
		return slices.ContainsFunc(d.list, func(route *durableRoute) bool { return route.name == c.route })
	})
	return list[:min(len(list), maxElsewhere)]
}

// beyond tells whether a session has acknowledged what a log does not have: the log
// was made anew, or a crash cost entries that were delivered and never acknowledged to
// their publishers. Their numbers are given again, to messages that the session does
// not have: what the bucket says of it must be mended before the first of these.
func (d *durables) beyond(r *keptRecord) bool {
	for _, c := range r.cursors {
		for _, route := range d.list {
			if route.name == c.route && c.most() > route.last {
				return true
			}
		}
	}
	return false
}

// restoreCursor is where a session goes on: behind what it has acknowledged. What the
// node had dealt with by then, it reads back.
func restoreCursor(l *logLane, r *keptRecord) cursor {
	for _, c := range r.cursors {
		if c.route != l.route.name {
			continue
		}
		seq, part := c.seq, c.part
		if c.sum != l.route.sum {
			part = 0 // places are other destinations' now
		}
		if c.live && !l.route.anew { // else the position was another's
			seq = max(seq, l.fed)
		}
		if !r.claimed && c.most() > l.route.last {
			seq, part = min(seq, l.route.last), 0 // should the log have been made anew
		}
		if seq != c.seq {
			part = 0
		}
		return cursor{next: seq + 1, part: part, behind: seq < l.reached()}
	}
	return cursor{next: l.fed + 1}
}
