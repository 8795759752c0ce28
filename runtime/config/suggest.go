package config

import (
	"fmt"
	"strings"

	"github.com/weftrun/weft/abi/spelling"
)

// didYouMean is the fix that offers the nearest candidate, empty if there is none.
func didYouMean(word string, candidates []string) string {
	if c := spelling.Nearest(word, candidates); c != "" {
		return fmt.Sprintf("did you mean %q?", c)
	}
	return ""
}

// anyOf writes a list of alternatives: a, b or c.
func anyOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
