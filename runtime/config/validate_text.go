package config

import (
	"strings"
	"unicode/utf8"

	"github.com/weftrun/weft/abi"
)

const maxName = 64

// formName is the form, in tags, of texts that are wellFormed.
const formName = "name"

// wellFormed names are safe in topics, metrics, variables and file names.
func wellFormed(name string) bool {
	if name == "" || len(name) > maxName || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, b := range []byte(name) {
		if !(b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-' || b == '_') {
			return false
		}
	}
	return true
}

func (k *checker) name(path, name string) {
	if !wellFormed(name) {
		fix := ""
		if like := strings.NewReplacer(" ", "-", ".", "-", "/", "-").Replace(strings.ToLower(name)); wellFormed(like) {
			fix = "write " + like
		}
		k.add(path, Problem{Cause: "not a name", Value: show(name), Fix: fix, Expected: "a lower-case letter, then lower-case letters, digits, '-' and '_', at most 64 in all"})
	}
}

// template checks the braces of a text with placeholders.
func (k *checker) template(path, text string) bool {
	for rest := text; ; {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			return true
		}
		end := strings.IndexByte(rest, '}')
		if rest[open] == '}' || end < 0 || end == open+1 || strings.IndexByte(rest[open+1:end], '{') >= 0 {
			k.add(path, Problem{Cause: "not a template", Value: show(text), Expected: "placeholders in braces, such as {identity}"})
			return false
		}
		rest = rest[end+1:]
	}
}

// topic checks a template of a topic.
func (k *checker) topic(path, text string) {
	switch {
	case !k.template(path, text):
	case strings.ContainsAny(text, "#+*"):
		k.add(path, Problem{Cause: "not a topic", Value: show(text), Found: "a wildcard", Expected: "levels divided by '/'"})
	case len(text) > abi.MaxTopic || strings.ContainsRune(text, 0) || !utf8.ValidString(text):
		k.add(path, Problem{Cause: "not a topic", Value: show(text), Expected: "UTF-8 without NUL, at most 65535 bytes"})
	}
}

// pattern checks a template of a subscription's pattern.
func (k *checker) pattern(path, text string) {
	p := Problem{Cause: "not a pattern", Value: show(text), Expected: "levels divided by '/'"}
	levels := strings.Split(text, "/")
	for i, level := range levels {
		switch {
		case !strings.ContainsAny(level, "#+*"):
		case len(level) > 1:
			p.Found, p.Fix = "a wildcard beside other characters", "give the wildcard a level of its own, as in a/*/b or a/#"
		case level == "#" && i < len(levels)-1:
			p.Found, p.Fix = "# before the end", "'#' stands for the rest and comes last; '*' stands for one level"
		}
	}
	switch {
	case text == "":
		k.add(path, Problem{Cause: "missing value", Expected: "a pattern, such as alarm/#"})
	case p.Found != "":
		k.add(path, p)
	case len(text) > abi.MaxTopic || strings.ContainsRune(text, 0) || !utf8.ValidString(text):
		p.Expected = "UTF-8 without NUL, at most 65535 bytes"
		k.add(path, p)
	default:
		k.template(path, text)
	}
}
