//go:build race

package compiler_test

// raceEnabled: the race detector's own memory is beyond every bound of a test.
const raceEnabled = true
