package server

import (
	"encoding/binary"
	"strings"

	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/mqtt"
)

// What a session holds goes into its record when this node is about to let go of it:
// at a clean end, and when another node takes it. In flight is everything; what waits
// and came by a durable route is read back from its log instead. While a session runs
// its record has none of this: it would cost a write for each message.

// maxCarried is how many bytes of messages a record has at most, less where the servers
// take less; what does not fit is dropped and counted, or read back from its log.
const maxCarried = 512 << 10

// keptMessage is a message in a record: packet id uvarint, flags u8, qos u8, length of the
// shared subscription, that, how many identifiers, these, expires uvarint (ns since 1970),
// length of the durable route's name, name, entry uvarint, length of the message's own
// record (package delivery), that.
type keptMessage struct {
	id          uint16
	flags       uint8
	qos         uint8
	group       string // $share/...; empty for none
	identifiers []uint32
	expires     int64
	route       string // empty if it came by none that is durable
	seq         uint64
	record      string
}

const (
	carriedDone   = 1 << iota // PUBREC has come: there is no message
	carriedRetain             // the RETAIN flag as the client sees it

	carriedPart     = 2 // from this bit on: by which of its route's destinations it came
	mostCarriedPart = 1<<(8-carriedPart) - 1
)

func (m *keptMessage) append(b []byte) []byte {
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(m.id))
	b = append(b, m.flags, m.qos)
	text(m.group)
	b = binary.AppendUvarint(b, uint64(len(m.identifiers)))
	for _, n := range m.identifiers {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendUvarint(b, uint64(m.expires))
	text(m.route)
	b = binary.AppendUvarint(b, m.seq)
	text(m.record)
	return b
}

// carry adds to a record what the session holds, and where it is in the logs without
// that.
func (s *mqttSpeaker) carry(session *mqttSession, r *keptRecord) {
	p, k := s.path, session.kept
	cut := make([]keptCursor, len(p.logList)) // the first entry of each log that is not carried
	size, dropped, most := 0, uint64(0), p.server.durable.kept.moves.most
	for c := range session.state.Carry() {
		m := s.carried(&c)
		place, part, logged := -1, uint16(0), false
		if c.Message != nil {
			if place, part, logged = placeOf(c.Message); logged && place < len(cut) {
				m.route, m.seq = p.logList[place].route.name, c.Message.Seq
				m.flags |= uint8(min(part, mostCarriedPart)) << carriedPart
			}
		}
		logged = m.route != ""
		switch n := len(m.record) + len(m.group) + len(m.route) + 5*len(m.identifiers) + 40; {
		case logged && cut[place].seq != 0:
		case logged && (c.ID == 0 || size+n > most):
			cut[place] = keptCursor{seq: m.seq, part: part}
		case size+n > most:
			dropped++
		default:
			r.carried = append(r.carried, m)
			size += n
		}
	}
	for id := range session.state.Known() {
		r.known = append(r.known, id)
	}
	for i, l := range p.logList {
		seq, part, live := max(l.fed, k.cursors[i].next-1), uint16(0), true
		switch {
		case cut[i].seq != 0:
			seq, part, live = cut[i].seq-1, cut[i].part, false
		case k.cursors[i].behind:
			seq, part, live = k.cursors[i].next-1, k.cursors[i].part, false
		}
		r.cursors = append(r.cursors, keptCursor{l.route.name, seq, live && !k.leaving, part, l.route.sum})
	}
	r.cursors = append(r.cursors, k.elsewhere...)
	if k.last {
		p.server.durable.kept.moves.dropped.Add(dropped)
	}
}

func (s *mqttSpeaker) carried(c *mqtt.Carried) keptMessage {
	out := keptMessage{id: c.ID, qos: c.Copy.QoS, expires: c.Copy.Expires}
	if c.Message == nil {
		out.flags = carriedDone
		return out
	}
	if c.Copy.Retain {
		out.flags |= carriedRetain
	}
	out.identifiers = append(out.identifiers, c.Copy.Identifiers...)
	if g := s.groups.Group(c.Copy.Group); c.Copy.Group != 0 && g != nil {
		out.group = mqtt.SharePrefix + g.Name + "/" + g.Filter
	}
	var record delivery.Record
	c.Message.Fill(&record.Message)
	if at := int(c.Message.Listener); at < len(s.path.setup.names) {
		record.Listener = []byte(s.path.setup.names[at])
	}
	out.record = string(delivery.AppendRecord(nil, &record))
	return out
}

// takeUp gives a session back what its record has.
func (s *mqttSpeaker) takeUp(session *mqttSession, r *keptRecord) {
	p := s.path
	for _, id := range r.known {
		session.state.Know(id)
	}
	for i := range r.carried {
		c := &r.carried[i]
		if c.flags&carriedDone != 0 {
			session.state.TakeUp(c.id, nil, mqtt.Copy{}, p.now)
			continue
		}
		var record delivery.Record
		if delivery.ParseRecord([]byte(c.record), &record) != nil {
			p.server.durable.kept.moves.dropped.Add(1)
			continue
		}
		m := &record.Message
		if m.Listener = apiListener; len(record.Listener) > 0 {
			if at := p.server.listenerIndex(string(record.Listener)); at >= 0 {
				m.Listener = uint32(at)
			}
		}
		for _, l := range p.logList {
			if l.route.name == c.route && (r.claimed || c.seq <= l.route.last) {
				m.Session, m.Seq = logSession(l.route.place, r.partOf(c, l.route.sum)), c.seq
			}
		}
		copied := mqtt.Copy{QoS: c.qos, Retain: c.flags&carriedRetain != 0, Identifiers: c.identifiers, Expires: c.expires}
		if strings.HasPrefix(c.group, mqtt.SharePrefix) {
			group, pattern, _, _ := mqtt.CutShare(c.group)
			copied.Group = s.groups.Number(group, pattern)
		}
		session.state.TakeUp(c.id, m, copied, p.now)
	}
	session.kept.full = len(r.known)+len(r.carried) > 0
}

// partOf is the place of the destination by which a carried message came; the first one
// where places may be other destinations' now.
func (r *keptRecord) partOf(m *keptMessage, sum uint16) uint16 {
	for i := range r.cursors {
		if c := &r.cursors[i]; c.route == m.route && c.sum == sum {
			return uint16(m.flags >> carriedPart)
		}
	}
	return 0
}

// final has the sessions written with all that they hold. The loops have ended.
func (k *keptSessions) final() {
	for _, p := range k.d.server.paths {
		for _, st := range p.stays.slots {
			if st == nil || st.said == nil || st.said.kept == nil {
				continue
			}
			session := st.said
			if speaker, ok := p.speakers[st.listener].(*mqttSpeaker); ok && (session.state.Holds() || session.kept.full) {
				session.kept.full, session.kept.last = true, true
				speaker.dirty(session)
			}
		}
	}
}
