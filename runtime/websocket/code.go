package websocket

import "strconv"

// Code is why a WebSocket is closed (RFC 6455, section 7.4.1).
type Code uint16

// The codes that weft sends; a peer may send others.
const (
	Normal        Code = 1000
	GoingAway     Code = 1001 // the server ends, or the peer was silent
	ProtocolError Code = 1002 // the peer broke RFC 6455
	Unsupported   Code = 1003 // text where only binary messages have a meaning
	Empty         Code = 1005 // never sent: the peer's Close had no code
	BadData       Code = 1007 // text that is no UTF-8, or bytes that are no frame of the inner protocol
	Policy        Code = 1008 // refused by a plugin or by a rule
	TooBig        Code = 1009 // longer than the listener allows
	Internal      Code = 1011
)

// Codes are the codes that are counted one by one; any other is counted as 0.
func Codes() []Code {
	return []Code{0, Normal, GoingAway, ProtocolError, Unsupported, Empty, BadData, Policy, TooBig, Internal}
}

// String is the code's number, "other" for 0.
func (c Code) String() string {
	if c == 0 {
		return "other"
	}
	return strconv.Itoa(int(c))
}

// mayBeSent tells whether a peer may put the code into a Close frame: those that
// RFC 6455 and its registry define for that, and those of applications.
func (c Code) mayBeSent() bool {
	switch {
	case c >= 3000 && c <= 4999:
		return true
	case c >= 1000 && c <= 1014:
		return c != 1004 && c != 1005 && c != 1006
	}
	return false
}

// Fault is what was wrong with a peer's frames, and the code to close with.
type Fault struct {
	Code Code
	// Reason is for the Close frame and the log: at most 123 bytes of ASCII.
	Reason string
}

// Error implements error.
func (f *Fault) Error() string { return "websocket: " + f.Code.String() + ": " + f.Reason }

// The faults, each with the section of RFC 6455 that it breaks.
var (
	errReserved     = &Fault{ProtocolError, "reserved bits are set and no extension was agreed"}     // 5.2
	errOpcode       = &Fault{ProtocolError, "unknown opcode"}                                        // 5.2
	errUnmasked     = &Fault{ProtocolError, "a client's frame must be masked"}                       // 5.1
	errLength       = &Fault{ProtocolError, "a length is written in more bytes than it needs"}       // 5.2
	errHuge         = &Fault{ProtocolError, "a length has its highest bit set"}                      // 5.2
	errControlSplit = &Fault{ProtocolError, "a control frame must not be fragmented"}                // 5.5
	errControlLong  = &Fault{ProtocolError, "a control frame carries at most 125 bytes"}             // 5.5
	errContinuation = &Fault{ProtocolError, "a continuation without a message to continue"}          // 5.4
	errInterleaved  = &Fault{ProtocolError, "a new message before the last fragment of the former"}  // 5.4
	errCloseShort   = &Fault{ProtocolError, "a Close frame of one byte"}                             // 5.5.1
	errCloseCode    = &Fault{ProtocolError, "a Close frame with a code that must not be sent"}       // 7.4
	errCloseText    = &Fault{BadData, "the reason in a Close frame is no UTF-8"}                     // 5.5.1
	errText         = &Fault{BadData, "a text message that is no UTF-8"}                             // 8.1
	errBinaryOnly   = &Fault{Unsupported, "this protocol uses binary messages; text has no meaning"} // 7.4.1
)
