package packet_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

func TestTexts(t *testing.T) {
	long := strings.Repeat("x", 65535)
	for _, c := range []struct {
		text                  string
		valid, topic, pattern bool
	}{
		{"", true, false, false},
		{"a", true, true, true},
		{"/", true, true, true},
		{"a//b/", true, true, true},
		{"$SYS/x", true, true, true},
		{"räder/ü/日本", true, true, true},
		{"\ufeffbom", true, true, true},
		{"a\x00", false, false, false},
		{"12345678\x00", false, false, false},
		{"ü\x00", false, false, false},
		{"\xed\xa0\x80", false, false, false},     // a surrogate
		{"\xc0\x80", false, false, false},         // U+0000 in two bytes
		{"\xf4\x90\x80\x80", false, false, false}, // past U+10FFFF
		{"12345678\xff", false, false, false},
		{long, true, true, true},
		{long + "x", false, false, false},
		{"+", true, false, true},
		{"#", true, false, true},
		{"+/+", true, false, true},
		{"a/+/#", true, false, true},
		{"/+", true, false, true},
		{"a+", true, false, false},
		{"+a", true, false, false},
		{"a/+b/c", true, false, false},
		{"a#", true, false, false},
		{"#/a", true, false, false},
		{"a/#/", true, false, false},
		{"##", true, false, false},
		{"1234567#", true, false, false},
		{"1234567/12345678/+", true, false, true},
	} {
		b := []byte(c.text)
		if got := packet.ValidString(b); got != c.valid {
			t.Errorf("%.20q is a string: %v", c.text, got)
		}
		if got := packet.ValidTopic(b); got != c.topic {
			t.Errorf("%.20q is a topic: %v", c.text, got)
		}
		if got := packet.ValidFilter(b); got != c.pattern {
			t.Errorf("%.20q is a filter: %v", c.text, got)
		}
	}
}

// TestTextsModel: the checks that read eight bytes at a time say what those say
// that read one.
func TestTextsModel(t *testing.T) {
	letters := rapid.SampledFrom([]byte{'a', '/', '+', '#', 0, 0x7F, 0x80, 0xC3, 0xBC, '"', '$', ',', '*', '\x01'})
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(letters, 0, 40).Draw(t, "text")
		valid := utf8.Valid(b) && !bytes.ContainsRune(b, 0)
		if got := packet.ValidString(b); got != valid {
			t.Fatalf("%q is a string: %v", b, got)
		}
		topic := valid && len(b) > 0 && !bytes.ContainsAny(b, "+#")
		if got := packet.ValidTopic(b); got != topic {
			t.Fatalf("%q is a topic: %v", b, got)
		}
		filter := valid && len(b) > 0
		levels := strings.Split(string(b), "/")
		for i, level := range levels {
			if strings.ContainsAny(level, "+#") && level != "+" && (level != "#" || i+1 < len(levels)) {
				filter = false
			}
		}
		if got := packet.ValidFilter(b); got != filter {
			t.Fatalf("%q is a filter: %v", b, got)
		}
	})
}

func TestParseShare(t *testing.T) {
	for _, c := range []struct {
		filter, group, rest string
		shared, ok          bool
	}{
		{"a/b", "", "a/b", false, true},
		{"$share", "", "$share", false, true},
		{"$SHARE/g/a", "", "$SHARE/g/a", false, true},
		{"$share/g/a/+", "g", "a/+", true, true},
		{"$share/g//", "g", "/", true, true},
		{"$share/g/#", "g", "#", true, true},
		{"$share/g/$share/h/a", "g", "$share/h/a", true, true},
		{"$share/", "", "", true, false},
		{"$share//a", "", "a", true, false},
		{"$share/g", "g", "", true, false},
		{"$share/g/", "g", "", true, false},
		{"$share/+/a", "+", "a", true, false},
		{"$share/g#/a", "g#", "a", true, false},
		{"$share/g/a#", "g", "a#", true, false},
	} {
		group, rest, shared, ok := packet.ParseShare([]byte(c.filter))
		if string(group) != c.group || string(rest) != c.rest || shared != c.shared || ok != c.ok {
			t.Errorf("%s: %q, %q, %v, %v", c.filter, group, rest, shared, ok)
		}
	}
}

func TestValidPayload(t *testing.T) {
	for _, c := range []struct {
		format  uint32
		payload string
		want    bool
	}{{0, "\xff", true}, {1, "ü\x00", true}, {1, "\xff", false}} {
		if got := packet.ValidPayload(c.format, []byte(c.payload)); got != c.want {
			t.Errorf("%d, %q: %v", c.format, c.payload, got)
		}
	}
}
