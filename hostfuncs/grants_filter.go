package hostfuncs

import (
	"strconv"
	"strings"
)

// filter reads the scope of the capability filter.
func (s *scopeReader) filter() *FilterGrant {
	g := &FilterGrant{Sources: int(s.number("sources")), Longest: s.duration("longest"), Rate: s.rate("rate")}
	switch {
	case g.Sources > MaxFilterSources:
		s.fail("sources", "is %d: at most %d are allowed", g.Sources, MaxFilterSources)
	case g.Longest > MaxFilterLongest:
		s.fail("longest", "is %v: at most %v are allowed", g.Longest, MaxFilterLongest)
	case g.Rate > MaxFilterRate:
		s.fail("rate", "is %v/s: at most %d/s are allowed", g.Rate, MaxFilterRate)
	}
	return g
}

// rate reads how often something may happen, in times a second: 100/s, 600/m, 10/h.
func (s *scopeReader) rate(key string) float64 {
	v, ok := s.take(key)
	if !ok {
		return 0
	}
	text, _ := v.(string)
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 32)
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[strings.TrimSpace(unit)]
	if err != nil || n == 0 || seconds == 0 {
		s.fail(key, "is %v: expected a rate such as 100/s, 600/m or 10/h", v)
		return 0
	}
	return float64(n) / seconds
}
