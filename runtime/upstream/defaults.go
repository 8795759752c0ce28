package upstream

import (
	"fmt"
	"slices"
	"time"
)

// bad is an error about one field.
func (o *Options) bad(format string, args ...any) error {
	return fmt.Errorf("%w: upstream %s: %s", ErrOptions, o.Name, fmt.Sprintf(format, args...))
}

// whole is the options with their defaults, or what is wrong with them.
func (o Options) whole() (Options, error) {
	if o.Logger == nil || o.Name == "" {
		return o, o.bad("it needs a name and a logger")
	}
	if int(o.Balance) >= len(balances) {
		return o, o.bad("%v is no balance", o.Balance)
	}
	or(&o.MaxMembers, 1024)
	or(&o.HashLoad, 1.25)
	r, b, u, c := &o.Retry, &o.Breaker, &o.Outlier, &o.Check
	or(&r.Tries, 3)
	or(&r.Pause, 25*time.Millisecond)
	or(&r.MaxPause, max(time.Second, r.Pause))
	or(&r.Share, 0.2)
	or(&r.PerSecond, 3)
	r.Share, r.PerSecond = max(0, r.Share), max(0, r.PerSecond)
	or(&o.Rate.Burst, max(1, int(min(o.Rate.PerSecond, 1<<30))))
	or(&b.Window, max(10*time.Second, 2*r.Timeout))
	or(&b.Calls, 20)
	or(&b.Share, 0.5)
	or(&b.Open, 5*time.Second)
	or(&b.Probes, 3)
	or(&u.Failures, 5)
	or(&u.Ejection, 10*time.Second)
	or(&u.MaxEjection, max(5*time.Minute, u.Ejection))
	or(&u.Share, 0.5)
	or(&c.Interval, 5*time.Second)
	or(&c.Timeout, 2*time.Second)
	or(&c.Fall, 3)
	or(&c.Rise, 2)
	or(&c.Parallel, 16)
	o.Members = slices.Clone(o.Members)
	return o, o.validate()
}

// or sets a default.
func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) validate() error {
	for name, d := range map[string]time.Duration{
		"Timeout": o.Timeout, "Retry.Timeout": o.Retry.Timeout, "Hedge.After": o.Hedge.After, "Rate.Wait": o.Rate.Wait, "SlowStart": o.SlowStart,
	} {
		if d < 0 {
			return o.bad("%s is %v; expected 0 or more", name, d)
		}
	}
	for name, d := range map[string]time.Duration{
		"Retry.Pause": o.Retry.Pause, "Retry.MaxPause": o.Retry.MaxPause, "Breaker.Window": o.Breaker.Window / windowParts, "Breaker.Open": o.Breaker.Open,
		"Outlier.Ejection": o.Outlier.Ejection, "Outlier.MaxEjection": o.Outlier.MaxEjection, "Check.Interval": o.Check.Interval, "Check.Timeout": o.Check.Timeout,
	} {
		if d <= 0 {
			return o.bad("%s is %v; expected more than 0", name, d)
		}
	}
	for name, n := range map[string]int{
		"Retry.Tries": o.Retry.Tries, "Rate.Burst": o.Rate.Burst, "Breaker.Calls": o.Breaker.Calls, "Breaker.Probes": o.Breaker.Probes,
		"Outlier.Failures": o.Outlier.Failures, "Check.Fall": o.Check.Fall, "Check.Rise": o.Check.Rise, "Check.Parallel": o.Check.Parallel, "MaxMembers": o.MaxMembers,
	} {
		if n < 1 || n > 1<<30 {
			return o.bad("%s is %d; expected 1 to %d", name, n, 1<<30)
		}
	}
	for name, x := range map[string]float64{"Breaker.Share": o.Breaker.Share, "Outlier.Share": o.Outlier.Share} {
		if !(x > 0 && x <= 1) {
			return o.bad("%s is %v; expected more than 0, at most 1", name, x)
		}
	}
	switch {
	case o.Retry.Tries > MaxTries:
		return o.bad("Retry.Tries is %d; expected at most %d", o.Retry.Tries, MaxTries)
	case !(o.HashLoad >= 1 && o.HashLoad <= 1e6):
		return o.bad("HashLoad is %v; expected 1 or more", o.HashLoad)
	case !(o.Rate.PerSecond >= 0):
		return o.bad("Rate.PerSecond is %v; expected 0 or more", o.Rate.PerSecond)
	case !o.Breaker.Off && o.Breaker.Window <= o.Retry.Timeout:
		// A call that outlasts the window never counts in it.
		return o.bad("Breaker.Window is %v; expected more than Retry.Timeout (%v)", o.Breaker.Window, o.Retry.Timeout)
	case len(o.Members) > o.MaxMembers:
		return o.bad("%d members; expected at most %d", len(o.Members), o.MaxMembers)
	}
	return o.validateMembers()
}

func (o *Options) validateMembers() error {
	seen := make(map[string]bool, len(o.Members))
	for i, e := range o.Members {
		switch {
		case e.Address == "":
			return o.bad("member %d has no address", i)
		case seen[e.Address]:
			return o.bad("member %d: %s is there twice; give it more weight instead", i, e.Address)
		case e.Weight < 0 || e.Weight > MaxWeight:
			return o.bad("member %s: its weight is %d; expected 0 to %d", e.Address, e.Weight, MaxWeight)
		}
		seen[e.Address] = true
	}
	return nil
}
