package router

import (
	"bytes"
	"hash/maphash"
)

// Match appends to dst the items of every pattern that matches the topic, in no
// particular order. An item that is subscribed by several matching patterns is
// appended as often: MatchUnique and Cache give it once. The topic is not
// validated; it allocates only to grow dst.
func (t *Trie[T]) Match(topic []byte, dst []T) []T {
	dst, _ = t.match(topic, dst)
	return dst
}

// MatchUnique is Match without duplicates. The map is the caller's, empty, and
// empty again on return; it is not touched where no duplicate is possible.
func (t *Trie[T]) MatchUnique(topic []byte, dst []T, seen map[T]struct{}) []T {
	start := len(dst)
	dst, sets := t.match(topic, dst)
	if sets < 2 {
		return dst
	}
	return unique(dst, start, seen)
}

// fewItems is up to how many items are compared one with each other.
const fewItems = 16

// unique removes what appears again in dst[start:], keeping the first.
func unique[T comparable](dst []T, start int, seen map[T]struct{}) []T {
	kept := dst[:start]
	few := len(dst)-start <= fewItems
next:
	for _, item := range dst[start:] {
		if few {
			for _, other := range kept[start:] {
				if other == item {
					continue next
				}
			}
		} else {
			if _, ok := seen[item]; ok {
				continue next
			}
			seen[item] = struct{}{}
		}
		kept = append(kept, item)
	}
	if !few {
		clear(seen)
	}
	return kept
}

// match appends the items and counts the patterns that they came from.
func (t *Trie[T]) match(topic []byte, dst []T) ([]T, int) {
	w := walk[T]{t.seed, dst, 0}
	if len(topic) > 0 && topic[0] == '$' {
		w.named(&t.root, topic) // no wildcard stands for such a level
	} else {
		w.from(&t.root, topic, true)
	}
	return w.dst, w.sets
}

// walk is the state of one Match.
type walk[T comparable] struct {
	seed maphash.Seed
	dst  []T
	sets int
}

// from collects what matches from the node on; more says that rest is still to
// come.
func (w *walk[T]) from(n *node[T], rest []byte, more bool) {
	if s := n.rest.Load(); s != nil {
		w.take(s)
	}
	if !more {
		if s := n.items.Load(); s != nil {
			w.take(s)
		}
		return
	}
	w.named(n, rest)
	if child := n.any.Load(); child != nil {
		if below, more, ok := follow(child.label.bytes(), rest); ok {
			w.from(child, below, more)
		}
	}
}

// named goes on with the child whose label begins with the name of the level.
func (w *walk[T]) named(n *node[T], rest []byte) {
	table := n.children.Load()
	if table == nil {
		return
	}
	level := rest[:levelEnd(rest)]
	e := find(table, levelHash(maphash.Bytes(w.seed, level)), level)
	if e == nil {
		return
	}
	child := e.node.Load()
	if child == nil {
		return // it has just been removed
	}
	if below, more, ok := follow(child.label.bytes(), rest); ok {
		w.from(child, below, more)
	}
}

func (w *walk[T]) take(s *set[T]) {
	w.dst = s.appendTo(w.dst)
	w.sets++
}

// covers is Matches for a pattern in canonical spelling.
func covers(pattern, topic []byte) bool {
	if pattern[0] == '+' || pattern[0] == '#' {
		if len(topic) > 0 && topic[0] == '$' {
			return false
		}
		if pattern[0] == '#' {
			return true
		}
	}
	text, withRest := bytes.CutSuffix(pattern, restSuffix)
	_, more, ok := follow(text, topic)
	return ok && (withRest || !more)
}

var restSuffix = []byte("/#")

// hashMarks is how many bits make a level's hash different from the hashes that are none.
const hashMarks = 2

// levelHash makes a level's hash of that of its text.
func levelHash(text uint64) uint32 { return uint32(text) | 1<<hashMarks - 1 }
