package mqtt

import "sync/atomic"

// Presence is how well a session can take a message just now. Its loop writes
// it, any goroutine may read it.
type Presence struct{ level atomic.Uint32 }

// The levels of presence, from worst to best.
const (
	// Gone: the session has ended.
	Gone uint32 = iota
	// Full: it takes nothing more.
	Full
	// Absent: its client is away; the message would wait for it.
	Absent
	// Behind: its client is there, with its window full.
	Behind
	// Ready: it would send the message at once.
	Ready
)

// Level is the session's level now.
func (p *Presence) Level() uint32 { return p.level.Load() }

// Presence returns what Shared is told about the session. It stays the same
// value for the session's life. Call it on the session's loop.
func (s *Session) Presence() *Presence {
	if s.presence == nil {
		s.presence = new(Presence)
		s.present()
	}
	return s.presence
}

// present brings the presence up to date.
func (s *Session) present() {
	if s.presence == nil {
		return
	}
	level := Ready
	switch {
	case s.ended:
		level = Gone
	case s.releasing || s.Len() >= s.maxMessages() || s.bytes >= s.maxBytes():
		level = Full
	case !s.online:
		level = Absent
	case s.queue.n > 0 || s.out.again != 0 || s.out.used >= s.window:
		level = Behind
	}
	if s.presence.level.Load() != level {
		s.presence.level.Store(level)
	}
}
