package plugins

import "time"

// offenders remembers the sessions whose messages a plugin failed on lately, so
// that one session cannot put the plugin to rest for the others.
type offenders map[uint64]offender

type offender struct {
	strikes int
	last    int64  // Clock.Monotonic
	done    uint64 // messages of any session that had gone well by then
	rest    time.Duration
	till    int64 // its messages are not handed to the plugin before
}

// maxOffenders bounds what is remembered; over it every failure is the plugin's.
const maxOffenders = 1024

// again is what is known about a session that has struck once more.
type again struct {
	repeated bool // it is among the offenders already: this one is its own fault
	rests    bool // from now on it rests
	rest     time.Duration
}

// strike takes note of a failure on a message of the session. Session 0 is nobody.
// done is how many messages of any session have gone well.
func (o *offenders) strike(session uint64, now int64, done uint64) again {
	if session == 0 {
		return again{}
	}
	if *o == nil {
		*o = make(offenders)
	}
	f, known := (*o)[session]
	if known && (now-f.last > int64(strikeTime)+int64(f.rest) || done-f.done >= strikeMessages) {
		f.strikes = 0
		if now-f.last > int64(restCalm) {
			f.rest = 0
		}
	}
	if !known && len(*o) >= maxOffenders {
		o.expire(now)
		if len(*o) >= maxOffenders {
			return again{}
		}
	}
	a := again{repeated: f.strikes > 0}
	f.strikes, f.last, f.done = f.strikes+1, now, done
	if f.strikes >= maxStrikes {
		f.rest = min(max(2*f.rest, restLeast), restMost)
		f.strikes, f.till = 0, now+int64(f.rest)
		a = again{repeated: true, rests: true, rest: f.rest}
	}
	(*o)[session] = f
	return a
}

// resting reports whether the session's messages are kept from the plugin.
func (o offenders) resting(session uint64, now int64) bool {
	f, ok := o[session]
	return ok && now < f.till
}

// expire forgets those that have been calm.
func (o offenders) expire(now int64) {
	for session, f := range o {
		if now-f.last > int64(restCalm) || f.till < now && now-f.last > int64(strikeTime) {
			delete(o, session)
		}
	}
}

// forget forgets all.
func (o *offenders) forget() { clear(*o) }
