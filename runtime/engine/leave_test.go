package engine_test

import (
	"io"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// leaver says goodbye on every connection that ends in an orderly way.
type leaver struct {
	funcs
	reasons chan engine.Reason
}

func (l *leaver) Leave(c *engine.Conn, reason engine.Reason) {
	l.reasons <- reason
	c.Send([]byte("goodbye "+reason.String()), 0)
}

// The last words reach the peer before the end, once, whoever ends the connection.
func TestLastWords(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		for _, test := range []struct {
			name, send, want string
			reason           engine.Reason
		}{
			{"by the handler", "close", "last goodbye verdict", engine.ReasonVerdict},
			{"silence", "", "goodbye silence", engine.ReasonSilence},
			{"a partial unit", "p", "goodbye read_deadline", engine.ReasonReadDeadline},
			{"a unit that is too long", "l", "goodbye unit_too_long", engine.ReasonUnitTooLong},
			{"a drain", "drain", "goodbye drained", engine.ReasonDrained},
		} {
			t.Run(test.name, func(t *testing.T) {
				h := &leaver{reasons: make(chan engine.Reason, 10)}
				closed := make(chan engine.Reason, 10)
				drain := make(chan struct{}, 1)
				h.closed = func(_ *engine.Conn, r engine.Reason) { closed <- r }
				h.data = func(c *engine.Conn, b []byte) (int, int) {
					switch b[0] {
					case 'c':
						c.Send([]byte("last "), 0)
						c.CloseAfterFlush(engine.ReasonVerdict)
						c.CloseAfterFlush(engine.ReasonVerdict)
					case 'p':
						return 0, 100
					case 'l':
						return 0, 1 << 20
					case 'd':
						drain <- struct{}{}
					}
					return len(b), 0
				}
				silence := time.Minute
				if test.reason == engine.ReasonSilence {
					silence = 100 * time.Millisecond
				}
				r := start(t, engine.Config{Driver: driver, Loops: 2}, engine.Listener{MaxUnit: 1000, ReadDeadline: 100 * time.Millisecond, CloseAfter: silence},
					func(*engine.Loop) engine.Handler { return h })
				c := r.dial()
				if _, err := io.WriteString(c, test.send); err != nil {
					t.Fatal(err)
				}
				if test.reason == engine.ReasonDrained {
					<-drain
					go func() { _ = r.Drain(t.Context()) }()
				}
				got, err := io.ReadAll(c)
				if err != nil || string(got) != test.want {
					t.Errorf("%q, %v, want %q", got, err, test.want)
				}
				_ = c.Close()
				if reason := <-closed; reason != test.reason {
					t.Errorf("it ended because of %v", reason)
				}
				if reason := <-h.reasons; reason != test.reason || len(h.reasons) != 0 {
					t.Errorf("left because of %v, and %d times more", reason, len(h.reasons))
				}
			})
		}
	})
}
