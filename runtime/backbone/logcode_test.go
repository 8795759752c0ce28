package backbone

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestGroupsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g group
		kind := rapid.SampledFrom([]groupKind{packed, singles}).Draw(t, "kind")
		g.reset(kind)
		var want [][]byte
		for range rapid.IntRange(1, groupRecords).Draw(t, "records") {
			r := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "record")
			if g.takes(kind, len(r), groupBytes) {
				g.add(appending{}, r)
				want = append(want, r)
			}
		}
		var got []Entry
		if kind == packed {
			setOrigin(g.data, 7, 11)
			d, err := decode(g.data)
			if err != nil || d.writer != 7 || d.first != 11 || d.count != len(want) {
				t.Fatal(d, err)
			}
			got = d.records(nil, Entry{Skipped: 3}, 5, 0)
			if len(got) > 1 && got[1].Skipped != 0 || got[0].Skipped != 3 {
				t.Fatal(got[0].Skipped)
			}
		} else {
			for i := range want {
				d, err := decode(g.message(i))
				if err != nil {
					t.Fatal(err)
				}
				got = d.records(got, Entry{}, uint64(i), 0)
			}
		}
		for i, r := range want {
			if !bytes.Equal(got[i].Record, r) {
				t.Fatalf("record %d", i)
			}
			if stream, place := placeOf(got[i].Seq); kind == packed && (stream != 5 || place != i) || kind == singles && (stream != uint64(i) || place != 0) {
				t.Fatal(stream, place)
			}
		}
		if kind == packed {
			from := rapid.IntRange(0, len(want)-1).Draw(t, "from")
			half := g.part(from, len(want))
			if d, err := decode(half.data); err != nil || d.count != len(want)-from || !bytes.Equal(d.take(), want[from]) {
				t.Fatal(d, err)
			}
		}
	})
}

// What another wrote to the stream is an error and nothing worse.
func FuzzDecode(f *testing.F) {
	var g group
	g.reset(packed)
	g.add(appending{}, []byte("one"))
	g.add(appending{}, nil)
	f.Add(bytes.Clone(g.data))
	g.reset(singles)
	g.add(appending{}, []byte("one"))
	f.Add(g.data)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decode(b)
		if err != nil {
			return
		}
		size := 0
		for _, e := range d.records(nil, Entry{}, 1, 0) {
			size += len(e.Record)
		}
		if size > len(b) {
			t.Fatal(size, len(b))
		}
	})
}

func TestTokensAreUnique(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if a != b && token(a) == token(b) || token(a) == dueNode {
			t.Fatal(a, b)
		}
		for _, c := range token(a) {
			if c == '.' || c == '*' || c == '>' || c == ' ' || c == '/' || c > '~' {
				t.Fatalf("%q", token(a))
			}
		}
	})
}
