package server

import (
	"testing"
	"time"
)

func TestADelayIsADurationOrSeconds(t *testing.T) {
	good := map[string]time.Duration{"30s": 30 * time.Second, "1.5": 1500 * time.Millisecond, "0": 0, "1e99": maxDelay, "100000h": maxDelay}
	for text, want := range good {
		if got, ok := parseDelay(text); !ok || got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "soon", "-1", "-1s", "Inf", "+inf", "-Inf", "NaN", "infinity", "1e999"} {
		if got, ok := parseDelay(text); ok {
			t.Errorf("%q is %s", text, got)
		}
	}
}
