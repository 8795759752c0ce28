package client

import "net"

// socket reads and writes datagrams, several at once where the system can.
type socket struct {
	conn    *net.UDPConn
	buf     []byte
	control []byte
	segment int // length of the datagrams in what was read last
	out     []byte
	size    int // of the datagrams in out but the last
	count   int
	cut     bool // the system cuts what is written
	head    [32]byte
}

// maxRun bounds what is written at once.
const (
	maxRun      = 64000
	maxSegments = 64
	socketSize  = 4 << 20
)

func newSocket(conn *net.UDPConn) *socket {
	_ = conn.SetReadBuffer(socketSize) // less if the system allows no more
	_ = conn.SetWriteBuffer(socketSize)
	s := &socket{conn: conn, buf: make([]byte, 64<<10), control: make([]byte, 64)}
	s.cut = s.prepare()
	return s
}

// queue adds a datagram to those that are written together: they are of one length,
// but the last, which may be shorter.
func (s *socket) queue(b []byte) {
	if s.count > 0 && (!s.cut || len(b) > s.size || len(s.out)+len(b) > maxRun || s.count == maxSegments || len(s.out)%s.size != 0) {
		s.flush()
	}
	if s.count == 0 {
		s.size = len(b)
	}
	s.out = append(s.out, b...)
	s.count++
}

// flush writes. What does not go out is sent again by the protocol.
func (s *socket) flush() {
	if s.count == 0 {
		return
	}
	if s.count == 1 {
		_, _ = s.conn.Write(s.out)
	} else if !s.writeRun() {
		s.cut = false
		for b := s.out; len(b) > 0; {
			n := min(s.size, len(b))
			_, _ = s.conn.Write(b[:n])
			b = b[n:]
		}
	}
	s.out, s.count = s.out[:0], 0
}
