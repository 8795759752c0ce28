package delivery

import (
	"cmp"
	"slices"

	"github.com/weftrun/weft/runtime/router"
)

// DeadLetterFilter says which letters are meant: those for which every given
// condition holds. The zero value is all of them.
type DeadLetterFilter struct {
	// Plugin, Cause and Listener are names; empty is any.
	Plugin, Cause, Listener string
	// Generation is the plugin's; 0 is any.
	Generation uint64
	// Topic is a pattern that the message's topic matches; empty is any.
	Topic string
	// Since and Until bound DeadLetter.Time: not before, and before; 0 is any.
	Since, Until int64
	// UpTo is the highest ID; 0 is any.
	UpTo uint64
}

// Validate tells whether the filter's pattern is well formed.
func (f *DeadLetterFilter) Validate() error {
	if f.Topic == "" {
		return nil
	}
	return router.ValidatePattern(f.Topic)
}

func (f *DeadLetterFilter) matches(l *DeadLetter) bool {
	return (f.Plugin == "" || f.Plugin == l.Plugin) && (f.Cause == "" || f.Cause == l.Cause) &&
		(f.Listener == "" || f.Listener == l.Listener) && (f.Generation == 0 || f.Generation == l.Generation) &&
		(f.Since == 0 || l.Time >= f.Since) && (f.Until == 0 || l.Time < f.Until) &&
		(f.UpTo == 0 || l.ID <= f.UpTo) && (f.Topic == "" || router.Matches(f.Topic, string(l.Message.Topic)))
}

// List returns the letters that the filter names, the newest first, at most limit
// of them, and how many there are. The caller must not change them.
func (s *DeadLetterStore) List(f DeadLetterFilter, limit int) (page []*DeadLetter, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.letters) - 1; i >= s.first; i-- {
		if l := s.letters[i]; l != nil && f.matches(l) {
			if total++; len(page) < limit {
				page = append(page, l)
			}
		}
	}
	return page, total
}

// DeadLetterGroup counts letters that have the same cause, plugin and generation.
type DeadLetterGroup struct {
	Cause, Plugin string
	Generation    uint64
	Count         int
	// First and Last are when the oldest and the newest of them died.
	First, Last int64
}

// Groups counts the letters that the filter names, the largest group first.
func (s *DeadLetterStore) Groups(f DeadLetterFilter) []DeadLetterGroup {
	type key struct {
		cause, plugin string
		generation    uint64
	}
	groups := map[key]*DeadLetterGroup{}
	s.mu.Lock()
	for i := s.first; i < len(s.letters); i++ {
		l := s.letters[i]
		if l == nil || !f.matches(l) {
			continue
		}
		k := key{l.Cause, l.Plugin, l.Generation}
		g := groups[k]
		if g == nil {
			g = &DeadLetterGroup{Cause: l.Cause, Plugin: l.Plugin, Generation: l.Generation, First: l.Time}
			groups[k] = g
		}
		g.Count++
		g.First, g.Last = min(g.First, l.Time), max(g.Last, l.Time)
	}
	s.mu.Unlock()
	list := make([]DeadLetterGroup, 0, len(groups))
	for _, g := range groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b DeadLetterGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Generation, b.Generation))
	})
	return list
}
