package mqtt

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMatch compares the walk over sorted topics with the definition, for any
// topics (one a line) and any filter.
func FuzzMatch(f *testing.F) {
	f.Add("a/b\na\n/\n//\n$s/a\na\x01/b", "+/#")
	f.Add("a/+/b\na/é/b\na!/b", "a/+/b")
	f.Fuzz(func(t *testing.T, topics, filter string) {
		if filter == "" || strings.Contains(filter, "*") || !utf8.ValidString(topics+filter) || strings.Contains(topics+filter, "\x00") {
			t.Skip()
		}
		for i, level := range strings.Split(filter, "/") {
			if level == "#" && i < strings.Count(filter, "/") {
				t.Skip()
			}
		}
		r := NewRetained(RetainedLimits{})
		var want, got []string
		for topic := range strings.SplitSeq(topics, "\n") {
			if topic == "" || r.Get(topic, 0) != nil {
				continue
			}
			if err := r.Set(text(topic, "x"), 0); err != nil {
				t.Fatal(err)
			}
			if matches(filter, topic) {
				want = append(want, topic)
			}
		}
		var page []*Message
		for c, n := (Cursor{}), 0; !c.Done; n++ {
			if n > len(topics)+2 {
				t.Fatalf("%q: it does not end", filter)
			}
			page, c = r.Match(filter, c, 2, 0, page[:0])
			for _, m := range page {
				got = append(got, string(bytes.Clone(m.Topic)))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%q matches %q, want %q", filter, got, want)
		}
	})
}
