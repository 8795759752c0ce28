package mqtt

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// matches is the definition, level by level (MQTT 5.0, section 4.7).
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if topic[:1] == "$" && (f[0] == "#" || f[0] == "+") {
		return false
	}
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}

var names = []string{"a", "b", "ab", "a b", "", "$s", "!", "é", "a\x01"}

func drawText(t *rapid.T, levels []string) string {
	for {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(levels), 1, 4).Draw(t, "levels"), "/")
		if text != "" {
			return text
		}
	}
}

// TestModelRetained compares with a map and the definition of matching, page
// by page.
func TestModelRetained(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRetained(RetainedLimits{Messages: 60, Bytes: 1 << 20})
		model := map[string]int64{} // expiry
		now := int64(second)
		for step := range rapid.IntRange(1, 150).Draw(t, "steps") {
			topic := drawText(t, names)
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				if _, found := model[topic]; r.Delete(topic) != found {
					t.Fatalf("deleted %q: %v", topic, !found)
				}
				delete(model, topic)
			case 1:
				now += second
				r.Expire(now)
				for k, expires := range model {
					if expires != 0 && expires <= now {
						delete(model, k)
					}
				}
			default:
				expires := rapid.SampledFrom([]int64{0, now + second, now + 3*second}).Draw(t, "expires")
				err := r.Set(text(topic, fmt.Sprint(step)), expires)
				if _, found := model[topic]; !found && len(model) >= 60 {
					if !errors.Is(err, ErrRetainedFull) {
						t.Fatal(err)
					}
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				model[topic] = expires
			}
			if got := r.Stats(); got.Messages != len(model) {
				t.Fatalf("%d messages, want %d", got.Messages, len(model))
			}
		}
		now += second // some have expired and are still there
		for range 8 {
			comparePages(t, r, model, now)
		}
		for topic := range model {
			if r.Delete(topic); r.Get(topic, now) != nil {
				t.Fatal("deleted and there")
			}
		}
		if s := r.Stats(); s.Messages != 0 || s.Bytes != 0 || len(r.expiry.values) != 0 || len(r.sorted.blocks) != 0 {
			t.Fatalf("left: %+v", s)
		}
	})
}

// comparePages draws a filter, often one that a topic was made into, and asks
// for all that it matches.
func comparePages(t *rapid.T, r *Retained, model map[string]int64, now int64) {
	filter := drawText(t, append([]string{"+", "+", "+"}, names...))
	if topics := slices.Sorted(maps.Keys(model)); len(topics) > 0 && rapid.Bool().Draw(t, "from a topic") {
		levels := strings.Split(rapid.SampledFrom(topics).Draw(t, "topic"), "/")
		for i := range levels {
			if rapid.Bool().Draw(t, "plus") {
				levels[i] = "+"
			}
		}
		if filter = strings.Join(levels, "/"); rapid.Bool().Draw(t, "cut") {
			filter = filter[:strings.LastIndexByte("/"+filter, '/')]
		}
	}
	if rapid.Bool().Draw(t, "rest") {
		filter += "/#"
	}
	if filter == "" || rapid.IntRange(0, 9).Draw(t, "all") == 0 {
		filter = "#"
	}
	var want, got []string
	for topic, expires := range model {
		if matches(filter, topic) && (expires == 0 || expires > now) {
			want = append(want, topic)
		}
	}
	var page []*Message
	n := rapid.IntRange(1, 5).Draw(t, "page")
	for c := (Cursor{}); !c.Done; {
		page, c = r.Match(filter, c, n, now, page[:0])
		if len(page) > n {
			t.Fatalf("%d messages in a page of %d", len(page), n)
		}
		for _, m := range page {
			got = append(got, string(m.Topic))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("%q matches %q, want %q", filter, got, want)
	}
}

// TestSorted: many blocks, split and merged.
func TestSorted(t *testing.T) {
	r := NewRetained(RetainedLimits{})
	order := rand.New(rand.NewPCG(1, 2)).Perm(20_000)
	for _, i := range order {
		r.Set(text(fmt.Sprintf("d/%05d/v", i), "x"), 0)
	}
	for _, i := range order {
		if i%7 != 0 && !r.Delete(fmt.Sprintf("d/%05d/v", i)) {
			t.Fatal(i)
		}
	}
	var all []*Message
	for c := (Cursor{}); !c.Done; {
		all, c = r.Match("d/+/v", c, 100, 0, all)
	}
	if len(all) != (20_000+6)/7 || !slices.IsSortedFunc(all, func(a, b *Message) int { return strings.Compare(string(a.Topic), string(b.Topic)) }) {
		t.Fatalf("%d messages", len(all))
	}
	if n := len(r.sorted.blocks); n > 80 {
		t.Errorf("%d blocks for %d messages", n, len(all))
	}
}

// TestMatchSkips: what a filter cannot match is not looked at.
func TestMatchSkips(t *testing.T) {
	r := NewRetained(RetainedLimits{})
	for i := range 50_000 {
		r.Set(text(fmt.Sprintf("plant/%d/line/%d", i%10, i), "x"), 0)
	}
	for i := range 10 {
		r.Set(text(fmt.Sprintf("plant/%d/state", i), "x"), 0)
	}
	// Each page looks at no more than minSteps topics: one is enough only if the
	// 50,000 are passed over.
	if page, c := r.Match("plant/+/state", Cursor{}, 100, 0, nil); len(page) != 10 || !c.Done {
		t.Fatalf("%d messages in the first page, done %v", len(page), c.Done)
	}
	// And a filter that matches nothing of many ends its pages.
	if page, c := r.Match("plant/+/line/+/x", Cursor{}, 100, 0, nil); len(page) != 0 || c.Done {
		t.Fatalf("%d messages in the first page, done %v", len(page), c.Done)
	}
}

func TestRetainedBounds(t *testing.T) {
	r := NewRetained(RetainedLimits{Messages: 2, Bytes: 3*retainedCost + 1000})
	for topic, fits := range map[string]bool{"a": true, "b": true} {
		if err := r.Set(text(topic, strings.Repeat("x", 300)), 0); (err == nil) != fits {
			t.Fatal(err)
		}
	}
	if err := r.Set(text("c", "x"), 0); !errors.Is(err, ErrRetainedFull) {
		t.Fatal(err)
	}
	if err := r.Set(text("a", strings.Repeat("x", 1200)), 0); !errors.Is(err, ErrRetainedFull) || len(r.Get("a", 0).Payload) != 300 {
		t.Fatalf("%v; the former one stays", err)
	}
	if err := r.Set(text("a", strings.Repeat("y", 300)), 0); err != nil || r.Get("a", 0).Payload[0] != 'y' {
		t.Fatal("one in the place of another needs no room", err)
	}
	if s := r.Stats(); s.Refused != 2 || s.Messages != 2 {
		t.Fatalf("%+v", s)
	}
	if r.Set(text("a", ""), 0) != nil || r.Get("a", 0) != nil || r.Set(text("nothing", ""), 0) != nil {
		t.Fatal("an empty payload takes the topic's message away")
	}
}

// TestRetainedTogether: readers in pages beside writers (under -race).
func TestRetainedTogether(t *testing.T) {
	r := NewRetained(RetainedLimits{})
	for i := range 1000 {
		r.Set(text(fmt.Sprintf("fixed/%d", i), "x"), 0)
	}
	var all sync.WaitGroup
	for w := range 2 {
		all.Go(func() {
			for i := range 2000 {
				r.Set(text(fmt.Sprintf("moving/%d/%d", w, i%50), map[bool]string{true: "x"}[i%3 != 0]), int64(i%2)*5)
				r.Expire(int64(i % 10))
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for range 20 {
				n := 0
				for c := (Cursor{}); !c.Done; {
					var page []*Message
					page, c = r.Match("#", c, 17, 0, nil)
					for _, m := range page {
						if strings.HasPrefix(string(m.Topic), "fixed/") {
							n++
						}
					}
				}
				if n != 1000 {
					t.Errorf("%d of the fixed topics", n)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkRetained(b *testing.B) {
	r := NewRetained(RetainedLimits{})
	for i := range 100_000 {
		r.Set(text(fmt.Sprintf("plant/%d/line/%d", i%100, i), "0123456789"), 0)
	}
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		m := text("plant/7/line/7", "0123456789")
		for b.Loop() {
			r.Set(m, 0)
		}
	})
	b.Run("page32", func(b *testing.B) {
		b.ReportAllocs()
		var page []*Message
		c := Cursor{}
		for b.Loop() {
			if page, c = r.Match("plant/+/line/+", c, PageLen, 0, page[:0]); c.Done {
				c = Cursor{}
			}
		}
	})
}
