package mqtt

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestInAliases(t *testing.T) {
	a := NewInAliases(2)
	for _, bad := range []uint16{0, 3, 65535} {
		if _, err := a.Resolve(bad, []byte("t")); !errors.Is(err, ErrAlias) {
			t.Errorf("alias %d: %v", bad, err)
		}
	}
	if _, err := a.Resolve(2, nil); !errors.Is(err, ErrAlias) {
		t.Error("2 stands for nothing yet:", err)
	}
	topic := []byte("first")
	a.Resolve(2, topic)
	copy(topic, "XXXXX") // the table has its own bytes
	if got, err := a.Resolve(2, nil); err != nil || string(got) != "first" {
		t.Errorf("%s %v", got, err)
	}
	a.Resolve(2, []byte("second"))
	if got, _ := a.Resolve(2, nil); string(got) != "second" {
		t.Errorf("%s", got)
	}
	if _, err := a.Resolve(1, nil); !errors.Is(err, ErrAlias) {
		t.Error("1 still stands for nothing")
	}
	if _, err := (&InAliases{}).Resolve(1, topic); !errors.Is(err, ErrAlias) {
		t.Error("the zero value takes none:", err)
	}
}

// TestModelAliases lets one end's table number topics and the other end's
// resolve them, with packets that are not written in between.
func TestModelAliases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint16Range(0, 9).Draw(t, "client's maximum")
		ours := rapid.Uint16Range(0, 9).Draw(t, "our maximum")
		out, in := NewOutAliases(size, ours), NewInAliases(size)
		var recent []string // used last comes last; in the table
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			topic := strings.Repeat("x", rapid.IntRange(0, 14).Draw(t, "topic")) + "t"
			if rapid.IntRange(0, 50).Draw(t, "long") == 0 {
				topic = strings.Repeat("y", MaxAliasTopic+1)
			}
			alias, known := out.Use([]byte(topic))
			if alias > min(size, ours) || alias == 0 && min(size, ours) > 0 && len(topic) <= MaxAliasTopic {
				t.Fatalf("alias %d of %d and %d", alias, size, ours)
			}
			if alias == 0 {
				continue
			}
			at := -1
			for i := range recent {
				if recent[i] == topic {
					at = i
				}
			}
			if known != (at >= 0) {
				t.Fatalf("%q is known: %v; used last: %q", topic, known, recent)
			}
			if at >= 0 {
				recent = append(recent[:at:at], recent[at+1:]...)
			} else if len(recent) == int(min(size, ours)) {
				recent = recent[1:]
			}
			recent = append(recent, topic)
			if !known && rapid.IntRange(0, 5).Draw(t, "not written") == 0 {
				out.Forget(alias)
				recent[len(recent)-1] = "" // its place is taken by nobody
				continue
			}
			wire := []byte(topic)
			if known {
				wire = nil
			}
			if got, err := in.Resolve(alias, wire); err != nil || string(got) != topic {
				t.Fatalf("alias %d is %q with the client, %q here: %v", alias, got, topic, err)
			}
		}
	})
}

func BenchmarkAlias(b *testing.B) {
	b.ReportAllocs()
	out := NewOutAliases(64, 64)
	topics := make([][]byte, 64)
	for i := range topics {
		topics[i] = []byte("plant/7/line/3/temperature/" + strings.Repeat("x", i))
	}
	i := 0
	for b.Loop() {
		i++
		out.Use(topics[i&63])
	}
}
