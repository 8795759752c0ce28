package backbone

import (
	"strings"
	"testing"
)

// FuzzKeys: every key has a subject of its own that NATS takes, which reads as the
// key, and is found by the filters of each of its prefixes.
func FuzzKeys(f *testing.F) {
	for _, key := range []string{"a", "a/b", "/", "//", "a//b", "a/", "/a", ".", "=2F", "\x00\xff", "a.b/*/>"} {
		f.Add(key, len(key)/2)
	}
	f.Fuzz(func(t *testing.T, key string, cut int) {
		if checkKey(key) != nil {
			return
		}
		s := subjectOfKey(key)
		for _, token := range strings.Split(s, ".") {
			if token == "" || strings.ContainsAny(token, " \t\r\n*>\x00") {
				t.Fatalf("%q is spelled %q", key, s)
			}
		}
		if back, ok := keyOfSubject(s); !ok || back != key {
			t.Fatalf("%q is spelled %q, which reads %q, %v", key, s, back, ok)
		}
		if cut < 0 || cut > len(key) {
			return
		}
		found := false
		for _, f := range filters(key[:cut]) {
			found = found || f == s || f == ">" || strings.HasSuffix(f, ".>") && strings.HasPrefix(s, f[:len(f)-1]) && len(s) > len(f)-1
		}
		if !found {
			t.Fatalf("%q, spelled %q, is not among %q of its prefix %q", key, s, filters(key[:cut]), key[:cut])
		}
	})
}

func TestOlder(t *testing.T) {
	for version, want := range map[string]bool{"2.14.0": false, "2.13.9": true, "2.15.2": false, "3.0.0": false, "1.99.0": true, "v2.9.1": true, "": false, "dev": false, "2.x.1": false} {
		if older(version, 2, 14) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}
