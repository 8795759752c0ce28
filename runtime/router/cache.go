package router

import (
	"hash/maphash"
	"reflect"
	"slices"
)

// Entry is what is known about one topic. The slices are shared and must not be
// changed; they stay as they are for as long as somebody holds them.
type Entry[T comparable] struct {
	// Subscribers are the items whose patterns match the topic, each once.
	Subscribers []T
	// Rules are the rules whose topic pattern matches.
	Rules Candidates
	// Err says why the topic is malformed; the other fields are nil then.
	Err error
}

// CacheLimits bound a cache. Zero values stand for the defaults.
type CacheLimits struct {
	// Topics is how many topics are remembered, rounded up to a power of two; 4096 by default.
	Topics int
	// Bytes is about how many bytes their texts and results may take; 4 MiB by default.
	Bytes int
}

// CacheStats counts a cache's life.
type CacheStats struct {
	Hits, Misses uint64
	// Outdated is how many topics changes of the trie have outdated; Cleared is how
	// often everything was, because the cache was too far behind.
	Outdated, Cleared uint64
	Topics, Bytes     int
}

// Cache remembers what a trie and a table say about topics. It belongs to one
// loop: no method may run beside another. A change of the trie outdates the
// topics that its pattern matches, and no others: each Lookup first catches up
// with the changes since the one before. What happened before a Lookup is
// seen by it.
//
// A topic has the choice of a few places, and the one unused for longest in its
// neighbourhood makes room: a hit allocates nothing, a miss only its result.
type Cache[T comparable] struct {
	trie    *Trie[T]
	table   *Table
	limits  CacheLimits
	version uint64 // with what changes the cache has caught up
	slots   []slot[T]
	index   index
	last    *slot[T]
	clock   uint32
	bytes   int
	// itemSize is the size of a T in bytes.
	itemSize int
	stats    CacheStats
	found    []T
	rules    Candidates
	recent   Candidates // what was found last: most topics have the same
	seen     map[T]struct{}
	order    func(a, b T) int
}

// slot remembers one topic.
type slot[T comparable] struct {
	topic []byte
	hash  uint64
	used  uint32
	size  int // 0: the slot is empty
	entry Entry[T]
}

// ruleSize is the size of one of an entry's rules in bytes.
const ruleSize = 2

// ways is how many places a topic has the choice of.
const ways = 4

const (
	defaultTopics = 4096
	defaultBytes  = 4 << 20
)

// NewCache returns an empty cache. The table may be nil: no rule matches then.
func NewCache[T comparable](trie *Trie[T], table *Table, limits CacheLimits) *Cache[T] {
	if limits.Topics <= 0 {
		limits.Topics = defaultTopics
	}
	if limits.Bytes <= 0 {
		limits.Bytes = defaultBytes
	}
	size := ways
	for size < limits.Topics {
		size *= 2
	}
	return &Cache[T]{
		trie: trie, table: table, limits: limits, version: trie.watch(),
		slots: make([]slot[T], size), index: newIndex(size), seen: map[T]struct{}{},
		itemSize: int(reflect.TypeFor[T]().Size()),
	}
}

// SetTable puts other rules into force.
func (c *Cache[T]) SetTable(table *Table) {
	c.table = table
	c.clear()
}

// OrderBy has every entry's subscribers in that order from now on.
func (c *Cache[T]) OrderBy(order func(a, b T) int) {
	c.order = order
	c.clear()
}

// Stats returns the counts.
func (c *Cache[T]) Stats() CacheStats {
	c.stats.Bytes = c.bytes
	return c.stats
}

// Lookup returns what is known about the topic, matching it if need be.
func (c *Cache[T]) Lookup(topic []byte) Entry[T] {
	if version := c.trie.Version(); version != c.version {
		c.catchUp(version)
	}
	if s := c.last; s != nil && string(s.topic) == string(topic) {
		c.stats.Hits++
		return s.entry
	}
	hash := maphash.Bytes(c.trie.seed, topic)
	base := c.neighbourhood(hash)
	places := c.slots[base : base+ways]
	c.clock++
	victim := 0
	for i := range places {
		s := &places[i]
		if s.hash == hash && s.size > 0 && string(s.topic) == string(topic) {
			s.used = c.clock
			c.last = s
			c.stats.Hits++
			return s.entry
		}
		if c.clock-s.used > c.clock-places[victim].used {
			victim = i
		}
	}
	c.stats.Misses++
	return c.fill(base+victim, topic, hash)
}

// neighbourhood is the first of the places that a topic has the choice of.
func (c *Cache[T]) neighbourhood(hash uint64) int {
	return int(hash & uint64(len(c.slots)-1) &^ (ways - 1))
}

// fill puts what is known about the topic into the place.
func (c *Cache[T]) fill(at int, topic []byte, hash uint64) Entry[T] {
	entry := c.match(topic)
	size := len(topic) + c.itemSize*len(entry.Subscribers) + ruleSize*len(entry.Rules)
	if size > c.limits.Bytes/16 || entry.Err != nil {
		return entry // neither worth the room of others
	}
	c.evict(at)
	if c.bytes+size > c.limits.Bytes {
		c.clear()
	}
	s := &c.slots[at]
	*s = slot[T]{topic: append(s.topic[:0], topic...), hash: hash, used: c.clock, size: size, entry: entry}
	c.index.put(c.trie.seed, at, topic)
	c.last = s
	c.bytes += size
	c.stats.Topics++
	return entry
}

// evict empties the place, keeping the topic's buffer.
func (c *Cache[T]) evict(at int) {
	s := &c.slots[at]
	if c.last == s {
		c.last = nil
	}
	if s.size > 0 {
		c.bytes -= s.size
		c.stats.Topics--
		c.index.take(at)
	}
	*s = slot[T]{topic: s.topic[:0]}
}

// clear forgets everything.
func (c *Cache[T]) clear() {
	clear(c.slots)
	c.index.clear()
	c.last, c.bytes, c.stats.Topics = nil, 0, 0
}

// match asks the trie and the table.
func (c *Cache[T]) match(topic []byte) Entry[T] {
	if err := ValidateTopic(topic); err != nil {
		return Entry[T]{Err: err}
	}
	var e Entry[T]
	c.found = c.trie.MatchUnique(topic, c.found[:0], c.seen)
	if len(c.found) > 0 {
		e.Subscribers = append(make([]T, 0, len(c.found)), c.found...)
		if c.order != nil && len(e.Subscribers) > 1 {
			slices.SortFunc(e.Subscribers, c.order)
		}
	}
	if c.table != nil {
		c.rules = c.table.Candidates(topic, c.rules[:0])
		if !slices.Equal(c.rules, c.recent) {
			c.recent = slices.Clone(c.rules)
		}
		e.Rules = c.recent
	}
	return e
}
