package websocket

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Kind is what a connection's messages carry. It is shared by all connections of
// a listener.
type Kind struct {
	// Delimiter ends each unit of a text protocol, 1 to MaxDelimiter bytes: a
	// message that does not end in it is ended with it. Both kinds of messages
	// are taken. Empty: binary messages carry a stream of bytes, in which the
	// borders of messages mean nothing, and text is a fault.
	Delimiter []byte
}

// MaxDelimiter is the longest delimiter: there is room for it where a header was.
const MaxDelimiter = 6

// Reader is the state of one connection's incoming frames. The zero value is that
// after the upgrade.
type Reader struct {
	remaining uint64 // bytes of the frame under way that are still to come
	key       uint32 // of its mask, turned to the next byte
	plain     uint32 // the connection's bytes begin with so many that are unwrapped,
	gap       uint32 // and behind them so many that mean nothing
	text      utf8State
	opcode    uint8 // of the message under way
	message   bool  // one is under way
	frame     bool  // a data frame is under way
	fin       bool  // it is its message's last
	ended     bool  // the message ends in the delimiter, as far as it has come
	closed    bool  // by a Close frame or a fault
}

// Input is what Unwrap found.
type Input struct {
	// Inner is the application's bytes that are not consumed yet, at the front
	// of the bytes that Unwrap was given.
	Inner []byte
	// Answers is what Unwrap was given, and behind it frames to be sent: a Pong
	// for the last Ping, the answer to a Close.
	Answers []byte
	// Fault ends the connection: send a Close frame with its code once Inner is
	// dealt with. nil if all is well.
	Fault *Fault
	// Closed is the code of the peer's Close frame, Empty where it has none, 0 if
	// there was none. Its answer is in Answers.
	Closed Code
	// Pings and Pongs count the peer's.
	Pings, Pongs int
}

// Unwrap unwraps b: what Keep has left of the connection's bytes, and what
// has arrived since. It changes b. It does not allocate unless answers is too
// short. Keep must follow.
func (r *Reader) Unwrap(k *Kind, b, answers []byte) (in Input) {
	in.Answers = answers
	to := int(r.plain)
	from := to + int(r.gap)
	for from < len(b) && !r.closed {
		if !r.frame {
			size := r.head(k, b[from:], &in, len(answers))
			if from += size; size == 0 {
				break
			}
			if !r.frame {
				continue
			}
		}
		n := len(b) - from
		if uint64(n) > r.remaining {
			n = int(r.remaining)
		}
		r.key = unmask(b[to:to+n], b[from:from+n], r.key)
		r.remaining -= uint64(n)
		from += n
		if r.opcode == opText && !r.text.check(b[to:to+n]) {
			r.fail(&in, errText)
			break
		}
		to += n
		if n > 0 && len(k.Delimiter) > 0 {
			r.ended = bytes.HasSuffix(b[:to], k.Delimiter)
		}
		if r.remaining == 0 {
			to += r.end(k, b[to:from], &in)
		}
	}
	r.plain, r.gap = uint32(to), uint32(from-to)
	in.Inner = b[:to:to]
	return in
}

func (r *Reader) fail(in *Input, fault *Fault) { r.closed, in.Fault = true, fault }

// head takes the frame that b begins: a data frame's header, or a whole control
// frame. It returns the length of that, 0 if it is not there yet or is at fault.
func (r *Reader) head(k *Kind, b []byte, in *Input, start int) int {
	var h header
	size, fault := h.parse(b)
	switch {
	case fault != nil:
		r.fail(in, fault)
		return 0
	case size == 0 || h.control() && uint64(len(b)-size) < h.length:
		return 0
	case h.control():
		payload := b[size : size+int(h.length)]
		size += len(payload)
		fault = r.control(&h, payload, in, start)
	default:
		fault = r.begin(k, &h)
	}
	if fault != nil {
		r.fail(in, fault)
		return 0
	}
	return size
}

// end ends a data frame. If the message ends with it and lacks its delimiter, that
// is written into room, of which it says how much it took.
func (r *Reader) end(k *Kind, room []byte, in *Input) int {
	r.frame = false
	if !r.fin {
		return 0
	}
	r.message = false
	if r.opcode == opText && !r.text.whole() {
		r.fail(in, errText)
		return 0
	}
	if r.ended {
		return 0
	}
	return copy(room, k.Delimiter)
}

// begin takes the header of a data frame.
func (r *Reader) begin(k *Kind, h *header) *Fault {
	switch {
	case h.opcode == opContinuation && !r.message:
		return errContinuation
	case h.opcode != opContinuation && r.message:
		return errInterleaved
	case h.opcode == opText && len(k.Delimiter) == 0:
		return errBinaryOnly
	}
	if h.opcode != opContinuation {
		r.opcode, r.message, r.ended = h.opcode, true, false
		r.text = utf8State{}
	}
	r.frame, r.fin, r.remaining, r.key = true, h.fin, h.length, h.key
	return nil
}

// control answers a control frame. start is where in in.Answers the caller's own
// bytes end.
func (r *Reader) control(h *header, payload []byte, in *Input, start int) *Fault {
	unmask(payload, payload, h.key)
	switch h.opcode {
	case opPing:
		// Only the latest needs an answer (RFC 6455, section 5.5.3).
		in.Pings++
		in.Answers = append(append(in.Answers[:start], finBit|opPong, byte(len(payload))), payload...)
		return nil
	case opPong:
		in.Pongs++
		return nil
	}
	if len(payload) == 0 {
		r.closed, in.Closed = true, Empty
		in.Answers = AppendClose(in.Answers, Empty, "")
		return nil
	}
	if len(payload) == 1 {
		return errCloseShort
	}
	code := Code(binary.BigEndian.Uint16(payload))
	switch {
	case !code.mayBeSent():
		return errCloseCode
	case !utf8.Valid(payload[2:]):
		return errCloseText
	}
	r.closed, in.Closed = true, code
	in.Answers = AppendClose(in.Answers, code, "")
	return nil
}

// maxGap is how many bytes that mean nothing are left between the unwrapped and
// the wrapped ones, or a quarter of the unwrapped: moving those costs more.
const maxGap = 4 << 10

// MaxKept is the most that Keep leaves of a connection's bytes, where the application
// leaves at most inner of its own.
func MaxKept(inner int) int { return inner + max(maxGap, inner/4) + 14 + maxControl + MaxDelimiter }

// Keep tells what the application did with Inner: it consumed so many bytes of
// it and, if need is not 0, wants to see the rest again when it is need bytes long.
// b is what Unwrap was given. taken is how many of its bytes are dealt with; wanted
// is how long b[taken:] must be at least before there is anything new to see, 0 if
// that is not known. Inner stays as it is but for what was not consumed.
func (r *Reader) Keep(k *Kind, b []byte, consumed, need int) (taken, wanted int) {
	if r.closed {
		r.plain, r.gap = 0, 0
		return len(b), 0
	}
	plain, gap := int(r.plain)-consumed, int(r.gap)
	from := int(r.plain) + gap
	hold := 0
	if r.message {
		hold = len(k.Delimiter)
	}
	switch {
	case plain == 0:
		taken, gap = from-hold, hold
	case gap > max(maxGap, plain/4):
		taken, gap = from-hold-plain, hold
		copy(b[taken:], b[consumed:consumed+plain])
	default:
		taken = consumed
	}
	r.plain, r.gap = uint32(plain), uint32(gap)
	switch {
	case r.frame && need > plain:
		missing := need - plain
		if uint64(missing) > r.remaining {
			missing = int(r.remaining)
		}
		wanted = plain + gap + missing
	case !r.frame && from < len(b):
		wanted = plain + gap + wants(b[from:])
	}
	return taken, wanted
}

// Partial is how many bytes of a unit whose rest is to come the application has left.
func (r *Reader) Partial() int { return int(r.plain) }

// Wrapped is the part of b that is still wrapped, after Unwrap. It is for who
// carries a connection elsewhere: the application's own rest, this behind it, is what
// a Reader after Restart goes on with.
func (r *Reader) Wrapped(b []byte) []byte { return b[int(r.plain)+int(r.gap):] }

// Restart says that the connection's bytes now begin with so many unwrapped ones,
// the wrapped ones directly behind them.
func (r *Reader) Restart(plain int) { r.plain, r.gap = uint32(plain), 0 }
