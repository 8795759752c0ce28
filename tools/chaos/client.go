package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/weftrun/weft/runtime/mqtt/packet"
)

// client is one MQTT 5 connection, read and written by one goroutine.
type client struct {
	net.Conn
	buf, in []byte // in is what is left of buf
	present bool   // weft still had the session
}

// What a client waits for at most: a connection, and a packet that is due. A weft
// that stands still for longer is taken for dead.
const (
	dialWithin   = 2 * time.Second
	answerWithin = 5 * time.Second
)

const sessionExpiry = 3600 // seconds

// errGone ends a connection, which is made anew.
var errGone = errors.New("the connection is gone")

// connect opens the session called id, which outlives its connections unless it is
// clean.
func connect(ctx context.Context, address, id string, clean bool) (*client, error) {
	d := net.Dialer{Timeout: dialWithin}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	c := &client{Conn: conn}
	if err := c.introduce(id, clean); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) introduce(id string, clean bool) error {
	m := packet.Connect{Version: packet.V5, ClientID: []byte(id), CleanStart: clean}
	if !clean {
		m.Properties = m.Properties.AppendNumber(packet.SessionExpiry, sessionExpiry)
	}
	if err := c.send(packet.AppendConnect(nil, &m)); err != nil {
		return err
	}
	b, err := c.next(answerWithin)
	if err != nil {
		return err
	}
	var ack packet.Connack
	if packet.TypeOf(b) != packet.TypeConnack {
		return fmt.Errorf("%s where CONNACK was due", packet.TypeOf(b))
	}
	if err := ack.Decode(b, packet.V5); err != nil {
		return err
	}
	if ack.Reason.Failed() {
		return fmt.Errorf("%w: CONNACK: %s %s", errGone, ack.Reason, ack.Properties.Bytes(packet.ReasonString))
	}
	c.present = ack.SessionPresent
	return nil
}

// subscribe waits for SUBACK and hands every message that comes before it to take.
func (c *client) subscribe(filter string, qos uint8, take func(b []byte) error) error {
	m := packet.Subscribe{ID: 1, Filters: []packet.Subscription{{Filter: []byte(filter), QoS: qos}}}
	if err := c.send(packet.AppendSubscribe(nil, &m, packet.V5)); err != nil {
		return err
	}
	for {
		b, err := c.next(answerWithin)
		if err != nil {
			return err
		}
		if packet.TypeOf(b) != packet.TypeSuback {
			if err := take(b); err != nil {
				return err
			}
			continue
		}
		var ack packet.Suback
		if err := ack.Decode(b, packet.V5); err != nil {
			return err
		}
		if ack.Reasons[0].Failed() {
			return fmt.Errorf("%w: SUBACK: %s", errGone, ack.Reasons[0])
		}
		return nil
	}
}

func (c *client) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(answerWithin)); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	if _, err := c.Write(b); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// cut is the next packet that has come already; nil if there is none. It is valid
// until next is called. A DISCONNECT ends the connection.
func (c *client) cut() ([]byte, error) {
	n, _, err := packet.Cut(c.in, 0)
	if err != nil || n == 0 {
		return nil, err
	}
	b := c.in[:n:n]
	c.in = c.in[n:]
	if packet.TypeOf(b) == packet.TypeDisconnect {
		var d packet.Disconnect
		if err := d.Decode(b, packet.V5, packet.FromServer); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: DISCONNECT: %s", errGone, d.Reason)
	}
	return b, nil
}

// next waits for a packet, which is valid until the next call.
func (c *client) next(within time.Duration) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	for {
		if b, err := c.cut(); b != nil || err != nil {
			return b, err
		}
		if len(c.in) == len(c.buf) { // not even one packet has room
			c.buf = make([]byte, 2*len(c.buf)+16<<10)
		}
		kept := copy(c.buf, c.in)
		n, err := c.Read(c.buf[kept:])
		c.in = c.buf[:kept+n]
		if err != nil && n == 0 {
			return nil, fmt.Errorf("%w: %w", errGone, err)
		}
	}
}

// idle tells whether an error says only that nothing came in time.
func idle(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}
