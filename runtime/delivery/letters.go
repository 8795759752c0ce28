package delivery

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// DeadLetterStore keeps dead letters in memory until they are replayed or
// deleted, or newer ones need their place: the oldest goes first. It ends with
// the process. Its methods may be called from any goroutine, but not from a
// loop's: they take a lock.
type DeadLetterStore struct {
	limits DeadLetterLimits

	mu      sync.Mutex
	letters []*DeadLetter // by ID; nil where one is gone
	first   int           // index of the first that is not nil
	count   int
	bytes   int64
	last    uint64
	evicted uint64
	stored  uint64
}

// DeadLetterLimits bounds a DeadLetterStore. A letter that alone is over Bytes is
// not kept.
type DeadLetterLimits struct {
	// Keep is how many letters are kept; 0 keeps none.
	Keep int
	// Bytes is how much memory they take together.
	Bytes int64
}

// The errors of a DeadLetterStore.
var (
	// ErrNoLetter: there is no dead letter with this id, or not any more.
	ErrNoLetter = errors.New("no such dead letter")
	// ErrReplaying: the letter is being replayed by somebody else.
	ErrReplaying = errors.New("the dead letter is being replayed already")
)

// NewDeadLetterStore returns an empty store.
func NewDeadLetterStore(limits DeadLetterLimits) *DeadLetterStore {
	return &DeadLetterStore{limits: limits}
}

// Add keeps a copy of the letter, with the next ID.
func (s *DeadLetterStore) Add(l *DeadLetter) {
	kept := l.clone()
	size := kept.Size()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.stored++
	kept.ID, kept.replaying = s.last, false
	if s.limits.Keep <= 0 || size > s.limits.Bytes {
		s.evicted++
		return
	}
	for s.count > 0 && (s.count >= s.limits.Keep || s.bytes+size > s.limits.Bytes) {
		s.removeAt(s.first)
		s.evicted++
	}
	s.letters = append(s.letters, kept)
	s.count++
	s.bytes += size
	s.compact()
}

// removeAt removes the letter at an index at which there is one.
func (s *DeadLetterStore) removeAt(i int) {
	s.bytes -= s.letters[i].Size()
	s.letters[i] = nil
	s.count--
	for s.first < len(s.letters) && s.letters[s.first] == nil {
		s.first++
	}
}

// compact gives up the places of letters that are gone once they are most.
func (s *DeadLetterStore) compact() {
	if len(s.letters) < 64 || s.count*2 > len(s.letters) {
		return
	}
	s.letters = slices.DeleteFunc(s.letters, func(l *DeadLetter) bool { return l == nil })
	s.first = 0
}

// find is the index of a letter, -1 if it is not there.
func (s *DeadLetterStore) find(id uint64) int {
	// The ones that are gone have no ID: the search is among the places, whose
	// IDs rise by at least one each.
	lo, hi := s.first, len(s.letters)
	for lo < hi {
		mid := (lo + hi) / 2
		at := mid
		for at < hi && s.letters[at] == nil {
			at++
		}
		switch {
		case at == hi:
			hi = mid
		case s.letters[at].ID == id:
			return at
		case s.letters[at].ID < id:
			lo = at + 1
		default:
			hi = mid
		}
	}
	return -1
}

// Get returns a letter, which the caller must not change.
func (s *DeadLetterStore) Get(id uint64) (*DeadLetter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(id); i >= 0 {
		return s.letters[i], nil
	}
	return nil, noLetter(id)
}

func noLetter(id uint64) error {
	return fmt.Errorf("%w: %d; it was replayed, deleted, or newer ones took its place", ErrNoLetter, id)
}

// Delete removes letters and says how many were there.
func (s *DeadLetterStore) Delete(ids []uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, id := range ids {
		if i := s.find(id); i >= 0 {
			s.removeAt(i)
			n++
		}
	}
	s.compact()
	return n
}

// Purge removes every letter that the filter names and says how many it were.
// Letters that arrive meanwhile stay.
func (s *DeadLetterStore) Purge(f DeadLetterFilter) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for i := s.first; i < len(s.letters); i++ {
		if l := s.letters[i]; l != nil && f.matches(l) {
			s.removeAt(i)
			n++
		}
	}
	s.compact()
	return n
}

// Begin marks a letter as being replayed, so that nobody else replays it at the
// same time. End must follow. It fails with ErrNoLetter or ErrReplaying.
func (s *DeadLetterStore) Begin(id uint64) (*DeadLetter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(id)
	if i < 0 {
		return nil, noLetter(id)
	}
	if s.letters[i].replaying {
		return nil, fmt.Errorf("%w: %d", ErrReplaying, id)
	}
	s.replace(i, func(l *DeadLetter) { l.replaying = true })
	return s.letters[i], nil
}

// replace changes a letter without changing the one that was handed out.
func (s *DeadLetterStore) replace(i int, change func(*DeadLetter)) {
	next := *s.letters[i]
	change(&next)
	s.bytes += next.Size() - s.letters[i].Size()
	s.letters[i] = &next
}

// End says what became of a letter that Begin has marked: one that was delivered
// leaves the store, any other stays with the result.
func (s *DeadLetterStore) End(id uint64, delivered bool, result string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(id)
	switch {
	case i < 0:
	case delivered:
		s.removeAt(i)
		s.compact()
	default:
		s.replace(i, func(l *DeadLetter) {
			l.replaying, l.LastResult = false, result
			l.Attempts++
		})
	}
}

// Cancel takes back Begin for a letter that was not replayed after all.
func (s *DeadLetterStore) Cancel(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(id); i >= 0 {
		s.replace(i, func(l *DeadLetter) { l.replaying = false })
	}
}

// DeadLetterStats is what a store holds and has done.
type DeadLetterStats struct {
	Count   int    // letters that are kept
	Bytes   int64  // of memory that they take
	Stored  uint64 // letters that came
	Evicted uint64 // letters that newer ones have displaced, or that were too large
}

// Stats reads the counters.
func (s *DeadLetterStore) Stats() DeadLetterStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return DeadLetterStats{Count: s.count, Bytes: s.bytes, Stored: s.stored, Evicted: s.evicted}
}
