package hostfuncs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weftrun/weft/abi"
)

// Bounds of one grant's topics.
const (
	// MaxGrantTopics is how many patterns a grant may list.
	MaxGrantTopics = 256
	// maxPatternLevels is how many levels a pattern may have, as in a
	// subscription.
	maxPatternLevels = 128
)

// ErrTopics is wrapped by every error of [CompileTopics].
var ErrTopics = errors.New("bad topics of a grant")

// queuePrefix begins a subscription that joins a queue group.
const queuePrefix = "queue:"

// Topics is the topics that a grant names: patterns with `+` or `*` for one level
// and `#` for the rest, the parent included. A pattern that begins with a
// wildcard leaves out the topics that begin with `$`. It may be used from any
// goroutine; a nil Topics allows nothing.
type Topics struct {
	patterns [][]byte
	queues   [][]byte // what follows queue: in those that name queue groups
}

// CompileTopics checks the patterns. There must be at least one.
func CompileTopics(patterns []string) (*Topics, error) {
	switch {
	case len(patterns) == 0:
		return nil, fmt.Errorf("%w: there is none: list the patterns that are allowed, such as [alarm/#]; [\"#\"] allows every topic", ErrTopics)
	case len(patterns) > MaxGrantTopics:
		return nil, fmt.Errorf("%w: %d patterns, at most %d are allowed: use wildcards", ErrTopics, len(patterns), MaxGrantTopics)
	}
	t := &Topics{}
	var errs []error
	for _, p := range patterns {
		if err := checkPattern(p); err != nil {
			errs = append(errs, err)
			continue
		}
		t.patterns = append(t.patterns, []byte(p))
		if name, ok := strings.CutPrefix(p, queuePrefix); ok {
			t.queues = append(t.queues, []byte(name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

func checkPattern(p string) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: pattern %.64q %s", ErrTopics, p, fmt.Sprintf(format, args...))
	}
	levels := strings.Split(strings.TrimPrefix(p, queuePrefix), "/")
	switch {
	case p == "":
		return bad("is empty: # stands for every topic")
	case len(p) > abi.MaxTopic:
		return bad("has %d bytes, at most %d are allowed", len(p), abi.MaxTopic)
	case !utf8.ValidString(p) || strings.IndexByte(p, 0) >= 0:
		return bad("is no UTF-8 or holds a zero byte")
	case len(levels) > maxPatternLevels:
		return bad("has more than %d levels: end it with # to match the rest", maxPatternLevels)
	}
	for i, level := range levels {
		switch {
		case level == "#" && i < len(levels)-1:
			return bad("has a # before its end: # stands for all that follows, + for one level")
		case len(level) > 1 && strings.ContainsAny(level, "#+*"):
			return bad("has a wildcard as a part of level %d: a wildcard stands for a whole level", i+1)
		}
	}
	return nil
}

// Match reports whether messages may have the topic, which holds no wildcard.
func (t *Topics) Match(topic []byte) bool {
	return t != nil && anyCovers(t.patterns, topic)
}

// Covers reports whether one of the patterns matches every topic that the asked
// pattern matches. A queue group (queue:NAME) is covered by an entry that begins
// with queue: alone: the wildcards of topics do not reach it.
func (t *Topics) Covers(asked []byte) bool {
	if t == nil {
		return false
	}
	if len(asked) > len(queuePrefix) && string(asked[:len(queuePrefix)]) == queuePrefix {
		return anyCovers(t.queues, asked[len(queuePrefix):])
	}
	return anyCovers(t.patterns, asked)
}

func anyCovers(patterns [][]byte, asked []byte) bool {
	for _, p := range patterns {
		if covers(p, asked) {
			return true
		}
	}
	return false
}

// covers reports whether what asked matches lies within what granted matches. A
// topic is a pattern that matches itself alone. It walks level by level; a
// single pattern is compared, never the union of several.
func covers(granted, asked []byte) bool {
	if len(asked) == 0 || asked[0] == '$' && startsWild(granted) {
		return false
	}
	for first := true; ; first = false {
		g, granteds, grantedMore := cutLevel(granted)
		a, askeds, askedMore := cutLevel(asked)
		switch {
		case isRest(g):
			return true
		case isRest(a):
			// It matches the level above as well, which granted would have to
			// end in #; only at the very beginning there is none above.
			return first && isOne(g) && isRest(granteds)
		case isOne(g):
		case isOne(a) || !bytes.Equal(g, a):
			return false
		}
		switch {
		case grantedMore && askedMore:
			granted, asked = granteds, askeds
		case grantedMore:
			return isRest(granteds) // the parent is included
		default:
			return !askedMore
		}
	}
}

func startsWild(pattern []byte) bool {
	level, _, _ := cutLevel(pattern)
	return isOne(level) || isRest(level)
}

func isRest(level []byte) bool { return len(level) == 1 && level[0] == '#' }

func isOne(level []byte) bool { return len(level) == 1 && (level[0] == '+' || level[0] == '*') }

func cutLevel(text []byte) (level, rest []byte, more bool) {
	if i := bytes.IndexByte(text, '/'); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, nil, false
}
