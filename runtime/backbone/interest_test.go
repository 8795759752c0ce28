package backbone

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFoldPattern(t *testing.T) {
	for _, c := range []struct {
		pattern string
		levels  int
		want    string
	}{
		{"a/b/c", 2, "a/b/#"}, {"a/b/c", 1, "a/#"}, {"a/b", 2, "a/b"}, {"a/b/#", 2, "a/b/#"}, {"a/#", 1, "a/#"},
		{"+/b/c", 1, "+/#"}, {"a", 1, "a"}, {"a", 0, "#"}, {"#", 0, "#"}, {"+/b", 0, "#"}, {"#", 3, "#"}, {"/a/b", 1, "/#"},
		{"$app/a/b", 0, "$app/#"}, {"$app", 0, "$app"}, {"", 0, "#"},
	} {
		if got := foldPattern(c.pattern, c.levels); got != c.want {
			t.Errorf("foldPattern(%q, %d) = %q, want %q", c.pattern, c.levels, got, c.want)
		}
	}
}

// takes tells whether a pattern takes in another, as plainly as it can be said.
func takes(wide, narrow string) bool {
	if wide == narrow {
		return true
	}
	if wide == "#" {
		return !strings.HasPrefix(narrow, "$")
	}
	prefix, ok := strings.CutSuffix(wide, "/#")
	return ok && (narrow == prefix || strings.HasPrefix(narrow, prefix+"/"))
}

// TestInterestsModel: whatever comes and goes, what others are told takes in all that
// is here but what is counted as untold, is bounded, and a mirror that hears of every
// version, or of everything at once, knows the same.
func TestInterestsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(2, 12).Draw(t, "most")
		s := newInterests(most)
		here := map[Interest]int{}
		byDelta, late := &mirror{}, &mirror{}
		byDelta.replace(0, nil)
		interest := rapid.Custom(func(t *rapid.T) Interest {
			kind := rapid.SampledFrom([]InterestKind{InPattern, InPattern, InPattern, InShared, InQueue, InName}).Draw(t, "kind")
			if kind != InPattern {
				return Interest{kind, fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "name"))}
			}
			levels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "+"}), 1, 10).Draw(t, "levels")
			return Interest{kind, rapid.SampledFrom([]string{"", "", "$a/", "$b/"}).Draw(t, "first") + strings.Join(levels, "/")}
		})
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if i := interest.Draw(t, "interest"); rapid.IntRange(0, 2).Draw(t, "op") > 0 {
				s.add(i)
				here[i]++
			} else {
				for known := range here { // any: removes what is there more often than what is not
					if known.Kind == i.Kind {
						i = known
						break
					}
				}
				s.remove(i)
				if here[i] > 0 {
					here[i]--
				}
				if here[i] == 0 {
					delete(here, i)
				}
			}
			if rapid.Bool().Draw(t, "flush") {
				flushInto(t, s, byDelta)
			}
			if rapid.IntRange(0, 9).Draw(t, "snapshot") == 0 {
				list, version, digest := s.all()
				late.replace(version, list)
				if late.digest != digest {
					t.Fatalf("a snapshot of version %d has digest %x, not %x", version, late.digest, digest)
				}
			}
		}
		flushInto(t, s, byDelta)
		covers(t, s, here, byDelta.set, most)
		list, version, _ := s.all()
		late.replace(version, list)
		if !maps.Equal(late.set, byDelta.set) {
			t.Fatalf("by snapshot %v, by changes %v", late.set, byDelta.set)
		}
	})
}

func flushInto(t *rapid.T, s *interests, m *mirror) {
	changes, version, digest, size := s.flush()
	var list []change
	for i, on := range changes {
		list = append(list, change{i, on})
	}
	parsed, err := parseChanges(encode(list))
	if err != nil {
		t.Fatal(err)
	}
	added, removed, follows := m.apply(version, parsed)
	if !follows || len(added)+len(removed) != len(changes) {
		t.Fatalf("version %d: follows %t, %d added, %d removed of %d changes", version, follows, len(added), len(removed), len(changes))
	}
	if m.digest != digest || len(m.set) != size || m.version != version {
		t.Fatalf("the mirror has version %d, digest %x, %d things; the set %d, %x, %d", m.version, m.digest, len(m.set), version, digest, size)
	}
}

func encode(list []change) (b []byte) {
	for _, c := range list {
		b = appendChange(b, c.Interest, c.on)
	}
	return b
}

func covers(t *rapid.T, s *interests, here map[Interest]int, told map[Interest]struct{}, most int) {
	counts := s.counts()
	for _, kind := range []InterestKind{InPattern, InShared, InQueue, InName} {
		untold, size, n := 0, 0, 0
		for f := range told {
			if f.Kind == kind {
				size++
			}
		}
		for i := range here {
			if i.Kind != kind {
				continue
			}
			n++
			covered := false
			for f := range told {
				covered = covered || f.Kind == kind && (f == i || kind == InPattern && takes(f.Text, i.Text) || kind != InPattern && kind != InShared && f.Text == "")
			}
			if !covered {
				untold++
			}
		}
		k := counts[kind.index()]
		if size > most || size != k.told || n != k.here || untold > k.untold || k.untold < 0 {
			t.Fatalf("kind %c: told %d of at most %d, counted %d; here %d, counted %d; untold %d, counted %d", kind, size, most, k.told, n, k.here, untold, k.untold)
		}
		if n <= most/2 && (k.coarse > 0 || k.untold > 0) && n <= k.atRebuild/2 {
			t.Fatalf("kind %c: %d things are told coarsely (%d) or not (%d)", kind, n, k.coarse, k.untold)
		}
		if n == 0 && (size > 0 || k.coarse > 0 && k.atRebuild > 1) {
			t.Fatalf("kind %c: nothing is here, and %d things are told", kind, size)
		}
	}
}

func FuzzNote(f *testing.F) {
	n := note{kind: noteDelta, life: 7, revision: 8, node: "a", host: "h", body: encode([]change{{Interest{InPattern, "a/#"}, true}, {Interest{InName, "7"}, false}})}
	f.Add(n.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNote(b)
		if err != nil {
			return
		}
		if got := n.append(nil); string(got) != string(b) {
			t.Fatalf("%x became %x", b, got)
		}
		list, err := parseChanges(n.body)
		if err != nil {
			return
		}
		again, err := parseChanges(encode(list))
		if err != nil || len(again) != len(list) {
			t.Fatalf("%v became %v: %v", list, again, err)
		}
	})
}

func BenchmarkInterestsMillion(b *testing.B) {
	s := newInterests(defaultInterests)
	list := make([]Interest, 1_000_000)
	for i := range list {
		list[i] = Interest{InPattern, fmt.Sprintf("site/%d/line/%d/sensor/%d", i%50, i%5000, i)}
	}
	b.ReportAllocs()
	for range b.N {
		for _, i := range list {
			s.add(i)
		}
		for _, i := range list {
			s.remove(i)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2e6, "ns/change")
}
