package mqtt

import (
	"errors"
	"fmt"
	"hash/maphash"
)

// ErrAlias is wrapped by every error about a topic alias: disconnect with 0x94,
// topic alias invalid.
var ErrAlias = errors.New("topic alias invalid")

// InAliases is the topics that a client has given numbers on this connection.
// The zero value takes none.
type InAliases struct {
	topics [][]byte // by alias - 1; grows as far as it is used
	max    uint16
}

// NewInAliases returns a table for one connection; max is the topic alias
// maximum that CONNACK announces, 0 for none.
func NewInAliases(max uint16) InAliases { return InAliases{max: max} }

// Resolve returns the topic that a PUBLISH with this alias is for. An empty
// topic stands for the one that the alias had last; any other becomes the alias's
// topic. The result is valid until the next call, and may be the argument.
func (a *InAliases) Resolve(alias uint16, topic []byte) ([]byte, error) {
	if alias == 0 || alias > a.max {
		return nil, fmt.Errorf("%w: %d; 1 to %d are allowed", ErrAlias, alias, a.max)
	}
	i := int(alias) - 1
	if len(topic) == 0 {
		if i >= len(a.topics) || len(a.topics[i]) == 0 {
			return nil, fmt.Errorf("%w: %d stands for no topic yet; send the topic with it once", ErrAlias, alias)
		}
		return a.topics[i], nil
	}
	for len(a.topics) <= i {
		a.topics = append(a.topics, nil)
	}
	old := a.topics[i]
	if cap(old) > 4*len(topic)+64 {
		old = nil // one long topic does not hold its memory for ever
	}
	a.topics[i] = append(old[:0], topic...)
	return topic, nil
}

// OutAliases is the numbers that we give topics towards a client on one
// connection: the topics sent last have one. The zero value gives none.
type OutAliases struct {
	entries    []outAlias // by alias - 1
	buckets    []uint16   // first alias of a chain; a power of two
	head, tail uint16     // used last, and longest ago
	max        uint16
	seed       maphash.Seed
}

type outAlias struct {
	topic      []byte
	hash       uint64
	chain      uint16 // next of the same bucket
	next, prev uint16 // by use
}

// MaxAliasTopic is the longest topic that gets an alias, in bytes: it bounds
// what a table holds.
const MaxAliasTopic = 512

// NewOutAliases returns a table for one connection. client is the topic alias
// maximum of its CONNECT, ours the most that we want to keep; 0 is none.
func NewOutAliases(client, ours uint16) OutAliases {
	a := OutAliases{max: min(client, ours)}
	if a.max > 0 {
		a.seed = maphash.MakeSeed()
	}
	return a
}

// Use returns the alias for the topic of a packet that is about to be written;
// 0 is none. known says that the client has it: the packet carries the alias and
// an empty topic. Otherwise it carries both, and the alias of the topic that was
// used longest ago may have changed hands: a packet that is not written then
// must be taken back with Forget.
func (a *OutAliases) Use(topic []byte) (alias uint16, known bool) {
	if a.max == 0 || len(topic) == 0 || len(topic) > MaxAliasTopic {
		return 0, false
	}
	hash := maphash.Bytes(a.seed, topic)
	if alias = a.find(topic, hash); alias != 0 {
		a.touch(alias)
		return alias, true
	}
	if len(a.entries) < int(a.max) {
		a.entries = append(a.entries, outAlias{})
		alias = uint16(len(a.entries))
		a.front(alias)
		if len(a.entries) > len(a.buckets) {
			a.rehash()
		}
	} else {
		alias = a.tail
		a.unchain(alias)
		a.touch(alias)
	}
	e := &a.entries[alias-1]
	e.topic, e.hash = append(e.topic[:0], topic...), hash
	a.chain(alias)
	return alias, false
}

// Forget takes back that the client knows the alias.
func (a *OutAliases) Forget(alias uint16) {
	if alias == 0 || int(alias) > len(a.entries) {
		return
	}
	a.unchain(alias)
	e := &a.entries[alias-1]
	e.topic = e.topic[:0]
	a.chain(alias) // under an empty topic, which nobody asks for
}

func (a *OutAliases) find(topic []byte, hash uint64) uint16 {
	if len(a.buckets) == 0 {
		return 0
	}
	for i := a.buckets[hash&uint64(len(a.buckets)-1)]; i != 0; i = a.entries[i-1].chain {
		if e := &a.entries[i-1]; e.hash == hash && string(e.topic) == string(topic) {
			return i
		}
	}
	return 0
}

func (a *OutAliases) chain(alias uint16) {
	e := &a.entries[alias-1]
	bucket := &a.buckets[e.hash&uint64(len(a.buckets)-1)]
	e.chain, *bucket = *bucket, alias
}

func (a *OutAliases) unchain(alias uint16) {
	e := &a.entries[alias-1]
	at := &a.buckets[e.hash&uint64(len(a.buckets)-1)]
	for *at != 0 && *at != alias {
		at = &a.entries[*at-1].chain
	}
	if *at == alias {
		*at = e.chain
	}
}

// rehash doubles the buckets; the newest entry is chained by who made it.
func (a *OutAliases) rehash() {
	a.buckets = make([]uint16, max(8, 2*len(a.buckets)))
	for i := range len(a.entries) - 1 {
		a.chain(uint16(i + 1))
	}
}

func (a *OutAliases) touch(alias uint16) {
	if a.head == alias {
		return
	}
	e := &a.entries[alias-1]
	a.entries[e.prev-1].next = e.next
	if e.next != 0 {
		a.entries[e.next-1].prev = e.prev
	} else {
		a.tail = e.prev
	}
	a.front(alias)
}

func (a *OutAliases) front(alias uint16) {
	e := &a.entries[alias-1]
	e.prev, e.next = 0, a.head
	if a.head != 0 {
		a.entries[a.head-1].prev = alias
	} else {
		a.tail = alias
	}
	a.head = alias
}
