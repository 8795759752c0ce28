package main

import (
	"testing"
	"time"
)

// TestTheyAgree fills every tree with the same plant and looks that all find as many
// subscribers, before and after clients left; otherwise the table compares nothing.
func TestTheyAgree(t *testing.T) {
	const n = 5000
	counts := func(tree tree, topic []byte) int {
		if s, ok := tree.(*sublist); ok {
			return s.count(topic)
		}
		return tree.match(topic)
	}
	var want [2][]int
	for _, c := range candidates {
		tree := c.make()
		for i := range n + len(watchers) {
			tree.add(i, c.spelt(pattern(i, n)))
		}
		for round := range 2 {
			var got []int
			for device := range devices(n) {
				got = append(got, counts(tree, []byte(c.spelt(topic(device)))))
			}
			if want[round] == nil {
				want[round] = got
			}
			for device := range got {
				if got[device] != want[round][device] || got[device] < 3 {
					t.Fatalf("%s, round %d: %s has %d subscribers, the first tree says %d", c.name, round, topic(device), got[device], want[round][device])
				}
			}
			for i := 0; i < n && round == 0; i += 2 {
				tree.remove(i, c.spelt(pattern(i, n)))
			}
		}
	}
}

func TestMeasure(t *testing.T) {
	for _, c := range candidates {
		if r := measure(c, 2000, time.Millisecond); r.bytes <= 0 || r.few <= 0 || r.beside <= 0 || r.remove <= 0 {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}
