package backbone_test

import (
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/backbone"
)

// Ids may be any text that a sender gives: different ones are never taken for the same,
// and the same one is, whatever bytes it has.
func TestLogIDsOfAnyBytes(t *testing.T) {
	b := open(t, nil)
	l := openLog(t, b, backbone.LogOptions{Window: 1 << 36})
	ids := []string{
		"a b", "a\nb", "a\r\nb", "a\r\n\r\nb", "a\rb", " a b", "a b ", "a\tb", "a\x00b", "\x80", "\xff", "ä", "A b", " ", "  ", "\t", "\n",
		"a\r\nNats-Rollup: all", strings.Repeat("x", 70_000), strings.Repeat("x", 70_001),
	}
	for try, duplicate := range []bool{false, true} {
		for i, id := range ids {
			done := make(chan backbone.Appended, 1)
			if err := l.Append(id, 0, record(i), func(a backbone.Appended) { done <- a }); err != nil {
				t.Fatal(err)
			}
			if a := <-done; a.Err != nil || a.Duplicate != duplicate {
				t.Errorf("try %d of %.30q (%d bytes): %+v", try, id, len(id), a)
			}
		}
	}
}
