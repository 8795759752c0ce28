package router_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/router"
)

func TestValidateTopic(t *testing.T) {
	for _, topic := range []string{"a", "/", "a/b", "a//b", "/a", "a/", "$SYS/x", "a+b/c#", "grün/π", "a*/*b", strings.Repeat("x", abi.MaxTopic)} {
		if err := router.ValidateTopic([]byte(topic)); err != nil {
			t.Errorf("%.40q: %v", topic, err)
		}
	}
	for topic, remedy := range map[string]string{
		"":                                  "at least one level",
		"a/+/b":                             "offset 2",
		"#":                                 "offset 0",
		"a/*":                               "offset 2",
		"a\x00b":                            "offset 1",
		"a/\xff":                            "not UTF-8",
		"truck/7/#":                         "wildcards belong in patterns",
		"+/a":                               "offset 0",
		"x/y/z\xc3(/rest":                   "not UTF-8",
		strings.Repeat("x", abi.MaxTopic+1): "at most 65535",
	} {
		err := router.ValidateTopic([]byte(topic))
		if !errors.Is(err, router.ErrTopic) || !strings.Contains(err.Error(), remedy) {
			t.Errorf("%.40q: got %v, want %q in it", topic, err, remedy)
		}
	}
	topic := []byte("truck/7/telemetry")
	if n := testing.AllocsPerRun(100, func() { _ = router.ValidateTopic(topic) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestValidatePattern(t *testing.T) {
	for _, pattern := range []string{"#", "+", "*", "a/#", "a/+/b", "a/*/#", "/", "//#", "$SYS/#", strings.Repeat("a/", router.MaxLevels-1) + "a"} {
		if err := router.ValidatePattern(pattern); err != nil {
			t.Errorf("%.40q: %v", pattern, err)
		}
	}
	for pattern, remedy := range map[string]string{
		"":            "subscribe to #",
		"a/#/b":       "# is level 2 at offset 2",
		"#/":          "# is level 1 at offset 0",
		"a/b+":        "level 2",
		"sport#":      "whole level",
		"a/**":        "whole level",
		"a\x00":       "offset 1",
		"\xff":        "not UTF-8",
		"a/b/c/x*y/d": "offset 7",
		strings.Repeat("a/", router.MaxLevels) + "a": "more than 128 levels",
		strings.Repeat("x", abi.MaxTopic+1):          "at most 65535",
	} {
		err := router.ValidatePattern(pattern)
		if !errors.Is(err, router.ErrPattern) || !strings.Contains(err.Error(), remedy) {
			t.Errorf("%.40q: got %v, want %q in it", pattern, err, remedy)
		}
	}
}

// matchCases follow MQTT 5.0, section 4.7, with '*' beside '+'.
var matchCases = []struct {
	pattern, topic string
	want           bool
}{
	{"a", "a", true},
	{"a", "b", false},
	{"a", "a/b", false},
	{"a/b", "a", false},
	{"sport/tennis/player1/#", "sport/tennis/player1", true},
	{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
	{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
	{"sport/tennis/player1/#", "sport/tennis/player2", false},
	{"sport/#", "sport", true},
	{"sport/#", "sports", false},
	{"#", "anything/at/all", true},
	{"#", "/", true},
	{"sport/tennis/+", "sport/tennis/player1", true},
	{"sport/tennis/+", "sport/tennis/player1/ranking", false},
	{"sport/+", "sport", false},
	{"sport/+", "sport/", true},
	{"sport/*", "sport/", true},
	{"+/+", "/finance", true},
	{"/+", "/finance", true},
	{"+", "/finance", false},
	{"*/tennis/#", "sport/tennis", true},
	{"#", "$SYS/uptime", false},
	{"+/uptime", "$SYS/uptime", false},
	{"*/uptime", "$SYS/uptime", false},
	{"+/#", "$SYS", false},
	{"$SYS/#", "$SYS/uptime", true},
	{"$SYS/+", "$SYS/uptime", true},
	{"a/+", "a/$b", true},
	{"a/#", "a/$b/c", true},
	{"a//b", "a//b", true},
	{"a/+", "a/++++$b", true},
	{"a/+/c", "a/+x/c", true},
	{"a/+/c", "a/+/cx", false},
	{"a/+/b", "a//b", true},
	{"+/#", "a", true},
	{"/#", "/", true},
	{"/#", "a", false},
	{"a/b/#", "a", false},
	{"+/b/+/d/#", "a/b/c/d", true},
	{"+/b/+/d/#", "a/b/c", false},
}

func TestMatches(t *testing.T) {
	for _, c := range matchCases {
		if got := router.Matches(c.pattern, c.topic); got != c.want {
			t.Errorf("%q on %q: got %t", c.pattern, c.topic, got)
		}
		trie := router.NewTrie[int]()
		if _, err := trie.Add(c.pattern, 1); err != nil {
			t.Fatal(err)
		}
		if got := len(trie.Match([]byte(c.topic), nil)) == 1; got != c.want {
			t.Errorf("trie: %q on %q: got %t", c.pattern, c.topic, got)
		}
	}
}

func TestCanonical(t *testing.T) {
	for pattern, want := range map[string]string{"a/*/b": "a/+/b", "*": "+", "a/+": "a/+", "*/*/#": "+/+/#", "a": "a", "/*": "/+"} {
		if got := router.Canonical(pattern); got != want {
			t.Errorf("%q: got %q, want %q", pattern, got, want)
		}
	}
}

func FuzzTopicAndPattern(f *testing.F) {
	for _, c := range matchCases {
		f.Add(c.pattern, c.topic)
	}
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		validTopic := router.ValidateTopic([]byte(topic)) == nil
		trie := router.NewTrie[int]()
		added, err := trie.Add(pattern, 1)
		if (err == nil) != (router.ValidatePattern(pattern) == nil) || added != (err == nil) {
			t.Fatalf("%q: added %t, %v", pattern, added, err)
		}
		got := len(trie.Match([]byte(topic), nil))
		if err != nil {
			return
		}
		if canonical := router.Canonical(pattern); router.ValidatePattern(canonical) != nil || router.Canonical(canonical) != canonical {
			t.Fatalf("%q became %q", pattern, canonical)
		}
		if validTopic && (got == 1) != router.Matches(pattern, topic) {
			t.Fatalf("%q on %q: trie %d, definition %t", pattern, topic, got, router.Matches(pattern, topic))
		}
		if validTopic && pattern == topic && got != 1 {
			t.Fatalf("%q does not match itself", topic)
		}
		if !trie.Remove(pattern, 1) || trie.Len() != 0 || len(trie.Match([]byte(topic), nil)) != 0 {
			t.Fatalf("%q was not removed", pattern)
		}
	})
}
