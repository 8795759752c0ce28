package vectors_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/abi/vectors"
)

func TestVectors(t *testing.T) {
	all, err := vectors.Vectors()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, v := range all {
		if seen[v.Name] {
			t.Errorf("%s: two of this name", v.Name)
		}
		seen[v.Name] = true
		if v.About == "" {
			t.Errorf("%s does not say what it shows", v.Name)
		}
		if len(v.Steps) == 0 && len(v.LoadError) == 0 {
			t.Errorf("%s expects nothing", v.Name)
		}
		for i, s := range v.Steps {
			if s.Times < 1 || s.Hook == 0 {
				t.Errorf("%s, step %d: defaults are not filled in", v.Name, i)
			}
			messages := 0
			for _, o := range s.Outcomes {
				if !o.Emitted {
					messages++
				}
			}
			if messages+s.Held != len(s.Messages) {
				t.Errorf("%s, step %d: %d messages, %d outcomes of messages", v.Name, i, len(s.Messages), messages)
			}
		}
	}
	if len(all) < 50 {
		t.Errorf("%d vectors", len(all))
	}
}

func TestRecords(t *testing.T) {
	all, err := vectors.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.About == "" || len(r.Input.Records) == 0 || len(r.Answer.Records) != len(r.Input.Records) {
			t.Errorf("%s: %q, %d records, %d answers", r.Name, r.About, len(r.Input.Records), len(r.Answer.Records))
		}
		if abi.Needs(r.Needs)&^abi.NeedsAll != 0 {
			t.Errorf("%s: needs 0x%x", r.Name, uint64(r.Needs))
		}
	}
}

func TestGuests(t *testing.T) {
	guests, err := vectors.Guests()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range guests {
		if g.Version == "" || g.Language == "" || !bytes.HasPrefix(g.Wasm, []byte("\x00asm")) {
			t.Errorf("%s/%s: %d bytes", g.Version, g.Language, len(g.Wasm))
		}
	}
}

func TestBytes(t *testing.T) {
	for doc, want := range map[string]string{
		`""`: "", `"plain"`: "plain", `"0x00 ff80"`: "\x00\xff\x80", `"0x"`: "", `"*0"`: "", `"*28"`: "abcdefghijklmnopqrstuvwxyzab",
		`["a", "", "b"]`: "a\n\nb\n", `[]`: "", `"käse\n"`: "käse\n",
	} {
		var b vectors.Bytes
		if err := json.Unmarshal([]byte(doc), &b); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", doc, b, err)
		}
	}
	for _, doc := range []string{`1`, `"0x0"`, `"0xzz"`, `"*"`, `"*-1"`, `"*99999999"`, `[1]`} {
		var b vectors.Bytes
		if err := json.Unmarshal([]byte(doc), &b); !errors.Is(err, vectors.ErrFile) {
			t.Errorf("%s was taken for %q, %v", doc, b, err)
		}
	}
}

func TestNames(t *testing.T) {
	var m vectors.Message
	doc := `{"flags":["cut","emitted"],"type":"ack","attributes":[["a","1"],["a","0x00"]]}`
	if err := json.Unmarshal([]byte(doc), &m); err != nil {
		t.Fatal(err)
	}
	if abi.Flags(m.Flags) != abi.FlagPayloadPrefix|abi.FlagEmitted || abi.Type(m.Type) != abi.TypeAck {
		t.Errorf("%+v", m)
	}
	if block := string(m.Attributes.Encode()); block != "\x01\x00\x01\x00a1\x01\x00\x01\x00a\x00" {
		t.Errorf("block %q", block)
	}
	if again, err := json.Marshal(m); err != nil || string(again) != doc {
		t.Errorf("written as %s, %v", again, err)
	}
	for _, doc := range []string{`{"flags":["nosuch"]}`, `{"type":"nosuch"}`, `{"attributes":[["a"]]}`} {
		if err := json.Unmarshal([]byte(doc), &m); !errors.Is(err, vectors.ErrFile) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// FuzzBytes: what is written reads as the same bytes.
func FuzzBytes(f *testing.F) {
	for _, seed := range []string{"", "a\nb\n", "\n", "0x", "*9", "\x00\xff", "ä", strings.Repeat("abcdefghijklmnopqrstuvwxyz", 3), "\u2028"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, err := json.Marshal(vectors.Bytes(b))
		if err != nil {
			t.Fatal(err)
		}
		var again vectors.Bytes
		if err := json.Unmarshal(doc, &again); err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%q was written as %s and read as %q, %v", b, doc, again, err)
		}
	})
}
