package hostfuncs

import (
	"time"

	"github.com/weftrun/weft/abi"
)

// http reads the scope of the capability http.
func (s *scopeReader) http() *HTTPGrant {
	g := &HTTPGrant{
		Hosts: s.texts("hosts"), Concurrency: int(s.number("concurrency")), Deadline: s.duration("deadline"),
		Request: s.size("request"), Response: s.size("response"),
	}
	for _, text := range g.Hosts {
		if _, err := ParseHost(text); err != nil {
			s.fail("hosts", "holds a %v", err)
		}
	}
	switch {
	case len(g.Hosts) == 0 && len(s.errs) == 0:
		s.fail("hosts", "is missing: expected names such as api.example.org")
	case g.Concurrency > MaxHTTPConcurrency:
		s.fail("concurrency", "is %d: at most %d are allowed", g.Concurrency, MaxHTTPConcurrency)
	case g.Deadline > MaxHTTPDeadline:
		s.fail("deadline", "is %v: at most %v are allowed", g.Deadline, MaxHTTPDeadline)
	case g.Request > abi.MaxHTTPBody || g.Response > abi.MaxHTTPBody:
		s.fail("request or response", "is over the limit: at most 1MiB are allowed")
	}
	return g
}

func (s *scopeReader) texts(key string) []string {
	v, _ := s.take(key)
	switch list := v.(type) {
	case []string:
		return list
	case []any:
		var texts []string
		for _, one := range list {
			if t, ok := one.(string); ok {
				texts = append(texts, t)
				continue
			}
			s.fail(key, "holds %v: expected text", one)
		}
		return texts
	case nil:
	default:
		s.fail(key, "is %v: expected a list", v)
	}
	return nil
}

func (s *scopeReader) duration(key string) time.Duration {
	v, ok := s.take(key)
	if !ok {
		return 0
	}
	if d, isDuration := v.(time.Duration); isDuration && d > 0 {
		return d
	}
	text, _ := v.(string)
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Millisecond {
		s.fail(key, "is %v: expected a time such as 5s", v)
		return 0
	}
	return d
}
