// Package router says where a message goes: a trie of subscriptions, a table of
// rules, a cache of both for each loop, and the templates that make topics. It
// is pure: no goroutine, no clock, no input or output.
//
//	ValidateTopic(topic []byte) error
//	ValidatePattern(pattern string) error
//	Canonical(pattern string) string
//	Matches(pattern, topic string) bool
//
//	NewTrie[T comparable]() *Trie[T]
//	(*Trie[T]).Add(pattern string, item T) (added bool, err error)
//	(*Trie[T]).Remove(pattern string, item T) (removed bool)
//	(*Trie[T]).Match(topic []byte, dst []T) []T
//	(*Trie[T]).MatchUnique(topic []byte, dst []T, seen map[T]struct{}) []T
//	(*Trie[T]).Len() int
//	(*Trie[T]).Version() uint64
//	(*Trie[T]).Walk(visit func(pattern string, item T) bool)
//	(*Trie[T]).Observe(f func(pattern string, item T, added bool))
//
//	NewCache[T comparable](trie *Trie[T], table *Table, limits CacheLimits) *Cache[T]
//	(*Cache[T]).Lookup(topic []byte) Entry[T]      // {Subscribers []T; Rules Candidates; Err error}
//	(*Cache[T]).SetTable(table *Table)
//	(*Cache[T]).OrderBy(order func(a, b T) int)
//	(*Cache[T]).Stats() CacheStats                 // hits, misses, how many topics changes outdated
//
//	TopicTemplate, PatternTemplate, TextTemplate, RawTemplate(text string) (*Template, error)
//	(*Template).Append(dst []byte, values Values) ([]byte, error)
//	(*Template).Names() []string
//	(*Template).Fixed() bool
//
//	Compile(rules []Rule, fallback []Target, listeners []string) (*Table, error)
//	(*Table).Candidates(topic []byte, dst Candidates) Candidates
//	(*Table).Route(in *Input, rules Candidates, dst []Choice) []Choice
//
// # A message's way through this package
//
//	entry := cache.Lookup(m.Topic)                    // one comparison when the topic is the last one's
//	if entry.Err != nil { ... }                       // the topic is malformed: drop, bad_topic
//	choices = table.Route(&in, entry.Rules, choices[:0])
//	for _, choice := range choices {
//		for i := range choice.To { ... }          // entry.Subscribers for abi.ToSubscribers without a name
//	}
//
// # How the trie is built
//
// A node bears the levels that no pattern parts: a pattern of its own is one node,
// however many levels it has. Below a node lie a table of children by the first
// level of their labels, one child that begins with a wildcard, and the items of the
// patterns that end there, with '#' and without. Readers follow atomic pointers.
// A writer changes a table, a set or a link in place where a reader cannot see it
// half done, and otherwise replaces it by one store; labels never change.
//
// # How a cache is kept up to date
//
//	writer                                   loop
//	1. changes the trie                      1. reads the version; if it is not its own:
//	2. writes the pattern to the log         2. takes out what the logged patterns match
//	3. raises the version                    3. answers from its slots, or matches
//
// What happened before a lookup is seen by it. A cache that is more than 1,024
// changes behind, or has too many to look through, forgets everything.
package router
