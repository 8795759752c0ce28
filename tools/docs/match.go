package main

import (
	"regexp"
	"strings"
)

var (
	timeOfDay = regexp.MustCompile(`\d\d:\d\d:\d\d(\\\.\d+)?`)
	varied    = regexp.MustCompile("\x00([µnm]?s|[kM])?")
	digits    = regexp.MustCompile(`\d[\d,]*(\\\.\d+)?`)
)

// pattern makes a regular expression of a line that a document shows: "..." is anything,
// a time of day any time, spaces are one space. vary: digits are any digits.
func pattern(shown string, vary bool) *regexp.Regexp {
	quoted := regexp.QuoteMeta(flat(shown))
	if vary {
		// A number has its unit with it: 4.2ms may be 950µs on another day.
		quoted = digits.ReplaceAllString(quoted, "\x00")
		quoted = varied.ReplaceAllString(quoted, `[\d.,]+[µa-zA-Z]*`)
	} else {
		quoted = timeOfDay.ReplaceAllString(quoted, `\d\d:\d\d:\d\d[.\d]*`)
	}
	quoted = strings.ReplaceAll(quoted, `\.\.\.`, `.*`)
	return regexp.MustCompile("^" + quoted + "$")
}

// flat makes one space of several, and none at the ends.
func flat(line string) string { return strings.Join(strings.Fields(line), " ") }

// missing returns the shown lines that are not among the printed ones.
func missing(shown []string, printed string, vary bool) []string {
	lines := strings.Split(printed, "\n")
	for i := range lines {
		lines[i] = flat(lines[i])
	}
	var left []string
	for _, line := range shown {
		if flat(line) == "..." {
			continue
		}
		p, found := pattern(line, vary), false
		for _, have := range lines {
			if p.MatchString(have) {
				found = true
				break
			}
		}
		if !found {
			left = append(left, line)
		}
	}
	return left
}
