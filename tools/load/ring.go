package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"sort"
	"time"
)

// ring is one publisher's messages, encoded before the run and written over and
// over: message k is in slot k modulo the number of slots, its topic is k plus the
// publisher's offset modulo the number of topics, its number in its stream is k
// divided by the number of topics. Where a frame's other bytes depend on the
// payload (a checksum), it is encoded anew each time instead of patched.
type ring struct {
	protocol  Protocol
	publisher int
	topics    []string
	names     []*Template    // by topic: what makes one for each message; nil for those that stay
	payloads  []payloadShape // by topic
	slots     []slot
	buf       []byte // all frames, one behind the other
	patched   bool
	seqAt     []int // offsets of the frame's sequence bytes in a frame, lowest first
	seqWord   bool  // they are one big-endian 16-bit word
	fresh     []byte
	ends      []int  // of the frames in fresh
	seqs      uint64 // sequence ids of frames that are encoded anew
	name      []byte
}

type slot struct {
	off, len int // of the frame in buf
	stamp    int // of the stamp in buf, -1 for none
	topic    int
}

// ringBytes is about how long a ring is: more than one write, less than a cache.
const ringBytes = 256 << 10

// newRing prepares what publisher number base+publisher sends.
func newRing(c *Config, publisher int) (*ring, error) {
	r := &ring{protocol: c.Protocol, publisher: publisher + c.Base, topics: make([]string, len(c.Topics))}
	for n, topic := range c.Topics {
		name, err := ParseTemplate(topic)
		if err != nil {
			return nil, err
		}
		v := templateValues{n: n, client: r.publisher, seed: c.Payload.Seed, now: time.Now, undetermined: true}
		r.topics[n] = string(name.append(nil, &v))
		if !name.changes {
			name = nil
		}
		r.names = append(r.names, name)
		shape := payloadShape{stampAt: -1}
		if !c.stampless() {
			if shape, err = c.Payload.forTopic(r.topics[n], n, r.publisher, c.Protocol.Text(), c.Mode == Request); err != nil {
				return nil, err
			}
		}
		shape.values.n, shape.values.client, shape.values.seed, shape.values.now = v.n, v.client, v.seed, v.now
		r.payloads = append(r.payloads, shape)
	}
	topics := r.topics
	size := 0
	for rounds := 0; rounds == 0 || size < ringBytes && len(r.slots) < 4096; rounds++ {
		for i := range topics {
			topic := (r.publisher + i) % len(topics)
			frame, err := r.encode(r.buf, topic, 1, uint64(len(r.slots)), stamp{publisher: r.publisher, topic: topic, time: 1})
			if err != nil {
				return nil, fmt.Errorf("encoding a message of topic %s: %w", topics[topic], err)
			}
			s := slot{off: len(r.buf), len: len(frame) - len(r.buf), stamp: -1, topic: topic}
			if shape := &r.payloads[topic]; shape.stampAt >= 0 {
				at := bytes.LastIndex(frame[s.off:], shape.bytes)
				if at < 0 {
					return nil, fmt.Errorf("%w: %s changes the payload", ErrConfig, r.protocol.Name())
				}
				s.stamp = s.off + at + shape.stampAt
			}
			r.buf = frame
			r.slots = append(r.slots, s)
		}
		size = len(r.buf)
	}
	return r, r.learn()
}

// encode appends a frame of the topic, with the payload and the name of message k.
func (r *ring) encode(dst []byte, topic int, seq, k uint64, s stamp) ([]byte, error) {
	p := &r.payloads[topic]
	name := r.topics[topic]
	if r.names[topic] != nil {
		p.values.seq = k
		r.name = r.names[topic].append(r.name[:0], &p.values)
		name = string(r.name)
		p.values.topic = name
	}
	if p.template != nil {
		p.render(k)
	}
	if p.stampAt >= 0 {
		s.put(p.bytes[p.stampAt:], p.text)
	}
	return r.protocol.Append(dst, Publication{Topic: name, Seq: seq, Payload: p.bytes})
}

// changes tells whether messages differ in more than stamp and sequence id.
func (r *ring) changes() bool {
	for i := range r.payloads {
		if r.payloads[i].template != nil || r.names[i] != nil {
			return true
		}
	}
	return false
}

// learn finds out by trying whether frames can be patched, and where their
// sequence id lies.
func (r *ring) learn() error {
	r.seqs = math.MaxUint16 - 1
	if _, err := r.encode(nil, r.slots[0].topic, math.MaxUint16, 0, stamp{}); err != nil {
		r.seqs = math.MaxUint8
	}
	if r.changes() {
		return nil
	}
	first := r.slots[0]
	sample := func(seq uint64, s stamp) ([]byte, error) { return r.encode(nil, first.topic, seq, 0, s) }
	plain, err := sample(1, stamp{})
	if err != nil {
		return err
	}
	other, err := sample(1, stamp{publisher: fieldMask, topic: fieldMask, number: numberMask, time: timeMask})
	if err != nil {
		return err
	}
	r.patched = len(plain) == len(other)
	width := binaryStamp
	if r.payloads[first.topic].text {
		width = textStamp
	}
	at := first.stamp - first.off
	for i := range min(len(plain), len(other)) {
		if plain[i] != other[i] && (first.stamp < 0 || i < at || i >= at+width) {
			r.patched = false
		}
	}
	if !r.patched {
		return nil
	}
	zero, err := sample(1<<8, stamp{}) // differs from plain in the two lowest bytes
	if err != nil || len(zero) != len(plain) {
		r.patched = err != nil // one byte of sequence id at most: constant
		return nil
	}
	return r.learnSeq(sample)
}

func (r *ring) learnSeq(sample func(uint64, stamp) ([]byte, error)) error {
	base, err := sample(0, stamp{})
	if err != nil {
		return nil // no frame without a sequence id: it stays constant
	}
	for shift := 0; shift < 64; shift += 8 {
		frame, err := sample(1<<shift, stamp{})
		if err != nil || len(frame) != len(base) {
			break
		}
		at := -1
		for i := range frame {
			if frame[i] == base[i] {
				continue
			}
			if at >= 0 || frame[i] != 1 || base[i] != 0 { // a checksum or digits
				r.patched = false
				return nil
			}
			at = i
		}
		if at < 0 || len(r.seqAt) > 0 && at == r.seqAt[0] {
			break
		}
		r.seqAt = append(r.seqAt, at)
	}
	r.seqWord = len(r.seqAt) == 2 && r.seqAt[0] == r.seqAt[1]+1
	return nil
}

// batch prepares messages from to before end, which must not pass the ring's end
// (see room), and returns their frames, valid until the next call. due says when
// a message is due; every sample-th message gets that time.
func (r *ring) batch(from, end uint64, sample uint64, due func(k uint64) int64) ([]byte, error) {
	n, topics := uint64(len(r.slots)), uint64(len(r.topics))
	first := from % n
	if r.patched {
		r.patch(r.slots[first:first+end-from], from, sample, due)
		last := r.slots[first+end-from-1]
		return r.buf[r.slots[first].off : last.off+last.len], nil
	}
	r.fresh, r.ends = r.fresh[:0], r.ends[:0]
	for k := from; k < end; k++ {
		topic := r.slots[first+k-from].topic
		s := stamp{publisher: r.publisher, topic: topic, number: k / topics}
		if k%sample == 0 {
			s.time = due(k)
		}
		var err error
		if r.fresh, err = r.encode(r.fresh, topic, k%r.seqs+1, k, s); err != nil {
			return nil, err
		}
		r.ends = append(r.ends, len(r.fresh))
	}
	return r.fresh, nil
}

// patch writes new stamps and sequence ids into slots, the first of which is
// that of message k. This loop and subscriber.take are what the driver costs
// beside the kernel.
func (r *ring) patch(slots []slot, k, sample uint64, due func(k uint64) int64) {
	topics := uint64(len(r.topics))
	number, place := k/topics, k%topics
	timed := k + (sample-k%sample)%sample
	seq := uint16(k % math.MaxUint16) // 0 is no sequence id everywhere
	for i := range slots {
		seq++
		if seq == 0 {
			seq = 1
		}
		slot := &slots[i]
		s := stamp{publisher: r.publisher, topic: slot.topic, number: number}
		if k == timed {
			s.time = due(k)
			timed += sample
		}
		if slot.stamp >= 0 {
			s.put(r.buf[slot.stamp:], r.payloads[slot.topic].text)
		}
		switch {
		case r.seqWord:
			binary.BigEndian.PutUint16(r.buf[slot.off+r.seqAt[1]:], seq)
		default:
			for j, at := range r.seqAt {
				r.buf[slot.off+at] = byte((k + 1) >> (8 * j))
			}
		}
		k++
		if place++; place == topics {
			number, place = number+1, 0
		}
	}
}

// room is how many messages from k on fit before the ring's end and into size
// bytes, at least one.
func (r *ring) room(k uint64, size int) uint64 {
	first := int(k % uint64(len(r.slots)))
	start := r.slots[first].off
	n := uint64(1)
	for i := first + 1; i < len(r.slots) && r.slots[i].off+r.slots[i].len-start <= size; i++ {
		n++
	}
	return n
}

// whole is how many of the messages from from to before end, which batch has prepared,
// are whole in the first n bytes.
func (r *ring) whole(from, end uint64, n int) int {
	if !r.patched {
		return sort.SearchInts(r.ends, n+1)
	}
	first := from % uint64(len(r.slots))
	slots := r.slots[first : first+end-from]
	return sort.Search(len(slots), func(i int) bool { return slots[i].off+slots[i].len-slots[0].off > n })
}

// sent is how many of the first total messages belong to a topic.
func (r *ring) sent(total uint64, topic int) uint64 {
	n := uint64(len(r.topics))
	place := uint64((topic - r.publisher%len(r.topics) + len(r.topics)) % len(r.topics))
	if total <= place {
		return 0
	}
	return (total-place-1)/n + 1
}

// probes encodes one probe for each topic.
func (r *ring) probes(round uint64) ([]byte, error) {
	var out []byte
	for topic := range r.topics {
		var err error
		// Packet identifiers of messages under way must differ.
		if out, err = r.encode(out, topic, uint64(topic)%r.seqs+1, 0, stamp{publisher: r.publisher, topic: topic, number: round, probe: true}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
