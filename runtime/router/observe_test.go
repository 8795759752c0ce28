package router_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/weftrun/weft/runtime/router"
)

// TestObserve: every change is told once, what changes nothing is not.
func TestObserve(t *testing.T) {
	trie := router.NewTrie[uint64]()
	var told []string
	trie.Observe(func(pattern string, item uint64, added bool) {
		told = append(told, fmt.Sprint(pattern, " ", item, " ", added))
	})
	for _, pattern := range []string{"a/+", "a/+", "a/*", "b/#/c"} {
		_, _ = trie.Add(pattern, 7)
	}
	trie.Remove("a/+", 8)
	trie.Remove("a/+", 7)
	trie.Remove("a/+", 7)
	if want := []string{"a/+ 7 true", "a/+ 7 false"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
