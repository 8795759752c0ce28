package modbus

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/weftrun/weft/abi"
)

// link is one connection to a device. Its reader is a goroutine of its own and ends
// with it.
type link struct {
	conn      net.Conn
	responses chan response
	failed    chan error // one, when the connection has ended
	closed    chan struct{}
	once      sync.Once
	read      sync.WaitGroup
}

// response is a frame that came.
type response struct {
	transaction uint16
	unit        byte
	pdu         []byte
}

// maxGarbage is how many times in a row what comes may be no frame.
const maxGarbage = 64

var errGarbage = errors.New("what the device sends are no frames of the protocol")

func newLink(conn net.Conn, codec Codec, s *stats) *link {
	l := &link{conn: conn, responses: make(chan response, 16), failed: make(chan error, 1), closed: make(chan struct{})}
	l.read.Add(1)
	go func() {
		defer l.read.Done()
		l.failed <- l.receive(codec, s)
	}()
	return l
}

// receive reads until the connection ends.
func (l *link) receive(codec Codec, s *stats) error {
	buf := make([]byte, 0, 4096)
	var scratch []byte
	garbage := 0
	for {
		for len(buf) > 0 {
			var m abi.Message
			n, grown, err := codec.Decode(buf, scratch[:0], &m)
			scratch = grown
			if n == 0 && err == nil {
				break
			}
			if err != nil {
				s.garbage.Add(1)
				if garbage++; n == 0 || garbage > maxGarbage {
					return errors.Join(errGarbage, err)
				}
			} else {
				garbage = 0
				unit, _ := m.Attrs.Get("unit")
				number, _ := strconv.ParseUint(string(unit), 10, 8)
				select {
				case l.responses <- response{uint16(m.Seq), byte(number), bytes.Clone(m.Payload)}:
				case <-l.closed:
					return net.ErrClosed
				}
			}
			buf = append(buf[:0], buf[n:]...)
		}
		if len(buf) == cap(buf) {
			return errGarbage // no frame is so long
		}
		n, err := l.conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil && n == 0 {
			return err
		}
	}
}

// write sends a frame.
func (l *link) write(unit []byte, by time.Time) error {
	if err := l.conn.SetWriteDeadline(by); err != nil {
		return err
	}
	_, err := l.conn.Write(unit)
	return err
}

// close ends the connection and its reader.
func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		_ = l.conn.Close()
	})
	l.read.Wait()
}
