package server_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// talking is a connection that has been answered.
func (f *filtering) talking(listener string) net.Conn {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.address(listener))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	if !goesOn(conn) {
		f.t.Fatal("a connection is not served")
	}
	return conn
}

// goesOn tells whether a line is answered by one, or by several.
func goesOn(conn net.Conn) bool {
	_ = conn.SetDeadline(time.Now().Add(filterPatience))
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		return false
	}
	_, err := conn.Read(make([]byte, 64))
	return err == nil
}

// isOver waits for a connection's end.
func (f *filtering) isOver(conn net.Conn) {
	f.t.Helper()
	_ = conn.SetDeadline(time.Now().Add(filterPatience))
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		f.t.Fatalf("the connection goes on\n%s", f.log)
	}
}

// TestBlockEndsConnections: who is blocked cannot go on with the connections that it has,
// at the listeners of the block alone, and they are counted as denied.
func TestBlockEndsConnections(t *testing.T) {
	for _, driver := range []string{"auto", "net"} {
		t.Run(driver, func(t *testing.T) {
			f := startFiltering(t, driver, strings.ReplaceAll(filtered, "listeners:", "listeners:\n  - {name: beside, address: 127.0.0.1:0, frame: line}"))
			one, other, beside := f.talking("lines"), f.talking("lines"), f.talking("beside")
			f.block([]string{"lines"}, 0)
			f.isOver(one)
			f.isOver(other)
			f.until("they are counted", func() bool { return f.MetricOf("weft_connections_closed_total", "lines", "denied") == 2 })
			if !goesOn(beside) {
				t.Error("a connection of another listener has ended")
			}
			if _, err := f.FastPath().Unblock(t.Context(), loopback, "lines"); err != nil {
				t.Fatal(err)
			}
			again := f.talking("lines")
			f.reload("frame: line, filter: {}", "frame: line, filter: {deny: [127.0.0.0/8]}")
			f.isOver(again)
			if !goesOn(beside) {
				t.Error("a connection of another listener has ended")
			}
		})
	}
}

// TestBlockOfSeveralListenersIsWhole: a block of which one listener is wrong is none.
func TestBlockOfSeveralListenersIsWhole(t *testing.T) {
	f := startFiltering(t, "auto", filtered)
	if _, err := f.FastPath().Block(t.Context(), loopback, []string{"lines", "none"}, 0, ""); err == nil {
		t.Fatal("a listener that is not there can be named")
	}
	if !f.serves("lines") {
		t.Error("a block that was refused is in force")
	}
}
