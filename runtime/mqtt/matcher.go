package mqtt

import "strings"

// matcher walks sorted keys for those that match a filter, and says where the
// next one may be, so that what lies between is never looked at.
type matcher struct {
	levels []string // without a trailing '#'
	rest   bool     // the filter ends with '#'
	first  string   // no key before it matches
}

func newMatcher(filter string) *matcher {
	m := &matcher{levels: strings.Split(filter, "/")}
	if n := len(m.levels); m.levels[n-1] == "#" {
		m.levels, m.rest = m.levels[:n-1], true
	}
	m.first = m.fixed(0)
	return m
}

// plus tells whether the level of the filter stands for any one level.
func plus(level string) bool { return level == "+" || level == "*" }

// fixed is the beginning of keys from the level on that the filter prescribes.
func (m *matcher) fixed(from int) string {
	to := from
	for to < len(m.levels) && !plus(m.levels[to]) {
		to++
	}
	return strings.Join(m.levels[from:to], "\x00")
}

// step tells whether the key matches, and from which key on to go on: "" is the
// next one, atEnd is nowhere.
func (m *matcher) step(key string) (seek string, matched bool) {
	if key != "" && key[0] == '$' && (len(m.levels) == 0 || plus(m.levels[0])) {
		return "%", false // the character behind '$'
	}
	at := 0 // where in the key the level begins
	for n, level := range m.levels {
		if at > len(key) {
			return "", false // the key is shorter than the filter: what is below follows
		}
		end := len(key)
		if i := strings.IndexByte(key[at:], 0); i >= 0 {
			end = at + i
		}
		name := key[at:end]
		if !plus(level) {
			switch {
			case name < level:
				return key[:at] + m.fixed(n), false
			case name > level:
				return m.past(key, n), false
			}
		}
		at = end + 1
	}
	if at <= len(key) && !m.rest {
		// The key goes on below a topic of the filter's length.
		return m.past(key, len(m.levels)), false
	}
	return "", true
}

// past is the first key that may match behind all keys that have the first n
// levels of key: the last level that is free to grow does. It is atEnd if there
// is none.
func (m *matcher) past(key string, n int) string {
	for n--; n >= 0; n-- {
		if plus(m.levels[n]) {
			return prefix(key, n+1) + "\x01"
		}
	}
	return atEnd
}

// prefix is the first n levels of the key.
func prefix(key string, n int) string {
	at := 0
	for ; n > 0; n-- {
		i := strings.IndexByte(key[at:], 0)
		if i < 0 {
			return key
		}
		at += i + 1
	}
	return key[:at-1]
}
