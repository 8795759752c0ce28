package load

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/runtime/frame"
)

func TestStampsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := stamp{
			publisher: rapid.IntRange(0, MaxPublishers-1).Draw(t, "publisher"), topic: rapid.IntRange(0, MaxTopics-1).Draw(t, "topic"),
			number: rapid.Uint64Range(0, numberMask).Draw(t, "number"), probe: rapid.Bool().Draw(t, "probe"),
			time: rapid.Int64Range(0, timeMask).Draw(t, "time"),
		}
		for _, text := range []bool{false, true} {
			b := make([]byte, textStamp)
			want.put(b, text)
			r := stampReader{text: text, guess: 3}
			if got, ok := r.read(b); !ok || got != want {
				t.Fatalf("text %t: got %+v, %t, want %+v", text, got, ok, want)
			}
		}
	})
}

func TestStampIsFoundWhereAPluginMovedIt(t *testing.T) {
	want := stamp{publisher: 1, topic: 2, number: 3, time: 4}
	text := make([]byte, textStamp)
	want.put(text, true)
	r := stampReader{text: true}
	for _, payload := range []string{`{"s":"%s"}`, `{"longer":1,"s":"%s"}`, `%s`, `{"s":"%s"}`} {
		if got, ok := r.read(fmt.Appendf(nil, payload, text)); !ok || got != want {
			t.Errorf("%s: got %+v, %t", payload, got, ok)
		}
	}
	for _, foreign := range []string{"", "w~", string(text[:20]), "w~" + string(bytes.Repeat([]byte("g"), 32)), "w~" + string(bytes.Repeat([]byte("0"), 32))} {
		if _, ok := r.read([]byte(foreign)); ok {
			t.Errorf("%q was taken for a stamp", foreign)
		}
	}
	if _, ok := (&stampReader{}).read(make([]byte, 128)); ok {
		t.Error("zeroes were taken for a stamp")
	}
}

// TestRingSendsWhatItEncodes compares frames patched in place with frames
// encoded one by one, in every format.
func TestRingSendsWhatItEncodes(t *testing.T) {
	protocols := []Protocol{&NATS{}, &MQTT{}, &Redis{}}
	for _, name := range frame.Presets() {
		format, _ := frame.Preset(name)
		if format.Modbus() {
			continue
		}
		protocols = append(protocols, &Frames{Codec: format})
	}
	for _, p := range protocols {
		for name, payload := range map[string]Payload{
			"opaque": {}, "small": {Size: 40}, "template": {Size: 100, Template: `{"n":"{n}","s":"{stamp}","p":"{pad}"}`},
		} {
			t.Run(p.Name()+"/"+name, func(t *testing.T) { checkRing(t, p, payload) })
		}
	}
}

func checkRing(t *testing.T, p Protocol, payload Payload) {
	const publisher, sample = 2, 5
	topics := Series("t.{n}", 3)
	r, err := newRing(&Config{Protocol: p, Topics: topics, Payload: payload}, publisher)
	if err != nil {
		t.Fatal(err)
	}
	due := func(k uint64) int64 { return int64(1000 + k) }
	c := p.Cutter()
	reader := stampReader{text: p.Text() || payload.Template != ""}
	counts := map[int]uint64{}
	k := uint64(len(r.slots)) * 300 // far in, so that sequence ids have wrapped
	k -= k % 3
	for end := k + 5000; k < end; {
		n := min(r.room(k, 3000), end-k)
		b, err := r.batch(k, k+n, sample, due)
		if err != nil {
			t.Fatal(err)
		}
		spans, consumed, err := c.Cut(toSubscriber(p, b), nil)
		if err != nil || uint64(len(spans)) != n {
			t.Fatalf("%d of %d messages cut from %d of %d bytes: %v", len(spans), n, consumed, len(b), err)
		}
		delivered := toSubscriber(p, b)
		for _, s := range spans {
			got, ok := reader.read(delivered[s.Off : s.Off+s.Len])
			want := stamp{publisher: publisher, topic: int(k+publisher) % 3, number: k / 3}
			if k%sample == 0 {
				want.time = due(k)
			}
			if !ok || got != want {
				t.Fatalf("message %d: got %+v, %t, want %+v", k, got, ok, want)
			}
			counts[got.topic]++
			k++
		}
		// A parser without a known shape checks checksums, too.
		if spans, _, err := p.Cutter().Cut(delivered, nil); err != nil || uint64(len(spans)) != n {
			t.Fatalf("%d of %d messages by a fresh cutter: %v", len(spans), n, err)
		}
		if got := checkEach(p, delivered); got != n {
			t.Fatalf("%d of %d frames are valid", got, n)
		}
	}
	for topic := range topics {
		if got := r.sent(k, topic) - r.sent(k-5000, topic); got != counts[topic] {
			t.Errorf("topic %d: sent says %d, seen %d", topic, got, counts[topic])
		}
	}
}

// checkEach counts the valid messages in b, each parsed by itself.
func checkEach(p Protocol, b []byte) (n uint64) {
	for len(b) > 0 {
		payload, used, message, err := p.Cutter().(*cutter).parse(b)
		if err != nil || used == 0 {
			return n
		}
		if message && payload.Len > 0 {
			n++
		}
		b = b[used:]
	}
	return n
}

// toSubscriber turns what a publisher sends into what a subscriber gets.
func toSubscriber(p Protocol, b []byte) []byte {
	switch p.(type) {
	case *NATS:
		return bytes.ReplaceAll(b, []byte("PUB "), []byte("MSG 1 "))
	case *Redis:
		return bytes.ReplaceAll(b, []byte("PUBLISH"), []byte("message"))
	}
	return b
}

func TestPatchingAndTakingDoNotAllocate(t *testing.T) {
	format, _ := frame.Preset("mcp-seq")
	p := &Frames{Codec: format}
	r, err := newRing(&Config{Protocol: p, Topics: []string{"bench"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	run := &run{window: newWindow(1<<40, 1)}
	over := newSeries(time.Second, 1, &Config{})
	s := &subscriber{run: run, cutter: p.Cutter(), tracker: newTracker(0, 1, 1, 1), checker: newChecker(&Config{}), latency: NewHistogram(), probes: map[int]uint64{}}
	s.begin.Store(over)
	spans := make([]Span, 0, 4096)
	k := uint64(0)
	due := func(uint64) int64 { return 1 }
	if n := testing.AllocsPerRun(100, func() {
		n := r.room(k, 64<<10)
		b, _ := r.batch(k, k+n, 64, due)
		spans, _, _ = s.cutter.Cut(b, spans[:0])
		s.take(b, spans)
		k += n
	}); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
	if c := s.tracker.finish(func(int, int) uint64 { return k }); !c.Clean() || c.Received != k || s.latency.Count() == 0 {
		t.Errorf("%+v after %d messages, %d latencies", c, k, s.latency.Count())
	}
}

// TestTracker compares with a model: a set of what came and the highest number.
func TestTracker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := newTracker(0, 1, 1, 2)
		seen := [2]map[uint64]bool{{}, {}}
		high := [2]int64{-1, -1}
		var want Counts
		for _, v := range rapid.SliceOfN(rapid.IntRange(0, 59), 0, 80).Draw(t, "arrivals") {
			topic, n := v%2, uint64(v/2)
			tr.add(stamp{topic: topic, number: n})
			switch {
			case seen[topic][n]:
				want.Duplicates++
			case int64(n) < high[topic]:
				want.OutOfOrder++
			}
			seen[topic][n] = true
			high[topic] = max(high[topic], int64(n))
		}
		const total = 40
		for topic := range seen {
			if high[topic] >= 0 {
				want.Expected += total
				want.Lost += total - uint64(len(seen[topic]))
			}
		}
		if got := tr.finish(func(int, int) uint64 { return total }); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestTrackerKnowsForeignStamps(t *testing.T) {
	tr := newTracker(0, 2, 2, 2)
	tr.add(stamp{publisher: 2})
	tr.add(stamp{topic: 2})
	if got := tr.finish(func(int, int) uint64 { return 0 }); got.Foreign != 2 {
		t.Errorf("%+v", got)
	}
}
