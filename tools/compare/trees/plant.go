package main

import "fmt"

// A plant of n subscriptions: seven of ten are devices that listen to what is meant
// for them; the others watch single devices on every line of a site, their answers,
// or one topic of a device. Five watch all of it. The benchmarks of runtime/router
// hold the same one.

func devices(n int) int { return n * 7 / 10 }

func place(device int) (site, line int) { return device % 500, device / 500 % 20 }

var watchers = []string{"#", "v1/#", "v1/+/+/+/in/door", "v1/+/line-7/#", "+/+/+/+/out/+"}

// pattern is the ith of n+len(watchers) subscriptions.
func pattern(i, n int) string {
	if i >= n {
		return watchers[i-n]
	}
	count := devices(n)
	if i < count {
		return own(i)
	}
	device := (i - count) * 7 / 3
	site, line := place(device)
	switch i % 3 {
	case 0:
		return fmt.Sprintf("v1/site-%d/+/dev-%d/in/#", site, device)
	case 1:
		return fmt.Sprintf("v1/site-%d/line-%d/dev-%d/out/+", site, line, device)
	}
	return fmt.Sprintf("v1/site-%d/line-%d/dev-%d/in/door", site, line, device)
}

// own is what a device listens to.
func own(device int) string {
	site, line := place(device)
	return fmt.Sprintf("v1/site-%d/line-%d/dev-%d/in/#", site, line, device)
}

// topic is one of six levels that the device listens to.
func topic(device int) string {
	site, line := place(device)
	return fmt.Sprintf("v1/site-%d/line-%d/dev-%d/in/door", site, line, device)
}
