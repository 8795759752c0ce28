//go:build race

package router_test

// underRace: the race detector makes everything larger and slower.
const underRace = true
