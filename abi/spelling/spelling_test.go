package spelling_test

import (
	"strings"
	"testing"

	"github.com/weftrun/weft/abi/spelling"
)

func TestNearest(t *testing.T) {
	known := []string{"name", "version", "description", "capabilities", "optional", "log", "kv", "subscribe", "publish", "jwt-auth"}
	for word, want := range map[string]string{
		"nane": "name", "Name": "name", "nam": "name", "capabbilities": "capabilities", "optionl": "optional", "lgo": "log",
		"subscribee": "subscribe", "publsh": "publish", "auth": "jwt-auth", "subscribers": "subscribe", "verson": "version",
		"": "", "k": "", "x": "", "kx": "kv", "network": "", "team": "", "zzzzzz": "",
		strings.Repeat("x", 1000): "",
	} {
		if got := spelling.Nearest(word, known); got != want {
			t.Errorf("%.40q: %q, expected %q", word, got, want)
		}
	}
	if got := spelling.Nearest("ab", []string{"ac", "aa"}); got != "aa" {
		t.Errorf("of two that are as near %q", got)
	}
	if got := spelling.Nearest(strings.Repeat("x", 300), []string{strings.Repeat("y", 300)}); got != "" {
		t.Errorf("a long word: %.20q", got)
	}
	if got := spelling.Nearest("word", nil); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
