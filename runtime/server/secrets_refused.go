package server

import "slices"

// refusal is changed files that were refused. It holds until they are read and taken, or
// nobody has them any more.
type refusal struct {
	of   any // whose they are; nil: the API's tokens
	text string
}

// refusals are those of now, in words. Any goroutine may call it.
func (s *secrets) refusals() (texts []string) {
	if list := s.refused.Load(); list != nil {
		for _, r := range *list {
			texts = append(texts, r.text)
		}
	}
	return texts
}

// outdated forgets the refusals of whom the new set does not have. Hold mu.
func (s *secrets) outdated(set *secretSet) {
	list := s.refused.Load()
	if list == nil {
		return
	}
	left := slices.DeleteFunc(slices.Clone(*list), func(r refusal) bool {
		return r.of != nil &&
			!slices.ContainsFunc(set.list, func(at *secret) bool { return r.of == any(at.source) }) &&
			!slices.ContainsFunc(set.clients, func(at *clientSecret) bool { return r.of == any(at.client) })
	})
	s.refused.Store(&left)
}
