package hostfuncs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
)

func topics(t testing.TB, patterns ...string) *hostfuncs.Topics {
	t.Helper()
	s, err := hostfuncs.CompileTopics(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTopicsMatch follows MQTT 5.0, section 4.7, with '*' beside '+', as the
// router does.
func TestTopicsMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a/b", false}, {"a/b", "a", false}, {"a", "ab", false}, {"ab", "a", false},
		{"sport/tennis/#", "sport/tennis", true}, {"sport/tennis/#", "sport/tennis/p/score", true}, {"sport/#", "sports", false},
		{"#", "anything/at/all", true}, {"#", "/", true}, {"a/b/#", "a", false},
		{"sport/tennis/+", "sport/tennis/p", true}, {"sport/tennis/+", "sport/tennis/p/ranking", false},
		{"sport/+", "sport", false}, {"sport/+", "sport/", true}, {"sport/*", "sport/x", true},
		{"+/+", "/finance", true}, {"/+", "/finance", true}, {"+", "/finance", false}, {"*/tennis/#", "sport/tennis", true},
		{"#", "$SYS/uptime", false}, {"+/uptime", "$SYS/uptime", false}, {"*/uptime", "$SYS/uptime", false}, {"+/#", "$SYS", false},
		{"$SYS/#", "$SYS/uptime", true}, {"$SYS/+", "$SYS/uptime", true}, {"a/+", "a/$b", true},
		{"a//b", "a//b", true}, {"a/+/b", "a//b", true}, {"+/#", "a", true}, {"/#", "/", true}, {"/#", "a", false},
		{"+/b/+/d/#", "a/b/c/d", true}, {"+/b/+/d/#", "a/b/c", false},
		{"#", "queue:ops", true}, {"queue:ops", "queue:ops", true}, {"#", "", false},
	} {
		if got := topics(t, "never/this", c.pattern).Match([]byte(c.topic)); got != c.want {
			t.Errorf("%q matches %q: %t", c.pattern, c.topic, got)
		}
	}
	var none *hostfuncs.Topics
	if none.Match([]byte("a")) || none.Covers([]byte("a")) {
		t.Error("no grant, and something is allowed")
	}
}

// TestTopicsCover compares Covers with its definition: every topic that the asked
// pattern matches is matched by the granted one. All patterns of up to three
// levels are tried against all.
func TestTopicsCover(t *testing.T) {
	patterns := texts([]string{"a", "b", "$x", "", "+", "#"}, 3, func(p string) bool {
		_, err := hostfuncs.CompileTopics([]string{p})
		return err == nil
	})
	known := texts([]string{"a", "b", "c", "$x", "$y", ""}, 4, func(p string) bool { return p != "" })
	sets := make(map[string]*hostfuncs.Topics)
	matched := make(map[string][]bool)
	for _, p := range patterns {
		sets[p] = topics(t, p)
		for _, topic := range known {
			matched[p] = append(matched[p], sets[p].Match([]byte(topic)))
		}
	}
	for _, granted := range patterns {
		for _, asked := range patterns {
			want, witness := true, ""
			for i, topic := range known {
				if matched[asked][i] && !matched[granted][i] {
					want, witness = false, topic
					break
				}
			}
			if !want && sets[granted].Covers([]byte(asked)) {
				t.Errorf("%q covers %q, but not its topic %q", granted, asked, witness)
			}
			// The level above "/#" is the empty text, which is no topic: that it
			// would have to be covered as well refuses a little too much.
			if want && !sets[granted].Covers([]byte(asked)) && asked != "/#" {
				t.Errorf("%q does not cover %q", granted, asked)
			}
		}
	}
}

// texts lists the texts of up to so many levels that are wanted.
func texts(levels []string, most int, want func(string) bool) []string {
	var all []string
	last := []string{""}
	for n := range most {
		var next []string
		for _, head := range last {
			for _, level := range levels {
				text := level
				if n > 0 {
					text = head + "/" + level
				}
				next = append(next, text)
				if want(text) {
					all = append(all, text)
				}
			}
		}
		last = next
	}
	return all
}

// TestTopicsQueues: joining a queue group is granted by its name, or by a
// wildcard behind queue:, never by a wildcard of topics.
func TestTopicsQueues(t *testing.T) {
	for _, c := range []struct {
		granted, asked string
		want           bool
	}{
		{"#", "queue:ops", false}, {"+", "queue:ops", false}, {"queue:ops", "queue:ops", true}, {"queue:ops", "queue:dev", false},
		{"queue:#", "queue:ops", true}, {"queue:+", "queue:ops", true}, {"queue:#", "ops", false}, {"truck/#", "queue:truck/1", false},
		{"queue:truck/#", "queue:truck/1", true},
	} {
		if got := topics(t, c.granted).Covers([]byte(c.asked)); got != c.want {
			t.Errorf("%q covers %q: %t", c.granted, c.asked, got)
		}
	}
}

func TestCompileTopicsRefuses(t *testing.T) {
	for says, list := range map[string][]string{
		"there is none":          {},
		"is empty":               {""},
		"a # before its end":     {"a/#/b"},
		"part of level 2":        {"a/b+"},
		"part of level 1":        {"queue:o*"},
		"no UTF-8":               {"\xff"},
		"zero byte":              {"a\x00"},
		"more than 128 levels":   {strings.Repeat("a/", 128) + "a"},
		"at most 65535":          {strings.Repeat("x", abi.MaxTopic+1)},
		"at most 256 are allowe": make([]string, hostfuncs.MaxGrantTopics+1),
	} {
		if _, err := hostfuncs.CompileTopics(list); !errors.Is(err, hostfuncs.ErrTopics) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80q: got %v, expected %q", list, err, says)
		}
	}
}

func TestTopicsDoNotAllocate(t *testing.T) {
	s := topics(t, "alarm/+/high", "truck/#", "queue:ops")
	topic, pattern, queue := []byte("truck/7/telemetry"), []byte("truck/+/#"), []byte("queue:ops")
	if n := testing.AllocsPerRun(100, func() {
		if !s.Match(topic) || !s.Covers(pattern) || !s.Covers(queue) || s.Match(queue[1:]) {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTopicsMatch(b *testing.B) {
	s := topics(b, "alarm/+/high", "site/north/#", "truck/+/telemetry")
	topic := []byte("truck/7/telemetry")
	b.ReportAllocs()
	for b.Loop() {
		s.Match(topic)
	}
}

// FuzzTopics: whatever is asked, what is covered is matched.
func FuzzTopics(f *testing.F) {
	f.Add("a/+/#", "a/b", "a/+")
	f.Add("queue:#", "queue:a", "$a/#")
	f.Fuzz(func(t *testing.T, granted, topic, asked string) {
		g, err := hostfuncs.CompileTopics([]string{granted})
		if err != nil {
			return
		}
		a, err := hostfuncs.CompileTopics([]string{asked})
		if err != nil || strings.HasPrefix(asked, "queue:") || strings.HasPrefix(topic, "queue:") {
			return
		}
		for level := range strings.SplitSeq(topic, "/") {
			if level == "#" || level == "+" || level == "*" {
				return
			}
		}
		if g.Covers([]byte(asked)) && a.Match([]byte(topic)) && !g.Match([]byte(topic)) {
			t.Errorf("%q covers %q, but does not match %q", granted, asked, topic)
		}
	})
}
