// Package spelling finds the word that a misspelt one was probably meant to be, for
// messages that say "did you mean". It is no part of the ABI: it lies here because
// abi is the one folder that everything may import.
package spelling

import (
	"math"
	"slices"
	"strings"
)

// Nearest returns the candidate that is most like the word, empty where none is
// near enough to be meant. Of two that are as near, the one that sorts first wins.
func Nearest(word string, candidates []string) string {
	best, least := "", min(max(1, len(word)/3), len(word)-1)+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if strings.EqualFold(word, c) {
			return c
		}
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if strings.Contains(c, word) || len(c) >= 4 && strings.Contains(word, c) {
			return c
		}
	}
	return ""
}

// distance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b (optimal string alignment). Long words are not
// compared: they are further apart than any suggestion may be.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return math.MaxInt
	}
	var rows [3][longest + 1]int
	before, last, row := rows[0][:len(b)+1], rows[1][:len(b)+1], rows[2][:len(b)+1]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
