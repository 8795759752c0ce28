package server

import (
	"sync/atomic"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/router"
)

// cacheCounts is what other goroutines may read of a loop's cache of topics.
type cacheCounts struct {
	hits, misses, outdated, cleared, topics, bytes atomic.Uint64
}

// publish shows the counts to other goroutines, once a turn.
func (c *cacheCounts) publish(s router.CacheStats) {
	show(&c.hits, s.Hits)
	show(&c.misses, s.Misses)
	show(&c.outdated, s.Outdated)
	show(&c.cleared, s.Cleared)
	show(&c.topics, uint64(max(s.Topics, 0)))
	show(&c.bytes, uint64(max(s.Bytes, 0)))
}

// cacheMetrics are those of the loops' caches of topics, together.
func (s *Server) cacheMetrics() []admin.Metric {
	lookups := newFamily("weft_topic_cache_lookups_total", "Topics whose receivers were asked for, by whether a loop knew them.", admin.Counter, "result")
	var hits, misses, outdated, cleared, topics, bytes uint64
	for _, p := range s.paths {
		c := &p.cached
		hits += c.hits.Load()
		misses += c.misses.Load()
		outdated += c.outdated.Load()
		cleared += c.cleared.Load()
		topics += c.topics.Load()
		bytes += c.bytes.Load()
	}
	lookups.add(hits, "hit")
	lookups.add(misses, "miss")
	return []admin.Metric{
		lookups.Metric,
		single("weft_topic_cache_outdated_total", "Topics that loops had to match again because a subscription to them came or went.", admin.Counter, outdated),
		single("weft_topic_cache_cleared_total", "Times that a loop forgot all topics because more subscriptions had changed than it could catch up with.", admin.Counter, cleared),
		single("weft_topic_cache_topics", "Topics that loops know, each loop for itself.", admin.Gauge, topics),
		single("weft_topic_cache_bytes", "Memory of what loops know of topics.", admin.Gauge, bytes),
	}
}
