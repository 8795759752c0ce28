//go:build race

package backbone_test

// underRace tells whether the race detector is on.
const underRace = true
