package router

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// changes are a trie's last ones, for the caches to catch up with. The writer
// stores a change before the version that it makes; a reader that finds another
// version in its place has fallen behind.
type changes [logSize]atomic.Pointer[change]

// logSize is how many changes a cache may be behind before it forgets everything.
const logSize = 1024

// change is one pattern under which something came or went. It never changes.
type change struct {
	version uint64
	// topic is the hash of the pattern's text if it has no wildcard.
	topic   uint64
	literal bool
	// The topics that the pattern can match have want in the bits of mask.
	want, mask signature
	// start is the hash of the levels before the first wildcard, of the first
	// startLevels at most; names is how many these are.
	start uint64
	names int
	// pattern decides in the end; nil where it is too long to be kept: the
	// signature decides alone then.
	pattern []byte
}

// maxKept is how many bytes of a pattern a change keeps.
const maxKept = 512

func (l *changes) write(seed maphash.Seed, version uint64, pattern string) {
	c := &change{version: version}
	if strings.IndexByte(pattern, '+') < 0 && !strings.HasSuffix(pattern, "#") {
		c.literal, c.topic = true, maphash.String(seed, pattern)
	} else {
		c.summarise(seed, pattern)
	}
	l[version%logSize].Store(c)
}

// at returns the change that made the version; nil if it is forgotten.
func (l *changes) at(version uint64) *change {
	if c := l[version%logSize].Load(); c != nil && c.version == version {
		return c
	}
	return nil
}

// summarise notes what is known of the topics that the pattern matches.
func (c *change) summarise(seed maphash.Seed, pattern string) {
	levels, names := 0, true // names: no wildcard yet
	exact := true
	end := -1
	for more := true; more; {
		level, _, found := strings.Cut(pattern[end+1:], "/")
		more = found
		if level == "#" {
			exact = false
			break
		}
		end += 1 + len(level)
		names = names && level != "+"
		if level != "+" && levels < signedLevels {
			c.want |= sign(maphash.String(seed, level), levels)
			c.mask |= sign(^uint64(0), levels)
		}
		levels++
		if names && levels <= startLevels {
			c.start, c.names = maphash.String(seed, pattern[:end]), levels
		}
	}
	if exact {
		c.want |= signature(min(levels, maxSigned))
		c.mask |= maxSigned
	}
	if len(pattern) <= maxKept {
		c.pattern = []byte(pattern)
	}
}

// signature sums up a topic: the number of its levels in the lowest byte, a byte
// of the hash of each of the first seven above it. That of a topic is never 0.
type signature uint64

const (
	signedLevels = 7
	maxSigned    = 0xff // stands for more levels too
)

func sign(hash uint64, level int) signature { return signature(hash>>56) << (8 + 8*level) }

// startLevels is of how many first levels a cache counts its topics.
const startLevels = 3

// beginnings are the hashes of a topic's first level, first two and first three,
// as far as it has so many.
type beginnings struct {
	hashes [startLevels]uint64
	levels int
}

// summarise returns a topic's signature and sets the hashes of its beginnings.
func summarise(seed maphash.Seed, topic []byte, start *beginnings) signature {
	var s signature
	levels, end := 0, -1
	start.levels = 0
	for more := true; more; levels++ {
		var level []byte
		level, _, more = cutLevel(topic[end+1:])
		end += 1 + len(level)
		if levels < signedLevels {
			s |= sign(maphash.Bytes(seed, level), levels)
		}
		if levels < startLevels {
			start.hashes[levels] = maphash.Bytes(seed, topic[:end])
			start.levels++
		}
	}
	return s | signature(min(levels, maxSigned))
}
