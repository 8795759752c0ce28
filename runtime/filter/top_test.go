package filter_test

import (
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/filter"
)

func TestTop(t *testing.T) {
	var top filter.Top
	add := func(source string, weight int, after time.Duration) {
		top.Add(filter.Event{Sample: filter.Sample{Source: addr(source), Reason: filter.Denied, At: start.Add(after), Weight: weight}, Enforcer: "engine"})
	}
	add("192.0.2.1", 16, 0)
	add("192.0.2.2", 100, time.Second)
	add("192.0.2.1", 16, time.Minute)
	list := top.Sources(10, start.Add(61*time.Second))
	if len(list) != 2 || list[0].Source != addr("192.0.2.2") || list[1].Packets != 32 || !list[1].Last.Equal(start.Add(time.Minute)) {
		t.Errorf("%+v", list)
	}
	if list = top.Sources(1, start.Add(2*time.Minute)); len(list) != 1 || list[0].Source != addr("192.0.2.1") || list[0].Packets != 16 {
		t.Errorf("a minute later: %+v", list)
	}
	if list = top.Sources(1, start.Add(time.Hour)); len(list) != 0 {
		t.Errorf("an hour later: %+v", list)
	}
	for i := range 10_000 {
		add(addr("10.0.0.0").Next().String(), 1, time.Hour+time.Duration(i))
	}
	if events := top.Events(); len(events) != 256 || events[0].At.Before(events[1].At) {
		t.Errorf("%d events", len(events))
	}
}
