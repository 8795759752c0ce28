package plugins

import (
	"encoding/binary"
	"time"
	"unsafe"

	"github.com/weftrun/weft/abi"
)

// plan is how the first messages of a list go into the guest's buffer in one
// call: the records, then their bytes, piece by piece but for the regions, which
// are copied whole.
type plan struct {
	count   int // messages
	size    int // bytes of buffer that suffice
	regions []region
}

// region is a part of the caller's memory in which the payloads of adjacent
// messages lie close together, with whatever lies between them.
type region struct {
	bytes       []byte
	from        uintptr // where it begins
	to          uintptr // where the last payload ends
	limit       uintptr // as far as bytes could reach
	first, last int     // the messages, by their place in the call
	payloads    int     // bytes of payload in it
}

var le = binary.LittleEndian

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// plan decides how many messages go into one call, and which payloads lie close
// enough together to be copied at once. That they lie in one array is known by the
// capacity of the first frame or payload: what lies within it can be read through
// it.
func (c *Chain) plan(h *seat, b *Batch, indices []int32) plan {
	in, most := h.instance, h.most()
	prefix, cut := in.needs.Payload()
	limit := int(in.comfort)
	p := plan{size: slack}
	c.regions = c.regions[:0]
	resuming := len(b.again) > 0
	var open region
	for n, i := range indices {
		if n == most {
			break
		}
		m := &b.Messages[i]
		size := abi.RecordSize + in.pieces(m, c.longest)
		if resuming {
			size += len(b.answerOf(i).answer)
		}
		payload := len(m.Payload)
		if cut {
			payload = min(payload, int(prefix))
		}
		if n > 0 && p.size+size+payload > limit {
			break
		}
		p.count, p.size = n+1, p.size+size+payload
		if payload == 0 {
			continue
		}
		at := address(m.Payload)
		if end := at + uintptr(payload); at >= open.from && end <= open.limit {
			open.to, open.last, open.payloads = max(open.to, end), n, open.payloads+payload
			continue
		}
		c.closeRegion(&p, &open, limit)
		open = openRegion(m, at, n, payload)
	}
	c.closeRegion(&p, &open, limit)
	p.regions = c.regions
	return p
}

// openRegion begins a region at a message's payload.
func openRegion(m *abi.Message, at uintptr, n, payload int) region {
	reach := m.Payload[:cap(m.Payload)]
	if frame := address(m.Frame); at >= frame && at < frame+uintptr(cap(m.Frame)) {
		reach = m.Frame[at-frame : cap(m.Frame)]
	}
	return region{bytes: reach, from: at, to: at + uintptr(payload), limit: at + uintptr(len(reach)), first: n, last: n, payloads: payload}
}

// closeRegion keeps a region if it has several payloads and little else, and fits.
func (c *Chain) closeRegion(p *plan, r *region, limit int) {
	span := int(r.to - r.from)
	if r.last == r.first || span > 2*r.payloads || p.size-r.payloads+span > limit {
		return
	}
	r.bytes = r.bytes[:span]
	p.size += max(span-r.payloads, 0) // payloads may overlap
	c.regions = append(c.regions, *r)
}

// slack is what a call takes beside its records and their bytes, rounded up.
const slack = 64

// pieces is how many bytes a record's topic, attributes, context and listener
// take at most.
func (in *instance) pieces(m *abi.Message, listener int) int {
	n := 0
	if in.needs&abi.NeedTopic != 0 {
		n += len(m.Topic)
	}
	if in.needs&abi.NeedAttrs != 0 {
		n += len(m.Attrs)
	}
	if in.needs&abi.NeedContext != 0 {
		n += len(m.Context)
	}
	if in.needs&abi.NeedListener != 0 {
		n += listener
	}
	return n
}

// piece remembers where the last slice of a kind went, so that equal slices of
// adjacent messages are copied once.
type piece struct {
	at     uintptr
	length int
	span   uint64
}

// writer fills the buffer.
type writer struct {
	memory   []byte
	from, to uintptr // the region that was copied last
	regionAt uint32
	next     uint32 // where the next piece goes
	end      uint32
}

// enter copies a region.
func (w *writer) enter(r *region) {
	w.from, w.to, w.regionAt = r.from, r.to, w.next
	w.next += uint32(copy(w.memory[w.next:w.end], r.bytes))
}

// span is where a slice of the caller's lies in the guest: inside the region, or
// copied behind what is there.
func (w *writer) span(b []byte, last *piece) uint64 {
	if len(b) == 0 {
		return 0
	}
	at := address(b)
	if at == last.at && len(b) == last.length {
		return last.span
	}
	var pointer uint32
	if at >= w.from && at+uintptr(len(b)) <= w.to {
		pointer = w.regionAt + uint32(at-w.from)
	} else {
		pointer = w.next
		w.next += uint32(copy(w.memory[pointer:w.end], b))
	}
	last.at, last.length, last.span = at, len(b), uint64(pointer)|uint64(len(b))<<32
	return last.span
}

// call writes the messages into the guest's buffer, calls the hook and applies
// the answers. On an error nothing of the batch has changed.
func (c *Chain) call(h *seat, b *Batch, hook abi.Hook, indices []int32, p *plan) error {
	in := h.instance
	in.grown = 0
	err := in.reserve(uint32(p.size))
	if in.grown != 0 {
		h.counters.fuel.add(uint64(in.grown))
	}
	if err != nil {
		return err
	}
	c.fill(in, b, hook, indices, p)
	in.given = p.size
	c.given += p.size
	in.calls++
	h.counters.calls.add(1)
	var began time.Time
	timed := in.calls%16 == 0
	if timed {
		began = time.Now()
	}
	if in.async != nil {
		in.async.Attach(c.holds().post)
	}
	if in.sources != nil {
		in.sources.Attach(c.origins)
	}
	count, err := in.call(in.hooks[hook], abi.HookExport(hook), uint64(in.pointer), uint64(p.count), h.plugin.batchFuel(p))
	if in.async != nil {
		in.async.Detach()
	}
	if in.sources != nil {
		in.sources.Detach()
	}
	h.paid(in.spent, p.count)
	if err != nil {
		return err
	}
	if timed {
		h.took(time.Since(began), p.count)
	}
	if uint32(count) != uint32(p.count) {
		return countFault(hook, p.count, uint32(count))
	}
	before := c.answered
	err = c.readAnswers(h, b, hook, indices)
	h.counters.given.add(uint64(p.size))
	h.counters.answered.add(uint64(c.answered - before))
	return err
}

func (c *Chain) fill(in *instance, b *Batch, hook abi.Hook, indices []int32, p *plan) {
	memory := in.view()
	w := writer{memory: memory, next: in.pointer + uint32(p.count)*abi.RecordSize, end: in.pointer + in.capacity}
	regions, enter := p.regions, -1
	if len(regions) > 0 {
		enter = regions[0].first
	}
	prefix, cut := in.needs.Payload()
	clock := in.plugin.spec.Grants.Clock != nil
	var topic, attrs, context, listener, payload, answer piece
	for n, i := range indices {
		m := &b.Messages[i]
		if n == enter {
			w.enter(&regions[0])
			if regions, enter = regions[1:], -1; len(regions) > 0 {
				enter = regions[0].first
			}
		}
		r := (*[abi.RecordSize]byte)(memory[in.pointer+uint32(n)*abi.RecordSize:])
		flags, bytes := m.Flags&abi.FlagsKnown&^abi.FlagPayloadPrefix, m.Payload
		if cut && len(bytes) > int(prefix) {
			bytes = bytes[:prefix]
			flags |= abi.FlagPayloadPrefix
		}
		le.PutUint64(r[0:], uint64(hook)|uint64(m.Type)<<8|uint64(m.Priority)<<16|uint64(m.QoS)<<24|uint64(flags)<<32)
		le.PutUint64(r[abi.RecordSession:], m.Session)
		le.PutUint64(r[abi.RecordSeq:], m.Seq)
		stamp := uint64(0)
		if clock {
			stamp = uint64(m.Time)
		}
		le.PutUint64(r[abi.RecordTime:], stamp)
		var t, a, x, l uint64
		if in.needs&abi.NeedTopic != 0 {
			t = w.span(m.Topic, &topic)
		}
		if in.needs&abi.NeedAttrs != 0 {
			a = w.span(m.Attrs, &attrs)
		}
		if in.needs&abi.NeedContext != 0 {
			x = w.span(m.Context, &context)
		}
		if in.needs&abi.NeedListener != 0 {
			name := c.elsewhere
			if int(m.Listener) < len(c.listeners) {
				name = c.listeners[m.Listener]
			}
			l = w.span(name, &listener)
		}
		le.PutUint64(r[abi.RecordTopic:], t)
		le.PutUint64(r[abi.RecordAttrs:], a)
		le.PutUint64(r[abi.RecordContext:], x)
		le.PutUint64(r[abi.RecordPayload:], w.span(bytes, &payload))
		le.PutUint32(r[abi.RecordPayloadTotal:], uint32(len(m.Payload)))
		le.PutUint64(r[abi.RecordListener:], l)
		clear(r[abi.RecordVerdict:])
		if hook == abi.HookResume {
			a := b.answerOf(i)
			le.PutUint64(r[abi.RecordAnswer:], w.span(a.answer, &answer))
			le.PutUint32(r[abi.RecordAnswerStatus:], uint32(a.status))
			le.PutUint64(r[abi.RecordToken:], a.token)
		}
	}
}
