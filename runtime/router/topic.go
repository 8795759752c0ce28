package router

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weftrun/weft/abi"
)

// A topic is a text of levels separated by '/', such as truck/7/telemetry. A
// level may be empty. A pattern is a topic in which whole levels may be
// wildcards: '+' or '*' for exactly one level, and as the last level '#' for the
// rest, the parent included: a/# matches a, a/b and a/b/c. A pattern whose first
// level is a wildcard does not match topics that begin with '$' (MQTT 5.0,
// sections 4.7.1 and 4.7.2).

// MaxLevels is how many levels a pattern may have. Topics are bound by their
// length alone.
const MaxLevels = 128

// Errors about the text of topics and patterns.
var (
	// ErrTopic is wrapped by every error about a topic.
	ErrTopic = errors.New("malformed topic")
	// ErrPattern is wrapped by every error about a pattern.
	ErrPattern = errors.New("malformed topic pattern")
)

// ValidateTopic tells whether messages can be published to the topic: not
// empty, at most abi.MaxTopic bytes, UTF-8, no zero byte, no level that is a
// wildcard. It allocates only to describe a fault.
func ValidateTopic(topic []byte) error {
	if len(topic) == 0 {
		return fmt.Errorf("%w: it is empty; give it at least one level", ErrTopic)
	}
	if len(topic) > abi.MaxTopic {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTopic, len(topic), abi.MaxTopic)
	}
	ascii := true
	for i, c := range topic {
		switch {
		case c >= utf8.RuneSelf:
			ascii = false
		case c == 0:
			return fmt.Errorf("%w %.64q: a zero byte at offset %d; remove it", ErrTopic, topic, i)
		case (c == '#' || c == '+' || c == '*') && wholeLevel(topic, i):
			return fmt.Errorf("%w %.64q: the wildcard %q is a level of its own at offset %d; wildcards belong in patterns, name the level",
				ErrTopic, topic, string(rune(c)), i)
		}
	}
	if !ascii && !utf8.Valid(topic) {
		return fmt.Errorf("%w %.64q: it is not UTF-8; encode it", ErrTopic, topic)
	}
	return nil
}

// wholeLevel reports whether the byte at offset i is a level of its own.
func wholeLevel(topic []byte, i int) bool {
	return (i == 0 || topic[i-1] == '/') && (i+1 == len(topic) || topic[i+1] == '/')
}

// ValidatePattern tells whether the pattern can be subscribed to: what
// ValidateTopic asks for, at most MaxLevels levels, wildcards only as whole
// levels, '#' only as the last one.
func ValidatePattern(pattern string) error {
	switch {
	case pattern == "":
		return fmt.Errorf("%w: it is empty; subscribe to # for every topic", ErrPattern)
	case len(pattern) > abi.MaxTopic:
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrPattern, len(pattern), abi.MaxTopic)
	case !utf8.ValidString(pattern):
		return fmt.Errorf("%w %.64q: it is not UTF-8; encode it", ErrPattern, pattern)
	}
	if at := strings.IndexByte(pattern, 0); at >= 0 {
		return fmt.Errorf("%w %.64q: a zero byte at offset %d; remove it", ErrPattern, pattern, at)
	}
	rest, more := pattern, true
	for n, at := 1, 0; more; n++ {
		if n > MaxLevels {
			return fmt.Errorf("%w %.64q: more than %d levels; end it with # to match the rest", ErrPattern, pattern, MaxLevels)
		}
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if err := validateLevel(pattern, level, n, at, more); err != nil {
			return err
		}
		at += len(level) + 1
	}
	return nil
}

// validateLevel checks the wildcards of one level, the nth, at offset at.
func validateLevel(pattern, level string, n, at int, more bool) error {
	if level == "#" && more {
		return fmt.Errorf("%w %.64q: # is level %d at offset %d, but it stands for all that follows; end the pattern there or use + for one level",
			ErrPattern, pattern, n, at)
	}
	if len(level) > 1 {
		if i := strings.IndexAny(level, "#+*"); i >= 0 {
			return fmt.Errorf("%w %.64q: the wildcard %q is only a part of level %d (%.64q, offset %d); a wildcard stands for a whole level",
				ErrPattern, pattern, level[i:i+1], n, level, at+i)
		}
	}
	return nil
}

// Canonical returns the one spelling of patterns that mean the same: '*' as a
// whole level becomes '+'. It does not allocate where nothing changes.
func Canonical(pattern string) string {
	if strings.IndexByte(pattern, '*') < 0 {
		return pattern
	}
	levels := strings.Split(pattern, "/")
	for i := range levels {
		if levels[i] == "*" {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// Matches tells whether one valid pattern matches one valid topic. It is the
// definition that Trie is tested against, and good enough where there are few
// patterns.
func Matches(pattern, topic string) bool {
	if strings.HasPrefix(topic, "$") && (pattern == "#" || isWildcard(firstLevel(pattern))) {
		return false
	}
	for {
		level, patternRest, patternMore := strings.Cut(pattern, "/")
		if level == "#" {
			return true
		}
		name, topicRest, topicMore := strings.Cut(topic, "/")
		if !isWildcard(level) && level != name {
			return false
		}
		switch {
		case patternMore && topicMore:
			pattern, topic = patternRest, topicRest
		case patternMore:
			return patternRest == "#"
		default:
			return !topicMore
		}
	}
}

func firstLevel(text string) string {
	level, _, _ := strings.Cut(text, "/")
	return level
}

// isWildcard reports whether a level stands for any one level.
func isWildcard(level string) bool { return level == "+" || level == "*" }

// cutLevel is bytes.Cut at the first '/', in the form the trie walks.
func cutLevel(topic []byte) (level, rest []byte, more bool) {
	if i := bytes.IndexByte(topic, '/'); i >= 0 {
		return topic[:i], topic[i+1:], true
	}
	return topic, nil, false
}
