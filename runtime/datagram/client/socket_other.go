//go:build !linux

package client

func (s *socket) prepare() (cuts bool) { return false }

// read reads one datagram.
func (s *socket) read() ([]byte, error) {
	n, err := s.conn.Read(s.buf)
	s.segment = max(n, 1)
	return s.buf[:n], err
}

func (s *socket) writeRun() bool { return false }
