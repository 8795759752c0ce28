//go:build race

package codec_test

// underRace: the race detector watches, and lets pools forget.
const underRace = true
