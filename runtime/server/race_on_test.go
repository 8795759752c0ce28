//go:build race

package server_test

// underRace: the race detector watches, and everything is many times slower.
const underRace = true
