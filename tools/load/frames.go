package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"unsafe"

	"github.com/weftrun/weft/abi"
)

// Codec is what Frames needs of a frame format; *frame.Format is one.
type Codec interface {
	Name() string
	// Text reports whether frames are lines of text.
	Text() bool
	Decode(b, scratch []byte, m *abi.Message) (n int, grown []byte, err error)
	Append(dst []byte, m *abi.Message) ([]byte, error)
	AppendHeartbeatReply(dst []byte, m *abi.Message) (longer []byte, ok bool)
}

// Frames is weft's own frames as a Protocol.
type Frames struct {
	// Codec is the frame format, a preset or one from a declaration.
	Codec Codec
	// Hello makes the payload of the first frame of a connection (a token, see
	// Token); nil or an empty payload for none.
	Hello func(Peer) []byte
	// AwaitHello waits for one frame that answers the Hello.
	AwaitHello bool
	// Connect opens a connection where the frames do not go over TCP; nil: they do.
	Connect func(ctx context.Context, address string) (net.Conn, error)
	// Type and Priority are those of every message sent.
	Type     abi.Type
	Priority uint8
}

// Dial implements dialer.
func (f *Frames) Dial(ctx context.Context, address string) (net.Conn, error) {
	if f.Connect == nil {
		return dialTCP(ctx, address)
	}
	return f.Connect(ctx, address)
}

// Name is the format's name.
func (f *Frames) Name() string { return f.Codec.Name() }

// Text reports whether the format carries lines of text.
func (f *Frames) Text() bool { return f.Codec.Text() }

// Handshake sends the Hello, if there is one.
func (f *Frames) Handshake(rw io.ReadWriter, p Peer) ([]byte, error) {
	if f.Hello == nil {
		return nil, nil
	}
	payload := f.Hello(p)
	if len(payload) == 0 {
		return nil, nil
	}
	hello, err := f.Append(nil, Publication{Seq: 1, Payload: payload})
	if err != nil {
		return nil, fmt.Errorf("encoding the first frame: %w", err)
	}
	if _, err := rw.Write(hello); err != nil {
		return nil, fmt.Errorf("sending the first frame: %w", err)
	}
	if !f.AwaitHello {
		return nil, nil
	}
	in := &reader{from: rw}
	c := f.Cutter()
	for {
		spans, n, err := c.Cut(in.buf, nil)
		switch {
		case err != nil:
			return nil, err
		case len(spans) == 1:
			return in.buf[n:], nil
		case len(spans) > 1: // give back what follows the answer
			return in.buf[f.firstFrame(in.buf):], nil
		}
		if err := in.more(); err != nil {
			return nil, fmt.Errorf("waiting for the answer to the first frame: %w", err)
		}
	}
}

// firstFrame is where the first message in b ends.
func (f *Frames) firstFrame(b []byte) int {
	at := 0
	for {
		var m abi.Message
		n, _, err := f.Codec.Decode(b[at:], nil, &m)
		at += n
		if err == nil && m.Type != abi.TypeHeartbeat || n == 0 {
			return at
		}
	}
}

// Append encodes a message of Type and Priority.
func (f *Frames) Append(dst []byte, p Publication) ([]byte, error) {
	return f.Codec.Append(dst, &abi.Message{
		Type: f.Type, Priority: f.Priority, Seq: p.Seq, Topic: []byte(p.Topic), Payload: p.Payload,
	})
}

// Cutter decodes frames; heartbeats are answered and skipped, and so is garbage
// in formats that resynchronise. Frames of a known shape are recognised without
// checking their checksums.
func (f *Frames) Cutter() Cutter {
	c := &cutter{shaped: !f.Codec.Text()}
	var scratch []byte
	var m abi.Message
	c.parse = func(b []byte) (Span, int, bool, error) {
		n, grown, err := f.Codec.Decode(b, scratch[:0], &m)
		scratch = grown
		switch {
		case n == 0 && err != nil:
			return Span{}, 0, false, fmt.Errorf("%s: %w", f.Codec.Name(), err)
		case n == 0 || err != nil:
			return Span{}, n, false, nil
		case m.Type == abi.TypeHeartbeat:
			var ok bool
			if c.replies, ok = f.Codec.AppendHeartbeatReply(c.replies, &m); !ok {
				// The server's own heartbeat, marked so that an answer that
				// repeats the mark is not answered again.
				c.replies = append(c.replies, m.Frame...)
			}
			return Span{}, n, false, nil
		}
		return Span{offsetIn(b, m.Payload), len(m.Payload)}, n, true, nil
	}
	return c
}

// offsetIn is where part, a slice of b, begins in it.
func offsetIn(b, part []byte) int {
	if len(part) == 0 {
		return 0
	}
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}
