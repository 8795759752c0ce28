package server_test

import (
	"fmt"
	"testing"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// What loops know of topics is shown: how often they were asked, and what somebody who
// subscribes outdates.
func TestTopicCacheMetrics(t *testing.T) {
	f := start(t, "auto", fmt.Sprintf(mqttConfig, 1))
	sub, pub := f.mqtt(packet.V5, "sub"), f.mqtt(packet.V5, "pub")
	sub.subscribes(to("a/+", 0))
	lookups := func(result string) float64 { return f.MetricOf("weft_topic_cache_lookups_total", result) }
	misses := lookups("miss")
	hits := 0.0
	for i := range 10 { // weft has topics of its own
		if i == 2 {
			if n := lookups("miss") - misses; n < 2 {
				t.Errorf("%v misses", n)
			}
			hits = lookups("hit")
		}
		topic := fmt.Sprint("a/", i%2)
		pub.publishes(message(topic, topic, 1))
		sub.gets(topic)
	}
	if n := lookups("hit") - hits; n < 8 {
		t.Errorf("%v hits", n)
	}
	for _, name := range []string{"weft_topic_cache_topics", "weft_topic_cache_bytes"} {
		if n := f.Metric(name); n < 2 {
			t.Errorf("%s: %v", name, n)
		}
	}
	before := f.Metric("weft_topic_cache_outdated_total")
	sub.subscribes(to("a/1", 0))
	pub.publishes(message("a/1", "again", 1))
	sub.gets("again")
	if n := f.Metric("weft_topic_cache_outdated_total") - before; n < 1 {
		t.Errorf("%v topics are outdated", n)
	}
}
