package engine

import (
	"strconv"
	"strings"
	"time"
)

// Heard is when something was last read from the connection; when it was accepted, if
// nothing was.
func (c *Conn) Heard() time.Time {
	return c.loop.engine.start.Add(time.Duration(max(c.lastIn, c.since)) * time.Millisecond)
}

// Closing tells whether the connection only writes what is left, or is closed.
func (c *Conn) Closing() bool { return c.state != stateOpen }

// Some calls yield for the connections in a part of the loop's table: its places from
// the given one on, so many of them. It answers where the next part begins, and false
// behind the last one. Whoever wants to see all connections of a loop without holding
// it up goes through its table in parts, between which the loop has its turns; who
// comes or goes meanwhile may be seen or not, nobody twice.
func (l *Loop) Some(from, places int, yield func(*Conn)) (next int, more bool) {
	end := min(from+places, len(l.table.conns))
	for i := min(from, end); i < end; i++ {
		if c := l.table.conns[i]; c != nil && c.state != stateClosed {
			yield(c)
		}
	}
	return end, end < len(l.table.conns)
}

// ParseConnID reads what ConnID.String writes; false if it is no such text.
func ParseConnID(text string) (ConnID, bool) {
	parts := strings.Split(text, "-")
	if len(parts) != 3 {
		return 0, false
	}
	var id ConnID
	for i, field := range []struct{ shift, bits int }{{loopShift, 64 - loopShift}, {0, slotBits}, {slotBits, 31}} {
		n, err := strconv.ParseUint(parts[i], 10, field.bits)
		if err != nil {
			return 0, false
		}
		id |= ConnID(n) << field.shift
	}
	return id, id.String() == text
}
