//go:build race

package session_test

// underRace tells whether the race detector is on.
const underRace = true
