package engine_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/engine"
)

// mover echoes frames with the loop's number before them. "move" is echoed and takes
// the connection to the other loop; "post X" is posted there and comes back from there.
type mover struct {
	funcs
	l     *engine.Loop
	moved func(*engine.Conn)
}

func (m *mover) Moved(c *engine.Conn) {
	if m.moved != nil {
		m.moved(c)
	}
}

func (m *mover) Posted(id uint64, unit []byte) {
	m.l.SendTo(engine.ConnID(id), frame(fmt.Appendf(nil, "posted %d %s", m.l.Index(), unit)), 0)
}

func (m *mover) Data(c *engine.Conn, b []byte) (consumed, need int) {
	gone := false
	cut := frames(func(c *engine.Conn, f []byte) {
		if gone {
			return
		}
		text := string(f[4:])
		c.Send(frame(fmt.Appendf(nil, "%d %s", m.l.Index(), text)), 0)
		consumed += len(f)
		switch {
		case text == "move":
			gone = m.l.Move(c, 1-m.l.Index(), b[consumed:])
		case strings.HasPrefix(text, "post "):
			m.l.Post(1-m.l.Index(), uint64(c.ID()), f[4+5:])
		}
	})
	_, need = cut(c, b)
	if gone {
		return len(b), 0
	}
	return consumed, need
}

func startMover(t *testing.T, driver string, moved func(*engine.Conn)) *running {
	return start(t, engine.Config{Driver: driver, Loops: 2, MaxPerSource: 50}, engine.Listener{},
		func(l *engine.Loop) engine.Handler { return &mover{l: l, moved: moved} })
}

// TestMove: a connection that moves keeps every byte, in both directions, in order.
func TestMove(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		var values sync.Map
		r := startMover(t, driver, func(c *engine.Conn) { values.Store(c.ID(), c.Since()) })
		var wg sync.WaitGroup
		const clients, moves = 20, 200
		conns := make([]net.Conn, clients)
		for i := range conns {
			conns[i] = r.dial()
			wg.Go(func() { moveAbout(t, conns[i], moves) })
		}
		wg.Wait()
		r.until("everybody is still there", func(s engine.Stats) bool {
			return s.Listeners[0].Open == clients && s.Listeners[0].Accepted == clients
		})
		for _, c := range conns {
			_ = c.Close()
		}
		r.until("everybody is gone", func(s engine.Stats) bool { return s.Listeners[0].Open == 0 })
		for range 50 { // the places are free again
			_ = r.dial()
		}
	})
}

// moveAbout sends frames of which every other moves the connection, several in one
// write and one of them torn, and checks what comes back.
func moveAbout(t *testing.T, c net.Conn, moves int) {
	go func() {
		for i := range moves {
			b := append(frame(fmt.Appendf(nil, "a%d", i)), frame([]byte("move"))...)
			b = append(append(b, frame(fmt.Appendf(nil, "b%d", i))...), frame([]byte("move"))...)
			torn := len(b) - 3 - i%5
			for _, part := range [][]byte{b[:torn], b[torn:]} {
				if _, err := c.Write(part); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	at := ""
	for i := range moves {
		for _, want := range []string{fmt.Sprintf("a%d", i), "move", fmt.Sprintf("b%d", i), "move"} {
			got, err := readFrame(c)
			if err != nil {
				t.Error(err)
				return
			}
			loop, text, _ := strings.Cut(string(got), " ")
			if text != want {
				t.Errorf("got %q, want %q", text, want)
				return
			}
			if at != "" && loop != at {
				t.Errorf("%s came from loop %s, want %s", want, loop, at)
				return
			}
			if at = loop; want == "move" {
				at = string('0' + '1' - loop[0])
			}
		}
	}
}

// TestPost: what is posted comes to the other loop's handler, in order with what is
// sent to its connections.
func TestPost(t *testing.T) {
	drivers(t, func(t *testing.T, driver string) {
		r := startMover(t, driver, nil)
		c := r.dial()
		const posts = 1000
		go func() {
			for i := range posts {
				if _, err := c.Write(frame(fmt.Appendf(nil, "post %d", i))); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		next := 0
		for next < posts {
			got, err := readFrame(c)
			if err != nil {
				t.Fatal(err)
			}
			var loop, n int
			if _, err := fmt.Sscanf(string(got), "posted %d %d", &loop, &n); err != nil {
				continue // the echo
			}
			if n != next {
				t.Fatalf("%d was posted before %d", n, next)
			}
			next++
		}
	})
}

// listed notes what is posted to it.
type listed struct {
	funcs
	l     *engine.Loop
	heard []string
}

func (h *listed) Posted(_ uint64, unit []byte) { h.heard = append(h.heard, string(unit)) }

// TestPostToABusyLoop: what is posted in many turns to a loop that has no time waits for
// it, as long as its bytes are within the bound, and comes in order; the sender hears
// that the way fills.
func TestPostToABusyLoop(t *testing.T) {
	const posts, size = 2000, 128
	for _, crossing := range []int{0, posts * size / 2} {
		var loops [2]*listed
		r := start(t, engine.Config{Loops: 2, CrossBytes: crossing}, engine.Listener{}, func(l *engine.Loop) engine.Handler {
			loops[l.Index()] = &listed{l: l}
			return loops[l.Index()]
		})
		busy, free := make(chan struct{}), make(chan struct{})
		if err := r.Do(0, func() { close(busy); <-free }); err != nil {
			t.Fatal(err)
		}
		await(t, busy, "the loop to be busy")
		kept, pressed := 0, 0
		for i := range posts {
			r.on(1, func() {
				switch loops[1].l.Post(0, 0, fmt.Appendf(nil, "%*d", size, i)) {
				case engine.Accepted:
					kept++
				case engine.Pressed:
					kept++
					pressed++
				case engine.Dropped:
				}
			})
		}
		close(free)
		var heard []string
		for deadline := time.Now().Add(time.Minute); len(heard) < kept && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			r.on(0, func() { heard = slices.Clone(loops[0].heard) })
		}
		if len(heard) != kept {
			t.Fatalf("heard %d of %d", len(heard), kept)
		}
		for i, text := range heard {
			if text != fmt.Sprintf("%*d", size, i) {
				t.Fatalf("the %dth is %q", i, text)
			}
		}
		if crossing == 0 && (kept != posts || pressed != 0) {
			t.Errorf("kept %d of %d, %d under pressure", kept, posts, pressed)
		}
		if crossing > 0 && (kept < posts/2 || kept == posts || pressed < kept/3) {
			t.Errorf("with half the room: kept %d of %d, %d under pressure", kept, posts, pressed)
		}
	}
}

// TestMoveNowhere: a loop that is not there, or the same one, is refused and nothing
// has happened.
func TestMoveNowhere(t *testing.T) {
	answers := make(chan bool, 4)
	r := start(t, engine.Config{Loops: 1}, engine.Listener{}, func(l *engine.Loop) engine.Handler {
		return &funcs{data: func(c *engine.Conn, b []byte) (int, int) {
			for _, to := range []int{-1, 0, 1} {
				answers <- l.Move(c, to, nil)
			}
			c.Send(b, 0)
			return len(b), 0
		}}
	})
	c := r.dial()
	if _, err := c.Write(frame([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	if got, err := readFrame(c); err != nil || string(got) != "x" {
		t.Fatalf("%q, %v", got, err)
	}
	for range 3 {
		if await(t, answers, "an answer") {
			t.Error("it moved")
		}
	}
}
